"""Direct supervision finds what is asked for; what it reads, costs and refuses."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raylab.errors import UserError
from raylab.masking.learned.card import Card
from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.pairs import Asked
from raylab.masking.learned.scoring import Reading, batches_by_length, best_spans
from raylab.masking.learned.supervised import Lesson, log_p_of
from raylab.training.progress import Progress
from tests import tiny
from tests.masking.learned.planted import QUICK, prepared, task


def learned(steps: Generator[Progress, None, tuple[Extractor, Card]]) -> tuple[list[Progress], Extractor, Card]:
    told: list[Progress] = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as stop:
            return told, *stop.value


@pytest.fixture(scope="module")
def lesson() -> tuple[list[Progress], Extractor, Card]:
    return learned(QUICK.learn(prepared(), 0))


def test_it_finds_what_is_asked_for(lesson: Any) -> None:
    _, _, card = lesson
    assert card.evidence["dev recall at 1"]["value"] > 0.9
    assert card.evidence["dev precision at 1"]["low"] > 0.6


def test_progress_counts_to_the_end_and_the_cost_is_known_before(lesson: Any) -> None:
    steps, _, card = lesson
    assert [p.step for p in steps] == list(range(1, steps[-1].steps + 1))
    known = Lesson(QUICK, prepared(), 0).cost()
    assert {name: card.cost[name] for name in known} == known
    assert known["tokens"] > sum(p.corpus_tokens for p in steps)


def test_the_seed_decides_what_is_learned(lesson: Any) -> None:
    _, extractor, _ = lesson
    _, again, _ = learned(QUICK.learn(prepared(), 0))
    _, other, _ = learned(replace(QUICK, epochs=1).learn(prepared(), 1))
    assert all(torch.equal(a, b) for a, b in zip(extractor.parameters(), again.parameters(), strict=True))
    assert not torch.equal(extractor.pointers.weight, other.pointers.weight)


def test_the_test_split_is_not_read(lesson: Any, tmp_path: Path) -> None:
    _, extractor, _ = lesson
    data = task()
    others = tuple(replace(q, answer="mere", answers=("mere",)) for q in data.splits["test"])
    blind = tiny.prepared(tmp_path, replace(data, splits={**data.splits, "test": others}))
    _, again, _ = learned(QUICK.learn(blind, 0))
    assert all(torch.equal(a, b) for a, b in zip(extractor.parameters(), again.parameters(), strict=True))


def test_an_answer_may_be_found_at_any_of_its_places() -> None:
    log_p = torch.log_softmax(torch.randn(2, 5 * 3), dim=1).view(2, 5, 3)
    found = log_p_of(log_p, [Asked(row=1, spans=((0, 1), (2, 4))), Asked(row=0, spans=((4, 5),))])
    torch.testing.assert_close(found.exp(), torch.stack([log_p[1, 0, 0].exp() + log_p[1, 2, 1].exp(), log_p[0, 4, 0].exp()]))


def test_a_corpus_is_scored_the_same_in_batches_as_one_by_one(lesson: Any) -> None:
    _, extractor, _ = lesson
    reading = Reading.of(prepared().corpus.tokenised())
    whole = best_spans(extractor, reading, 3)
    one_by_one = []
    for row, begin in enumerate(reading.starts_P1[:-1]):
        alone = best_spans(extractor, reading.rows(np.array([row])), 3)
        one_by_one.append(alone + np.array([begin, begin, 0]))
    np.testing.assert_allclose(whole, np.concatenate(one_by_one), atol=1e-4)


def test_every_passage_with_a_token_is_in_one_batch() -> None:
    lengths = np.random.default_rng(0).integers(0, 700, 500)
    batches = list(batches_by_length(lengths))
    assert sorted(np.concatenate(batches).tolist()) == np.flatnonzero(lengths).tolist()
    assert all(len(rows) * lengths[rows].max() <= 16_384 for rows in batches)


def test_an_empty_train_split_is_told_in_one_line(tmp_path: Path) -> None:
    data = task()
    empty = tiny.prepared(tmp_path, replace(data, splits={**data.splits, "train": ()}))
    with pytest.raises(UserError, match="the train split of 'mayors' is empty"):
        next(QUICK.learn(empty, 0))


def test_a_corpus_that_holds_no_answers_is_told_with_what_was_found(tmp_path: Path) -> None:
    data = task()
    nobody = tuple(replace(p, text=p.text.partition(", and ")[0]) for p in data.corpus)
    with pytest.raises(UserError, match=r"of 60 train questions of 'mayors', 0 have an answer .* 0 passages .* --corpus"):
        next(QUICK.learn(tiny.prepared(tmp_path, replace(data, corpus=nobody)), 0))
