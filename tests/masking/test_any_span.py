"""Any span is as likely as any other: counted over many draws."""

from collections import Counter

import numpy as np
import pytest

from raylab.errors import UserError
from raylab.masking.policies.any_span import AnySpan
from raylab.masking.policy import Passages


def passages(*maskable: list[int]) -> Passages:
    flat = np.array([bool(m) for row in maskable for m in row])
    return Passages(
        tokens_N=np.arange(len(flat)), starts_R1=np.cumsum([0, *map(len, maskable)]), maskable_N=flat,
        word_starts_N=np.ones(len(flat), bool), vocab_size=100, spans={}, weights={},
    )  # fmt: skip


def test_every_span_is_drawn_as_often_as_every_other() -> None:
    """One passage with a gap: spans of at most two tokens that do not cross it, and none of a passage with nothing to hide."""
    batch, rng = passages([0, 1, 1, 1, 0, 1], [0, 0]), np.random.default_rng(0)
    drawn = Counter(tuple(np.flatnonzero(AnySpan(longest=2).draw(batch, rng, 0.0).hidden_N).tolist()) for _ in range(6000))
    assert set(drawn) == {(1,), (2,), (3,), (5,), (1, 2), (2, 3)}
    assert all(count == pytest.approx(1000, abs=130) for count in drawn.values()), drawn


def test_each_passage_has_one() -> None:
    mask = AnySpan(longest=3).draw(passages([1] * 5, [1], [1] * 9), np.random.default_rng(0), 0.0)
    assert mask.begins_N.sum() == 3
    assert mask.begins_N[5]


def test_a_span_has_a_length() -> None:
    with pytest.raises(UserError, match="longest"):
        AnySpan(longest=0)
