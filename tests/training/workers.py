"""One of several equal workers, in a process of its own, for test_parallel.py and test_memory.py."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import nn

from raylab.data.prepared import Prepared
from raylab.errors import OutOfMemory
from raylab.recipe import Recipe, decode
from raylab.training import loop
from raylab.training.objective import objective_of
from raylab.training.parallel import Parallel
from tests import tiny

LEFT_AFTER = 3  # steps
SUMS = [([3, 5], torch.float32), ([3000, 7], torch.float32), ([4], torch.float64), ([2, 9000], torch.float32)]


def worker(rank: int, world: int, data: str, folder: str, recipes: dict[str, Any], begun: dict[str, Any]) -> None:
    """Run every recipe with the others, each below `folder`; each writes what it saw to FOLDER/<name>-<rank>.json. Those
    of `begun` are left after some steps, with their checkpoints."""
    torch.set_num_threads(1)
    loop.READ_EVERY = 1
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    parallel, prepared = Parallel.current(torch.device("cpu")), Prepared(Path(data))
    for name, plain in recipes.items():
        told = told_by(decode(Recipe, plain), prepared, Path(folder) / name, parallel)
        Path(folder, f"{name}-{rank}.json").write_text(json.dumps(told))
    for name, plain in begun.items():
        left(decode(Recipe, plain), prepared, Path(folder) / name, parallel)
    Path(folder, f"heads-{rank}.json").write_text(json.dumps(of_heads(parallel)))
    Path(folder, f"sums-{rank}.json").write_text(json.dumps(of_sums(parallel)))
    dist.destroy_process_group()


def of_heads(parallel: Parallel) -> list[list[float] | None]:
    """The added gradients of a model of four heads, of which each worker uses the first and one of its own, nobody the last;
    a message holds no more than one."""
    heads = nn.ParameterList(nn.Parameter(torch.zeros(2)) for _ in range(4))
    with mock.patch("raylab.training.parallel.BUCKET_BYTES", 8), parallel.adding_gradients(list(heads.parameters())):
        (heads[0].sum() + 10 * heads[1 + parallel.rank].sum()).backward()
    return [None if head.grad is None else head.grad.tolist() for head in heads]


def of_sums(parallel: Parallel) -> dict[str, Any]:
    """Whether memory is shared, and added gradients of models that grow and shrink, through it and by messages."""
    models = [[nn.Parameter(torch.zeros(size, dtype=kind)) for size in sizes] for sizes, kind in SUMS]
    told: dict[str, Any] = {"shared": parallel.shared is not None}
    for way, by in (("memory", parallel), ("messages", replace(parallel, shared=None))):
        told[way] = []
        for number, model in enumerate(map(nn.ParameterList, models)):
            model.zero_grad()
            with by.adding_gradients(list(model.parameters())):
                noise = torch.Generator().manual_seed(10 * number + parallel.rank)
                for parameter in model:
                    parameter.grad = torch.randn(parameter.shape, generator=noise).to(parameter.dtype)
            told[way].append([parameter.grad.tolist() for parameter in model if parameter.grad is not None])
    return told


def left(recipe: Recipe, data: Prepared, folder: Path, parallel: Parallel) -> None:
    """A run that is stopped after some steps, each with its checkpoint."""
    tiny.traced(recipe, data, parallel=parallel, stop_after=LEFT_AFTER, folder=folder, checkpoint_every_s=0.0)


def told_by(recipe: Recipe, data: Prepared, folder: Path, parallel: Parallel) -> dict[str, Any]:
    """The losses, gradient norms, rungs and numbers of a run that goes on from the checkpoints in `folder`, if any."""
    trace = tiny.traced(recipe, data, parallel=parallel, rungs=(0.5,), folder=folder, checkpoint_every_s=3600.0)
    assert trace.result is not None
    rungs = [value for rung in trace.rungs for value in rung.metrics.values()]
    return {
        "losses": [loss for *_, loss in trace.losses],
        "norms": trace.norms,
        "rungs": rungs,
        "numbers": tiny.numbers(trace.result),
    }


def limited_worker(rank: int, world: int, data: str, folder: str, recipe: dict[str, Any]) -> None:
    """Run a recipe with the others where the second worker has memory for one row, then for none, and then another
    trouble; each writes what it saw to FOLDER/<rank>.json."""
    torch.set_num_threads(1)
    loop.READ_EVERY = 1
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    parallel, prepared, what = Parallel.current(torch.device("cpu")), Prepared(Path(data)), decode(Recipe, recipe)
    decoded, held = loop.decode, 3 if rank == 0 else 1
    objective_of(prepared)  # scores with what `decode` is now
    rows: list[int] = []

    def narrow(model: Any, batch: Any) -> torch.Tensor:
        rows.append(len(batch.input_ids_BT))
        if rows[-1] > held:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return decoded(model, batch)

    loop.decode = narrow
    trace = tiny.traced(what, prepared, parallel=parallel)
    told = {"losses": [loss for *_, loss in trace.losses], "rows": rows[-1], "error": "", "other": ""}
    held = 3 if rank == 0 else 0
    try:
        tiny.traced(what, prepared, parallel=parallel)
    except OutOfMemory as error:
        told["error"] = str(error)
    try:
        with parallel.together():
            if rank == 1:
                raise KeyError("lost")
    except (RuntimeError, KeyError) as error:
        told["other"] = f"{type(error).__name__}: {error}"
    Path(folder, f"{rank}.json").write_text(json.dumps(told))
    dist.destroy_process_group()
