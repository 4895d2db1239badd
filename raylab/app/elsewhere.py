"""A search over Ray Client: everything of it runs on the cluster, and is told here."""

import argparse
import sys
import tempfile
from pathlib import Path

from raylab.app.joining import agreed
from raylab.app.parcel import Parcel
from raylab.cluster.client import Client


def search_there(args: argparse.Namespace) -> int:
    """Run the search whose address is ray://HOST:PORT. Its exit code; what it prints is written as it comes. It ends with this
    process, as a search on this machine does; `raylab submit` starts one that does not."""
    parcel = Parcel.of(args.argv)
    with tempfile.TemporaryDirectory(prefix="raylab-parcel-") as folder:
        parcel.fill(Path(folder))
        with Client(args.address, Path(folder)) as client:
            if not (args.yes or args.plan):
                status = client.run([*parcel.arguments, "--plan"], _write)
                if status or not agreed():
                    return status
            return client.run([*parcel.arguments, "--yes"], _write)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
