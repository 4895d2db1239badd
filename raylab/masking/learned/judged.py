"""How well an extractor finds what is asked: precision and recall of whole spans, on questions it was not taught.

A span counts only if both of its ends are right. Intervals are Wilson's for a share of independent trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.pairs import Asked
from raylab.masking.learned.scoring import Reading, best_spans

AT = (1, 5)  # spans a passage


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """By k: of the k best spans of each passage how many are asked (hits of spans), and how many questions are among them
    (answered of questions)."""

    hits: dict[int, int]
    spans: dict[int, int]
    answered: dict[int, int]
    questions: int

    def score(self) -> tuple[float, float]:
        """What an epoch is chosen by: the recall of the few best spans, then of the best."""
        return tuple(self.answered[k] for k in sorted(AT, reverse=True))  # type: ignore[return-value]

    def evidence(self) -> dict[str, dict[str, float]]:
        """The measures with 95 % intervals, as a card holds them; none without a question."""
        if not self.questions:
            return {}
        precision = {f"dev precision at {k}": _share(self.hits[k], self.spans[k]) for k in AT}
        return {**precision, **{f"dev recall at {k}": _share(self.answered[k], self.questions) for k in AT}}


def judged(extractor: Extractor, reading: Reading, asked: Sequence[Asked]) -> Found:
    """What the extractor's best spans find of these questions, in the passages that answer them."""
    rows_R = np.array(sorted({pair.row for pair in asked}), dtype=np.int64)
    best = _best(extractor, reading.rows(rows_R), max(AT))
    ranked = {int(row): spans for row, spans in zip(rows_R, best, strict=True)}
    wanted: dict[int, set[tuple[int, int]]] = {int(row): set() for row in rows_R}
    for pair in asked:
        wanted[pair.row] |= set(pair.spans)
    return Found(
        hits={k: sum(len(wanted[row] & set(spans[:k])) for row, spans in ranked.items()) for k in AT},
        spans={k: sum(len(spans[:k]) for spans in ranked.values()) for k in AT},
        answered={k: sum(not set(pair.spans).isdisjoint(ranked[pair.row][:k]) for pair in asked) for k in AT},
        questions=len(asked),
    )


def _best(extractor: Extractor, reading: Reading, count: int) -> list[list[tuple[int, int]]]:
    """The best spans of each passage, best first, from the passage's first token on."""
    extractor.eval()
    spans_S3 = best_spans(extractor, reading, count)
    row_S = np.searchsorted(reading.starts_P1, spans_S3[:, 0], side="right") - 1
    best: list[list[tuple[int, int]]] = [[] for _ in range(len(reading.lengths_P))]
    for i in np.argsort(-spans_S3[:, 2], kind="stable"):
        begin = reading.starts_P1[row_S[i]]
        best[row_S[i]].append((int(spans_S3[i, 0] - begin), int(spans_S3[i, 1] - begin)))
    return best


def _share(hits: int, trials: int) -> dict[str, float]:
    from scipy.stats import binomtest  # a second of import, for a card alone

    interval = binomtest(hits, trials).proportion_ci(method="wilson") if trials else None
    return {"value": hits / trials, "low": float(interval.low), "high": float(interval.high)} if interval else {"value": 0.0}
