"""Micro-batches that fit: as many rows at once as a device takes, learned by trying, and remembered.

What is remembered of a model on a device is a number of padded tokens, not of rows: batches differ in width, and a
limit that was learned on long passages should not make short questions slow.
"""

import gc
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from raylab.errors import OutOfMemory

T = TypeVar("T")
_log = logging.getLogger(__name__)
# lacks of memory that torch raises as a plain RuntimeError
_PLAIN = ("DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


class Memory:
    """The limits that are known of the models of this process, and in `folder` those that any process of this storage
    found (None: nowhere). One small file each; deleting one forgets its limit."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._fits: dict[str, Fit] = {}

    def of(self, model: nn.Module, purpose: str, device: torch.device) -> "Fit":
        """What fits of `model` on `device` for a purpose, such as training in bfloat16."""
        size = sum(parameter.numel() for parameter in model.parameters())
        config: Any = model.config
        what = f"{config.model_type} of {size} parameters, {purpose}, on {_described(device)}"
        if what not in self._fits:
            self._fits[what] = Fit(what, device, self.folder / f"{_file_name(what)}.json" if self.folder else None)
        return self._fits[what]


class Fit:
    """How much of one model one device takes at once: at most `tokens` padded tokens (0: not known to be limited)."""

    def __init__(self, what: str, device: torch.device, file: Path | None = None) -> None:
        self.what, self.device, self.file = what, device, file
        self.tokens = _read(file) if file else 0

    def rows(self, wanted: int, width: int) -> int:
        """How many of `wanted` rows of `width` tokens to compute at once, at least one."""
        return min(wanted, max(1, self.tokens // width)) if self.tokens else wanted

    def attempt(self, compute: Callable[[int], T], wanted: int, width: int) -> T:
        """compute(rows) with as many rows as fit: half as many each time that memory runs out.

        `compute` begins anew at each call. Raises OutOfMemory if not even one row fits.
        """
        while True:
            rows = self.rows(wanted, width)
            try:
                return compute(rows)
            except RuntimeError as error:
                if not ran_out(error):
                    raise
                reason = _first_line(error)
            _release(self.device)  # out here the error is gone, and with it the tensors that its traceback held
            if rows == 1:
                raise OutOfMemory(
                    f"one row of {width} tokens does not fit ({self.what}): {reason}. Take a smaller model, shorter "
                    "passages, or a larger device."
                )
            self._learn(rows // 2, width)

    def _learn(self, rows: int, width: int) -> None:
        self.tokens = rows * width
        where = f"; remembered in {self.file}" if self.file else ""
        _log.warning("out of memory (%s): going on with %d rows of %d tokens at once%s", self.what, rows, width, where)
        if self.file:
            try:
                _write(self.file, {"what": self.what, "tokens": min(_read(self.file) or self.tokens, self.tokens)})
            except OSError as error:  # a full disk, say: the run needs no file to go on
                _log.warning("%s can not be written: %s", self.file, error)


@contextmanager
def told() -> Iterator[None]:
    """Inside, memory that runs out where there is nothing to halve is raised as OutOfMemory."""
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise OutOfMemory(f"the model and its optimizer do not fit: {_first_line(error)}. Take a smaller model.") from error


def ran_out(error: BaseException) -> bool:
    """Is it a device's, or the machine's, lack of memory?"""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _PLAIN)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _release(device: torch.device) -> None:
    gc.collect()  # modules and errors are held in cycles
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _described(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    about = torch.cuda.get_device_properties(device)
    return f"{about.name} of {about.total_memory / 2**30:.0f} GiB"


def _file_name(what: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in what).split())


def _read(file: Path) -> int:
    """The limit in a file, or 0 where there is none, or none that can be read: it would only be learned again."""
    try:
        tokens = json.loads(file.read_text(encoding="utf-8"))["tokens"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return tokens if isinstance(tokens, int) and tokens > 0 else 0


def _write(file: Path, value: dict[str, str | int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{uuid.uuid4().hex}")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.rename(file)
