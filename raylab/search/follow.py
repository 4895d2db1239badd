"""Reading a ledger while its driver still writes it."""

import json
from pathlib import Path

from raylab.search.ledger import FILE, Study


class Follower:
    """The study of a folder, brought up to date by `read`. A line is taken in when its newline is there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.study: Study | None = None
        self._offset = 0

    def read(self) -> bool:
        """Take in what was added since the last call; True if anything was."""
        added = self._whole_lines()
        for event in map(json.loads, added.splitlines()):
            if self.study is None:
                self.study = Study.of([event])
            else:
                self.study.apply(event)
        self._offset += len(added)
        return bool(added)

    def _whole_lines(self) -> bytes:
        if not self.path.is_file():
            return b""
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            added = file.read()
        return added[: added.rfind(b"\n") + 1]
