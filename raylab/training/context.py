"""What a stage may use of the world: the prepared data, its seeds, its place among workers, checkpoints, memory."""

from dataclasses import dataclass, field

from raylab.data.prepared import Prepared
from raylab.seeds import Seeds
from raylab.training.checkpoint import Checkpoints
from raylab.training.memory import Memory
from raylab.training.parallel import Parallel


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """stage: the name under which checkpoints know the running stage (its position and its kind)."""

    data: Prepared
    seeds: Seeds
    parallel: Parallel = field(default_factory=Parallel)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    memory: Memory = field(default_factory=Memory)
    stage: str = ""
    precision: str = "float32"
