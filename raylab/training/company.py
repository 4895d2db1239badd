"""Runs that share a process and its device: their training steps are computed as one where that pays.

A small model leaves most of a GPU idle: what a step costs is the start of its many operations, not their work. Here each of
several runs has a thread of its own, and one of them works at a time: it hands over where it waits, for somebody outside or
for the gradients of a step. When all wait for gradients, those of models of one shape and one loss are computed as one
model whose weights have one more dimension (torch.func: the loss mapped over the stacked weights and batches), and the
others one after the other. Data order, masks, learning rate, schedule and end stay each run's own, and its loss is that of
the run alone, up to the order of float additions.

What can not be mapped (dropout, or a loss whose shapes follow from what it reads) is computed
alone. Whether the stack pays is measured on the first steps of each shape, on this device, and remembered.
"""

import logging
import queue
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import pad

from raylab.masking.corrupt import IGNORED
from raylab.training.batching import MicroBatch

Loss = Callable[[Any, MicroBatch], torch.Tensor]
TRIALS = 3  # of either way, before one of them is chosen
_log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True, eq=False)
class Work:
    """One micro-batch of one model, whose gradient is wanted. share: what the summed loss is multiplied by. seed: of dropout.

    waited_s: for others, before it was computed and while they were; of what it took together with them a part is its own.
    """

    model: nn.Module
    loss: Loss
    batch: MicroBatch
    share: float
    seed: int
    precision: str = "float32"
    waited_s: float = field(default=0.0, init=False)
    result: torch.Tensor | None = field(default=None, init=False)
    error: BaseException | None = field(default=None, init=False)

    def compute(self) -> torch.Tensor:
        """Add its gradient to the model's parameters; return the summed loss, detached."""
        torch.manual_seed(self.seed)
        with torch.autocast(self.batch.labels_BU.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            loss = self.loss(self.model, self.batch)
        (loss * self.share).backward()
        return loss.detach()

    def over(self) -> bool:
        """Has it been computed, or failed?"""
        return self.result is not None or self.error is not None

    def settle(self) -> None:
        """Compute it, and keep what comes of that."""
        try:
            self.result = self.compute()
        except Exception as error:  # the run's own, raised where it waits
            self.error = error

    def shape(self) -> tuple[Any, ...]:
        """What works must have in common to be stacked: the loss, and the shapes of weights and of rows."""
        batch = self.batch
        if type(batch) is not MicroBatch:  # it says more of its rows than tensors can
            return (self,)
        weights = tuple((name, tuple(p.shape), p.dtype, p.requires_grad) for name, p in self.model.named_parameters())
        rows = tuple(batch.input_ids_BT.shape[1:-1]), batch.labels_BU.ndim, batch.segments_BT is None
        return self.loss, self.precision, type(self.model), rows, weights


class Company:
    """The runs of a process. A run's thread enters as a `member`, is `outside` while it waits for others than these, and asks
    for `gradients`."""

    def __init__(self) -> None:
        self._turn = threading.Condition()  # whoever holds it works
        self._counting = threading.Lock()
        self._inside = 0  # with those who wait for their turn to come in
        self._waiting: list[Work] = []
        self._choices: dict[tuple[Any, ...], _Choice] = {}

    def seat(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Do these jobs, each as a member in a thread of its own. Raises the first error of one, at once: the others are left
        behind, in a process that is to end."""
        ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        for number, job in enumerate(jobs):
            threading.Thread(target=self._do, args=(job, ends), name=f"raylab-seat-{number}", daemon=True).start()
        for _ in jobs:
            if (error := ends.get()) is not None:
                raise error

    def _do(self, job: Callable[[], None], ends: "queue.SimpleQueue[BaseException | None]") -> None:
        try:
            with self.member():
                job()
        except BaseException as error:  # whatever it is, whoever started it hears of it
            ends.put(error)
        else:
            ends.put(None)

    @contextmanager
    def member(self) -> Iterator[None]:
        """Around a run's thread."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Around a member's wait for others than these: they go on meanwhile."""
        self._leave()
        try:
            yield
        finally:
            self._enter()

    def _enter(self) -> None:
        with self._counting:  # before it has the turn: those inside would go on without it, and never hand over
            self._inside += 1
        self._turn.acquire()

    def _leave(self) -> None:
        with self._counting:
            self._inside -= 1
        self._turn.notify_all()  # perhaps the others all wait by now
        self._turn.release()

    def gradients(self, work: Work) -> torch.Tensor:
        """Add the work's gradient to its model's parameters, together with the others' where that pays; return its summed loss,
        detached. Raises what the computation raised for this work."""
        begun = time.perf_counter()
        self._waiting.append(work)
        while not work.over():
            if len(self._waiting) == self._inside:
                self._compute()
            else:
                self._turn.wait()
        work.waited_s += time.perf_counter() - begun
        if work.error is not None:
            raise work.error
        assert work.result is not None
        return work.result

    def _compute(self) -> None:
        groups: dict[tuple[Any, ...], list[Work]] = defaultdict(list)
        for work in self._waiting:
            groups[work.shape()].append(work)
        self._waiting.clear()
        for shape, works in groups.items():
            begun = time.perf_counter()
            if len(works) > 1:
                _computed(works, self._choices.setdefault((*shape, len(works)), _Choice()))
            else:
                works[0].settle()
            for work in works:
                work.waited_s -= (time.perf_counter() - begun) / len(works)
        self._turn.notify_all()


@dataclass(slots=True)
class _Choice:
    """Whether works of one shape are stacked: found out by doing it either way in turn, first one after the other.

    used: the names of the weights that a work alone leaves a gradient in.
    """

    seconds: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    settled: bool | None = None
    used: frozenset[str] = frozenset()

    def stack(self) -> bool:
        """Stack them this time?"""
        return len(self.seconds[True]) < len(self.seconds[False]) if self.settled is None else self.settled

    def took(self, stacked: bool, seconds: float) -> None:
        """How long it took one way. The first time of each is warming up."""
        self.seconds[stacked].append(seconds)
        if self.settled is None and min(map(len, self.seconds.values())) > TRIALS:
            together, alone = (statistics.median(self.seconds[way][1:]) for way in (True, False))
            self.settled = together < alone
            _log.info("steps together take %.2f of the time that they take one after the other", together / alone)


def _computed(works: Sequence[Work], choice: _Choice) -> None:
    """Compute works of one shape."""
    device, measured = works[0].batch.labels_BU.device, choice.settled is None
    begun = _done(device) if measured else 0.0
    stack = choice.stack()
    if stack and not stacked(works, choice.used):
        choice.settled = stack = False
    if not stack:
        for work in works:
            work.settle()
        choice.used = frozenset(name for name, p in works[0].model.named_parameters() if p.grad is not None)
    if choice.settled is None:
        choice.took(stack, _done(device) - begun)


def _done(device: torch.device) -> float:
    """The time, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def stacked(works: Sequence[Work], used: Set[str]) -> bool:
    """Compute them as one model; False, and nothing is changed, if that can not be. used: the weights that get a gradient: one
    of zeros would let the optimizer decay the others."""
    try:
        gradients, losses_K = _mapped(works)
        # laid out as the parameter is: a fused optimizer reads both alike
        own = {name: [gradient.contiguous() for gradient in gradients[name]] for name in used}
    except Exception as error:  # a model's code that can not be mapped raises what it likes; alone it raises what is the run's
        _log.info("steps are computed one after the other: %s", (str(error).strip().splitlines() or [repr(error)])[0])
        return False
    for number, work in enumerate(works):
        for name, parameter in work.model.named_parameters():
            if name in used:
                parameter.grad = own[name][number] if parameter.grad is None else parameter.grad.add_(own[name][number])
        work.result = losses_K[number]
    return True


class _Scored(nn.Module):
    """A model with its loss, as one module whose weights can be put in from outside."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: MicroBatch) -> torch.Tensor:
        return self.loss(self.model, batch)


def _mapped(works: Sequence[Work]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The gradients of all weights (K, ...), and every work's summed loss (K,)."""
    first, batches = works[0], [work.batch for work in works]
    parameters, buffers = stack_module_state([work.model for work in works])
    weights = {name: weight.detach() for name, weight in parameters.items()}
    scored = _Scored(first.model, first.loss)

    def loss(weights: Any, buffers: Any, share: Any, ids_BT: Any, there_BT: Any, labels_BU: Any, segments_BT: Any) -> Any:
        batch = MicroBatch(input_ids_BT=ids_BT, attention_BT=there_BT, labels_BU=labels_BU, segments_BT=segments_BT)
        state = {f"model.{name}": tensor for name, tensor in (weights | buffers).items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=first.precision == "bfloat16"):
            summed = functional_call(scored, state, (batch,))
        return summed * share, summed

    device = first.batch.labels_BU.device
    columns = (
        torch.tensor([work.share for work in works], device=device),
        _padded([batch.input_ids_BT for batch in batches], 0),
        _there([batch.attention_BT for batch in batches]),
        _padded([batch.labels_BU for batch in batches], IGNORED),
        None if first.batch.segments_BT is None else _padded([batch.segments_BT for batch in batches], 0),
    )
    dimensions = (0, 0, *(None if column is None else 0 for column in columns))
    gradients, (_, losses_K) = vmap(grad_and_value(loss, has_aux=True), in_dims=dimensions)(weights, buffers, *columns)
    return gradients, losses_K


def _there(found: Sequence[torch.Tensor]) -> torch.Tensor:
    """Which tokens there are. A row that only fills a smaller batch up has one, or attention would have nothing to look at."""
    there = _padded(found, False)
    there[..., 0] = True
    return there


def _padded(found: Sequence[Any], value: int) -> torch.Tensor:
    """Rows of several batches (B, ..., T), each filled up to the most rows and the longest of them: (K, B, ..., T)."""
    rows, width = max(len(one) for one in found), max(one.shape[-1] for one in found)
    filled = []
    for one in found:
        sides = [0, width - one.shape[-1], *[0, 0] * (one.ndim - 2), 0, rows - len(one)]
        filled.append(pad(one, sides, value=value))
    return torch.stack(filled)
