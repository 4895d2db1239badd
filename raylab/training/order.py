"""Which rows each step reads: a pure function of the step, so that a run resumes anywhere without a data position.

Every epoch is a fresh permutation. Rows of like length share a batch (less padding): within a window of batches rows
are sorted by length and dealt out, then the window's batches are shuffled.
"""

from collections.abc import Sequence

import numpy as np

from raylab.errors import UserError
from raylab.seeds import derive

WINDOW = 16  # batches sorted together: wide enough for little padding, narrow enough to stay a shuffle


class Order:
    """Batches of at most `batch_size` row numbers out of those whose lengths are given. The tail of an epoch that
    fills no batch is left to later epochs, whose permutations differ. Raises UserError where there are no rows."""

    def __init__(self, lengths_P: Sequence[int] | np.ndarray, batch_size: int, seed: int) -> None:
        if not len(lengths_P):
            raise UserError("there are no rows to train on; expected at least one passage, or question, in the train split.")
        self.lengths_P = np.asarray(lengths_P)
        self.batch_size = min(batch_size, len(self.lengths_P))
        self.batches_per_epoch = len(self.lengths_P) // self.batch_size
        self._seed = seed
        self._epoch: tuple[int, np.ndarray] | None = None

    def rows(self, step: int) -> np.ndarray:
        """The rows of the global batch of `step` (from 0), longest first."""
        epoch, index = divmod(step, self.batches_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._shuffled(epoch)
        return self._epoch[1][index]

    def _shuffled(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(derive(self._seed, "epoch", epoch))
        rows = rng.permutation(len(self.lengths_P))[: self.batches_per_epoch * self.batch_size]
        batches = []
        for begin in range(0, len(rows), WINDOW * self.batch_size):
            window = rows[begin : begin + WINDOW * self.batch_size]
            window = window[np.argsort(-self.lengths_P[window], kind="stable")].reshape(-1, self.batch_size)
            batches.append(window[rng.permutation(len(window))])
        return np.concatenate(batches)
