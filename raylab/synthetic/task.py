"""What a synthetic task is: how its inputs are drawn, and the output that follows from each.

After Wu, Li and Liang 2022, "Insights into Pre-training via Simpler Synthetic Tasks" (arXiv 2206.10139), as their program
defines the tasks. An input is the task's name, a marker, and a payload: one sequence, or two with a marker between.
Payloads hold 10 to 220 tokens there, for models of 512; with shorter models the longest shrinks in proportion.

Where this is not what their program does: the output of the four set operations is in order of first occurrence (theirs
is in the order in which Python's sets happen to hold integers); payload lengths are drawn so that they fit, where
theirs draws again what does not; a name is written as its words. What a single task does otherwise, its file says.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raylab.errors import UserError
from raylab.registry import Plugin, Registry
from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, joined

SHORTEST, LONGEST, MODEL_TOKENS = 10, 220, 512  # the paper's payloads, and the tokens of its model's inputs and outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """How long payloads are: from `shortest` to `longest` tokens. room: tokens that an input or an output may have."""

    shortest: int = SHORTEST
    longest: int = LONGEST
    room: int = MODEL_TOKENS

    @classmethod
    def within(cls, room: int, shortest: int = 0, longest: int = 0) -> "Lengths":
        """For a model whose inputs and outputs have `room` tokens; 0: the paper's 10, and its
        220 in proportion to the room."""
        most = longest or min(LONGEST, LONGEST * room // MODEL_TOKENS)
        least = shortest or min(SHORTEST, most)
        if not 4 <= least <= most:
            raise UserError(
                f"payloads of {least} to {most} tokens for a model of {room}: expected at least 4 tokens, and the longest no "
                "shorter than the shortest. Set shortest and longest, or prepare the data for longer texts."
            )
        return cls(shortest=least, longest=most, room=room)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """R inputs and their outputs, neither with an end symbol."""

    sources: Rows
    targets: Rows


class SyntheticTask(Plugin):
    """A synthetic task: a frozen dataclass in a file of its own in raylab/synthetic/tasks/."""

    __slots__ = ()
    registry: ClassVar[Registry] = Registry("synthetic task", "raylab.synthetic.tasks")

    @abstractmethod
    def draw(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Pairs:
        """So many fresh pairs. Raises UserError where the alphabet or the lengths are too small for the task."""


class Unary(SyntheticTask):
    """A task on one sequence. growth: how many times as long as the sequence the output can be."""

    __slots__ = ()
    growth: ClassVar[int] = 1

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Rows:
        """Sequences to ask about: here of uniformly random length and tokens."""
        return uniform(rng.integers(lengths.shortest, lengths.longest + 1, size=rows), alphabet, rng)

    @abstractmethod
    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        """What the task makes of each sequence."""

    def draw(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Pairs:
        """The sequences under the task's name, and what the task makes of them."""
        named = _named(self.name(), alphabet, lengths, rows, self.growth)
        x = self.inputs(rows, alphabet, lengths, rng)
        return Pairs(sources=joined(named, x), targets=self.output(x, alphabet).filled(alphabet.markers["empty"]))


class Binary(SyntheticTask):
    """A task on a sequence x and a second one, the query q."""

    __slots__ = ()

    @abstractmethod
    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Sequences and queries, with room for the marker between them."""

    @abstractmethod
    def output(self, x: Rows, q: Rows, alphabet: Alphabet) -> Rows:
        """What the task makes of each pair."""

    def draw(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Pairs:
        """Sequence, marker and query under the task's name, and what the task makes of them."""
        named = _named(self.name(), alphabet, lengths, rows)
        x, q = self.inputs(rows, alphabet, lengths, rng)
        divider = Rows.same([alphabet.markers["argument"]], rows)
        return Pairs(sources=joined(named, x, divider, q), targets=self.output(x, q, alphabet).filled(alphabet.markers["empty"]))


def _named(name: str, alphabet: Alphabet, lengths: Lengths, rows: int, growth: int = 1) -> Rows:
    """The task's name and the marker behind it. Raises UserError where inputs or outputs do not fit the model."""
    prefix = [*alphabet.texts([name.replace("_", " ")])[0], alphabet.markers["name_end"]]
    needed = max(len(prefix) + lengths.longest, growth * lengths.longest)
    if needed > lengths.room:
        raise UserError(
            f"{name}: payloads of up to {lengths.longest} tokens make {needed} tokens; the data are prepared for {lengths.room}. "
            "Set a smaller longest."
        )
    return Rows.same(prefix, rows)


def uniform(sizes_R: np.ndarray, alphabet: Alphabet, rng: np.random.Generator) -> Rows:
    """Rows of these sizes, every token independent and as likely as any other."""
    return Rows.of(alphabet.draw(rng, int(sizes_R.sum())), sizes_R)


def between(low: np.ndarray | int, high: np.ndarray | int, rng: np.random.Generator) -> np.ndarray:
    """A random integer from low to high, both included, for each row."""
    return rng.integers(low, np.asarray(high) + 1)


def parts_of(sizes_R: np.ndarray, parts_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each of sizes_R[r] tokens which of parts_R[r] parts it belongs to, none of them empty: a random composition.

    One token to each part, every other one to a random part.
    """
    rows = Rows.of(np.zeros(int(sizes_R.sum()), np.int64), sizes_R)
    place_N = rows.place
    any_N = (rng.random(len(place_N)) * rows.spread(parts_R)).astype(np.int64)
    return np.where(place_N < rows.spread(parts_R), place_N, any_N)


def in_parts(sizes_R: np.ndarray, parts_R: np.ndarray, rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
    """The same with every part's tokens together: rows that hold the number of the part, and the size of every part."""
    starts_R1 = np.concatenate([[0], np.cumsum(parts_R)])
    part_N = parts_of(sizes_R, parts_R, rng) + np.repeat(starts_R1[:-1], sizes_R)
    sizes_K = np.bincount(part_N, minlength=starts_R1[-1])
    number_K = np.arange(starts_R1[-1]) - np.repeat(starts_R1[:-1], parts_R)
    return Rows.of(np.repeat(number_K, sizes_K), sizes_R), sizes_K
