"""What training may know of being parallel: its rank, how many workers there are, and a few operations with them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from raylab.errors import OutOfMemory
from raylab.training.shared import SharedSum

if TYPE_CHECKING:
    from raylab.training.company import Company

T = TypeVar("T")
CPU = torch.device("cpu")
BUCKET_BYTES = 32 * 2**20  # gradients added up in one go: enough to fill a network, little beside a model


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallel:
    """This worker among `world` equal ones. Alone, every operation is the identity.

    hosts: the group through which processes tell each other things without waiting for their GPUs (None: the default).
    shared: what adds up through memory (None: it is done by messages). company: other runs of this process, with whose steps
    those of this one are computed (None: there are none).
    """

    rank: int = 0
    world: int = 1
    device: torch.device = CPU
    hosts: dist.ProcessGroup | None = field(default=None, compare=False)
    shared: SharedSum | None = field(default=None, compare=False)
    company: "Company | None" = field(default=None, compare=False)

    @classmethod
    def current(cls, device: torch.device) -> "Parallel":
        """The place of this process in the default process group, if there is one."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            rank, world = dist.get_rank(), dist.get_world_size()
            hosts = None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
            shared = SharedSum.among(rank, world) if device == CPU and hosts is None else None
            return cls(rank=rank, world=world, device=device, hosts=hosts, shared=shared)
        return cls(device=device)

    def together(self) -> AbstractContextManager[None]:
        """Around what each worker does alone: if one raises there, all do, and nobody waits for it in vain.

        Raises its own error on a worker that has one; elsewhere OutOfMemory if a worker ran out of memory, or a
        RuntimeError that names the worker and what it raised.
        """
        return self._all_or_none(self._tell) if self.world > 1 else nullcontext()

    def adding_gradients(self, parameters: Sequence[nn.Parameter]) -> AbstractContextManager[None]:
        """Around what each worker does alone to leave its part of a gradient in a model's parameters: after it, all have the sum.
        If one raises there, all do, as in `together`.

        Not by DistributedDataParallel, which adds gradients up inside the last backward pass: a worker that runs out of
        memory there leaves the others waiting, and could not begin the step again with fewer rows.
        """
        return self._all_or_none(partial(self._add_gradients, parameters)) if self.world > 1 else nullcontext()

    @contextmanager
    def _all_or_none(self, tell: Callable[[bool], bool]) -> Iterator[None]:
        """tell: tells the others whether this worker raised, and answers whether any did."""
        try:
            yield
        except Exception as error:  # whatever it is: the others hear of it before it goes on
            tell(True)
            self._explain(error)
            raise
        if tell(False):
            self._explain(None)

    def _tell(self, raised: bool) -> bool:
        count = torch.tensor([int(raised)])
        dist.all_reduce(count, group=self.hosts)
        return bool(count)

    def _add_gradients(self, parameters: Sequence[nn.Parameter], raised: bool) -> bool:
        """Add up the gradients of all workers, some megabytes at a time: one that a worker lacks is zero there, and one that
        all lack stays away. Answers whether a worker raised; then, nothing is added up.

        What a worker tells of itself goes ahead: on a CPU it is the head of the first message, for every message costs a
        wait for the slowest worker. Beside a GPU it is a message between the hosts, for reading it must not wait for the GPU.
        """
        if raised:
            forget_gradients(parameters)  # memory, perhaps, for what is sent now
        told = torch.tensor([raised, *(parameter.grad is not None for parameter in parameters)], dtype=torch.float32)
        own = (p.new_zeros(()).expand_as(p) if p.grad is None else p.grad for p in parameters)
        sums = self._sums(chain([told], own))
        raised_by, *held_by = next(sums).tolist()
        if not raised_by:
            for parameter, workers, gradient in zip(parameters, held_by, sums, strict=True):
                parameter.grad = gradient if workers else None
        return bool(raised_by)

    def _sums(self, tensors: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """The sum over workers of each of the tensors, which are taken as the sums are."""
        for bucket in _buckets(tensors):
            flat = self._sum(bucket)
            for part, tensor in zip(flat.split([tensor.numel() for tensor in bucket]), bucket, strict=True):
                yield part.view_as(tensor)

    def _sum(self, bucket: list[torch.Tensor]) -> torch.Tensor:
        """The sum over workers of tensors of one type and device, flat and one after the other."""
        if self.shared is not None:
            return self.shared.sum(bucket)
        flat = torch.cat([tensor.flatten() for tensor in bucket])
        dist.all_reduce(flat, group=self.hosts if flat.device == CPU else None)
        return flat

    def _explain(self, mine: Exception | None) -> None:
        """Tell the others of this worker's error, if it has one. Raises for theirs if it has none."""
        told: list[tuple[bool, str] | None] = [None] * self.world
        short = None if mine is None else (isinstance(mine, OutOfMemory), f"{type(mine).__name__}: {mine}")
        dist.all_gather_object(told, short, group=self.hosts)
        if mine is None:
            rank, (memory, text) = next((rank, one) for rank, one in enumerate(told) if one is not None)
            raise (OutOfMemory if memory else RuntimeError)(f"worker {rank} of {self.world}: {text}")

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


def forget_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Let parameters have no gradient. As nn.Module.zero_grad, which looks them all up anew."""
    for parameter in parameters:
        parameter.grad = None


def _buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The tensors in their order, in groups of one type, one device and about BUCKET_BYTES."""
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        alike = bucket and (tensor.dtype, tensor.device) == (bucket[0].dtype, bucket[0].device)
        if bucket and (size + tensor.nbytes > BUCKET_BYTES or not alike):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket
