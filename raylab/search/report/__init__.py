"""The report of a study: one HTML file that needs no network, and the tables it was made from."""

from raylab.search.report.page import FILES, MASKS, write

__all__ = ["FILES", "MASKS", "write"]
