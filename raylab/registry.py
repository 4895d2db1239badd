"""Plugins are found by the name of their file: one new policy, stage or annotation is one new file.

A folder of plugins is a package whose modules each hold exactly one class derived from the kind's base; the
module's name is the plugin's name. Modules that begin with an underscore are helpers. `add_plugins(DIR)` adds a
user's folder with the same layout (`DIR/masking/policies/mine.py`) without installing anything.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from raylab.errors import UserError, unknown

_plugin_folders: list[Path] = []


class Plugin:
    """Base of all that is found by file name. A kind (policy, stage, ...) sets `registry` on its own base class."""

    __slots__ = ()
    registry: ClassVar["Registry"]

    @classmethod
    def name(cls) -> str:
        """The plugin's name: that of its file."""
        return cls.__module__.rsplit(".", 1)[-1]


class Registry:
    """The plugins of one kind: the modules of `package`, and of the same folder below each added plugin folder."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._known: dict[tuple[tuple[Path, ...], str], type] = {}  # by plugin folders and name; a sampler asks all the time

    def names(self) -> tuple[str, ...]:
        """All names, sorted, without importing any of them."""
        return tuple(sorted(self._files()))

    def get(self, name: str) -> type[Any]:
        """The plugin class of that name. Raises UserError (with the nearest name) if there is none."""
        key = (tuple(_plugin_folders), name)
        if key not in self._known:
            files = self._files()
            if name not in files:
                raise unknown(self.kind, name, files)
            self._known[key] = self._only_class(self._load(name, files[name]))
        return self._known[key]

    def files(self) -> tuple[Path, ...]:
        """Where the plugins are read from."""
        return tuple(self._files().values())

    def _files(self) -> dict[str, Path]:
        relative = Path(*self.package.split(".")[1:])
        folders = [Path(__file__).parent / relative, *(folder / relative for folder in _plugin_folders)]
        found: dict[str, Path] = {}
        for path in (p for folder in folders for p in sorted(folder.glob("*.py"))):
            if not path.stem.startswith("_"):
                if path.stem in found:
                    raise UserError(f"two files define the {self.kind} {path.stem!r}: {found[path.stem]} and {path}. Rename one.")
                found[path.stem] = path
        return found

    def _load(self, name: str, path: Path) -> ModuleType:
        if path.parent == Path(__file__).parent / Path(*self.package.split(".")[1:]):
            return importlib.import_module(f"{self.package}.{name}")
        return load_file(path, f"raylab_plugins.{'_'.join(self.package.split('.')[1:])}.{name}")

    def _only_class(self, module: ModuleType) -> type:
        own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
        members = [v for v in own if issubclass(v, Plugin) and getattr(v, "registry", None) is self]
        if len(members) != 1:
            found = ", ".join(m.__name__ for m in members) or "none"
            raise UserError(f"{module.__file__} must define exactly one {self.kind} class; found {found}.")
        return members[0]


def load_file(path: Path, module_name: str) -> ModuleType:
    """Import one file under `module_name`, once. What the file itself raises is not caught: its traceback is the message."""
    known = sys.modules.get(module_name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file that can be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def add_plugins(folder: Path) -> None:
    """Make the files below `folder` (same layout as raylab/) available to every registry of this process."""
    if not folder.is_dir():
        raise UserError(
            f"--plugins {folder} is no folder. Give a folder laid out like raylab/, e.g. with masking/policies/mine.py."
        )
    if folder.resolve() not in _plugin_folders:
        _plugin_folders.append(folder.resolve())
