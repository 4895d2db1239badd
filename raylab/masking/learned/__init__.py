"""Masking policies that are learned: a scorer of spans, how it is learned, and the folder it is kept in."""
