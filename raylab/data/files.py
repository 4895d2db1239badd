"""Files and folders that appear whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_once(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write a file or make a folder at; renamed to `path` when the block ends well.

    If another process made `path` meanwhile, its version stays and ours is dropped: the content is the same by key.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    temporary = workspace / path.name
    try:
        yield temporary
        _put(temporary, path)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _put(temporary: Path, path: Path) -> None:
    try:
        if not path.exists():
            os.rename(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # the other process was quicker
            raise
