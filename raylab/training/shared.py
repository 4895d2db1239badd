"""Adding up what the workers of one machine have, through memory that they share.

Over gloo each byte of a sum is copied into the kernel and out of it, on both of its two ways. Here a worker writes its
part once and reads those of the others; all that goes over gloo is the word that it has written. For the 3.2 MB of the
tiny model's gradients that takes half of the time, and half of the processor time.

The memory has no name that a killed worker could leave behind: Linux frees it with the last process that has it open.
"""

import mmap
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist

_NAME = "raylab-sum"
_Told = tuple[str, int, int, bytes]  # the boot's id, the process, the number of its file, and what stands in that


class SharedSum:
    """Sums over all workers, who each have two rooms and write into them in turn: a worker that writes into one again has
    heard of everybody since, so that nobody still reads it."""

    def __init__(self, rank: int, files: Sequence[int]) -> None:
        self.rank, self._files = rank, files
        self._memories: list[mmap.mmap] = []
        self._room_bytes = 0
        self._turn = 0

    @classmethod
    def among(cls, rank: int, world: int) -> "SharedSum | None":
        """Called by all workers. None for all if they are not on one machine, if that is not one of Linux, or if they may not
        open each other's memory."""
        own, mark = (os.memfd_create(_NAME) if hasattr(os, "memfd_create") else -1), secrets.token_bytes(16)
        if own >= 0:
            os.write(own, mark)
        told: list[_Told | None] = [None] * world
        dist.all_gather_object(told, (_boot(), os.getpid(), own, mark))
        files = [_opened(one) for one in told if one is not None]
        missing = torch.tensor([files.count(-1)])
        dist.all_reduce(missing)
        for file in [own, *(files if missing else [])]:
            if file >= 0:
                os.close(file)
        return None if missing else cls(rank, files)

    def sum(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """The sum over workers of these tensors of one type, flat and one after the other, added in the order of ranks. Called
        by all workers, with tensors of the same sizes."""
        count, kind = sum(tensor.numel() for tensor in tensors), tensors[0].dtype
        if count * kind.itemsize > self._room_bytes:
            self._grow(count * kind.itemsize)
        self._turn = 1 - self._turn
        start = self._turn * self._room_bytes
        rooms = [torch.frombuffer(memory, dtype=kind, count=count, offset=start) for memory in self._memories]
        torch.cat([tensor.flatten() for tensor in tensors], out=rooms[self.rank])
        _meet()
        total = rooms[0] + rooms[1]
        for room in rooms[2:]:
            total += room
        return total

    def _grow(self, size: int) -> None:
        """Make all rooms hold `size` bytes."""
        self._room_bytes = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(self._files[self.rank], 2 * self._room_bytes)
        _meet()  # beyond the end of a file that is yet to grow there is no memory
        self._memories = [mmap.mmap(file, 2 * self._room_bytes) for file in self._files]


def _meet() -> None:
    """Wait for all workers."""
    dist.all_reduce(torch.zeros(1))


def _boot() -> str:
    """What tells this machine, since it was started, from any other."""
    known = Path("/proc/sys/kernel/random/boot_id")
    return known.read_text() if known.exists() else ""


def _opened(told: _Told) -> int:
    """The memory that a worker told of, as a file of this process; -1 if it cannot be had here."""
    boot, process, file, mark = told
    place = f"/proc/{process}/fd/{file}"
    try:
        if boot != _boot() or not os.readlink(place).startswith(f"/memfd:{_NAME}"):
            return -1
        opened = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # of another container, or user
        return -1
    if os.pread(opened, len(mark), 0) == mark:
        return opened
    os.close(opened)
    return -1
