"""Every annotation, found by its file, keeps the contract; and each finds what it is for."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.annotations._rules import tag_by_rules
from raylab.data.annotations._words import words_of
from raylab.data.annotations.domain import Domain
from raylab.data.annotations.pmi import Pmi
from raylab.data.annotations.salient import Salient
from raylab.data.annotations.tfidf import Tfidf
from raylab.data.corpus import tokenise
from raylab.data.task import Passage
from raylab.data.tokenizer import train_bpe
from raylab.errors import UserError
from raylab.masking.policy import Passages
from raylab.masking.sampling import words
from raylab.recipe import decode, encode

TEXTS = (
    "Mount Harrow rises above the town of Pell. The silver mine of Pell closed in 1902.",
    "Carbon dioxide is heavier than air; the miners of Pell feared carbon dioxide.",
    "On 12 March 1881 Edda Voss, a miner's daughter, measured 3,400 metres of tunnel.",
    "Where carbon dioxide gathers, lamps go out: carbon dioxide gave the Voss lamp its name.",
    "",
    "nothing here is a name or a date",
    "They say carbon dioxide made Pell famous.",
)


def tokenised(texts: Sequence[str], *, title: str = "", vocab_size: int = 420) -> TokenisedText:
    passages = [Passage(id=str(i), title=title, text=text) for i, text in enumerate(texts)]
    return tokenise(passages, train_bpe(texts, vocab_size), 64)


OF_A_TASK = ("learned", "answers")  # they read more than text: tests/masking/learned


def background(folder: Path) -> str:
    path = folder / "background.txt"
    path.write_text("the of and is a in on they that was " * 50 + "air town date name out go say here " * 10)
    return str(path)


def members(folder: Path) -> list[Annotation]:
    """Every annotation with its defaults, but a background that is at hand."""
    kinds = [Annotation.registry.get(name) for name in Annotation.registry.names() if name not in OF_A_TASK]
    return [kind(background=background(folder)) if kind is Domain else kind() for kind in kinds]


def texts_of(text: TokenisedText, spans_S2: np.ndarray) -> list[str]:
    row_S = np.searchsorted(text.starts_P1, spans_S2[:, 0], side="right") - 1
    return [text.texts[r][text.char_starts_N[a] : text.char_ends_N[b - 1]] for r, (a, b) in zip(row_S, spans_S2, strict=True)]


@pytest.mark.parametrize("title", ["", "Pell Valley"])
@pytest.mark.parametrize("texts", [TEXTS, ("",), ("x",), ()])
def test_every_annotation_keeps_the_contract(texts: Sequence[str], title: str, tmp_path: Path) -> None:
    text = tokenised(texts, title=title)
    for annotation in members(tmp_path):
        assert decode(Annotation, encode(annotation)) == annotation
        result = annotation.compute(text)
        np.testing.assert_array_equal(result, annotation.compute(text))
        check = {"spans": check_spans, "weights": check_weights}[annotation.gives]
        check(text, result)


def check_spans(text: TokenisedText, spans_S2: np.ndarray) -> None:
    assert spans_S2.ndim == 2 and spans_S2.shape[1] == 2 and np.issubdtype(spans_S2.dtype, np.integer)
    assert (spans_S2[:, 0] < spans_S2[:, 1]).all() and (spans_S2[1:, 0] >= spans_S2[:-1, 1]).all()
    for start, end in spans_S2:
        assert text.maskable_N[start:end].all()
        assert np.searchsorted(text.starts_P1, start, side="right") == np.searchsorted(text.starts_P1, end - 1, side="right")


def check_weights(text: TokenisedText, weights_N: np.ndarray) -> None:
    assert weights_N.dtype == np.float32 and weights_N.shape == text.tokens_N.shape and np.isfinite(weights_N).all()
    units = words(
        Passages(tokens_N=text.tokens_N, starts_R1=text.starts_P1, maskable_N=text.maskable_N,
                 word_starts_N=text.word_starts_N, vocab_size=text.vocab_size, spans={}, weights={})
    )  # fmt: skip
    for start, end in zip(units.starts_U, units.ends_U, strict=True):
        assert len(set(weights_N[start:end])) == 1, "a word's tokens differ in weight"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Bank of Elmswell was founded in 1694.", ["Bank of Elmswell", "1694"]),
        ("In March 1990, the U.S. Senate met.", ["March 1990", "U.S. Senate"]),
        ("It opened on 12 May 1945 and on June 3, 1950.", ["12 May 1945", "June 3, 1950"]),
        ("Trinidad and Tobago covers 5,131 square kilometers.", ["Trinidad and Tobago", "5,131 square kilometers"]),
        ("Prices rose 4.5% to $3 billion in the 1940s.", ["4.5%", "$3 billion", "1940s"]),
        ("J. R. Tolk read the works of Queen Anna II.", ["J. R. Tolk", "Queen Anna II"]),
        ("NATO left Côte d'Ivoire in the 19th century.", ["NATO", "Côte d'Ivoire", "19th century"]),
        ("Paris's mayor, however, stayed.", ["Paris"]),
        ("However, nothing of this happened here.", []),
        ("Log 2024-05-17: Saint-Michel, 300 BC.", ["2024-05-17", "Saint-Michel", "300 BC"]),
    ],
)
def test_the_rules_find_names_dates_and_quantities(text: str, expected: list[str]) -> None:
    context = ["they log what happened", "the works of others", "low prices"]
    found = next(iter(tag_by_rules([text, *context])))
    assert [text[a:b] for a, b in found] == expected


def test_a_capital_at_a_sentence_start_is_judged_by_the_other_texts() -> None:
    texts = ["Located there. Harrow stands.", "it is located well", "near Harrow", "Rivers flow. Rivers end.", "two rivers"]
    found = [[text[a:b] for a, b in ranges] for text, ranges in zip(texts, tag_by_rules(texts), strict=True)]
    assert found == [["Harrow"], [], ["Harrow"], [], []]


def test_salient_spans_are_whole_in_tokens_and_never_in_the_title() -> None:
    text = tokenised(TEXTS, title="Pell Valley")
    found = texts_of(text, Salient().compute(text))
    assert {"Mount Harrow", "Pell", "1902", "12 March 1881", "Edda Voss", "3,400 metres"} <= set(found)
    assert "Pell Valley" not in found


def test_a_tagger_that_is_not_there_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="expected 'rules' or a spaCy pipeline"):
        Salient(tagger="no_such_pipeline").compute(tokenised(TEXTS))


def test_a_spacy_pipeline_tags_instead_of_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe(texts: Sequence[str]) -> Iterator[SimpleNamespace]:
        for text in texts:
            at = text.find("silver mine")
            yield SimpleNamespace(ents=[SimpleNamespace(start_char=at, end_char=at + 11)] if at >= 0 else [])

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=lambda name, exclude: SimpleNamespace(pipe=pipe)))
    text = tokenised(TEXTS)
    assert texts_of(text, Salient(tagger="an_invented_pipeline").compute(text)) == ["silver mine"]


def test_pmi_finds_what_occurs_together_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    fillers = [first + second for first in "bdfgkl" for second in ("an", "el", "ip", "or", "um")]
    texts = [
        " ".join([*rng.choice(fillers, 6), *("new", "york", "city")[: rng.integers(2, 4)], *rng.choice(fillers, 6)])
        for _ in range(400)
    ]
    text = tokenised(texts, vocab_size=600)
    found = texts_of(text, Pmi(min_count=40, min_pmi=2.0).compute(text))
    assert set(found) <= {"new york", "new york city"} and len(found) == 400


def test_pmi_is_the_least_over_all_ways_to_cut_an_n_gram() -> None:
    rng = np.random.default_rng(1)
    sentences = [rng.choice(list("abcd"), rng.integers(3, 12), p=[0.4, 0.3, 0.2, 0.1]) for _ in range(300)]
    text = tokenised([" ".join(s) for s in sentences], vocab_size=350)
    found = words_of(text)
    bigrams, trigrams = Pmi(longest=3, min_count=1)._pmi(found)
    counts = [
        np.unique([" ".join(s[i : i + n]) for s in sentences for i in range(len(s) - n + 1)], return_counts=True)
        for n in (1, 2, 3)
    ]
    p = {gram: count / totals.sum() for grams, totals in counts for gram, count in zip(grams, totals, strict=True)}
    a, b, c = sentences[0][:3]
    assert bigrams[0] == pytest.approx(np.log(p[f"{a} {b}"] / (p[a] * p[b])))
    parts = max(p[a] * p[b] * p[c], p[f"{a} {b}"] * p[c], p[a] * p[f"{b} {c}"])
    assert trigrams[0] == pytest.approx(np.log(p[f"{a} {b} {c}"] / parts))


def test_collocations_do_not_reach_across_punctuation() -> None:
    text = tokenised(["salt, pepper"] * 40)
    assert len(Pmi(min_pmi=-10.0).compute(text)) == 0


def test_tfidf_is_heavier_for_rarer_and_for_repeated_words() -> None:
    text = tokenised(("the cat saw the dog", "the dog ran", "the bird bird sang", "the dog sang"))
    weights_N = Tfidf().compute(text)
    weight = {text.texts[0][text.char_starts_N[i] : text.char_ends_N[i]]: weights_N[i] for i in range(text.starts_P1[1])}
    assert weight["the"] == 0
    units_of_last = weights_N[text.starts_P1[2] : text.starts_P1[3]]
    assert units_of_last.max() == pytest.approx((1 + np.log(2)) * np.log(4), rel=1e-5)


def test_domain_words_are_heavier_than_common_ones(tmp_path: Path) -> None:
    text = tokenised(TEXTS)
    weights_N = Domain(background=background(tmp_path)).compute(text)
    begin, end = text.starts_P1[1], text.starts_P1[2]
    weight = {text.texts[1][text.char_starts_N[i] : text.char_ends_N[i]]: weights_N[i] for i in range(begin, end)}
    assert weight["the"] < 0 < weight["dioxide"] and weight[";"] == 0


def test_a_background_that_is_not_there_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="is no file"):
        Domain(background="no/such/file.txt").compute(tokenised(TEXTS))


def test_wordfreq_tells_general_words_from_others() -> None:
    pytest.importorskip("wordfreq", reason="wordfreq is not installed; it is optional")
    text = tokenised(TEXTS)
    weights_N = Domain().compute(text)
    begin, end = text.starts_P1[1], text.starts_P1[2]
    weight = {text.texts[1][text.char_starts_N[i] : text.char_ends_N[i]]: weights_N[i] for i in range(begin, end)}
    assert weight["dioxide"] > weight["the"]
    with pytest.raises(UserError, match="no language 'xx'"):
        Domain(background="wordfreq:xx").compute(text)
