"""Plugins: found by the name of their file, each file one class, a user's beside raylab's own."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylab import registry
from raylab.data.annotation import Annotation
from raylab.errors import UserError
from raylab.masking.policy import Passages, Policy
from raylab.recipe import Stage, decode, encode
from raylab.registry import Registry, add_plugins, load_file

NOTHING = """
    from dataclasses import dataclass
    import numpy as np
    from raylab.masking.policy import Mask, Policy
    from raylab.recipe import knob

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Nothing(Policy):
        rate: float = knob(0.5, low=0.1, high=0.9)

        def draw(self, passages, rng, progress):
            hidden_N = np.zeros(len(passages.tokens_N), bool)
            return Mask(hidden_N=hidden_N, begins_N=hidden_N)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Writes a policy into a user's folder that is known to raylab until the test's end."""
    modules, folders = set(sys.modules), list(registry._plugin_folders)

    def write(name: str, source: str, folder: str = "mine") -> Path:
        path = tmp_path / folder / "masking" / "policies" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        add_plugins(tmp_path / folder)
        return path

    yield write
    registry._plugin_folders[:] = folders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_users_policy_is_found_by_its_file(plugin: Callable[..., Path]) -> None:
    plugin("nothing", NOTHING)
    assert "nothing" in Policy.registry.names()
    policy: Any = Policy.registry.get("nothing")
    assert policy.name() == "nothing"
    assert decode(Policy, encode(policy(rate=0.3))) == policy(rate=0.3)
    one_N = np.ones(1, np.int64)
    passages = Passages(
        tokens_N=one_N,
        starts_R1=np.array([0, 1]),
        maskable_N=one_N > 0,
        word_starts_N=one_N > 0,
        vocab_size=9,
        spans={},
        weights={},
    )
    assert not policy().draw(passages, np.random.default_rng(0), 0.0).hidden_N.any()


def test_the_same_class_every_time(plugin: Callable[..., Path]) -> None:
    plugin("nothing", NOTHING)
    assert Policy.registry.get("nothing") is Policy.registry.get("nothing")


@pytest.mark.parametrize("kind", [Policy, Stage, Annotation], ids=lambda kind: kind.registry.kind)
def test_every_file_that_ships_holds_one_class_of_its_kind(kind: type[Policy | Stage | Annotation]) -> None:
    names = kind.registry.names()
    assert names and list(names) == sorted(names)
    assert not any(name.startswith("_") for name in names)
    for name in names:
        found = kind.registry.get(name)
        assert issubclass(found, kind) and found.name() == name
        assert found.__doc__


@pytest.mark.parametrize(
    ("source", "found"), [("WORD = 1\n", "none"), (NOTHING + NOTHING.replace("class Nothing", "class Other"), "Nothing, Other")]
)
def test_a_file_must_hold_exactly_one_class(source: str, found: str, plugin: Callable[..., Path]) -> None:
    path = plugin("several", source)
    with pytest.raises(UserError, match="exactly one masking policy class; found ") as raised:
        Policy.registry.get("several")
    assert str(raised.value).endswith(f"found {found}.") and str(path) in str(raised.value)


def test_classes_that_are_imported_do_not_count(plugin: Callable[..., Path]) -> None:
    plugin("quiet", "from raylab.masking.policies.uniform import Uniform\n" + textwrap.dedent(NOTHING))
    assert Policy.registry.get("quiet").__name__ == "Nothing"


def test_a_file_that_fails_shows_its_own_error_each_time(plugin: Callable[..., Path]) -> None:
    path = plugin("broken", "import numpy\nnumbers = numpy.no_such_thing\n")
    assert "broken" in Policy.registry.names()  # listing imports nothing
    for _ in range(2):
        with pytest.raises(AttributeError, match="no_such_thing") as raised:
            Policy.registry.get("broken")
        assert raised.traceback[-1].path == path or any(entry.path == path for entry in raised.traceback)


def test_two_files_of_a_name_are_told(plugin: Callable[..., Path]) -> None:
    path = plugin("span", NOTHING)
    with pytest.raises(UserError, match=r"two files define the masking policy 'span': .* and .*Rename one") as raised:
        Policy.registry.names()
    assert str(path) in str(raised.value)


def test_helpers_are_no_plugins(plugin: Callable[..., Path]) -> None:
    plugin("_helper", "X = 1\n")
    assert not any("helper" in name for name in Policy.registry.names())


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown masking policy 'unifrom'. Did you mean 'uniform'\? Expected one of: "):
        Policy.registry.get("unifrom")
    with pytest.raises(UserError, match=r"unknown kind 'x'. There is no kind yet"):
        Registry("kind", "raylab.nowhere").get("x")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no folder. Give a folder laid out like raylab/"):
        add_plugins(tmp_path / "missing")


def test_a_folder_counts_once(plugin: Callable[..., Path], tmp_path: Path) -> None:
    plugin("nothing", NOTHING)
    add_plugins(tmp_path / "mine")
    assert "nothing" in Policy.registry.names()


def test_files_of_one_name_in_two_places_are_two_modules(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(f"VALUE = {value}\n")
    assert load_file(tmp_path / "a" / "same.py", "raylab_test.same").VALUE == 1
    assert load_file(tmp_path / "b" / "same.py", "raylab_test.same").VALUE == 2
    assert load_file(tmp_path / "b" / "same.py", "raylab_test.same") is sys.modules.pop("raylab_test.same")
