"""A run from base model to scores: what it yields, what it counts, and that judging it on the way changes nothing."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.training.context import Context
from raylab.training.evaluation import means, score
from raylab.training.loop import READ_EVERY
from raylab.training.memory import Memory
from raylab.training.parallel import Parallel
from raylab.trial import device_of
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def whole(data: Prepared) -> tiny.Trace:
    return tiny.traced(tiny.recipe(dropout=0.1), data)


def test_every_step_then_the_result(whole: tiny.Trace) -> None:
    assert [(p.stage, p.step, p.steps) for p in whole.steps] == [
        *[("0-denoise", step, 8) for step in range(1, 9)],
        *[("1-finetune", step, 6) for step in range(1, 7)],
    ]
    assert [p.position for p in whole.steps] == list(range(1, 15))
    assert whole.result is not None and whole.rungs == []


def test_losses_are_read_now_and_then_and_at_the_end_of_a_stage(whole: tiny.Trace) -> None:
    assert READ_EVERY == 10
    assert [(stage, step) for stage, step, _ in whole.losses] == [("0-denoise", 8), ("1-finetune", 6)]


def test_the_result_counts_what_the_steps_used(whole: tiny.Trace) -> None:
    assert whole.result is not None
    told = whole.result.metrics
    assert told["steps"] == 14
    assert told["tokens"] == sum(p.corpus_tokens for p in whole.steps)
    assert told["target_tokens"] == sum(p.target_tokens for p in whole.steps)
    assert told["flops"] == pytest.approx(sum(p.flops for p in whole.steps))
    assert told["positions"] == sum(p.positions for p in whole.steps)
    assert told["padding_share"] == pytest.approx(sum(p.padding for p in whole.steps) / told["positions"])
    assert 0 < told["padding_share"] < 1
    assert all(p.corpus_tokens == 0 for p in whole.steps if p.stage == "1-finetune")
    seconds = whole.result.seconds
    assert seconds["total"] == pytest.approx(sum(s for part, s in seconds.items() if part != "total"))
    assert {"start", "data", "masking", "forward_backward", "optimizer", "evaluation"} < seconds.keys()


def test_scores_stand_question_by_question(whole: tiny.Trace, data: Prepared) -> None:
    assert whole.result is not None
    for split in ("dev", "test"):
        for measure, values in whole.result.scores[split].items():
            assert len(values) == len(data.splits[split])
            assert whole.result.metrics[f"{split}_{measure}"] == pytest.approx(sum(values) / len(values))


def test_only_the_splits_asked_for_are_scored(data: Prepared) -> None:
    result = tiny.traced(tiny.recipe(pretrain_steps=1, finetune_steps=1), data, splits=("dev",)).result
    assert result is not None and list(result.scores) == ["dev"]
    assert not any(name.startswith("test") for name in result.metrics)


def test_rungs_leave_no_trace(whole: tiny.Trace, data: Prepared) -> None:
    """Weights, dropout, order, optimizer and counts of the run are those of a run that nobody judged."""
    judged = tiny.traced(tiny.recipe(dropout=0.1), data, rungs=(0.25, 0.5, 1.0))
    assert [rung.fraction for rung in judged.rungs] == [0.25, 0.5]  # the end is the result itself
    assert judged.losses == whole.losses
    assert judged.result is not None and whole.result is not None
    assert tiny.numbers(judged.result) == tiny.numbers(whole.result)


def test_a_rung_is_the_dev_score_of_a_short_finetuning(data: Prepared) -> None:
    """Repeated here by hand: half of the pretraining, then 40 % of the finetuning."""
    recipe: Any = tiny.recipe()
    (rung,) = tiny.traced(recipe, data, rungs=(0.5,)).rungs
    model = build(recipe.base, data.tokenizer, tiny.SEEDS.init)
    context = Context(data=data, seeds=tiny.SEEDS)
    assert [p.step for p in islice(recipe.stages[0].run(model, context), 4)] == [1, 2, 3, 4]
    assert len(list(replace(recipe.finetune, steps=2).run(model, context))) == 2
    assert rung.metrics == means(score(model, data.splits["dev"], data, Parallel(), Memory()), "dev")


def test_a_resumed_run_does_not_pass_its_rung_again(data: Prepared, tmp_path: Path) -> None:
    running: dict[str, Any] = {"rungs": (0.5,), "folder": tmp_path, "checkpoint_every_s": 0.0}
    assert len(tiny.traced(tiny.recipe(), data, stop_after=6, **running).rungs) == 1
    assert tiny.traced(tiny.recipe(), data, **running).rungs == []


def test_without_pretraining_it_only_finetunes(data: Prepared) -> None:
    trace = tiny.traced(replace(tiny.recipe(), stages=()), data)
    assert {p.stage for p in trace.steps} == {"0-finetune"}
    assert trace.result is not None and trace.result.metrics["tokens"] == 0


def test_stages_follow_each_other_and_are_resumed_in_their_place(data: Prepared, tmp_path: Path) -> None:
    recipe = tiny.recipe(pretrain_steps=3)
    recipe = replace(recipe, stages=recipe.stages * 2)
    straight = tiny.traced(recipe, data)
    assert [p.stage for p in straight.steps] == ["0-denoise"] * 3 + ["1-denoise"] * 3 + ["2-finetune"] * 6
    tiny.traced(recipe, data, stop_after=5, folder=tmp_path, checkpoint_every_s=0.0)
    resumed = tiny.traced(recipe, data, folder=tmp_path, checkpoint_every_s=0.0)
    assert (resumed.steps[0].stage, resumed.steps[0].step) == ("1-denoise", 2)
    assert straight.result is not None and resumed.result is not None
    assert tiny.numbers(resumed.result) == tiny.numbers(straight.result)


def test_the_model_is_kept_where_asked(data: Prepared, tmp_path: Path) -> None:
    result = tiny.traced(tiny.recipe(pretrain_steps=2, finetune_steps=2), data, keep_model=tmp_path / "model").result
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    assert result is not None
    assert score(model, data.splits["test"], data, Parallel(), Memory()) == result.scores["test"]


def test_device_of_a_worker() -> None:
    assert device_of(0.0) == torch.device("cpu")
    assert device_of(1.0).type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_where_the_time_went_is_told_by_part(data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that everybody who looks at it moves by a second."""
    looks = iter(range(10**6))
    monkeypatch.setattr("raylab.training.totals.time.perf_counter", lambda: float(next(looks)))
    trace = tiny.traced(tiny.recipe(pretrain_steps=3), data, rungs=(0.5,), folder=tmp_path, checkpoint_every_s=0.0)
    assert trace.result is not None
    seconds = trace.result.seconds
    assert {"start", "rungs", "checkpoint", "waiting", "evaluation"} < seconds.keys()
    assert seconds["waiting"] >= len(trace.steps), "whoever takes the steps is waited for at each"
    assert seconds["checkpoint"] >= len(trace.steps)
    assert seconds["total"] == sum(s for part, s in seconds.items() if part != "total")


def test_what_a_run_held_is_told_of_each_run_anew(data: Prepared) -> None:
    recipe = tiny.recipe(pretrain_steps=1, finetune_steps=1)
    before = tiny.traced(recipe, data).result
    ballast = torch.ones(2**26)  # 256 MiB
    heavy = tiny.traced(recipe, data).result
    del ballast
    after = tiny.traced(recipe, data).result
    assert before is not None and heavy is not None and after is not None
    assert set(heavy.memory) == {"host"}
    assert heavy.memory["host"] > before.memory["host"] + 2**27
    assert after.memory["host"] >= before.memory["host"] > 2**20
