"""Runs that share a process: what each learns is what it would learn alone."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from raylab.data.prepared import Prepared
from raylab.errors import Diverged
from raylab.masking.policies.span import Span
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.models.masked_lm import masked_loss
from raylab.recipe import ModelSpec, Recipe
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.training import company
from raylab.training.company import Company, Work
from raylab.training.context import Context
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress
from raylab.trial import Execution, run_recipe
from tests import tiny

TOLERANCE = 2e-4  # relative, as of the golden traces: the order of float additions


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many works were computed as one, time by time; and they always are, whether that pays or not."""
    made: list[int] = []
    stacked = company.stacked

    def counted(works: Sequence[Any], used: frozenset[str]) -> bool:
        done = stacked(works, used)
        made.append(len(works) if done else 0)
        return done

    monkeypatch.setattr(company, "stacked", counted)
    monkeypatch.setattr(company._Choice, "stack", lambda self: bool(self.used) and self.settled is not False)
    monkeypatch.setattr(company._Choice, "took", lambda self, stacked, seconds: None)
    return made


def run(recipe: Recipe, execution: Execution) -> tuple[list[float], dict[str, float]]:
    """Every loss that was read, and the measures at the end."""
    *steps, result = run_recipe(recipe, execution)
    return [step.loss for step in steps if isinstance(step, Progress) and step.loss is not None], dict(result.metrics)  # type: ignore[union-attr]


def together(jobs: Sequence[Callable[[Parallel], Any]]) -> list[Any]:
    """What comes of jobs that are each a member of one company, an exception as what it raised."""
    shared, found = Company(), [None] * len(jobs)

    def work(number: int) -> None:
        with shared.member():
            try:
                found[number] = jobs[number](Parallel(company=shared))
            except Exception as error:
                found[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not any(thread.is_alive() for thread in threads)
    return found


def job(recipe: Recipe, data: Prepared, replicate: int) -> Callable[[Parallel], Any]:
    return lambda parallel: run(recipe, Execution(data=data, seeds=Seeds.of(0, replicate), parallel=parallel))


def recipes(**base: Any) -> list[Recipe]:
    """Three that differ in all that a search varies and a stack allows: policy, learning rate, batch, steps."""
    usual = tiny.recipe(learning_rate=3e-4, **base)
    other = tiny.recipe(pretrain_steps=5, finetune_steps=9, batch_size=4, learning_rate=1e-4, **base)
    (denoise,) = usual.stages
    assert isinstance(denoise, Denoise)
    return [usual, other, replace(usual, stages=(replace(denoise, policy=Span()),))]


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_runs_together_are_those_alone(family: str, data: Prepared, stacks: list[int]) -> None:
    asked = list(enumerate(recipes(family=family)))
    shared = together([job(recipe, data, replicate) for replicate, recipe in asked])
    alone = [job(recipe, data, replicate)(Parallel()) for replicate, recipe in asked]
    assert 3 in stacks, shared
    for (losses, metrics), (expected, measured) in zip(shared, alone, strict=True):
        assert losses == pytest.approx(expected, rel=TOLERANCE)
        assert metrics["dev_bits_per_answer"] == pytest.approx(measured["dev_bits_per_answer"], rel=TOLERANCE)


def test_encoders_are_stacked_too(data: Prepared) -> None:
    models = [build(ModelSpec(family="roberta"), data.tokenizer, seed) for seed in range(3)]
    works = []
    for number, model in enumerate(models):
        stage = Denoise(policy=Uniform(rate=0.1 + 0.1 * number), budget_tokens=1, batch_size=4 + number, target="tokens")
        batch = stage.batches(model, Context(data=data, seeds=Seeds.of(0, number)))(0)
        works.append(Work(model=model, loss=masked_loss, batch=next(batch.micro_batches()), share=1.0, seed=0))
    alone = [work.compute().item() for work in works]
    expected = [{name: p.grad for name, p in model.named_parameters() if p.grad is not None} for model in models]
    for model in models:
        model.zero_grad(set_to_none=True)
    assert company.stacked(works, expected[0].keys())
    assert [work.result.item() for work in works if work.result is not None] == pytest.approx(alone)
    for model, gradients in zip(models, expected, strict=True):
        for name, parameter in model.named_parameters():
            assert parameter.grad is None if name not in gradients else torch.allclose(parameter.grad, gradients[name], atol=1e-4)


def test_a_micro_batch_that_nobody_joins_is_computed_alone(data: Prepared, stacks: list[int]) -> None:
    cut = tiny.recipe(learning_rate=3e-4, micro_batch=2)
    shared = together([job(cut, data, 0), job(tiny.recipe(learning_rate=3e-4), data, 1)])
    assert shared[0][0] == pytest.approx(job(cut, data, 0)(Parallel())[0], rel=TOLERANCE)


def test_dropout_is_a_run_s_own(data: Prepared, stacks: list[int]) -> None:
    dropping = tiny.recipe(dropout=0.1)
    shared = together([job(dropping, data, 0), job(dropping, data, 1)])
    assert not any(stacks)
    assert [losses for losses, _ in shared] == [job(dropping, data, n)(Parallel())[0] for n in (0, 1)]  # to the bit


def test_a_run_that_diverges_leaves_the_others_alone(data: Prepared, stacks: list[int]) -> None:
    fine = tiny.recipe(learning_rate=3e-4)
    wild, other = together([job(tiny.recipe(learning_rate=1e6), data, 0), job(fine, data, 1)])
    assert isinstance(wild, Diverged)
    assert other[0] == pytest.approx(job(fine, data, 1)(Parallel())[0], rel=TOLERANCE)


def test_who_waits_outside_keeps_nobody_waiting(data: Prepared) -> None:
    shared, gone_on = Company(), threading.Event()
    done: list[Any] = []

    def outside() -> None:
        with shared.member(), shared.outside():
            done.append(gone_on.wait(timeout=60))

    def inside() -> None:
        with shared.member():
            run(tiny.recipe(), Execution(data=data, seeds=tiny.SEEDS, parallel=Parallel(company=shared)))
        gone_on.set()

    threads = [threading.Thread(target=work) for work in (outside, inside)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert done == [True]


def test_one_works_at_a_time() -> None:
    shared = Company()
    at_work, most = 0, 0

    def work() -> None:
        nonlocal at_work, most
        with shared.member():
            for _ in range(50):
                at_work += 1
                most = max(most, at_work)
                at_work -= 1
                with shared.outside():
                    pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert most == 1


def test_what_cannot_be_stacked_keeps_nobody_waiting(data: Prepared, stacks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever putting the models together raises: a lack of memory, say."""

    def fails(models: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(company, "stack_module_state", fails)
    recipe = tiny.recipe(learning_rate=3e-4)
    shared = together([job(recipe, data, 0), job(recipe, data, 1)])
    assert stacks and not any(stacks)
    assert [losses for losses, _ in shared] == [job(recipe, data, n)(Parallel())[0] for n in (0, 1)]


def test_a_run_is_told_what_it_waited_for_others(data: Prepared, stacks: list[int]) -> None:
    recipe = tiny.recipe()

    def parts(parallel: Parallel) -> Any:
        *_, result = run_recipe(recipe, Execution(data=data, seeds=tiny.SEEDS, parallel=parallel))
        return result.seconds

    one, other = together([parts, parts])
    computed = one["forward_backward"] + other["forward_backward"]
    assert computed == pytest.approx(2 * one["forward_backward"], rel=0.5), "what they took together is shared"
    assert min(one["waiting"], other["waiting"]) > 0.5 * min(one["forward_backward"], other["forward_backward"])


def test_works_that_nobody_can_join_leave_nothing_behind() -> None:
    shared = Company()
    model = torch.nn.Linear(2, 1)
    ones = torch.ones((1, 2), dtype=torch.long)
    batch = company.MicroBatch(input_ids_BT=ones, attention_BT=ones.bool(), labels_BU=ones)
    with shared.member():
        for _ in range(3):
            shared.gradients(Work(model=model, loss=lambda m, b: m(b.input_ids_BT.float()).sum(), batch=batch, share=1.0, seed=0))
    assert not shared._choices


def test_stacking_is_chosen_by_what_it_takes() -> None:
    slow, quick = company._Choice(), company._Choice()
    for choice, seconds in ((slow, 2.0), (quick, 0.5)):
        while choice.settled is None:
            choice.took(stack := choice.stack(), seconds if stack else 1.0)
    assert (slow.stack(), quick.stack()) == (False, True)


def test_weights_that_a_loss_leaves_out_are_left_alone() -> None:
    """As alone: a gradient of zeros would let AdamW decay them."""
    models = [torch.nn.ModuleDict({"used": torch.nn.Linear(2, 1), "unused": torch.nn.Linear(2, 1)}) for _ in range(2)]

    def loss(model: Any, batch: Any) -> torch.Tensor:
        return model["used"](batch.input_ids_BT.float()).sum()

    ones = torch.ones((1, 2), dtype=torch.long)
    batch = company.MicroBatch(input_ids_BT=ones, attention_BT=ones.bool(), labels_BU=ones)
    choice = company._Choice()
    for _ in range(2):
        works = [Work(model=model, loss=loss, batch=batch, share=1.0, seed=0) for model in models]
        company._computed(works, choice)
    for model in models:
        assert model["used"].weight.grad.tolist() == [[2.0, 2.0]]  # type: ignore[union-attr,operator]
        assert model["unused"].weight.grad is None
