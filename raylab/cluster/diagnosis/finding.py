"""What a check of `raylab doctor` found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]
HERE = "this machine"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at, on one machine.

    state: ok; warn (a search works, worse than it could); fail (it would stop, or mix up results).
    advice: what to do about it, empty if all is well.
    """

    where: str
    check: str
    state: State
    found: str
    advice: str = ""
