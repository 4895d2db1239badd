"""What training may know of being parallel: its rank, how many workers there are, and a few operations with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from raylab.errors import OutOfMemory

T = TypeVar("T")
CPU = torch.device("cpu")
BUCKET_BYTES = 32 * 2**20  # gradients added up in one go: enough to fill a network, little beside a model


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallel:
    """This worker among `world` equal ones. Alone, every operation is the identity.

    hosts: the group through which processes tell each other things without waiting for their GPUs (None: the default).
    """

    rank: int = 0
    world: int = 1
    device: torch.device = CPU
    hosts: dist.ProcessGroup | None = field(default=None, compare=False)

    @classmethod
    def current(cls, device: torch.device) -> "Parallel":
        """The place of this process in the default process group, if there is one."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            hosts = None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
            return cls(rank=dist.get_rank(), world=dist.get_world_size(), device=device, hosts=hosts)
        return cls(device=device)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what each worker does alone: if one raises there, all do, and nobody waits for it in vain.

        Raises its own error on a worker that has one; elsewhere OutOfMemory if a worker ran out of memory, or a
        RuntimeError that names the worker and what it raised.
        """
        if self.world == 1:
            yield
            return
        try:
            yield
        except Exception as error:  # whatever it is: the others hear of it before it goes on
            self._tell(error)
            raise
        self._tell(None)

    def _tell(self, mine: Exception | None) -> None:
        """Tell the others of this worker's error. Raises for theirs if this worker has none."""
        raised = torch.tensor([int(mine is not None)])
        dist.all_reduce(raised, group=self.hosts)
        if not raised:
            return
        told: list[tuple[bool, str] | None] = [None] * self.world
        short = None if mine is None else (isinstance(mine, OutOfMemory), f"{type(mine).__name__}: {mine}")
        dist.all_gather_object(told, short, group=self.hosts)
        if mine is None:
            rank, (memory, text) = next((rank, one) for rank, one in enumerate(told) if one is not None)
            raise (OutOfMemory if memory else RuntimeError)(f"worker {rank} of {self.world}: {text}")

    def sum_gradients(self, model: nn.Module) -> None:
        """Add up the gradients of all workers, some megabytes at a time.

        Not by DistributedDataParallel, which adds them up inside the last backward pass: a worker that runs out of
        memory there leaves the others waiting, and could not begin the step again with fewer rows.
        """
        if self.world > 1:
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            for bucket in _buckets(gradients):
                flat = torch.cat([gradient.flatten() for gradient in bucket])
                dist.all_reduce(flat)
                parts = flat.split([gradient.numel() for gradient in bucket])
                torch._foreach_copy_(bucket, [part.view_as(g) for part, g in zip(parts, bucket, strict=True)])

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
        dist.broadcast_object_list(box, src=0, group=self.hosts)
        return box[0]

    def gather(self, rows: list[T], count: int) -> list[T]:
        """The `count` rows of which every worker holds its shard, in their order, on every worker."""
        if self.world == 1:
            return rows
        shards: list[list[T]] = [[] for _ in range(self.world)]
        dist.all_gather_object(shards, rows, group=self.hosts)
        return [shards[i % self.world][i // self.world] for i in range(count)]

    def shard(self, count: int) -> slice:
        """This worker's part of `count` rows: every world-th, so that sorted rows spread evenly."""
        return slice(self.rank, count, self.world)


def _buckets(tensors: list[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The tensors in their order, in groups of one type and about BUCKET_BYTES."""
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.nbytes > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket
