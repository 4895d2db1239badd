"""`raylab ui` and `raylab report`, as a person uses them: the page in a browser, Ctrl-C, mistakes in one line."""

import importlib.util
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
from raylab.cluster.tracking_rows import run_name
from raylab.search import report
from raylab.search.ledger import Study
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
def page_of_ui(storage: Path) -> Iterator[str]:
    """The address that `raylab ui` prints for the table; ended by Ctrl-C, which must end the server, too."""
    command = [sys.executable, "-m", "raylab", "ui", "--storage", str(storage), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    server, table = (process.stdout.readline().split(": ", 1)[-1].strip() for _ in range(2))
    assert server.startswith("http://127.0.0.1:") and table.startswith(server)
    try:
        yield table
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", int(server.rsplit(":", 1)[1])), timeout=2):
        pass


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(300_000)
        yield opened
        browser.close()


@needs_browser
def test_the_ui_shows_the_study_its_runs_by_score_and_the_report(storage: Path, page_of_ui: str, page: Any) -> None:
    page.goto(page_of_ui)
    page.get_by_role("link", name="demo", exact=True).wait_for()
    links = page.locator("a[href*='/runs/']").all_inner_texts()
    assert [link for link in links if link != "demo"][:8] == _by_score(storage / "demo")[:8]
    page.get_by_role("link", name="demo", exact=True).click()
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_role("link", name="Artifacts")).first.click()
    page.get_by_text("report.html").first.click()
    shown = page.frame_locator("iframe")
    shown.get_by_role("heading", name="salient rate 0.3 takes 4.0 bits per answer less than uniform rate 0.3").wait_for()
    shown.locator("#progress .main-svg").first.wait_for()  # its charts are drawn inside MLflow's sandbox


@needs_browser
def test_the_report_stands_alone_on_a_phone(storage: Path, page: Any) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request", lambda request: errors.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None
    )
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((storage / "demo" / "report.html").as_uri())
    page.locator("#importance .main-svg").first.wait_for()
    assert page.locator(".chart .main-svg").count() >= 4 and errors == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@needs_browser
def test_a_click_on_a_heading_sorts_the_table(storage: Path, page: Any) -> None:
    page.goto((storage / "demo" / "report.html").as_uri())
    heading = page.get_by_role("button", name="score", exact=True)
    heading.click()
    assert _scores(page) == sorted(_scores(page))
    heading.click()
    assert _scores(page) == sorted(_scores(page), reverse=True)
    assert page.locator("#runs tbody tr").last.inner_text().count("\N{EN DASH}") >= 2  # without a score: below either way


def test_report_writes_the_page_and_sends_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole_study(tmp_path / "demo")
    assert main(["report", "demo", "--storage", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "demo" / "report.html") in printed and "holds all of it" in printed
    assert (tmp_path / "mlflow.db").is_file() and (tmp_path / "demo" / "report.html").is_file()


def test_report_without_tracking_and_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_study(tmp_path / "demo")
    assert main(["report", "demo", "--storage", str(tmp_path), "--no-tracking"]) == 0
    assert not (tmp_path / "mlflow.db").exists() and "MLflow" not in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["report", "demo", "--storage", str(tmp_path)]) == 0
    assert "lacks 23 runs or the report (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["report", "nosuch"], "nosuch"),
        (["ui"], "mlflow.db is missing"),
        (["ui", "--port", "x"], "--port"),
    ],
)
def test_mistakes_are_one_line(command: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--storage", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert told in printed.err and printed.err.count("\n") == 1 and printed.out == ""


def test_a_port_that_is_taken_is_one_line(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["ui", "--storage", str(storage), "--no-open", "--port", str(taken.getsockname()[1])]) == 2
    assert "can't be had" in capsys.readouterr().err


def _by_score(folder: Path) -> list[str]:
    runs = Study.read(folder).runs.values()
    scored = sorted((run.metrics["dev_bits_per_answer"], run_name(run)) for run in runs if run.state == "finished")
    return [name for _, name in scored]


def _scores(page: Any) -> list[float]:
    cells = page.locator("#runs tbody td:nth-child(6)")
    return [float(value) for value in cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)") if value]
