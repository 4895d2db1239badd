"""`raylab ui` and `raylab report`, as a person uses them: the page in a browser, Ctrl-C, mistakes in one line."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.cluster.tracking import default_uri, replay
from raylab.search import report
from tests.invented_study import masks, whole_study

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="needs chromium on the PATH and the playwright package",
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one study, reported and mirrored."""
    folder = whole_study(tmp_path_factory.mktemp("runs") / "demo")
    report.write(folder, masks())
    assert replay(folder, default_uri(folder.parent), folder.parent / "artifacts").complete
    return folder.parent


@pytest.fixture(scope="module")
def address(storage: Path) -> Iterator[str]:
    """Where `raylab ui` serves that folder; ended by Ctrl-C, which must end it well."""
    command = [sys.executable, "-m", "raylab", "ui", "--storage", str(storage), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    url = process.stdout.readline().removeprefix("MLflow: ").strip()
    yield url
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=2):
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@needs_browser
def test_the_page_shows_the_study_its_runs_by_score_and_the_report(storage: Path, address: str, browser: Any) -> None:
    assert address.startswith("http://127.0.0.1:")
