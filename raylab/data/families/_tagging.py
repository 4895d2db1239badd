"""."""

from raylab.data.table import Entry

ENTRIES: tuple[Entry, ...] = ()
