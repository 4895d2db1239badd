"""Where the packages lie that the atlas is made of. Their files are read directly: importing one may cost a second."""

from importlib.util import find_spec
from pathlib import Path

from raylab.errors import UserError


def folder(module: str, distribution: str) -> Path:
    """The folder of an installed package, without importing it. Raises UserError if it is not installed."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise UserError(
            f"the built-in data set atlas needs {distribution}, which is not installed: pip install {distribution}, "
            "or choose another source with --source local or --source hub."
        )
    return Path(found.origin).parent
