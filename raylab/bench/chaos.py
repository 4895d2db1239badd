"""Kills in a real search: what is lost, doubled and redone, and whether its figures stay what they are without them.

A search over a fixed list of recipes runs twice on two lanes, with an MLflow server: once left alone, once while its
processes are killed, one after the other, in an order that the seed decides. Only what this bench started is killed.

    worker       SIGKILL of a lane's worker while it trains
    checkpoint   the same, after its newest checkpoint was cut short
    hang         SIGSTOP of a worker: it stays there and does nothing
    lane         SIGKILL of a lane's controller, with which Ray ends its workers
    driver       SIGKILL of the search itself, which is then resumed
    server       SIGKILL of the MLflow server, which comes back seconds later
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

from raylab.bench._chaos import KINDS, Killed, left_alone
from raylab.errors import UserError
from raylab.search.ledger import FILE, read_events

HELP = "kills in a real search: runs lost, doubled, left running, steps redone, figures changed"

FEWEST = 12  # recipes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the number of kills and the seed of their order."""
    parser.add_argument("--kills", type=int, default=8, metavar="N", help="kills (default: 8)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of kinds and targets (default: 0)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run the list left alone, then under kills, and compare."""
    from raylab.cluster.tracking_server import Server, free_port

    if args.kills < 1:
        raise UserError(f"--kills is {args.kills}; expected at least 1.")
    with tempfile.TemporaryDirectory(prefix="raylab-chaos-", ignore_cleanup_errors=True) as name:
        folder, trials = Path(name), max(FEWEST, args.kills)
        server = Server(f"sqlite:///{folder / 'mlflow.db'}", folder / "server", free_port(None), folder / "server.log")
        with server:
            alone = left_alone(folder / "alone" / "study", trials, server.url)
            killed = Killed(folder / "killed" / "study", trials, server, random.Random(args.seed))
            killed.run(kinds(args.kills, args.seed))
            rows = _rows(server.url, "killed")
        return {"kills": sum(killed.done.values()), "by_kind": dict(killed.done), "recipes": trials,
                **compare(alone, read_events(killed.folder / FILE), rows)}  # fmt: skip


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"{result['kills']} kills in a search over {result['recipes']} recipes", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    for kind, count in result["by_kind"].items():
        table.add_row(f"kills: {kind}", str(count))
    table.add_section()
    for name in ("attempts_lost", "steps_redone", "longest_away_s", "lost", "duplicated", "left_running", "ledger_equal"):
        value = result[name]
        table.add_row(name.replace("_", " "), f"{value:.1f}" if isinstance(value, float) else str(value))
    Console().print(table)
    Console().print("Goal: nothing lost, duplicated or left running, and figures equal to those of the search left alone.")


def kinds(count: int, seed: int) -> list[str]:
    """The kinds of kill in their order: each once before any comes again."""
    order = random.Random(seed)
    rounds = [order.sample(KINDS, len(KINDS)) for _ in range(-(-count // len(KINDS)))]
    return [kind for one in rounds for kind in one][:count]


def compare(
    alone: Sequence[Mapping[str, Any]], killed: Sequence[Mapping[str, Any]], rows: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """What the kills did. alone, killed: the ledgers' events. rows: run key and status of what MLflow holds."""
    due = {event["key"] for event in alone if event["event"] == "run"}
    ends = Counter(event["key"] for event in killed if event["event"] == "end")
    tracked = Counter(key for key, _ in rows)
    return {
        "attempts_lost": sum(event["event"] == "lost" for event in killed),
        "steps_redone": steps_redone(killed),
        "longest_away_s": max(_away_s(killed), default=0.0),
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
    """Key and status of every run of a study that the server holds."""
    from mlflow import MlflowClient

    client = MlflowClient(url)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=10_000)
    parents = {run.info.run_id for run in runs if run.info.run_name == study}
    ours = [run for run in runs if run.data.tags.get("mlflow.parentRunId") in parents]
    return [(run.data.tags["raylab.key"], run.info.status) for run in ours]
