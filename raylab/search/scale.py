"""A domain's scale: its values as shares between 0 and 1, evenly on a logarithm where the domain has one."""

import math
from typing import Any

from raylab.search.space import Domain


def at(domain: Domain, share: float) -> Any:
    """The value at this share, from 0 up to, but not including, 1."""
    if domain.options:
        return domain.options[int(share * len(domain.options))]
    low, beyond = domain.low, domain.high + domain.integer  # a whole number is the floor of what is drawn
    value = low * (beyond / low) ** share if domain.log else low + (beyond - low) * share
    return math.floor(value) if domain.integer else min(value, domain.high)  # powers round


def share_of(domain: Domain, value: float) -> float:
    """The share at which a number lies, a whole number in the middle of its own: `at` gives the number back."""
    low, beyond = domain.low, domain.high + domain.integer
    centre = value + 0.5 * domain.integer
    if beyond == low:
        return 0.5
    return math.log(centre / low) / math.log(beyond / low) if domain.log else (centre - low) / (beyond - low)
