"""The summarisation datasets of the MUPPET list, as our reading has it. All fixture rows are invented."""

from raylab.data.table import entry

THREE = {"train": "train", "dev": "validation", "test": "test"}
NEWS = "The council of Brundic voted on Tuesday to mend the old bridge. Work begins in May and costs two million."
SHORT = "Brundic's old bridge will be mended."

ENTRIES = (
    entry(
        "cnn_dailymail",
        "abisee/cnn_dailymail",
        {"source": "article", "target": "highlights"},
        [
            (NEWS, "Council votes to mend bridge .\nWork begins in May ."),
            ("Rain fell on Garsholm for a week.", "Rain in Garsholm ."),
        ],
        config="3.0.0",
        splits=THREE,
        licence="Apache-2.0",
        source="Hermann et al. 2015, arXiv 1506.03340",
    ),
    entry(
        "xsum",
        "EdinburghNLP/xsum",
        {"source": "document", "target": "summary"},
        [(NEWS, SHORT), ("Rain fell on Garsholm for a week.", "Garsholm has had a wet week.")],
        splits=THREE,
        licence="unknown: see the Hub's card",
        source="Narayan et al. 2018, arXiv 1808.08745",
    ),
    entry(
        "billsum",
        "FiscalNote/billsum",
        {"source": "text", "target": "summary"},
        [
            ("Section 1. The bridge of Brundic shall be mended.", "Requires the bridge to be mended."),
            ("Section 1. Mills pay no toll.", "Frees mills of tolls."),
        ],
        splits={"train": "train", "test": "test"},
        licence="CC0-1.0",
        source="Kornilova and Eidelman 2019, arXiv 1910.00523",
    ),
    entry(
        "aeslc",
        "Yale-LILY/aeslc",
        {"source": "email_body", "target": "subject_line"},
        [("Can we meet at nine about the mill?", "Meeting about the mill"), ("The oars have come.", "Oars")],
        splits=THREE,
        licence="unknown: see the Hub's card",
        source="Zhang and Tetreault 2019, arXiv 1906.03497",
    ),
    entry(
        "multi_news",
        "alexfabbri/multi_news",
        {"source": "document", "target": "summary"},
        [
            (f"{NEWS} ||||| A bridge in Brundic is to be mended.", SHORT),
            ("Rain fell. ||||| It rained in Garsholm.", "Rain in Garsholm."),
        ],
        splits=THREE,
        licence="other: for research alone",
        source="Fabbri et al. 2019, arXiv 1906.01749",
    ),
)
