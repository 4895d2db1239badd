"""Which tasks a model may learn before its target: those that are named, or all that there are and fit.

They come with those first whose words are most like the target's (raylab.search.prior), so that a search can try these first:
the overlap of vocabularies is one of the measures by which Lange et al. 2021 tell what helps; our reading.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raylab.data import local
from raylab.data.overlap import overlap
from raylab.data.remembered import content_of, counted_again, load_again
from raylab.data.source import DataRequest, builtin
from raylab.data.task import TaskData
from raylab.errors import UserError
from raylab.search.prior import similarity, words_of
from raylab.training.objective import Objective

LIKENESS = "likeness 1"  # raised when the same tasks would be compared otherwise
SAMPLED = 5000  # examples of a task, by which its words are known
TOLD = 5  # sources
MOST_SHARED = 0.02  # of the target's dev and test examples: about as much as tasks share that have nothing to do with one another


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a person asked for. named: None for all that there are: those that are built in, and those of the data folder.
    writes: whether the model gives answers in words. target_too, overlapping: what is taken although it is refused otherwise."""

    named: Sequence[str] | None
    writes: bool
    target_too: bool = False
    overlapping: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any], *, writes: bool) -> "Wanted":
        """By the options of raylab.app.data_options."""
        return cls(
            named=options["sources"], writes=writes, target_too=bool(options["allow_target_in_sources"]),
            overlapping=bool(options["allow_overlap"]),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One task. content: its fingerprint. likeness: of its words to the target's, from 0 to 1. shared: how much of what the
    target is judged by stands in its train split."""

    data: TaskData
    content: str
    likeness: float
    shared: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """taken: by the names under which they are loaded again; the target is among them if it is to be mixed in. left_out: why
    those that were not named are not."""

    target: str = ""
    taken: Mapping[str, Source] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """By which recipes know them."""
        return tuple(source.data.name for source in self.taken.values())

    @property
    def others(self) -> dict[str, TaskData]:
        """All but the target, by content."""
        return {source.content: source.data for source in self.taken.values() if source.content != self.target}

    def notes(self) -> list[str]:
        """What a reader of the results must know of them."""
        known = [f"{_share(s.shared)} in {s.data.name}" for s in self.taken.values() if s.shared > MOST_SHARED]
        told = [f"Of the dev and test examples, these stand in what is learned before: {', '.join(known)}"] if known else []
        alike = ", ".join(f"{s.data.name} {s.likeness:.2f}" for s in itertools.islice(self.taken.values(), TOLD))
        return [
            *([f"Of the tasks to mix, these have words most like the target's (1: the same): {alike}"] if alike else []),
            *(f"Not in the mixture: {', '.join(names)}: {reason}" for reason, names in self._reasons().items()),
            *told,
        ]

    def _reasons(self) -> dict[str, list[str]]:
        """Why some are left out, and which for the same reason."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, reason in self.left_out.items():
            found[reason].append(name)
        return found


def sources_of(target: TaskData, request: DataRequest, wanted: Wanted) -> Sources:
    """The sources for a target that `request` gave. Raises UserError for a named one that can't be used, and where none is left;
    of those that are not named, such ones are left out."""
    taken, left_out = dict[str, Source](), dict[str, str]()
    for name in dict.fromkeys(wanted.named) if wanted.named is not None else _all(request.data_dir):
        try:
            source = _source(name, target, request, wanted)
            _check_name(source, taken.values())
        except UserError as error:
            if wanted.named is not None:
                raise
            left_out[name] = str(error).removeprefix(f"{name} ")
        else:
            taken[name] = source
    if not taken:
        reasons = "".join(f" {name}: {reason}" for name, reason in left_out.items())
        raise UserError(f"there is no task to learn before {target.name}; name some: --sources A,B.{reasons}")
    ordered = dict(sorted(taken.items(), key=lambda item: item[1].likeness, reverse=True))
    return Sources(target=content_of(target), taken=ordered, left_out=left_out)


def _all(data_dir: Path | None) -> Sequence[str]:
    return (*builtin(), *(local.tasks(data_dir) if data_dir is not None else ()))


def _source(name: str, target: TaskData, request: DataRequest, wanted: Wanted) -> Source:
    """Raises UserError for a source that can't be read, that this target must not have, or that this model can't learn."""
    own = replace(request, dataset=name, corpus=None, text_column=None, splits={}, max_passages=None)
    data = target if name == request.dataset else load_again(own)  # the target's corpus may be another than its own text
    learned: type[Any] = Objective.registry.get(data.family)
    if learned.writes and not wanted.writes:
        raise UserError(f"{data.name} asks for answers in words, which an encoder does not write. Take an encoder-decoder (t5).")
    content = content_of(data)
    if content == content_of(target):
        if not wanted.target_too:
            raise UserError(f"{data.name} is the target itself. To mix it in all the same: --allow-target-in-sources.")
        return Source(data=data, content=content, likeness=1.0)
    if data.name == target.name:
        raise UserError(f"two tasks are named {data.name!r}, the target and another, and would share a head. Rename its folder.")
    shared = overlap(target, data)
    if shared > MOST_SHARED and not wanted.overlapping:
        raise UserError(
            f"{_share(shared)} of the dev and test examples of {target.name} stand in the train split of {data.name}, which "
            "would give them away. To mix it in all the same: --allow-overlap."
        )
    return Source(data=data, content=content, likeness=_likeness(target, data), shared=shared)


def _likeness(target: TaskData, data: TaskData) -> float:
    """Of their words."""
    both = (content_of(target), content_of(data))
    return counted_again(LIKENESS, both, lambda: similarity(_words(target), _words(data)))


def _words(data: TaskData) -> Counter[str]:
    """How often each word stands in what a model is given of a task; in a sample of a large one."""
    train = data.splits["train"]
    sampled = (train[place] for place in range(0, len(train), max(1, len(train) // SAMPLED)))
    return words_of("\n".join(text for example in sampled for text in example.texts()).encode())


def _check_name(source: Source, others: Iterable[Source]) -> None:
    if source.data.name in {other.data.name for other in others}:
        raise UserError(f"two tasks are named {source.data.name!r}, and would share a head. Rename the folder of one.")


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"
