"""The moments that the bench reads from a ledger, and its words; searches are started by `raylab bench startup` itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.bench import startup
from raylab.errors import UserError

MOMENTS = {"data_s": 9.4, "worker_s": 27.1, "step_s": 31.9}
RESULT: dict[str, Any] = {"help_s": 0.21, "cores": 2, "load_before": 0.1, "cold": MOMENTS, "warm": {**MOMENTS, "data_s": 5.3}}


def test_the_help_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "startup", "--help-alone", "--json"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < result["help_s"] < 60 and "cold" not in result


def test_a_search_is_followed_to_its_first_loss_and_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [{"event": "study", "time": 5.0}, {"event": "worker", "time": 8.0}, {"event": "curve", "points": [{"time": 9.5}]}]
    told = "\n".join(map(json.dumps, events)) + "\n"
    script = f"import pathlib, time; f = pathlib.Path({str(tmp_path)!r}) / 'cold'; f.mkdir(); "
    script += f"(f / 'ledger.jsonl').write_text({told!r}); time.sleep(600)"
    real = subprocess.Popen
    monkeypatch.setattr(startup.subprocess, "Popen", lambda _, **how: real([sys.executable, "-c", script], **how))
    monkeypatch.setattr(startup.time, "time", lambda: 2.0)
    assert startup._search(tmp_path, "cold", 0) == {"data_s": 3.0, "worker_s": 6.0, "step_s": 7.5}


def test_a_search_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen
    monkeypatch.setattr(startup.subprocess, "Popen", lambda _, **how: real([sys.executable, "-c", "print('no room')"], **how))
    with pytest.raises(UserError, match="no room"):
        startup._search(tmp_path, "cold", 0)


def test_it_shows_all_moments(capsys: pytest.CaptureFixture[str]) -> None:
    startup.show(RESULT)
    out = capsys.readouterr().out
    assert all(figure in out for figure in ("0.21", "9.4", "27.1", "31.9", "5.3", "Met."))
    assert "cores busy" not in out and not startup.met(RESULT | {"help_s": 0.7})
    startup.show(RESULT | {"load_before": 1.7})
    assert "1.7 of 2 cores" in capsys.readouterr().out
