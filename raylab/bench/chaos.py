"""Kills in a real search: what is lost, doubled and redone, and whether its figures stay what they are without them.

`raylab search` runs twice over the same list of recipes (`--sampler list`) and tracks to an MLflow server: once left alone,
once on a cluster of two nodes whose processes are killed, one after the other, in an order that the seed decides. Only
what this bench started is ever touched.

    worker       SIGKILL of a lane's worker while it trains
    lane         the same, and of Ray Train's controller, which started it
    driver       SIGKILL of the search itself, which is then resumed
    node         SIGKILL of the raylet of a worker's node; another node comes
    server       SIGKILL of the MLflow server, which comes back seconds later
    disk         a worker's disk is full when it writes a checkpoint: the system refuses (RLIMIT_FSIZE, set from outside)
    checkpoint   SIGKILL of a worker whose newest checkpoint was cut short: the one before it is used
    hang         SIGSTOP of a worker: it stays there and does nothing

One recipe of the list kills its lane whenever it is tried, in both searches. Among its trials are some that are cached.
"""

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from raylab.bench import Compared
from raylab.bench._chaos.faults import KINDS, Harm
from raylab.bench._chaos.nodes import Nodes
from raylab.bench._chaos.search import LANES, Search
from raylab.errors import UserError

HELP = "kills in a real search: runs lost, doubled, left running, steps redone, figures changed"
MINUTES = 15

FEWEST = 18  # trials: with those that are cached, 12 recipes
KILLS_A_TRIAL = 1.5  # at most: some runs must be left that can lose another attempt


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the number of kills and the seed of their order."""
    parser.add_argument("--kills", type=int, default=8, metavar="N", help="kills (default: 8)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of kinds and targets (default: 0)")
    parser.add_argument(
        "--storage", type=Path, metavar="DIR", help="keep both searches and what they printed here (default: nowhere)"
    )


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run the list left alone, then under kills, and compare."""
    if args.kills < 1:
        raise UserError(f"--kills is {args.kills}; expected at least 1.")
    if args.storage is not None and args.storage.exists():
        raise UserError(f"--storage {args.storage} exists; give a folder that is yet to be made.")
    with tempfile.TemporaryDirectory(prefix="raylab-chaos-", ignore_cleanup_errors=True) as temporary:
        folder = args.storage.resolve() if args.storage is not None else Path(temporary) / "studies"
        folder.mkdir(parents=True)
        return _measure(folder, args.kills, args.seed)


def _measure(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    from raylab.cluster.tracking_server import Server, free_port

    trials = max(FEWEST, round(kills / KILLS_A_TRIAL))
    port = free_port(None)
    with Server(f"sqlite:///{folder / 'server.db'}", folder / "server", port, folder / "server.log") as server:
        alone = Search(storage=folder, name="alone", trials=trials, tracking_uri=server.url, cached=False)
        alone.start()
        alone.wait()
        with Nodes(LANES) as nodes:
            killed = Search(storage=folder, name="killed", trials=trials, tracking_uri=server.url, address=nodes.address)
            harm = Harm(killed, nodes, server, random.Random(seed))
            harm.run(kinds(kills, seed))
        rows = _rows(server.url, killed.name)
    return {"asked": kills, "kills": harm.done.total(), "by_kind": dict(harm.done), "trials": trials,
            **compare(alone.events(), killed.events(), rows)}  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [
        (
            "runs lost, doubled or left running after kills; goal",
            result["lost"] + result["duplicated"] + result["left_running"],
            0,
        )
    ]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    title = f"{result['kills']} kills in a search over {result['recipes']} recipes"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    for kind, count in result["by_kind"].items():
        table.add_row(f"kills: {kind}", str(count))
    table.add_section()
    for name in (
        "attempts_lost", "steps_redone", "longest_away_s", "given_up", "lost", "duplicated", "left_running", "ledger_equal",
    ):  # fmt: skip
        value = result[name]
        table.add_row(name.replace("_", " "), f"{value:.1f}" if isinstance(value, float) else str(value))
    Console().print(table)
    goal = "Goal: every kill done; nothing lost, duplicated or left running; figures equal to those of the search left alone."
    Console().print(f"{goal} {'Met.' if met(result) else 'Missed.'}")


def met(result: Mapping[str, Any]) -> bool:
    """Did the search come out of all its kills as if nothing had been?"""
    unharmed = not (result["lost"] or result["duplicated"] or result["left_running"])
    return bool(unharmed and result["ledger_equal"] and result["kills"] == result["asked"])


def kinds(count: int, seed: int) -> list[str]:
    """The kinds of kill in their order: each once before any comes again."""
    order = random.Random(seed)
    rounds = [order.sample(list(KINDS), len(KINDS)) for _ in range(-(-count // len(KINDS)))]
    return [kind for one in rounds for kind in one][:count]


def compare(
    alone: Sequence[Mapping[str, Any]], killed: Sequence[Mapping[str, Any]], rows: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """What the kills did. alone, killed: the ledgers' events. rows: run key and status of what MLflow holds."""
    due = {event["key"] for event in alone if event["event"] == "run"}
    ends = Counter(event["key"] for event in killed if event["event"] == "end")
    tracked = Counter(key for key, _ in rows)
    return {
        "recipes": len({event["key"] for event in alone if event["event"] == "run" and event["role"] == "explore"}),
        "attempts_lost": sum(event["event"] == "lost" for event in killed),
        "steps_redone": steps_redone(killed),
        "longest_away_s": max(_away_s(killed), default=0.0),
        "given_up": sum(event["event"] == "end" and event["state"] == "failed" for event in killed),
        "lost": len(due - ends.keys()) + len(due - tracked.keys()),
        "duplicated": sum(count - 1 for counter in (ends, tracked) for count in counter.values()),
        "left_running": sum(status == "RUNNING" for _, status in rows),
        "ledger_equal": _figures(alone) == _figures(killed),
    }


def steps_redone(events: Sequence[Mapping[str, Any]]) -> int:
    """Optimizer steps done again: from where training went on up to where it was last heard of before."""
    reached: dict[str, int] = {}
    redone = 0
    for event in events:
        match event["event"]:
            case "curve":
                reached[event["key"]] = max(reached.get(event["key"], 0), event["points"][-1]["step"])
            case "lost":
                reached[event["key"]] = max(reached.get(event["key"], 0), event["position"])
            case "restored":
                redone += max(0, reached.get(event["key"], 0) - event["position"])
                reached[event["key"]] = event["position"]
    return redone


def _away_s(events: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    """Seconds from each loss until the lane took its run up again."""
    since: dict[str, float] = {}
    for event in events:
        if event["event"] == "lost":
            since[event["key"]] = event["time"]
        elif event["event"] == "start" and event["key"] in since:
            yield event["time"] - since.pop(event["key"])


def _figures(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {event["key"]: (event["state"], event["metrics"], event["scores"]) for event in events if event["event"] == "end"}


def _rows(url: str, study: str) -> list[tuple[str, str]]:
    """Key and status of every run of a study that the server holds, and of the study itself."""
    from mlflow import MlflowClient

    client = MlflowClient(url)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=10_000)
    parents = {run.info.run_id for run in runs if run.info.run_name == study}
    ours = [run for run in runs if {run.info.run_id, run.data.tags.get("mlflow.parentRunId")} & parents]
    return [(run.data.tags.get("raylab.key", study), run.info.status) for run in ours]
