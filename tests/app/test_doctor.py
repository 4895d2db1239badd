"""`raylab doctor`, on this machine and on a cluster of two nodes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from raylab.app import cli


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=2)
    yield made
    made.shutdown()


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = cli.main(["doctor", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_this_machine_can_run_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--storage", str(tmp_path / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "this machine"
    for check in ("python", "packages", "shared memory", "gpus", "tracking", "storage"):
        assert any(line.split(maxsplit=1)[1].startswith(check) for line in lines[1:-1] if line.startswith("  ")), check
    assert lines[-1].startswith(("All is well", "1 warning", "2 warnings"))
    assert not (tmp_path / "runs").exists()


def test_what_would_stop_a_search_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    status, told = _json(capsys, "--storage", str(tmp_path / "file"))
    (failed,) = (finding for finding in told["findings"] if finding["state"] == "fail")
    assert (status, told["ok"]) == (1, False)
    assert (failed["where"], failed["check"]) == ("this machine", "storage")
    assert "--storage" in failed["advice"]


def test_a_mistyped_option_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(cli.UserError, match="Did you mean --address"):
        cli._run("doctor", ["--adress", "auto"], "raylab doctor")
    assert capsys.readouterr().out == ""


def test_without_an_address_ray_is_not_even_imported(tmp_path: Path) -> None:
    script = f"import sys; from raylab.app.cli import main; main(['doctor', '--storage', {str(tmp_path)!r}])\n"
    done = subprocess.run(
        [sys.executable, "-c", script + "assert not {'ray', 'torch'} & set(sys.modules)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_node_of_a_cluster_is_asked(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = _json(capsys, "--address", cluster.address, "--storage", str(tmp_path))
    by_check = {finding["check"]: finding for finding in told["findings"]}
    nodes = [finding for finding in told["findings"] if finding["check"] == "node"]
    assert by_check["nodes"]["found"].startswith("2 nodes, 3 CPUs, 0 GPUs, Ray ")
    assert [finding["state"] for finding in nodes] == ["ok", "ok"]
    assert all("sees the storage" in finding["found"] for finding in nodes)
    assert (status, told["ok"]) == (0, True)
    assert list(tmp_path.iterdir()) == []
