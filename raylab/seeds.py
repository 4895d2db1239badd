"""Every random number of raylab comes from `derive`: a study's seed and a path of names, never a global state.

Replicates of two recipes share their seeds, so that they are compared in pairs: the same batches, the same
initial weights, the same order of questions, whatever else differs.
"""

import hashlib
from dataclasses import dataclass

STREAMS = ("init", "data", "mask", "finetune", "eval")


def derive(seed: int, *path: int | str) -> int:
    """A 63-bit seed that depends on `seed` and every element of `path`, and is the same on every machine."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeds:
    """The seeds of one run, one a stream."""

    init: int
    data: int
    mask: int
    finetune: int
    eval: int

    @classmethod
    def of(cls, study_seed: int, replicate: int) -> "Seeds":
        """The seeds of replicate `replicate`: 0 is exploration, 1..n are the verdict's."""
        return cls(**{stream: derive(study_seed, replicate, stream) for stream in STREAMS})
