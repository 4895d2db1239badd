"""What a second one-core worker is worth: tokens a second of a lane of two workers, over those of a lane of one.

Both are lanes as a search has them (worker groups of Ray Train, here with gloo), one thread a worker on both sides, warm,
in one Ray. They take turns at the same recipe on the same data, each run with the seeds of its round, so that whatever
else the machine does meanwhile hits both; the figures are medians over the rounds, the ratio's that of each round's. A lane
has the machine to itself: the other one gives its workers back meanwhile. The global batch is the same for one
worker and for two: each of two has half of its rows.

Counted are the tokens of inputs and targets, over the seconds that the steps took: drawing masks, forward and backward
passes, the exchange of gradients, updates. Starting a lane, building the model and scoring it are not in it.

Two workers of the tiny model cannot reach 2: the update, the exchange and a part of each pass take as long for half of
the rows. In processor time each of two spends about 0.6 of what one alone spends on a step, which bounds the ratio at
about 1.7. A larger model comes no closer at the same batch, since what is exchanged grows with it (small: 1.65 in processor
time); a larger batch does (128 rows instead of 32: 2). The rest is lost in waits: whatever else runs on one of the cores,
Ray's own processes among them (a twentieth of a core together), holds up both workers; and many processors run one core
faster than two. On a virtual machine of two cores five measurements gave 1.56 to 1.66.
"""

import argparse
import contextlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from raylab.bench import Compared
from raylab.data import atlas
from raylab.data.prepared import Preparation, prepare
from raylab.data.source import fingerprint
from raylab.data.task import Passage, TaskData
from raylab.errors import UserError
from raylab.masking.policies.uniform import Uniform
from raylab.recipe import ModelSpec, Recipe, encode
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune

HELP = "tokens a second of a lane of two one-core workers, over those of a lane of one"
MINUTES = 4

PASSAGES = 64
RUNS = 2  # of a lane in its turn
IDLE_S = 2.0  # after which a lane gives its workers back: beside the other they would take of its cores
GOAL = 1.6  # times one worker's tokens a second
STEPS = ("data", "masking", "forward_backward", "exchange", "optimizer")  # the parts of a run's seconds that are steps


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the number of rounds and workers, and the size of a run."""
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each lane, of two runs (default: 5)")
    parser.add_argument("--workers", type=int, default=2, metavar="W", help="workers of the larger lane (default: 2)")
    parser.add_argument("--tokens", type=int, default=60_000, metavar="N", help="corpus tokens of a run (default: 60000)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Median tokens a second of each lane, and how they relate."""
    if min(args.rounds, args.tokens) < 1 or args.workers < 2:
        raise UserError("--rounds and --tokens are counts from 1, --workers from 2; expected no less.")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="raylab-scaling-", ignore_cleanup_errors=True) as folder:
        rates = _rates(Path(folder), args)
    one, several = rates[1], rates[args.workers]
    ratio = statistics.median(two / alone for alone, two in zip(one, several, strict=True))
    return {
        "one_tokens_per_s": statistics.median(one),
        "several_tokens_per_s": statistics.median(several),
        "ratio": ratio,
        "rates": {"one": one, "several": several},
        "workers": args.workers,
        "rounds": args.rounds,
        "cores": os.cpu_count(),
        "load_before": load,
    }


def met(result: Mapping[str, Any]) -> bool:
    """Is the goal reached? It is set for two workers."""
    return bool(result["workers"] != 2 or result["ratio"] >= GOAL)


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("tokens/s of two workers; of one", result["several_tokens_per_s"], result["one_tokens_per_s"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"Tokens a second, one core a worker, medians of {result['rounds']}", title_justify="left")
    for column in ("workers", "tokens/s", "times"):
        table.add_column(column, justify="right")
    table.add_row("1", f"{result['one_tokens_per_s']:,.0f}", "1")
    table.add_row(str(result["workers"]), f"{result['several_tokens_per_s']:,.0f}", f"{result['ratio']:.2f}")
    Console().print(table)
    Console().print(f"Goal: at least {GOAL} times with two workers, on cores that nobody else uses.", highlight=False)
    if result["load_before"] > 0.5:
        load, cores = result["load_before"], result["cores"]
        Console().print(f"Other processes kept {load:.1f} of {cores} cores busy when it began.", highlight=False)


def _rates(folder: Path, args: argparse.Namespace) -> dict[int, list[float]]:
    """Tokens a second of every round, by workers. The first run of a lane that has just come up is left out."""
    task = _task()
    data = prepare(task, fingerprint(task), Preparation(), folder)
    sizes = (1, args.workers)
    rates: dict[int, list[float]] = {workers: [] for workers in sizes}
    with _lanes(folder, data.folder, sizes) as lanes:
        for number in range(args.rounds):
            for workers, queue in lanes.items():
                keys = [f"{workers}-{number}-{run}" for run in range(1 + RUNS)]
                runs = [_rate(queue, _request(key, task.name, args.tokens, number)) for key in keys]
                rates[workers].append(statistics.mean(runs[1:]))
                time.sleep(2 * IDLE_S)  # it gives its workers back
    return rates


def _task() -> TaskData:
    """The atlas's invented passages, each time in another order, in windows as long as the tiny model reads."""
    task = atlas.fixture()
    texts = [passage.text for passage in task.corpus]
    shuffled = (random.Random(i).sample(texts, len(texts)) for i in range(PASSAGES))
    corpus = (Passage(id=str(i), title="", text=" ".join(words)) for i, words in enumerate(shuffled))
    return replace(task, corpus=tuple(corpus))


def _request(key: str, task: str, tokens: int, replicate: int) -> dict[str, Any]:
    """A run of the tiny model, in the plain form of raylab.search.study.Request."""
    denoise = Denoise(policy=Uniform(), budget_tokens=tokens)
    recipe = Recipe(base=ModelSpec(), stages=(denoise,), task=task, finetune=Finetune(steps=1))
    return {
        "key": key, "role": "explore", "replicate": replicate, "label": key, "trial": None, "values": {}, "keep_model": False,
        "recipe": encode(recipe), "seeds": encode(Seeds.of(0, replicate)), "splits": ["dev"], "rungs": [],
    }  # fmt: skip


@contextlib.contextmanager
def _lanes(folder: Path, data: Path, sizes: tuple[int, ...]) -> Iterator[dict[int, Any]]:
    """A queue for each number of workers, with one lane of that many behind it."""
    import ray

    from raylab.cluster.attempt import LaneConfig
    from raylab.cluster.connection import start
    from raylab.cluster.lanes import start_lanes, start_queue

    start(workers=sum(sizes), lanes=len(sizes), gpus_per_worker=0.0, log_level="error")
    try:
        queues = {}
        for workers in sizes:
            name = f"scaling-{os.getpid()}-{workers}"
            queues[workers] = start_queue(name, {}, {}, IDLE_S)
            config = LaneConfig(
                queue=name, data=str(data), runs=str(folder / "study" / "runs"), workers=workers, gpus_per_worker=0, threads=1
            )
            start_lanes(1, config, folder / "lanes" / str(workers))
        yield queues
    finally:
        ray.shutdown()


def _rate(queue: Any, request: dict[str, Any]) -> float:
    """Run it to its end; tokens of inputs and targets a second of its steps."""
    import ray

    token = ray.get(queue.submit.remote(request))
    end = ray.get(queue.progress.remote(request["key"], token))
    if end["state"] != "finished":
        raise RuntimeError(f"run {request['key']} ended as {end['state']}: {end['error']}")
    tokens = end["metrics"]["tokens"] + end["metrics"]["target_tokens"]
    return float(tokens / sum(end["seconds"].get(part, 0.0) for part in STEPS))
