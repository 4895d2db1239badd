"""The scorer of spans: what it counts as a span, that padding changes nothing, and how spans are taken and drawn."""

import math

import pytest
import torch

from raylab.errors import UserError
from raylab.masking.learned.extractor import (
    NEVER,
    Extractor,
    ExtractorConfig,
    sampled_spans,
    span_log_probs,
    span_scores,
    top_spans,
)

KINDS = ("bilstm", "transformer")


def extractor(kind: str, **fields: int) -> Extractor:
    torch.manual_seed(0)
    return Extractor(ExtractorConfig(vocab_size=50, kind=kind, width=16, **fields)).eval()  # type: ignore[arg-type]


def log_probs(seed: int = 0, longest: int = 3, positions: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    start, end = torch.randn(2, 4, positions, generator=generator)
    allowed = torch.ones(4, positions, dtype=torch.bool)
    allowed[1, 3] = False
    allowed[2, 5:] = False
    allowed[3] = False
    return span_log_probs(start, end, allowed, longest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_passage_scores_the_same_alone_and_beside_a_longer_one(kind: str) -> None:
    model, ids = extractor(kind), torch.randint(0, 50, (2, 12), generator=torch.Generator().manual_seed(1))
    attention = torch.arange(12) < torch.tensor([[12], [7]])
    together = model(ids, attention)
    alone = model(ids[1:, :7], attention[1:, :7])
    for joint, single in zip(together, alone, strict=True):
        torch.testing.assert_close(joint[1:, :7], single)


def test_spans_are_a_distribution_over_what_may_be_hidden() -> None:
    log_p = log_probs()
    torch.testing.assert_close(log_p[:3].exp().sum(dim=(1, 2)), torch.ones(3))
    assert (log_p[3] == NEVER).all(), "a passage of which nothing may be hidden has no span"
    assert (log_p[1, 2, 1:] == NEVER).all() and (log_p[1, 3] == NEVER).all(), "a span crosses what may not be hidden"
    assert (log_p[0, 7, 1:] == NEVER).all(), "a span reaches past the end"


def test_a_span_scores_the_sum_of_its_ends() -> None:
    start, end = torch.tensor([[1.0, 0.0, 3.0]]), torch.tensor([[0.5, 2.0, -1.0]])
    log_p = span_log_probs(start, end, torch.ones(1, 3, dtype=torch.bool), 2)
    assert (log_p[0, 0, 1] - log_p[0, 2, 0]).item() == pytest.approx((1.0 + 2.0) - (3.0 - 1.0))


def test_the_best_spans_come_first_and_do_not_overlap() -> None:
    starts, ends, scores = top_spans(log_probs(), 4)
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    for row in range(4):
        taken = [set(range(a, b)) for a, b in zip(starts[row].tolist(), ends[row].tolist(), strict=True)]
        assert sum(map(len, taken)) == len(set().union(*taken))
    assert (starts[3] == ends[3]).all() and (scores[3] == NEVER).all()


def test_spans_are_drawn_with_their_odds() -> None:
    log_p = log_probs()[:1].expand(20_000, -1, -1)
    starts, ends, scores = sampled_spans(log_p, 1, 1.0, torch.Generator().manual_seed(3))
    drawn = torch.bincount(starts[:, 0] * 3 + ends[:, 0] - starts[:, 0] - 1, minlength=24) / 20_000
    expected = log_p[0].flatten().exp()
    assert (drawn - expected).abs().max() < 4 * math.sqrt(0.25 / 20_000)
    torch.testing.assert_close(scores, span_scores(log_p, starts, ends))
    coldest, _, _ = sampled_spans(log_p[:50], 1, 1e-3, torch.Generator().manual_seed(3))
    assert (coldest == top_spans(log_p[:1], 1)[0]).all(), "near temperature 0 the best span is drawn"


def test_scores_lead_gradients_back_to_the_extractor() -> None:
    model = extractor("bilstm")
    ids, there = torch.randint(0, 50, (2, 9)), torch.ones(2, 9, dtype=torch.bool)
    log_p = model.log_probs(ids, there, there)
    starts, ends, _ = sampled_spans(log_p, 2, 1.0, torch.Generator().manual_seed(0))
    span_scores(log_p, starts, ends).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "fields", [{"width": 0}, {"longest": 0}, {"kind": "gru"}, {"kind": "transformer", "width": 12}, {"dropout": 1.0}]
)
def test_a_configuration_that_cannot_be_is_told_in_one_line(fields: dict[str, object]) -> None:
    with pytest.raises(UserError, match="extractor"):
        ExtractorConfig(**{"vocab_size": 10, **fields})  # type: ignore[arg-type]
