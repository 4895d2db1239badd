"""Finetuning: the question in, the canonical answer out, every question once an epoch."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.stages.finetune import Finetune, _Batches
from raylab.training.context import Context
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def test_questions_in_canonical_answers_out_each_once_an_epoch(data: Prepared) -> None:
    stage = Finetune(steps=6, batch_size=3)
    batches = _Batches(stage, build(ModelSpec(), data.tokenizer, 0), Context(data=data, seeds=tiny.SEEDS))
    read: Counter[tuple[str, str]] = Counter()
    for step in range(6):
        (micro,) = batches(step).micro_batches()
        for ids, labels in zip(micro.input_ids_BT, micro.labels_BU, strict=True):
            question, answer = (data.tokenizer.decode(t, skip_special_tokens=True).strip() for t in (ids, labels[labels != -100]))
            read[question, answer] += 1
            assert int(labels[labels != -100][-1]) == data.tokenizer.eos_token_id
    assert read == Counter((e.question, e.answer) for e in data.splits["train"])


def test_it_reads_no_corpus(data: Prepared) -> None:
    batches = _Batches(Finetune(), build(ModelSpec(), data.tokenizer, 0), Context(data=data, seeds=tiny.SEEDS))
    assert batches(0).corpus_tokens == 0


def test_no_train_question_is_told(tmp_path: Path) -> None:
    task = tiny.task()
    data = tiny.prepared(tmp_path, data=replace(task, splits={**task.splits, "train": ()}))
    with pytest.raises(UserError, match="no rows to train on"):
        tiny.traced(replace(tiny.recipe(), stages=()), data)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"steps": -3}, {"batch_size": 0}])
def test_settings_out_of_range_are_told(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="expected positive numbers"):
        Finetune(**settings)
