"""Proportions of named parts, which sum to 1: how a space draws them, a number a part, so that every sampler can.

Each part has a place from 0 to 1. Below `out` it is left out: its proportion is exactly 0. Above, the place is a quantile of a
gamma distribution, and what the parts that are in have of its sum are their proportions. Even places so give a Dirichlet
distribution over the parts that are in (Devroye 1986, chapter XI.4). Bounds cut off what a part has too much and share it out
among the others, which keep their proportions to each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import gammainc, gammaincinv

from raylab.errors import UserError, unknown

ENDS = 1e-9  # how near a place comes to either end of those of a part that is in
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Simplex:
    """The proportions of `parts`. concentration: of the Dirichlet distribution, a number a part: 1 for any mixture alike, less
    for few large proportions, more for even ones. out: the chance that a part is left out; one with a lower bound never is.
    low, high: of each part's proportion, if it is in. Raises UserError for bounds that no proportions meet."""

    name: str
    parts: tuple[str, ...]
    concentration: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    out: float = 0.0

    @classmethod
    def of(
        cls, name: str, parts: Sequence[str], *, concentration: float | Mapping[str, float] = 1.0,
        low: float | Mapping[str, float] = 0.0, high: float | Mapping[str, float] = 1.0, out: float = 0.0,
    ) -> "Simplex":  # fmt: skip
        """With one number for all parts, or those of some parts by their names; the others have what binds nothing."""
        names = tuple(parts)
        return cls(
            name=name, parts=names, concentration=_each(name, names, concentration, 1.0), low=_each(name, names, low, 0.0),
            high=_each(name, names, high, 1.0), out=out,
        )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise UserError(f"{self.name} has the parts {', '.join(self.parts) or '(none)'}; expected at least one, each once.")
        if not (0 <= self.out < 1 and min(self.concentration) > 0):
            raise UserError(
                f"{self.name} has a concentration of {min(self.concentration):g} and leaves out {self.out:g}; expected positive "
                "numbers, and a chance from 0 up to, but not including, 1."
            )
        for part, low, high in zip(self.parts, self.low, self.high, strict=True):
            if not 0 <= low <= high <= 1:
                raise UserError(
                    f"{self.name} gives {part} from {low:g} to {high:g}; expected bounds from 0 to 1, the lower first."
                )
        least, most = sum(self.low), sum(self.high)
        if least > 1 + ENDS or most < 1 - ENDS:
            raise UserError(
                f"no proportions meet the bounds of {self.name}: its parts have at least {least:g} and at most {most:g} "
                "together, but all of them make 1. Widen the bounds."
            )

    def choices(self) -> tuple[str, ...]:
        """The name of each part's place among a space's choices."""
        return tuple(f"{self.name}.{part}" for part in self.parts)

    def proportions(self, places: Sequence[float]) -> tuple[float, ...]:
        """Those of the parts at these places; they sum to 1."""
        place, out = np.asarray(places, dtype=float), self._out()
        size = gammaincinv(self.concentration, np.clip((place - out) / (1 - out), ENDS, 1 - ENDS))
        low, high = np.array(self.low), np.array(self.high)
        inside = self._inside(place)
        found = np.zeros(len(place))
        found[inside] = _scaled(size[inside], low[inside], high[inside])
        return tuple(found.tolist())

    def places(self, proportions: Mapping[str, float]) -> tuple[float, ...]:
        """Places of parts in these proportions; one that is not named is left out."""
        share = np.array([proportions.get(part, 0.0) for part in self.parts])
        size = share / share.sum() * np.where(share > 0, self.concentration, 0.0).sum()
        out = self._out()
        inside = out + (1 - out) * np.clip(gammainc(self.concentration, size), ENDS, 1 - ENDS)
        return tuple(np.where(share > 0, inside, 0.0).tolist())

    def _out(self) -> np.ndarray:
        """The places of each part below which it is out."""
        return np.where(np.array(self.low) > 0, 0.0, max(self.out, ENDS))

    def _inside(self, place: np.ndarray) -> np.ndarray:
        """Which parts are in: those that are not out, and of these the nearest to being in, as many as it takes to make 1."""
        inside = place >= self._out()
        for part in np.argsort(-place, kind="stable"):
            if (np.array(self.high)[inside]).sum() >= 1 - ENDS:
                break
            inside[part] = True
        return np.flatnonzero(inside)


def _each(name: str, parts: Sequence[str], given: float | Mapping[str, float], other: float) -> tuple[float, ...]:
    if not isinstance(given, Mapping):
        return (float(given),) * len(parts)
    for part in given:
        if part not in parts:
            raise unknown(f"part of {name}", part, parts)
    return tuple(float(given.get(part, other)) for part in parts)


def _scaled(size: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Sizes times one number, none below or above its bounds, so that they sum to 1."""
    scales = np.sort(np.concatenate([low / size, high / size]))  # between two of them the sum is linear
    sums = np.clip(scales[:, None] * size, low, high).sum(axis=1)
    scaled: np.ndarray = np.clip(np.interp(1.0, sums, scales) * size, low, high)
    return scaled / scaled.sum()
