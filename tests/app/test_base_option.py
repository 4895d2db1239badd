"""--base: a folder is named in full, a model on the Hub as it is."""

import argparse
from pathlib import Path

import pytest

from raylab.app.base_option import add_base_argument


def test_a_folder_is_found_from_wherever_a_worker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_base_argument(parser, "a checkpoint")
    assert [parser.parse_args(["--base", name]).base for name in ("mine", "./mine", "org/model")] == [
        str(tmp_path / "mine"), str(tmp_path / "mine"), "org/model",
    ]  # fmt: skip
    assert parser.parse_args([]).base is None
