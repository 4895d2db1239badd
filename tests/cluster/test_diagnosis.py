"""How `raylab doctor` judges what machines tell of themselves; the command itself is tested in tests/app."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ray import cloudpickle

from raylab.cluster.diagnosis import diagnose, machine, nodes, probe, storage
from raylab.cluster.diagnosis.cluster import judge
from raylab.cluster.diagnosis.finding import HERE, Finding
from raylab.cluster.diagnosis.nodes import Node
from raylab.cluster.diagnosis.probe import TOKEN, examine
from raylab.storage import Storage

NEEDS = [Requirement("ray[tune]>=2.55"), Requirement("torch>=2.8"), Requirement("rich>=14")]
VERSIONS = {"ray": "2.60.0", "torch": "2.13.0+cpu", "rich": "15.0.0"}


def facts(**changed: Any) -> dict[str, Any]:
    """A machine that nothing is wrong with."""
    fine = {
        "python": "3.11.9", "versions": VERSIONS, "raylab": "abc", "shared_memory_bytes": 8_000_000_000,
        "gpus": [], "torch_gpus": 0, "storage": None,
    }  # fmt: skip
    return {**fine, **changed}


def judged(there: dict[str, Any] | None, resources: dict[str, float] | None = None, trouble: str = "") -> list[Finding]:
    node = Node(name="10.0.0.7", resources=resources or {"CPU": 4}, facts=there, trouble=trouble)
    return list(judge(node, facts(), NEEDS, None, ""))


def test_a_node_like_this_machine_is_one_line() -> None:
    (finding,) = judged(facts(), {"CPU": 4.0, "memory": 1e9})
    assert (finding.state, finding.found) == ("ok", "4 CPUs, 0 GPUs; same code and packages")


@pytest.mark.parametrize(
    ("there", "check", "state", "says"),
    [
        (facts(raylab=None), "raylab", "fail", "can't be imported"),
        (facts(raylab="def"), "raylab", "fail", "its code is def, here it is abc"),
        (facts(versions={**VERSIONS, "torch": None}), "packages", "fail", "torch missing"),
        (facts(versions={**VERSIONS, "torch": "2.1.0"}), "packages", "fail", "torch 2.1.0"),
        (facts(versions={**VERSIONS, "ray": "2.61.0"}), "packages", "fail", "ray 2.61.0 (here 2.60.0)"),
        (facts(versions={**VERSIONS, "rich": "14.2.0"}), "packages", "warn", "rich 14.2.0 (here 15.0.0)"),
        (facts(shared_memory_bytes=64_000_000), "shared memory", "warn", "0.1 GB"),
        (facts(gpus=["L4"], torch_gpus=0), "gpus", "warn", "PyTorch can use 0"),
    ],
)
def test_a_node_that_differs_says_in_what(there: dict[str, Any], check: str, state: str, says: str) -> None:
    (finding,) = judged(there)
    assert (finding.where, finding.check, finding.state) == ("10.0.0.7", check, state)
    assert says in finding.found
    assert finding.advice


def test_gpus_that_ray_promises_must_be_there() -> None:
    (finding,) = judged(facts(gpus=["L4"], torch_gpus=1), {"GPU": 2})
    assert finding.state == "fail"
    assert finding.found == "Ray promises 2, nvidia-smi lists 1"


def test_a_node_that_does_not_answer_is_a_failure() -> None:
    (finding,) = judged(None, trouble="no answer within 120 s")
    assert (finding.state, finding.found) == ("fail", "no answer within 120 s")


def test_a_node_without_raylab_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes.ray, "nodes", list)
    monkeypatch.setattr(nodes.ray, "wait", lambda *args, **kwargs: ([], []))
    assert nodes.ask_nodes(["ray"], None) == []
    (tmp_path / "task").write_bytes(cloudpickle.dumps(probe.examine))
    script = (
        "import sys, pickle; sys.modules['raylab'] = None\n"  # an ImportError from now on
        f"facts = pickle.load(open({str(tmp_path / 'task')!r}, 'rb'))(['ray', 'no-such-package'])\n"
        "assert facts['raylab'] is None and facts['versions']['ray'] and facts['versions']['no-such-package'] is None, facts"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_both_sides_see(tmp_path: Path) -> None:
    with storage.meeting(Storage.of(tmp_path)) as (inside, token):
        assert storage.sees("10.0.0.7", examine([], inside.address)["storage"], inside, token) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_same_name_on_another_disk(tmp_path: Path) -> None:
    with storage.meeting(Storage.of(tmp_path)) as (inside, token):
        met = {"token": "another", "reply": "r", "error": None}
        finding = storage.sees("10.0.0.7", met, inside, token)
    assert finding is not None and finding.state == "fail"
    assert f"{tmp_path} is not the same folder there" in finding.found


def test_a_folder_that_a_node_lacks(tmp_path: Path) -> None:
    met = examine([], str(tmp_path / "nowhere"))["storage"]
    finding = storage.sees("10.0.0.7", met, Storage.of(tmp_path / "nowhere"), "t")
    assert finding is not None and "No such file or directory" in finding.found


def test_what_a_node_wrote_must_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "SEEN_S", 0.0)
    (tmp_path / TOKEN).write_text("t")
    assert storage.sees("10.0.0.7", {"token": "t", "reply": "elsewhere", "error": None}, Storage.of(tmp_path), "t") is not None


def test_a_folder_that_was_not_there_is_not_left_behind(tmp_path: Path) -> None:
    with storage.made(tmp_path / "a" / "b") as trouble:
        assert trouble == ""
        assert storage.usable(Storage.of(tmp_path / "a" / "b")).state in ("ok", "warn")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with storage.made(tmp_path / "file" / "below") as trouble:
        assert storage.usable(Storage.of(tmp_path / "file" / "below"), trouble).state == "fail"


@pytest.mark.parametrize(("free", "state"), [(1e8, "fail"), (1e9, "warn"), (1e12, "ok")])
def test_room(free: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, int(free)))  # type: ignore[attr-defined]
    assert storage.usable(Storage.of(tmp_path)).state == state


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(storage.FileLock, "acquire", refuse)
    finding = storage.usable(Storage.of(tmp_path))
    assert finding.state == "fail" and "flock" in finding.found


def test_this_interpreter_has_what_raylab_needs() -> None:
    needs = machine.requirements()
    versions = examine([need.name for need in needs])["versions"]
    assert {"ray", "torch", "mlflow"} <= versions.keys()
    assert "pytest" not in versions  # an extra
    assert machine.unmet(versions, needs) == {}


def test_packages_that_are_wrong_are_named_with_the_command_that_mends_them() -> None:
    finding = machine.packages({**VERSIONS, "torch": None, "rich": "13.0"}, NEEDS)
    assert (finding.state, finding.found) == ("fail", "torch missing, rich 13.0")
    assert finding.advice == "pip install 'torch>=2.8' 'rich>=14'"


def test_a_python_that_raylab_does_not_take() -> None:
    assert machine.python("3.11.9").state == "ok"
    assert machine.python("3.8.2").state == "fail"


def test_a_tracking_server_that_is_away_is_told_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses
        finding = machine.tracking(f"http://me:hunter2@127.0.0.1:{taken.getsockname()[1]}")
    assert finding.state == "fail"
    assert "http://me:***@127.0.0.1" in finding.found
    assert "hunter2" not in finding.found + finding.advice


def test_a_database_is_not_made_by_looking(tmp_path: Path) -> None:
    assert machine.tracking(f"sqlite:///{tmp_path / 'mlflow.db'}").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_does_not_answer_is_a_finding(tmp_path: Path) -> None:
    found = list(diagnose(Storage.of(tmp_path), f"sqlite:///{tmp_path / 'mlflow.db'}", "127.0.0.1:9"))
    assert {finding.where for finding in found} == {HERE, "cluster at 127.0.0.1:9"}
    assert (found[-1].state, found[-1].check) == ("fail", "nodes")
    assert "nobody answers at 127.0.0.1:9" in found[-1].found
