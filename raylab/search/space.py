"""Spaces: a function that draws a recipe, one file each in search_spaces/ (or `--space-file FILE.py`).

A space file defines

    BASELINE: str                                    the family the verdict compares the winner with
    recipe(choose, setting) -> Recipe                draw every choice through `choose`
    family(recipe) -> str                            what a recipe is an instance of, e.g. its masking policy
    baseline(recipe, setting) -> Recipe              the same recipe with the baseline's choice, all others equal
    plain(recipe) -> Recipe                          the same recipe without what the space is about
    starts(setting) -> list[dict[str, value]]        choices tried before the sampler takes over
    LEARNED: tuple[str, ...]                         policies that it has learned, where none are named; may be left out
    SOURCES: bool                                    whether other tasks are learned before the target; may be left out

The same `recipe` function samples (Optuna draws), decodes (a replay of stored values) and takes defaults: only the
`Chooser` differs.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from raylab.data.task import QUESTION_ANSWERING
from raylab.errors import UserError, unknown
from raylab.masking.policies.learned import LEARNERS, Learned
from raylab.masking.policy import Policy
from raylab.recipe import ModelSpec, Recipe, knobs
from raylab.registry import load_file
from raylab.search.shipped import shipped
from raylab.search.simplex import Simplex


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """What a choice may be: one of `options`, or a number from `low` to `high`, both included. simplex: that it is a place on."""

    default: Any
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False
    simplex: Simplex | None = None

    def check(self, name: str, value: Any) -> Any:
        """`value` as this domain's type. Raises UserError if it lies outside."""
        if self.options:
            matches = [option for option in self.options if _equals(option, value)]
            if not matches:
                raise unknown(f"value of {name}", str(value), map(str, self.options))
            return matches[0]
        try:
            number = int(str(value)) if self.integer else float(value)
        except ValueError:
            raise self._outside(name, repr(value)) from None
        if not self.low <= number <= self.high:
            raise self._outside(name, str(value))
        return number

    def _outside(self, name: str, got: str) -> UserError:
        kind = "whole number" if self.integer else "number"
        return UserError(f"{name} is {got}; expected a {kind} from {self.low:g} to {self.high:g}.")


def _equals(option: Any, given: Any) -> bool:
    """Whether `given`, perhaps as text, is this option."""
    try:
        return float(given) == option if isinstance(option, float) else str(given) == str(option)
    except ValueError:
        return False


class Chooser:
    """Draws choices by name. `fixed` ones (from `--set`) are not drawn; `values` is everything drawn so far, `chosen`
    everything, also what was fixed or had one option."""

    def __init__(self, fixed: Mapping[str, Any] | None = None) -> None:
        self.fixed = dict(fixed or {})
        self.values: dict[str, Any] = {}
        self.chosen: dict[str, Any] = {}
        self.domains: dict[str, Domain] = {}

    @abstractmethod
    def draw(self, name: str, domain: Domain) -> Any:
        """One value from the domain."""

    def option(self, name: str, options: Sequence[Any], default: Any = None) -> Any:
        """One of `options`; the first is the default unless another is named."""
        return self._choose(name, Domain(default=options[0] if default is None else default, options=tuple(options)))

    def number(self, name: str, low: float, high: float, *, default: float, log: bool = False) -> float:
        """A number between `low` and `high`, both included."""
        return float(self._choose(name, Domain(default=default, low=low, high=high, log=log)))

    def integer(self, name: str, low: int, high: int, *, default: int) -> int:
        """A whole number between `low` and `high`, both included."""
        return int(self._choose(name, Domain(default=default, low=low, high=high, integer=True)))

    def simplex(self, simplex: Simplex, default: Mapping[str, float] | None = None) -> dict[str, float]:
        """Proportions of its parts by their names, 0 of one that is left out; even ones are the default unless others are given.
        Every part is a choice of its own, `simplex.choices()`: its place, from 0 (out) to 1."""
        defaults = simplex.places(default or dict.fromkeys(simplex.parts, 1.0))
        places = [
            float(self._choose(name, Domain(default=place, low=0.0, high=1.0, simplex=simplex)))
            for name, place in zip(simplex.choices(), defaults, strict=True)
        ]
        return dict(zip(simplex.parts, simplex.proportions(places), strict=True))

    def knobs(self, prefix: str, configuration: type) -> dict[str, Any]:
        """Every declared knob of a configuration class, drawn over the range it states itself."""
        defaults = {f.name: f.default for f in fields(configuration)}
        drawn = {}
        for name, knob in knobs(configuration).items():
            if knob.choices:
                drawn[name] = self.option(f"{prefix}.{name}", knob.choices, defaults[name])
            else:
                low, high = knob.low or 0.0, knob.high or 0.0
                whole = isinstance(defaults[name], int)
                domain = Domain(default=defaults[name], low=low, high=high, log=knob.log, integer=whole)
                drawn[name] = self._choose(f"{prefix}.{name}", domain)
        return drawn

    def _choose(self, name: str, domain: Domain) -> Any:
        self.domains[name] = domain
        if name in self.fixed:
            value = domain.check(name, self.fixed[name])
        elif len(domain.options) == 1:
            value = domain.options[0]
        else:
            value = self.values[name] = self.draw(name, domain)
        self.chosen[name] = value
        return value


class Replay(Chooser):
    """Takes stored values; a choice that is not among them takes its default."""

    def __init__(self, stored: Mapping[str, Any], fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__(fixed)
        self.stored = stored

    def draw(self, name: str, domain: Domain) -> Any:
        return domain.check(name, self.stored[name]) if name in self.stored else domain.default


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What a study holds fixed for all of its recipes. budget_tokens: corpus tokens a recipe with the spans target
    reads in pretraining. task_family: of raylab.data.families. learned: the products of learned policies, by their names
    among `policies`. sources: the tasks that may be learned before this one. `--set key=value` sets these fields, and fixes
    choices of the space by their name."""

    task: str
    base: ModelSpec
    policies: tuple[str, ...]
    budget_tokens: int
    finetune_steps: int
    batch_size: int = 32
    fixed: Mapping[str, Any] = field(default_factory=dict)
    task_family: str = QUESTION_ANSWERING
    learned: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    def policy(self, name: str) -> tuple[type[Policy], dict[str, Any]]:
        """The class of a policy by its name here, and what of it is not for a space to choose."""
        if name in self.learned or name in LEARNERS:
            return Learned, {"product": self.learned.get(name, ""), "learner": name}
        return Policy.registry.get(name), {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """A loaded space file; see the module's docstring for what each function gives."""

    name: str
    path: Path
    baseline_family: str
    recipe: Callable[[Chooser, Setting], Recipe]
    family: Callable[[Recipe], str]
    baseline: Callable[[Recipe, Setting], Recipe]
    plain: Callable[[Recipe], Recipe]
    starts: Callable[[Setting], list[dict[str, Any]]]
    learned: tuple[str, ...] = ()
    sources: bool = False

    def decode(self, values: Mapping[str, Any], setting: Setting) -> tuple[Recipe, dict[str, Any], dict[str, Domain]]:
        """The recipe of stored values, those values completed by defaults, and the domains of what is searched."""
        replay = Replay(values, setting.fixed)
        recipe = self.recipe(replay, setting)
        return recipe, replay.values, {name: replay.domains[name] for name in replay.values}

    def searched(self, setting: Setting) -> list[str]:
        """What the space is over, in words: the families that it starts with, or, if they are one, what it draws."""
        starts = [Replay(start, setting.fixed) for start in (*self.starts(setting), {})]
        found = sorted({self.family(self.recipe(start, setting)) for start in starts})
        return found if len(found) > 1 else sorted({name.replace("_", " ") for start in starts for name in start.values})

    def check_fixed(self, setting: Setting) -> None:
        """Raise UserError for a `--set` name that no recipe of the space chooses, a value outside its domain, or a baseline
        that is not of the family the space says it is."""
        names: set[str] = set()
        for start in self.starts(setting):
            replay = Replay(start, setting.fixed)
            self._check_baseline(self.baseline(self.recipe(replay, setting), setting))
            names |= set(replay.domains)
        for name in setting.fixed:
            if name not in names:
                raise unknown("choice for --set", name, names | {"budget_tokens", "finetune_steps", "batch_size"})

    def _check_baseline(self, recipe: Recipe) -> None:
        if (got := self.family(recipe)) != self.baseline_family:
            raise UserError(
                f"the baseline of {self.path} isn't in the space: BASELINE is {self.baseline_family!r}, but baseline() gives a "
                f"recipe of the family {got!r}. Let both name the same."
            )


def space_names() -> tuple[str, ...]:
    """The spaces that ship with raylab."""
    return tuple(sorted(p.stem for p in shipped("search_spaces").glob("*.py") if not p.stem.startswith("_")))


def load_space(name: str, file: Path | None = None) -> Space:
    """A space by name, or from `file`. Raises UserError for an unknown name or a file that lacks a function."""
    if file is None and name not in space_names():
        raise unknown("space", name, space_names())
    path = file or shipped("search_spaces") / f"{name}.py"
    if not path.is_file():
        raise UserError(f"--space-file {path} is no file. Give a Python file that defines recipe(choose, setting).")
    module = load_file(path, f"raylab_spaces.{path.stem}")
    wanted = ("BASELINE", "recipe", "family", "baseline", "plain", "starts")
    missing = [w for w in wanted if not hasattr(module, w)]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}; a space defines {', '.join(wanted)} (see raylab/search/space.py).")
    functions = {w: getattr(module, w) for w in wanted[1:]}
    return Space(
        name=path.stem, path=path, baseline_family=module.BASELINE, learned=getattr(module, "LEARNED", ()),
        sources=getattr(module, "SOURCES", False), **functions,
    )  # fmt: skip
