"""Several comparisons beside the headline: one error rate for all of them.

Holm (1979, Scandinavian Journal of Statistics 6): the smallest of m p values is tested at 5 % / m, the next at 5 % / (m - 1)
and so on; from the first that fails on, nothing counts as different. The chance of any false one is at most 5 %, however
the comparisons depend on each other.
"""

from collections.abc import Sequence

ERROR = 0.05


def levels(p_values: Sequence[float]) -> list[float]:
    """The level at which each is to be tested on its own; its interval at 1 - level agrees with Holm's decision."""
    found = [0.0] * len(p_values)
    level = None
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        step = ERROR / (len(p_values) - rank)
        found[index] = step if level is None else level
        if level is None and p_values[index] >= step:
            level = step
    return found


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Each p value as it stands among all of them: below 5 % where Holm's procedure finds a difference."""
    found = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = found[index] = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
    return found
