"""Which learned policies a study has: those that it learns itself, and those of `--policy`, whose cards are taken in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.learned.card import read
from raylab.masking.learned.product import key_of, learner, taken_in
from raylab.masking.policies.learned import LEARNERS
from raylab.masking.policy import Policy
from raylab.search.learning import Lesson


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """policies: what is searched, in order. learned: the products of those that are learned, by name. lessons: what is learned
    before the trials. notes: what a reader must know of it."""

    policies: tuple[str, ...]
    learned: Mapping[str, str]
    lessons: tuple[Lesson, ...]
    notes: tuple[str, ...]


def taught(
    policies: Sequence[str],
    cards: Sequence[str],
    data: Prepared,
    seed: int,
    storage: Path,
    optional: Sequence[str],
    known: Mapping[str, str],
) -> Taught:
    """What there is to learn for a search over these policies and cards. optional: names that are left out, with a note, where
    the data do not hold what they are learned from; elsewhere that is a UserError. known: the products of a study that is gone
    on with; its cards were taken in. Takes cards in; learns nothing."""
    lessons, learned, notes = list[Lesson](), dict[str, str](), list[str]()
    for name in (name for name in policies if name in LEARNERS):
        try:
            lesson = _lesson(name, data, seed)
        except UserError as error:
            if name not in optional:
                raise
            notes.append(f"Without the policy {name!r}: {error}")
        else:
            lessons.append(lesson)
            learned[name] = lesson.key
            notes.append(f"The policy {name!r} is learned before the trials, from train questions: {_about(lesson)} tokens")
    for name in (name for name in policies if name in known and name not in LEARNERS):
        learned[name] = known[name]
    for path in (path for path in map(Path, cards) if path.name not in learned):
        card = read(path)
        card.check_tokenizer(data.tokenizer, "these data's")
        name = _name(path, {*policies, *learned})
        learned[name] = taken_in(path, storage)
        notes.append(f"The policy {name!r} was learned elsewhere ({card.how}): {card.cost.get('tokens', 0):,.0f} tokens")
    kept = [name for name in policies if name in learned or name not in LEARNERS]
    return Taught(policies=tuple(dict.fromkeys([*kept, *learned])), learned=learned, lessons=tuple(lessons), notes=tuple(notes))


def _about(lesson: Lesson) -> str:
    return f"{'' if lesson.within == 1 else 'about '}{lesson.tokens:,.0f}"


def _lesson(name: str, data: Prepared, seed: int) -> Lesson:
    how = learner(name)()
    cost = how.cost(data, seed)
    return Lesson(name=name, key=key_of(how, data, seed), how=how, seed=seed, **cost)


def _name(folder: Path, taken: set[str]) -> str:
    """The name of a card in a search: its folder's. Raises UserError if another policy has it."""
    name = folder.name
    if name in taken or name in Policy.registry.names():
        raise UserError(f"--policy {folder}: there is a policy {name!r} already. Rename the folder, e.g. to my-{name}.")
    return name
