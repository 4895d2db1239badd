"""Where the spaces and studies that come with raylab lie: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

import raylab


def shipped(folder_name: str) -> Path:
    """The folder `search_spaces` or `experiments`. Raises FileNotFoundError if this installation lacks it."""
    package = Path(raylab.__file__).parent
    for parent in (package, package.parent):
        if (parent / folder_name).is_dir():
            return parent / folder_name
    raise FileNotFoundError(f"{folder_name}/ is neither in {package} nor beside it; raylab is installed incompletely.")
