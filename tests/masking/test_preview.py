"""Previews: pieces of text that people read."""

from pathlib import Path

import numpy as np
import pytest

from raylab.data.corpus import Corpus, tokenise
from raylab.data.task import Passage
from raylab.data.tokenizer import train_bpe
from raylab.errors import UserError
from raylab.masking.policy import Policy, policies_by_default
from raylab.masking.preview import preview, preview_corpus

TEXTS = [
    "Lake Orvane froze in 1831, when Ada Quill crossed it on foot.",
    "The painter Ilse Marrow was born in the port of Tessaly on 4 May 1902; she never left it.",
]


@pytest.mark.parametrize("name", policies_by_default())
def test_pieces_make_up_the_text_again(name: str) -> None:
    tokenizer = train_bpe(TEXTS, 400)
    for seed in range(3):
        rows = preview(Policy.registry.get(name)(), TEXTS, tokenizer, seed, context=TEXTS * 3)
        assert ["".join(piece for piece, _ in row) for row in rows] == TEXTS
        assert any(hidden for row in rows for _, hidden in row)


def test_salient_pieces_are_names_and_dates() -> None:
    policy = Policy.registry.get("salient")(spans=4)
    (first, second) = preview(policy, TEXTS, train_bpe(TEXTS, 400), 0)
    assert [piece for piece, hidden in first if hidden] == ["Lake Orvane", "1831", "Ada Quill"]
    assert [piece for piece, hidden in second if hidden] == ["Ilse Marrow", "Tessaly", "4 May 1902"]


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(UserError, match="empty"):
        preview(Policy.registry.get("uniform")(), ["", "words"], train_bpe(TEXTS, 400), 0)


@pytest.mark.parametrize("name", policies_by_default())
def test_passages_of_a_corpus_are_masked_as_in_training(name: str, tmp_path: Path) -> None:
    passages = [Passage(id=str(i), title=f"Orvane {i}", text=text) for i, text in enumerate(TEXTS * 3)]
    tokenizer = train_bpe([f"{p.title}: {p.text}" for p in passages], 400)
    Corpus.write(tokenise(passages, tokenizer, 128), tmp_path)
    rows = preview_corpus(Policy.registry.get(name)(), Corpus(tmp_path, len(tokenizer)), np.array([1, 4]), 0)
    for row, passage in zip(rows, (passages[1], passages[4]), strict=True):
        assert "".join(piece for piece, _ in row) == f"{passage.title}: {passage.text}"
        assert row[0][0].startswith(passage.title)
        assert not row[0][1], "a title was hidden"
