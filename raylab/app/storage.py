"""--storage: where the studies lie. The same option in every command that reads or writes them."""

import argparse

from raylab.search.studies import DEFAULT_STORAGE
from raylab.storage import Storage


def add_storage_argument(parser: argparse._ActionsContainer, what: str = "where the studies lie") -> None:
    """Add it; its value is a Storage. Raises UserError, in parsing, for what names no place."""
    parser.add_argument(
        "--storage", type=Storage.of, default=str(DEFAULT_STORAGE), metavar="DIR_OR_URL",
        help=f"{what}: a folder, s3://BUCKET/PATH or gs://BUCKET/PATH (default: %(default)s)",
    )  # fmt: skip
