"""--storage in every command: what is wrong with a bucket is one line; what is secret is nowhere."""

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylab.app import opening, search
from raylab.app.cli import Parser, main
from raylab.cluster.tracking import Flush, default_uri, replay
from raylab.search import report
from raylab.search.ledger import Ledger
from raylab.search.upkeep import send
from raylab.storage import Storage

SECRETS = ("hunter2", "AKIAHUNTER", "session-hunter")
SEARCH = "search masking --dataset atlas --max-passages 200"
COMMANDS = ("list", "show mine", "report mine --no-tracking", "export mine --to out", SEARCH)


def refused(command: str, storage: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command refuses."""
    assert main([*command.split(), "--storage", storage]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("raylab: ") and err.count("\n") == 1, err
    return err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bucket_that_is_not_there(command: str, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the bucket of s3://nobody/x is not there. Make it" in refused(command, "s3://nobody/x", capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_scheme(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--storage ftp:... is no storage: expected a folder, s3://" in refused(command, "ftp://nobody/x", capsys)


@pytest.mark.parametrize("command", ["list", SEARCH])
def test_a_server_that_is_not_there(command: str, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: nobody else takes it, and nobody answers
        url = f"{bucket}/x?endpoint_override=http://127.0.0.1:{free.getsockname()[1]}"
        line = refused(command, url, capsys)
    assert "does not answer (Failed to connect to 127.0.0.1" in line and "AWS_ENDPOINT_URL" in line


@pytest.fixture
def forbidden(s3_server: str, bucket: str) -> Iterator[str]:
    """The bucket, of which the server no longer lets us do anything."""

    def allow(requests: bytes) -> None:
        address = f"{s3_server}/moto-api/reset-auth"
        urllib.request.urlopen(urllib.request.Request(address, data=requests, headers={"Content-Type": "text/plain"})).close()

    allow(b"0")
    yield bucket
    allow(b"inf")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bucket_that_we_may_not_use(command: str, forbidden: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(command, f"{forbidden}/x", capsys)
    assert f"access to {forbidden}/x" in line and "is denied" in line
    assert "Credentials that may list, read, write and delete there" in line


def test_a_bucket_without_studies(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--storage", f"{bucket}/x"]) == 0
    assert f"No studies in {bucket}/x" in capsys.readouterr().out


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "storage", ["s3://AKIAHUNTER:hunter2@b/x", "s3://b/x?secret_key=hunter2", "s3://AKIAHUNTER:hun/hunter2@b/x"]
)
def test_credentials_in_an_address_are_refused_and_not_shown(storage: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        assert "hunter2" not in refused(command, storage, capsys)


def test_a_tracking_servers_password_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:1")
    line = refused(SEARCH, str(tmp_path), capsys)
    assert "MLflow at http://me:***@127.0.0.1:1 does not answer" in line and "hunter2" not in line
    flush = Flush(uri="http://me:hunter2@host", unsent=2, trouble="no route to http://me:hunter2@host")
    assert "hunter2" not in flush.line + flush.place


def test_nothing_that_is_kept_or_shown_holds_a_secret(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line to ledger, report, tables, MLflow's database, screen and bucket."""
    for name, secret in zip(("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"), SECRETS, strict=True):
        monkeypatch.setenv(name, secret)
    place = Storage.of(f"{bucket}/raylab")
    parser = Parser(prog="raylab search")
    search.configure(parser)
    argv = [*SEARCH.split()[1:], "--name", "mine", "--storage", f"{bucket}/raylab"]
    args = parser.parse_args(argv)
    args.argv, args.command = [*argv, "--price=http://me:hunter2@host", "--storage=s3://me:hunter2@b"], "search"
    study = opening.open_study(args).conduct.study
    assert "***" in study.environment["command"]

    mine = place / study.name
    mine.here.mkdir()
    ledger = Ledger(mine.here)
    ledger.append("study", name=study.name, settings=study.settings, data=study.data, environment=study.environment)
    ledger.close()
    report.write(mine.here)
    mine.push("ledger.jsonl")
    send(mine)
    assert replay(mine.here, default_uri(place.here), place.here / "artifacts").complete
    for command in ("list", "list --json", "show mine", "show mine --json"):
        assert main([*command.split(), "--storage", str(place)]) == 0

    kept = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept |= {entry.name: place.read(entry.name) or b"" for entry in place.entries(recursive=True) if not entry.is_folder}
    kept["screen"] = "".join(capsys.readouterr()).encode()
    assert {"ledger.jsonl", "report.html", "runs.csv", "mlflow.db"} <= {Path(name).name for name in kept}
    assert [(name, secret) for name, content in kept.items() for secret in SECRETS if secret.encode() in content] == []
