"""Figures of a comparison in words, for tables."""

from raylab.verdict.paired import Estimate


def told_difference(difference: Estimate, digits: int) -> str:
    """ "-1.28 [-2.49, -0.07]"; "-" where nothing finished."""
    limits = difference.interval
    return with_limits(difference.mean, limits.low if limits else None, limits.high if limits else None, digits)


def with_limits(mean: float | None, low: float | None, high: float | None, digits: int) -> str:
    """A signed figure with its interval, as far as there is one."""
    if mean is None:
        return "-"
    limits = "" if low is None or high is None else f" [{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"{mean:+.{digits}f}{limits}"
