"""The most memory that a run has held: this process's (Linux's VmHWM, which can be set back), and a GPU's.

Runs follow each other in one process, and what the ones before have left there is counted, too: a lane that grows shows.
Of runs that take turns in one process (raylab.training.company) each is told what all held since the last of them began.
"""

import contextlib
import sys
from pathlib import Path

import torch

from raylab.training.parallel import Parallel

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def begin(device: torch.device) -> None:
    """Forget what was held before, as far as the system allows: where it doesn't, the peak is that of the process so far."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peaks(parallel: Parallel) -> dict[str, int]:
    """Bytes by place, `host` and `gpu`, of the worker that held most there. Called by all workers."""
    rows = parallel.gather([held(parallel.device)], parallel.world)
    return {place: max(row[place] for row in rows) for place in rows[0]}


def held(device: torch.device) -> dict[str, int]:
    """This worker's own."""
    peak = {"host": _host_bytes()}
    return {**peak, "gpu": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else peak


def _host_bytes() -> int:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
