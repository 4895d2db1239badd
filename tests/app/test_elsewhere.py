"""A search on a cluster that this machine is no part of, for real: submitted to its dashboard, and over Ray Client."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylab.data.families.question_answering import DATASETS
from raylab.search.ledger import Study
from tests.cluster.heads import Head, head

pytest.importorskip("ray.dashboard.modules.job.job_head", reason="Ray's job server is missing: pip install 'ray[default]'")
OWN = """
from dataclasses import dataclass

from raylab.masking.policies.uniform import Uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class Mine(Uniform):
    pass
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Head]:
    with head(cpus=1, dashboard=True) as started:
        yield started


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A small search over a person's own data and policy, which the cluster does not have."""
    mine = tmp_path_factory.mktemp("mine")
    (mine / "plugins" / "masking" / "policies").mkdir(parents=True)
    (mine / "plugins" / "masking" / "policies" / "mine.py").write_text(OWN)
    for name, rows in {**DATASETS["triviaqa"].fixture().rows, "towns/all": DATASETS["triviaqa"].fixture().passages}.items():
        file = mine / "data" / (f"{name}.jsonl" if "/" in name else f"trivia/{name}.jsonl")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return (
        "masking", "--dataset", "trivia", "--corpus", "towns", "--data-dir", str(mine / "data"),
        "--plugins", str(mine / "plugins"), "--policies", "uniform,mine", "--trials", "1", "--seeds", "2", "--lanes", "1",
        "--set", "budget_tokens=500", "--set", "finetune_steps=4", "--set", "batch_size=6",
    )  # fmt: skip


def raylab(*argv: str, stdin: int | None = None) -> tuple[int, str, str]:
    """Exit code, output, and what stands beside it."""
    done = subprocess.run([sys.executable, "-m", "raylab", *argv], stdin=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_submitted_followed_and_followed_again(cluster: Head, search: tuple[str, ...], tmp_path: Path) -> None:
    at = ("submit", "--address", cluster.dashboard)
    status, out, err = raylab(*at, "search", *search, "--name", "first", "--storage", str(tmp_path))
    assert status == 0, (out, err)
    assert "plugins" in err and "data" in err and "it runs there as job first" in err
    assert "Verdict" in out
    study = Study.read(tmp_path / "first")
    assert study.verdict is not None
    assert {run.state for run in study.runs.values()} == {"finished"}

    assert raylab(*at, "--follow", "first")[:2] == (0, out), "the whole log is told again"


@pytest.mark.long
def test_over_ray_client_a_plan_is_shown_and_declined(cluster: Head, search: tuple[str, ...], tmp_path: Path) -> None:
    person, terminal = pty.openpty()
    os.write(person, b"n\n")
    try:
        status, out, err = raylab(
            "search", *search, "--name", "second", "--storage", str(tmp_path), "--address", cluster.client, stdin=terminal
        )
    finally:
        os.close(person)
        os.close(terminal)
    assert status == 0, (out, err)
    assert "Plan " in out and "Go on? [y/N]" in err
    assert "Verdict   " not in out.partition("Plan ")[2]
    assert not (tmp_path / "second").exists()
