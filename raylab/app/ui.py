"""raylab ui: MLflow's web page over the store that the studies of a folder were tracked into."""

import argparse
import signal
import types
import webbrowser
from pathlib import Path

from raylab.app.storage import add_storage_argument
from raylab.cluster.tracking import check_tracking, default_uri, is_server, replay, table_address
from raylab.cluster.tracking_server import Server, free_port
from raylab.errors import UserError
from raylab.redaction import without_secrets
from raylab.search.studies import folders
from raylab.storage import Storage

HELP = "open the MLflow UI over a folder of studies"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_storage_argument(parser)
    parser.add_argument("--port", type=int, help="port on this machine (default: a free one)")
    parser.add_argument("--no-open", action="store_true", help="print the address, open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    uri = default_uri(args.storage.here)
    if is_server(uri):
        check_tracking(uri)
        return _show(uri, uri, args.no_open)
    if args.storage.bucket:
        _rebuild(uri, args.storage)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise UserError(f"nothing was tracked in {args.storage} yet: mlflow.db is missing. Give the --storage of a search.")
    check_tracking(uri)
    return _serve(uri, args)


def _rebuild(uri: str, storage: Storage) -> None:
    """MLflow's database lies on this machine: what it lacks of the studies in the bucket, their ledgers tell."""
    for folder in folders(storage):
        flush = replay(folder, uri, storage.here / "artifacts")
        print(flush.line or f"{folder.name}: all of it is in MLflow.", flush=True)


def _serve(uri: str, args: argparse.Namespace) -> int:
    here = args.storage.here
    signal.signal(signal.SIGTERM, _interrupt)  # so that the server ends with us however we are ended
    try:
        with Server(uri, here / "artifacts", free_port(args.port), here / "mlflow-server.log") as server:
            _show(server.url, uri, args.no_open)
            print("Ctrl-C ends it.", flush=True)
            return 0 if server.wait() == 0 else 1
    except KeyboardInterrupt:
        print()
        return 0


def _show(url: str, uri: str, no_open: bool) -> int:
    table = table_address(url, uri)
    print(without_secrets(f"MLflow: {url}\nThe newest study's runs by score: {table}"), flush=True)
    if not no_open:
        webbrowser.open(table)
    return 0


def _interrupt(signum: int, frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt
