"""Recorded tables as something to search: what each configuration scored on several seeds, so that its true mean is known."""
