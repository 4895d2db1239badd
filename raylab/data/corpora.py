"""Corpora known by name: texts on the Hub that intermediate pretraining may read. A new one is one entry."""

from dataclasses import dataclass

from raylab.data.hub import HubTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A corpus on the Hub. `passages`: how many are read where --max-passages does not say."""

    name: str
    hub: HubTable
    passages: int | None
    licence: str
    split: str = "train"


_ENTRIES = (
    Corpus(
        name="wikipedia",
        hub=HubTable(id="wikimedia/wikipedia", config="20231101.en", columns=("title", "text")),
        passages=20_000,  # of 6.4 million articles, 20 GB
        licence="CC BY-SA 3.0 and GFDL",
    ),
    Corpus(
        name="wikitext2",
        hub=HubTable(id="Salesforce/wikitext", config="wikitext-2-raw-v1", columns=("text",)),
        passages=None,
        licence="CC BY-SA 3.0 and GFDL",
    ),
    Corpus(
        name="wikitext103",
        hub=HubTable(id="Salesforce/wikitext", config="wikitext-103-raw-v1", columns=("text",)),
        passages=200_000,
        licence="CC BY-SA 3.0 and GFDL",
    ),
)
CORPORA = {corpus.name: corpus for corpus in _ENTRIES}
