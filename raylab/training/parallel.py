"""What training may know of being parallel: its rank, how many workers there are, and two operations with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallel:
    """This worker among `world` equal ones. Alone, every operation is the identity."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @classmethod
    def current(cls, device: torch.device) -> "Parallel":
        """The place of this process in the default process group, if there is one."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            return cls(rank=dist.get_rank(), world=dist.get_world_size(), device=device)
        return cls(device=device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over workers at the last micro-batch of a step."""
        if self.world == 1:
            return model
        return DistributedDataParallel(model, broadcast_buffers=False)

    @contextmanager
    def accumulating(self, model: nn.Module, more: bool) -> Iterator[None]:
        """Inside, gradients stay on this worker if `more` micro-batches of the step follow."""
        if more and isinstance(model, DistributedDataParallel):
            with model.no_sync():
                yield
        else:
            yield

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over workers."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def share(self, value: object) -> object:
        """Rank 0's value, on every worker."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, rows: list[T], count: int) -> list[T]:
        """The `count` rows of which every worker holds its shard, in their order, on every worker."""
        if self.world == 1:
            return rows
        shards: list[list[T]] = [[] for _ in range(self.world)]
        dist.all_gather_object(shards, rows)
        return [shards[i % self.world][i // self.world] for i in range(count)]

    def shard(self, count: int) -> slice:
        """This worker's part of `count` rows: every world-th, so that sorted rows spread evenly."""
        return slice(self.rank, count, self.world)
