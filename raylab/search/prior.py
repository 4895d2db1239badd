"""Warm start: what earlier studies found best, on whatever data, is tried first.

After Feurer, Springenberg and Hutter (2015, AAAI 29, "Initializing Bayesian hyperparameter optimization via
meta-learning"): a search begins with the best configurations of earlier ones, those on the most similar data first. How
similar two corpora are is one minus the Jensen-Shannon divergence of their distributions of words, which picks training
data for a domain better than its rivals (Plank and van Noord 2011, ACL 49; Ruder and Plank 2017, EMNLP).

At most a quarter of the trials begin so. They go to the studies in turn by similarity (D'Hondt's highest averages), and
none gets more than its similarity's share of that quarter, one at least.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from raylab.errors import UserError
from raylab.search.lineage import Earlier
from raylab.search.measure import Measure
from raylab.search.space import Setting, Space

SHARE = 0.25  # of the trials
SAMPLE_BYTES, PIECES = 16_000_000, 256  # of a corpus, spread evenly over it
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """An earlier study to learn from. similarity: of its data to the new study's, from 0 to 1; None if its data are gone.
    choices: its best ones that the new space can take, by name, the best first; then those that are to be tried."""

    study: str
    similarity: float | None
    choices: Sequence[dict[str, Any]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """As the ledger holds it."""
        return {"study": self.study, "similarity": self.similarity, "choices": list(self.choices)}


def best_choices(earlier: Earlier, space: Space, setting: Setting) -> list[dict[str, Any]]:
    """What an earlier study's finished trials chose, as far as the new space can take it, the best estimate first."""
    measure = Measure.of(earlier.study)
    estimates = measure.estimates(list(earlier.study.runs.values()))
    trials = [run for run in earlier.study.of_role("explore") if run.key in estimates]
    sign = -1.0 if measure.higher_is_better else 1.0
    found: list[dict[str, Any]] = []
    for run in sorted(trials, key=lambda run: sign * estimates[run.key].score):
        try:
            values = space.decode(earlier.chosen(run), setting)[1]
        except UserError:  # a choice that is not in the new space
            continue
        if values not in found:
            found.append(values)
    return found


def shared_out(priors: Sequence[Prior], trials: int) -> list[Prior]:
    """The priors, the most similar first, with the choices that each of them gives a study of so many trials."""
    most = max(1, round(SHARE * trials))
    ordered = sorted(priors, key=_weight, reverse=True)
    given: dict[str, list[dict[str, Any]]] = {prior.study: [] for prior in ordered}
    taken: list[dict[str, Any]] = []
    while len(taken) < most:
        left = [(prior, next((c for c in prior.choices if c not in taken), None)) for prior in ordered]
        open_to = [(p, c) for p, c in left if c is not None and len(given[p.study]) < max(1, math.ceil(_weight(p) * most))]
        if not open_to:
            break
        prior, choice = max(open_to, key=lambda pair: _weight(pair[0]) / (len(given[pair[0].study]) + 1))
        given[prior.study].append(choice)
        taken.append(choice)
    return [Prior(study=prior.study, similarity=prior.similarity, choices=given[prior.study]) for prior in ordered]


def similarity(ours: Counter[str], theirs: Counter[str]) -> float:
    """One minus the Jensen-Shannon divergence (in bits) of two distributions of words: 1 if they are the same, 0 without a word
    in common."""
    words = sorted(ours.keys() | theirs.keys())
    if not ours or not theirs:
        return 0.0
    distance = jensenshannon(*(np.array([counts[word] for word in words], dtype=float) for counts in (ours, theirs)), base=2)
    return float(np.clip(1 - distance**2, 0.0, 1.0))


def words_of(texts: bytes) -> Counter[str]:
    """How often each word stands in a corpus's texts (UTF-8), without regard to case; in a sample of a large one."""
    size = SAMPLE_BYTES // PIECES
    pieces = (
        [texts]
        if len(texts) <= SAMPLE_BYTES
        else [texts[at : at + size] for at in range(0, len(texts) - size, len(texts) // PIECES)]
    )
    return Counter(word for piece in pieces for word in _WORD.findall(piece.decode(errors="ignore").lower()))


def _weight(prior: Prior) -> float:
    return prior.similarity or 0.0
