"""Memory that runs out: fewer rows at once, the same losses, remembered; an end only where one row does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch import nn

from raylab.data.prepared import Prepared
from raylab.errors import OutOfMemory
from raylab.families.question_answering import QuestionAnswering
from raylab.models.build import build
from raylab.recipe import ModelSpec, Recipe, encode, run_key
from raylab.training import loop
from raylab.training.batching import MicroBatch
from raylab.training.memory import Fit, Memory, told
from tests import tiny
from tests.training.workers import limited_worker

FLOAT = 1e-5  # relative: sums of another order, carried on over some steps
RECIPE = tiny.recipe(learning_rate=3e-4, family="bart")  # batches of six rows
CPU = torch.device("cpu")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of every forward pass of training, on a device that holds two and no more."""
    return limit(monkeypatch, 2)


def limit(patch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let training run out of memory beyond so many rows. Returns the rows of each attempt, as they come."""
    decode, seen = loop.decode, []

    def narrow(model: Any, batch: MicroBatch) -> torch.Tensor:
        seen.append(len(batch.input_ids_BT))
        if seen[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        return decode(model, batch)

    patch.setattr(loop, "decode", narrow)
    return seen


def losses(recipe: Recipe, data: Prepared, **execution: Any) -> list[float]:
    return [loss for *_, loss in tiny.traced(recipe, data, **execution).losses]


def test_a_batch_that_does_not_fit_is_halved_and_its_losses_stay(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny.traced(RECIPE, data)
    seen = limit(monkeypatch, 2)
    cut = tiny.traced(RECIPE, data)
    assert [loss for *_, loss in cut.losses] == pytest.approx([loss for *_, loss in whole.losses], rel=FLOAT)
    assert cut.norms == pytest.approx(whole.norms, rel=FLOAT)
    assert seen[:3] == [6, 3, 1]  # by halves, until it fits
    assert max(seen[3:]) <= 3 and seen.count(6) == 1, "a limit is learned once"


def test_dropout_is_drawn_as_if_the_step_had_begun_with_what_fits(
    data: Prepared, tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, memory = tiny.recipe(dropout=0.1), Memory()
    first = tiny.traced(recipe, data, memory=memory)
    tried.clear()
    again = tiny.traced(recipe, data, memory=memory)
    assert max(tried) == 1, "this process knows its limit"
    assert again.losses == first.losses


def test_the_next_run_starts_with_what_fits(data: Prepared, tried: list[int], tmp_path: Path) -> None:
    tiny.traced(RECIPE, data, memory=Memory(tmp_path / "memory"))
    assert tried[0] == 6
    tried.clear()
    tiny.traced(RECIPE, data, memory=Memory(tmp_path / "memory"))
    assert max(tried) <= 2
    (file,) = (tmp_path / "memory").iterdir()
    assert "training in float32, on cpu" in json.loads(file.read_text())["what"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tokens": "many"}', '{"tokens": -3}'])
def test_what_can_not_be_read_is_learned_again(content: str, tmp_path: Path) -> None:
    file = tmp_path / "fit.json"
    file.write_text(content)
    assert Fit("a model", CPU, file).rows(8, 10) == 8


def test_no_place_to_write_does_not_end_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "memory").write_text("a file, not a folder")
    fit = Fit("a model", CPU, tmp_path / "memory" / "fit.json")
    assert fit.attempt(fitting(4), 8, 10) == 4
    assert "can not be written" in caplog.text


def fitting(most: int) -> Any:
    """A computation that needs more memory than there is beyond so many rows."""

    def compute(rows: int) -> int:
        if rows > most:
            torch.empty(2**60, dtype=torch.uint8)  # a CPU's own error
        return rows

    return compute


def test_a_limit_is_one_of_tokens() -> None:
    fit = Fit("a model", CPU)
    assert fit.attempt(fitting(4), 16, 100) == 4
    assert fit.tokens == 400
    assert [fit.rows(16, width) for width in (10, 25, 200, 1000)] == [16, 16, 2, 1]


def test_a_lane_that_found_less_is_heard(tmp_path: Path) -> None:
    mine, other = (Fit("a model", CPU, tmp_path / "fit.json") for _ in range(2))
    other.attempt(fitting(1), 16, 100)
    mine.attempt(fitting(8), 16, 100)
    assert Fit("a model", CPU, tmp_path / "fit.json").tokens == 100


def test_other_errors_are_not_taken_for_it() -> None:
    def broken(rows: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Fit("a model", CPU).attempt(broken, 8, 10)


def test_models_and_purposes_have_limits_of_their_own(data: Prepared) -> None:
    memory, models = Memory(), [build(ModelSpec(family=family), data.tokenizer, seed=0) for family in ("t5", "bart")]
    fits = [memory.of(model, purpose, CPU) for model in models for purpose in ("training in float32", "training in bfloat16")]
    assert len({id(fit) for fit in fits}) == 4
    assert memory.of(models[0], "training in float32", CPU) is fits[0]


def test_a_run_ends_only_where_one_row_does_not_fit(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = limit(monkeypatch, 0)
    with pytest.raises(OutOfMemory, match=r"one row of \d+ tokens does not fit .*CUDA out of memory\. Tried .* smaller model"):
        tiny.traced(RECIPE, data)
    assert seen == [6, 3, 1]


def test_answers_are_scored_in_smaller_parts(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, answers, seen = tiny.traced(RECIPE, data), QuestionAnswering.answers, []

    def narrow(objective: Any, model: Any, examples: Any, device: Any) -> Any:
        seen.append(len(examples))
        if len(examples) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return answers(objective, model, examples, device)

    monkeypatch.setattr(QuestionAnswering, "answers", narrow)
    cut = tiny.traced(RECIPE, data)
    assert max(seen) > 3 and whole.result is not None and cut.result is not None
    for name, values in tiny.numbers(whole.result).items():
        assert tiny.numbers(cut.result)[name] == pytest.approx(values, rel=FLOAT), name


def test_a_model_that_does_not_fit_ends_its_run_too(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(module: nn.Module, *_: Any) -> nn.Module:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(nn.Module, "to", full)
    with pytest.raises(OutOfMemory, match="the model and its optimizer do not fit"):
        tiny.traced(RECIPE, data)
    with pytest.raises(RuntimeError, match="shapes"), told():
        raise RuntimeError("shapes do not match")


def test_the_size_of_a_micro_batch_is_not_part_of_a_run(data: Prepared) -> None:
    one, other = (run_key(tiny.recipe(micro_batch=size), tiny.SEEDS, "data") for size in (0, 2))
    assert one == other
    assert encode(tiny.recipe(micro_batch=2)) != encode(tiny.recipe(micro_batch=0))


def test_workers_halve_alone_and_give_up_together(data: Prepared, tmp_path: Path) -> None:
    """Of two workers, the second holds one row, then none: the losses are those of one, then both end."""
    alone = losses(RECIPE, data)
    torch.multiprocessing.spawn(limited_worker, (2, str(data.folder), str(tmp_path), encode(RECIPE)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for worker in (first, second):
        assert worker["losses"] == pytest.approx(alone, rel=FLOAT)
        assert "one row of" in worker["error"]
    assert first["rows"] == 3 and second["rows"] == 1
    assert "worker 1 of 2" in first["error"] and "worker" not in second["error"]
    assert "KeyError: 'lost'" in first["other"] and "RuntimeError" in first["other"]
