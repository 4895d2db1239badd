"""Nested settings as one flat list of names and values."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and plain values of nested JSON; a plugin's name stands at the plugin's own path.

    {"stages": [{"name": "denoise", "policy": {"name": "span", "rate": 0.3}}]} gives stages.0 = denoise,
    stages.0.policy = span, stages.0.policy.rate = 0.3.
    """
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from flatten(item, path if name == "name" and path else f"{path}.{name}".lstrip("."))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        for number, item in enumerate(value):
            yield from flatten(item, f"{path}.{number}")
    else:
        yield path, value
