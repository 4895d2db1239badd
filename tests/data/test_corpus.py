"""Texts as windows of tokens, and batches of passages gathered from them with their annotations."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.corpus import Corpus, tokenise
from raylab.data.task import Passage
from raylab.data.tokenizer import train_bpe

SENTENCES = (
    "Arvelo lies on the river Ansel, 1,204 metres up.",
    'It was founded in 1713 ("the year of the flood").',
    "Oda Pell was its first mayor!",
    "Zürich, Malmö and Łódź are further off…",
    "Its anthem 国歌 is sung on 3 May.",
    "Who wrote it? Nobody knows.",
)
LONG = " ".join(SENTENCES * 6)
PASSAGES = (
    Passage(id="a", title="Arvelo", text=LONG),
    Passage(id="b", title="", text=SENTENCES[0]),
    Passage(id="c", title="Malmö: a city", text="x" * 90 + " " + "end."),
    Passage(id="d", title="A very long title of very many words that nobody would ever give to a text", text=LONG),
    Passage(id="e", title="Spaces", text="  two  spaces \n and a\tnew line  "),
)


def byte_bpe() -> PreTrainedTokenizerBase:
    return train_bpe((p.text for p in PASSAGES), 400)


def word_piece() -> PreTrainedTokenizerBase:
    """BERT's kind of tokenizer: ## inside words, nothing for spaces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=200))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=250, special_tokens=special, show_progress=False, initial_alphabet=sorted(set("q:" + LONG))
    )
    tokenizer.train_from_iterator((f"{p.title}: {p.text} qq" for p in PASSAGES), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]", mask_token="[MASK]"
    )


@pytest.fixture(scope="module", params=[byte_bpe, word_piece], ids=lambda make: make.__name__)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    made: PreTrainedTokenizerBase = request.param()
    return made


@pytest.fixture(scope="module", params=[12, 40, 500])
def max_tokens(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def rows(text: TokenisedText, values_N: np.ndarray) -> list[np.ndarray]:
    """Values of every window."""
    return np.split(values_N, text.starts_P1[1:-1])


def bodies(text: TokenisedText) -> list[str]:
    """Each window's text as its maskable tokens cover it."""
    covered = zip(text.texts, *(rows(text, v) for v in (text.char_starts_N, text.char_ends_N, text.maskable_N)), strict=True)
    return [whole[starts[maskable][0] : ends[maskable][-1]] for whole, starts, ends, maskable in covered]


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_windows_hold_at_most_so_many_tokens(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
    text = tokenise(PASSAGES, tokenizer, max_tokens)
    lengths = np.diff(text.starts_P1)
    assert lengths.max() <= max_tokens and lengths.min() >= 1
    assert len(text.texts) == len(lengths)
    assert text.starts_P1[-1] == len(text.tokens_N)


def test_windows_cover_the_text_once(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
    for passage in PASSAGES:
        text = tokenise([passage], tokenizer, max_tokens)
        assert squeezed("".join(bodies(text))) == squeezed(passage.text)


def test_every_window_carries_its_title(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
    for passage in PASSAGES:
        head = f"{passage.title}: " if passage.title else ""
        text = tokenise([passage], tokenizer, max_tokens)
        assert all(window.startswith(head) for window in text.texts)
        assert [window.removeprefix(head) for window in text.texts] == bodies(text)
        for starts, maskable in zip(rows(text, text.char_starts_N), rows(text, text.maskable_N), strict=True):
            assert (maskable == (starts >= len(head))).all()  # the title is there to be read, not to be hidden
            assert (~maskable).sum() <= max_tokens / 2


def test_offsets_are_the_tokens_own_characters(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
    text = tokenise(PASSAGES, tokenizer, max_tokens)
    parts = zip(text.texts, *(rows(text, v) for v in (text.tokens_N, text.char_starts_N, text.char_ends_N)), strict=True)
    checked = 0
    for window, tokens, starts, ends in parts:
        assert (np.diff(starts.astype(int)) >= 0).all() and (ends <= len(window)).all()
        for token, start, end in zip(tokens.tolist(), starts, ends, strict=True):
            told = tokenizer.decode([token]).removeprefix("##").strip()
            if "\ufffd" not in told:  # a part of a character of several bytes
                assert window[start:end].strip() == told
                checked += 1
    assert checked > 0.9 * len(text.tokens_N)


def test_windows_end_with_a_sentence_or_a_word(tokenizer: PreTrainedTokenizerBase) -> None:
    windows = bodies(tokenise(PASSAGES[:1], tokenizer, 60))
    assert len(windows) > 3
    assert all(re.search(r"[.!?…]\W*$", window) for window in windows)
    for window in bodies(tokenise(PASSAGES[:1], tokenizer, 12))[:-1]:
        following = LONG[LONG.index(window) + len(window)]
        assert following == " " or not (window[-1].isalnum() and following.isalnum())


def test_a_word_longer_than_a_window_is_cut(tokenizer: PreTrainedTokenizerBase) -> None:
    passage = Passage(id="w", title="", text="q" * 200)
    assert "".join(bodies(tokenise([passage], tokenizer, 12))) == passage.text


def test_words_begin_where_they_do() -> None:
    text = tokenise([Passage(id="", title="Arvelo", text="Arvelo lies on the Ansel.")], byte_bpe(), 64)
    begun = [text.texts[0][a:] for a, word in zip(text.char_starts_N, text.word_starts_N, strict=True) if word]
    assert [re.match(r"\w+|\W", word.strip())[0] for word in begun] == ["Arvelo", "Arvelo", "lies", "on", "the", "Ansel", "."]  # type: ignore[index]


def test_special_tokens_in_a_text_are_not_maskable(tokenizer: PreTrainedTokenizerBase) -> None:
    text = tokenise([Passage(id="", title="", text=f"the river {tokenizer.mask_token} is")], tokenizer, 64)
    (place,) = np.flatnonzero(text.tokens_N == tokenizer.mask_token_id)
    assert not text.maskable_N[place]
    assert text.maskable_N.sum() == len(text.maskable_N) - 1


def test_empty_texts_make_no_window(tokenizer: PreTrainedTokenizerBase) -> None:
    assert len(tokenise([Passage(id="", title="Title", text="")], tokenizer, 64).texts) == 0


# --- gathering ------------------------------------------------------------------------------------------------------

LENGTHS = [5, 0, 3, 7, 1, 4]
SPANS = [(1, 3), (3, 5), (9, 10), (10, 15), (16, 18), (19, 20)]  # none in passages 1 (empty), 2 and 4


@dataclass(frozen=True, kw_only=True, slots=True)
class InventedSpans(Annotation):
    """The spans of SPANS, or none at all."""

    gives: ClassVar[str] = "spans"
    empty: bool = False

    def compute(self, text: TokenisedText) -> np.ndarray:
        return np.array([] if self.empty else SPANS, dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class InventedWeights(Annotation):
    """Each token's place in the corpus."""

    gives: ClassVar[str] = "weights"
    computed: ClassVar[list[int]] = []

    def compute(self, text: TokenisedText) -> np.ndarray:
        self.computed.append(len(text.texts))
        return np.arange(len(text.tokens_N), dtype=np.float32)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    count = sum(LENGTHS)
    rng = np.random.default_rng(0)
    starts_P1 = np.concatenate([[0], np.cumsum(LENGTHS)])
    Corpus.write(
        TokenisedText(
            texts=["tä" * n for n in LENGTHS], tokens_N=np.arange(100, 100 + count, dtype=np.uint16), starts_P1=starts_P1,
            char_starts_N=np.zeros(count, np.uint32), char_ends_N=np.ones(count, np.uint32),
            maskable_N=rng.random(count) < 0.5, word_starts_N=rng.random(count) < 0.5, vocab_size=200,
        ),
        tmp_path,
    )  # fmt: skip
    return Corpus(tmp_path, 200)


@pytest.mark.parametrize("chosen", [[0, 1, 2, 3, 4, 5], [5, 3, 0], [1, 4, 2], [3, 3, 1, 3], [1], [4, 1, 5, 2, 0, 3]])
def test_passages_are_laid_end_to_end(chosen: Sequence[int], corpus: Corpus) -> None:
    kinds = (InventedSpans(), InventedWeights(), InventedSpans(empty=True))
    batch = corpus.passages(np.array(chosen), kinds)
    bounds = np.concatenate([[0], np.cumsum(LENGTHS)])
    places = [list(range(bounds[row], bounds[row + 1])) for row in chosen]
    flat = [place for passage in places for place in passage]
    assert batch.starts_R1.tolist() == [0, *np.cumsum([len(p) for p in places])]
    assert batch.tokens_N.tolist() == [100 + place for place in flat]
    assert batch.maskable_N.tolist() == corpus.maskable_N[flat].tolist()
    assert batch.word_starts_N.tolist() == corpus.word_starts_N[flat].tolist()
    assert batch.weights[kinds[1]].tolist() == [float(place) for place in flat]
    expected = [
        (batch.starts_R1[i] + a - bounds[row], batch.starts_R1[i] + b - bounds[row])
        for i, row in enumerate(chosen)
        for a, b in SPANS
        if bounds[row] <= a < bounds[row + 1]
    ]
    found = batch.spans[kinds[0]]
    assert list(zip(found.starts_S.tolist(), found.ends_S.tolist(), strict=True)) == expected
    assert len(batch.spans[kinds[2]].starts_S) == 0
    assert batch.vocab_size == 200


def test_texts_come_back(corpus: Corpus) -> None:
    assert corpus.texts() == ["tä" * n for n in LENGTHS]
    assert len(corpus) == 6 and corpus.lengths_P.tolist() == LENGTHS


def test_an_annotation_is_computed_once_for_all(corpus: Corpus) -> None:
    InventedWeights.computed.clear()
    for opened in (corpus, corpus, Corpus(corpus.folder, 200)):
        opened.annotate(InventedWeights())
        opened.passages(np.array([0]), [InventedWeights()])
    assert InventedWeights.computed == [6]


def test_annotations_of_other_settings_or_versions_are_others(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    for annotation in (InventedSpans(), InventedSpans(empty=True)):
        corpus.annotate(annotation)
    monkeypatch.setattr(InventedSpans, "version", 2)
    corpus.annotate(InventedSpans())
    assert len(list((corpus.folder / "annotations").iterdir())) == 3


def test_an_annotation_that_fails_leaves_nothing(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: InventedWeights, text: TokenisedText) -> np.ndarray:
        raise RuntimeError("half done")

    monkeypatch.setattr(InventedWeights, "compute", fail)
    with pytest.raises(RuntimeError, match="half done"):
        corpus.annotate(InventedWeights())
    assert list((corpus.folder / "annotations").iterdir()) == []
