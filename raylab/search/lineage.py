"""A study that continues another: it takes over what its parent has learnt, and asks for more.

Taken over are the runs of exploration and of the race, of every recipe that the new space can propose: a narrower space
leaves some behind, a wider one none. They are copied into the new ledger, so that the new study stands by itself, and its
parent is only read. What the parent had not brought to an end is due again, and so are its failures if they are to be
retried.

The verdict's runs are not taken over. Whoever continues has seen the last verdict, and may have continued because of it;
the next one is therefore taken on seeds that no verdict of the lineage has used. Each errs in 5 % of the cases by itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from raylab.errors import UserError
from raylab.recipe import Recipe, decode
from raylab.search.ledger import FINAL, Run, Study
from raylab.search.space import Replay, Setting, Space

_ASKED = ("key", "role", "replicate", "trial", "recipe", "values", "label")


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """A study that others can learn from. space: None if its file is gone."""

    study: Study
    space: Space | None
    setting: Setting

    def chosen(self, run: Run) -> Mapping[str, Any]:
        """The choices that made a trial's recipe, also those that were fixed or had one option; what was drawn alone, if its
        space is another by now."""
        if self.space is None:
            return run.values
        replay = Replay(run.values, self.setting.fixed)
        try:
            same = self.space.recipe(replay, self.setting) == decode(Recipe, run.recipe)
        except UserError:
            return run.values
        return replay.chosen if same else run.values


@dataclass(frozen=True, kw_only=True, slots=True)
class Heritage:
    """What a study takes over. taken: runs that stand. due: trials that it has to run itself. cached: trials that one of these
    answers."""

    parent: Study
    taken: tuple[Run, ...]
    due: tuple[Run, ...]
    cached: tuple[dict[str, Any], ...]

    @property
    def trials(self) -> int:
        """How many trials of the new study these are."""
        return sum(run.role == "explore" for run in self.taken) + len(self.due) + len(self.cached)

    def plain(self) -> dict[str, Any]:
        """The parent, as the first line of the new study's ledger tells it."""
        replicates = [run.replicate for run in self.parent.of_role("confirm", "baseline")]
        return {
            "name": self.parent.name,
            "created": self.parent.created,
            "trials": sum(run.role == "explore" for run in self.taken),
            "runs": len(self.taken),
            "verdict_seeds": max(replicates, default=verdict_seeds(self.parent)),
            "sentence": (self.parent.verdict or {}).get("sentence"),
        }

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the new study's ledger begins with."""
        for run in self.taken:
            plain = asdict(run)
            origin = plain.pop("origin") or self.parent.name
            yield "taken", {"run": plain, "origin": origin}
        for run in self.due:
            yield "run", {name: getattr(run, name) for name in _ASKED}
        for row in self.cached:
            yield "cached", {"key": row["key"], "trial": row["trial"]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """How many trials are asked for: so many in all, or so many more than there are."""

    number: int
    more: bool

    @classmethod
    def of(cls, text: str) -> "Trials":
        """ "32" or "+20". Raises UserError for anything else."""
        if not re.fullmatch(r"\+?\d+", text):
            raise UserError(f"--trials {text}: expected +20 for so many more trials, or 32 for so many in all.")
        return cls(number=int(text), more=text.startswith("+"))

    def total(self, heritage: Heritage) -> int:
        """Of the new study. Raises UserError if it would have none of its own, unless they were asked for as +0."""
        there = heritage.trials
        total = there + self.number if self.more else self.number
        if total < there or (total == there and not (self.more or heritage.due)):
            raise UserError(
                f"--trials {total}: {there} of {heritage.parent.name} are taken over already. Ask for more, e.g. --trials +20."
            )
        return total


def inherit(earlier: Earlier, space: Space, setting: Setting, *, retry_failed: bool = False) -> Heritage:
    """What a study in `space` takes over of an earlier one on the same data. retry_failed: failures are due again.

    Raises UserError if that is nothing at all."""
    parent = earlier.study
    trials = [own for run in parent.of_role("explore") if (own := _in_space(run, earlier, space, setting)) is not None]
    if not trials:
        raise UserError(
            f"nothing of {parent.name} can be taken over: the new space proposes none of its {len(parent.of_role('explore'))} "
            f"recipes. Change less of it, or search anew and try its best choices first: raylab search ... --prior {parent.name}"
        )
    recipes = [run.recipe for run in trials]
    due = {run.key: run for run in trials if _is_due(run, retry_failed)}
    race = [run for run in parent.of_role("race") if run.recipe in recipes and not _is_due(run, retry_failed)]
    taken = tuple(_kept(run) for run in [*trials, *race] if run.key not in due)
    keys = {run.key for run in trials}
    return Heritage(
        parent=parent, taken=taken, due=tuple(due.values()), cached=tuple(row for row in parent.cached if row["key"] in keys)
    )


def verdict_seeds(study: Study) -> int:
    """The last replicate that a verdict of its lineage used before this study; 0 if there was none."""
    return int((study.parent or {}).get("verdict_seeds", 0))


def continues(study: Study) -> str:
    """What a study took over, in words; empty if it continues none."""
    if study.parent is None:
        return ""
    trials, others = study.parent["trials"], study.parent["runs"] - study.parent["trials"]
    beside = f" and {others} run{'s' * (others != 1)} of selection" if others else ""
    return f"{study.parent['name']}: {trials} trial{'s' * (trials != 1)}{beside} taken over"


def lineage(study: Study) -> list[str]:
    """A sentence for each thing that a study has from earlier ones."""
    told = [f"Continues {continues(study)}."] if study.parent else []
    if sentence := (study.parent or {}).get("sentence"):
        told.append(f"Its verdict was: {sentence} Each verdict errs in 5 % of the cases by itself.")
    for prior in study.priors:
        alike = "not known" if prior["similarity"] is None else f"{prior['similarity']:.2f}"
        choices = len(prior["choices"])
        told.append(
            f"Tries first what {prior['study']} found best: {choices} choice{'s' * (choices != 1)}, similarity of data {alike}."
        )
    return told


def _is_due(run: Run, retry_failed: bool) -> bool:
    return run.state not in FINAL or (retry_failed and run.state == "failed")


def _in_space(run: Run, earlier: Earlier, space: Space, setting: Setting) -> Run | None:
    """The run with the values that the space draws for its recipe; None if it draws no such recipe."""
    try:
        recipe, values, _ = space.decode(earlier.chosen(run), setting)
        return replace(run, values=values) if recipe == decode(Recipe, run.recipe) else None
    except UserError:
        return None


def _kept(run: Run) -> Run:
    """Without what only its own study is asked about: how training went, and what the machines lost."""
    return replace(run, curve=[], losses=[])
