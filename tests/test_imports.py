"""The house rule: imports point one way, and the core runs where Ray, MLflow and Optuna are not installed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import raylab

PACKAGE = Path(raylab.__file__).parent
EDGES = ("ray", "mlflow", "optuna")

# What a part may import: its own level, and those above it in this list.
LEVELS = (
    {"errors", "redaction", "registry", "seeds", "recipe", "storage"},
    {"data", "masking", "mixture", "synthetic", "models", "training", "families"},
    {"stages"},
    {"trial", "verdict"},
    {"search"},
    {"cluster"},
    {"app"},
)
OUTSIDE = {"bench", "app"}  # a bench measures whatever it likes; app is the composition root


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _modules() -> list[Path]:
    """Every module but the two-line entrances of `python -m raylab.COMMAND`."""
    return [p for p in sorted(PACKAGE.rglob("*.py")) if not _is_entrance(p) and p != PACKAGE / "__init__.py"]


def _is_entrance(path: Path) -> bool:
    return path.name == "__main__.py" or (path.parent == PACKAGE and "run_module" in path.read_text(encoding="utf-8"))


def _core() -> list[Path]:
    return [path for path in _modules() if _part(path) not in {"cluster", "app", "bench"}]


def _dotted(path: Path) -> str:
    return ".".join(("raylab", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def _imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _level(part: str) -> int:
    found = [i for i, parts in enumerate(LEVELS) if part in parts]
    assert found, f"raylab.{part} has no place in the order of imports; give it one in LEVELS"
    return found[0]


@pytest.mark.parametrize("path", _modules(), ids=_dotted)
def test_imports_point_one_way(path: Path) -> None:
    part = _part(path)
    own = [name.split(".")[1] for name in _imported(path) if name.startswith("raylab.")]
    above = {other for other in own if part not in OUTSIDE and _level(other) > _level(part)}
    assert not above, f"{_dotted(path)} imports {sorted(above)}, which lie above it"


@pytest.mark.parametrize("path", _core(), ids=_dotted)
def test_the_core_names_no_edge(path: Path) -> None:
    named = {name.split(".")[0] for name in _imported(path)} & set(EDGES)
    assert not named, f"{_dotted(path)} imports {sorted(named)}; only raylab.cluster and raylab.app may"


def test_the_core_imports_without_the_edges() -> None:
    """In a fresh interpreter in which ray, mlflow and optuna cannot be imported."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({EDGES!r}))"  # None in sys.modules is an ImportError
    names = [_dotted(path) for path in _core()]
    script = f"{blocked}\nimport importlib\nfor name in {names!r}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_benches_import_ray_only_to_measure() -> None:
    names = [_dotted(path) for path in sorted((PACKAGE / "bench").glob("[!_]*.py"))]
    script = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nsys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("statements", "heavy"),
    [
        ("from raylab.app.cli import main; main([])", {"torch", "transformers", "numpy", "rich", "ray", "mlflow"}),
        (
            "import raylab; raylab.UserError; raylab.load; raylab.Study",
            {"torch", "transformers", "ray", "mlflow", "pandas", "optuna"},
        ),
    ],
    ids=["the overview of commands", "import raylab"],
)
def test_what_is_there_at_once_imports_nothing_heavy(statements: str, heavy: set[str]) -> None:
    script = f"import sys; {statements}\nheavy = {heavy} & set(sys.modules)\nassert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
