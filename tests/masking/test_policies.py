"""Every masking policy, found by its file, holds the same promises."""

from dataclasses import replace

import numpy as np
import pytest

from raylab.masking.corrupt import corrupt, mlm
from raylab.masking.policies.learned import Learned
from raylab.masking.policies.random_spans import RandomSpans
from raylab.masking.policy import Mask, Passages, Policy, Spans
from raylab.masking.sampling import words
from raylab.masking.schedule import RatedPolicy
from raylab.recipe import decode, encode, knobs
from tests.masking.batches import BART, EOS, T5, annotated, mask_from, passages_of, ragged, rebuilt

NAMES = Policy.registry.names()
RATED = [name for name in NAMES if issubclass(Policy.registry.get(name), RatedPolicy)]
EXTREMES = (0.0, 0.01, 0.5, 0.99, 1.0)


def variants(name: str) -> list[Policy]:
    """A policy with its defaults, and, where it has a rate, at extreme rates."""
    kind = Policy.registry.get(name)
    return [kind(), *(kind(rate=rate) for rate in EXTREMES if name in RATED)]


def draw(policy: Policy, passages: Passages, seed: int = 0, progress: float = 0.5) -> Mask:
    return policy.draw(passages, np.random.default_rng(seed), progress)


def row_of(passages: Passages) -> np.ndarray:
    return np.repeat(np.arange(len(passages.starts_R1) - 1), np.diff(passages.starts_R1))


def test_the_policies_that_the_issue_asks_for_are_there() -> None:
    assert set(NAMES) >= {"uniform", "whole_word", "span", "infilling", "span_corruption", "salient", "pmi", "informative"}


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_plain_json_and_comes_back_from_it(name: str) -> None:
    policy = Policy.registry.get(name)()
    assert decode(Policy, encode(policy)) == policy
    assert knobs(type(policy)) or policy.searched != "always", "a policy without a knob gives a space nothing to search"


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_mask(name: str) -> None:
    policy = Policy.registry.get(name)()
    passages = annotated(ragged(1), policy)
    first, again, other = draw(policy, passages, 3), draw(policy, passages, 3), draw(policy, passages, 4)
    for field in ("hidden_N", "begins_N", "inserted_N", "replacement_N"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert (first.hidden_N != other.hidden_N).any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_a_mask_is_well_formed(name: str, seed: int) -> None:
    for policy in variants(name):
        passages = annotated(ragged(seed), policy, seed)
        mask, row_N = draw(policy, passages, seed), row_of(passages)
        assert mask.hidden_N.dtype == mask.begins_N.dtype == bool
        assert len(mask.hidden_N) == len(mask.begins_N) == len(passages.tokens_N)
        assert not (mask.hidden_N & ~passages.maskable_N).any(), "a token is hidden that no policy may hide"
        assert not (mask.begins_N & ~mask.hidden_N).any()
        follows_N = np.zeros_like(mask.hidden_N)
        follows_N[1:] = mask.hidden_N[:-1] & (row_N[1:] == row_N[:-1])
        assert mask.begins_N[mask.hidden_N & ~follows_N].all(), "a span does not begin where it begins, or crosses a passage"
        if mask.inserted_N is not None:
            assert not (mask.inserted_N & ~passages.maskable_N).any()
            assert not (mask.inserted_N & mask.hidden_N & ~mask.begins_N).any(), "an empty span stands inside a span"


@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0], [1], [1, 1, 1], [2]])
@pytest.mark.parametrize("name", NAMES)
def test_passages_with_nothing_to_hide_stay_as_they_are(name: str, lengths: list[int]) -> None:
    for policy in variants(name):
        passages = annotated(passages_of(lengths), policy)
        passages = replace(passages, maskable_N=np.zeros_like(passages.maskable_N))
        passages = replace(
            passages, spans={a: replace(s, starts_S=s.starts_S[:0], ends_S=s.ends_S[:0]) for a, s in passages.spans.items()}
        )
        mask = draw(policy, passages)
        assert not mask.hidden_N.any() and not mask.begins_N.any()
        assert corrupt(passages, mask, T5, "spans", 8).input_ids_BT.shape[0] == len(lengths)


@pytest.mark.parametrize("name", NAMES)
def test_a_passage_of_one_token_can_be_drawn(name: str) -> None:
    for policy in variants(name):
        draw(policy, annotated(passages_of([1, 1, 0, 1], head=0, holes=0.0), policy))


@pytest.mark.parametrize("rate", [0.02, 0.15, 0.5, 0.97])
@pytest.mark.parametrize("name", RATED)
def test_the_rate_is_met_within_a_tenth_of_a_point_over_a_million_tokens(name: str, rate: float) -> None:
    policy = Policy.registry.get(name)(rate=rate, rate_end=rate)
    lengths = np.random.default_rng(7).integers(0, 400, 2700)
    passages = annotated(passages_of(lengths.tolist()), policy)
    assert passages.maskable_N.sum() >= 500_000
    hidden = sum(draw(policy, passages, seed).hidden_N.sum() for seed in (11, 12))
    assert abs(hidden / (2 * passages.maskable_N.sum()) - rate) < 0.001


@pytest.mark.parametrize("name", RATED)
def test_the_rate_holds_on_average_over_small_batches(name: str) -> None:
    policy = Policy.registry.get(name)(rate=0.15)
    passages = annotated(passages_of([40, 7, 23, 55]), policy)
    shares = [draw(policy, passages, seed).hidden_N.sum() / passages.maskable_N.sum() for seed in range(300)]
    assert abs(np.mean(shares) - 0.15) < 4 * np.std(shares) / np.sqrt(len(shares)) + 1e-3


@pytest.mark.parametrize("name", RATED)
def test_a_schedule_moves_the_rate(name: str) -> None:
    policy = Policy.registry.get(name)(rate=0.1, rate_end=0.4, schedule="linear")
    passages = annotated(passages_of([60] * 200), policy)
    shares = [draw(policy, passages, 1, progress).hidden_N.sum() / passages.maskable_N.sum() for progress in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(shares, [0.1, 0.25, 0.4], atol=0.003)


@pytest.mark.parametrize("leading", [True, False])
@pytest.mark.parametrize("symbols", [T5, BART], ids=["sentinels", "mask symbol"])
@pytest.mark.parametrize("name", NAMES)
def test_input_and_target_tell_the_passage(name: str, symbols: object, leading: bool) -> None:
    markers = frozenset([*T5.sentinels, T5.mask])
    for policy in variants(name):
        passages = annotated(ragged(5), policy)
        batch = corrupt(passages, draw(policy, passages), symbols, "spans", 300, leading=True)  # type: ignore[arg-type]
        for r, (begin, end) in enumerate(zip(passages.starts_R1[:-1], passages.starts_R1[1:], strict=True)):
            assert rebuilt(batch.input_ids_BT[r], batch.labels_BU[r], markers) == passages.tokens_N[begin:end].tolist()


@pytest.mark.parametrize("max_length", [2, 9, 40])
@pytest.mark.parametrize("target", ["spans", "sentence"])
@pytest.mark.parametrize("name", NAMES)
def test_neither_side_is_longer_than_allowed(name: str, target: str, max_length: int) -> None:
    for policy in variants(name):
        passages = annotated(ragged(6), policy)
        batch = corrupt(passages, draw(policy, passages), T5, target, max_length)  # type: ignore[arg-type]
        assert batch.input_ids_BT.shape == batch.attention_BT.shape and batch.input_ids_BT.shape[1] <= max_length
        assert batch.labels_BU.shape[1] <= max_length
        assert (batch.input_ids_BT[~batch.attention_BT] == T5.pad).all() and (batch.input_ids_BT == EOS).any(axis=1).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_is_asked_for_the_hidden_tokens_and_no_others(name: str) -> None:
    policy = Policy.registry.get(name)()
    passages = annotated(ragged(2), policy)
    mask = draw(policy, passages)
    batch = mlm(passages, mask, T5)
    assert batch.input_ids_BT.shape == batch.labels_BU.shape == (60, np.diff(passages.starts_R1).max())
    np.testing.assert_array_equal(batch.labels_BU[batch.attention_BT] != -100, mask.hidden_N)
    np.testing.assert_array_equal(batch.labels_BU[batch.labels_BU != -100], passages.tokens_N[mask.hidden_N])
    np.testing.assert_array_equal(batch.input_ids_BT[batch.attention_BT][~mask.hidden_N], passages.tokens_N[~mask.hidden_N])


@pytest.mark.parametrize("name", ["whole_word", "pmi", "informative", "span", "infilling"])
def test_words_are_hidden_whole(name: str) -> None:
    for policy in variants(name):
        passages = annotated(ragged(8), policy)
        mask, units = draw(policy, passages), words(passages)
        total = np.concatenate([[0], np.cumsum(mask.hidden_N)])
        hidden_U = total[units.ends_U] - total[units.starts_U]
        assert set(np.unique(hidden_U / units.sizes)) <= {0.0, 1.0}


def test_a_collocation_is_hidden_whole_and_as_one_span() -> None:
    policy = Policy.registry.get("pmi")(rate=0.4)
    passages = annotated(ragged(9), policy)
    (spans,) = passages.spans.values()
    mask = draw(policy, passages)
    total = np.concatenate([[0], np.cumsum(mask.hidden_N)])
    shares = (total[spans.ends_S] - total[spans.starts_S]) / (spans.ends_S - spans.starts_S)
    assert set(np.unique(shares)) == {0.0, 1.0}
    inner = np.concatenate([np.arange(a + 1, b) for a, b in zip(spans.starts_S, spans.ends_S, strict=True)])
    assert not mask.begins_N[inner].any()


def test_bert_replaces_some_hidden_tokens_by_random_ones_and_keeps_some() -> None:
    policy = Policy.registry.get("uniform")(rate=0.5, random_share=0.1, keep_share=0.1)
    passages = passages_of([100] * 400)
    mask = draw(policy, passages)
    assert mask.replacement_N is not None
    given = mask.replacement_N[mask.hidden_N]
    same = given == passages.tokens_N[mask.hidden_N]
    assert abs((given == -1).mean() - 0.8) < 0.02 and abs(same.mean() - 0.1) < 0.02
    assert (given[given != -1] >= 20).all(), "a special token was drawn"
    shown = mlm(passages, mask, T5).input_ids_BT.ravel()[mask.hidden_N]
    np.testing.assert_array_equal(shown, np.where(given == -1, T5.mask, given))


def lengths_of_spans(passages: Passages, mask: Mask) -> np.ndarray:
    return np.diff(np.flatnonzero(np.append(mask.begins_N | ~mask.hidden_N, True)))[mask.hidden_N[mask.begins_N | ~mask.hidden_N]]


def test_spanbert_lengths_are_geometric_and_clipped() -> None:
    passages = passages_of([2000] * 100, head=0, holes=0.0)
    mask = draw(Policy.registry.get("span")(unit="token"), passages)
    lengths = lengths_of_spans(passages, mask)
    assert lengths.max() == 10 and abs(lengths.mean() - 3.8) < 0.1
    observed = np.bincount(lengths, minlength=11)[1:] / len(lengths)
    expected = 0.8 ** np.arange(10) / (0.8 ** np.arange(10)).sum()
    np.testing.assert_allclose(observed, expected, atol=0.015)


def test_infilling_lengths_are_poisson_with_zero() -> None:
    passages = passages_of([2000] * 100, head=0, holes=0.0)
    mask = draw(Policy.registry.get("infilling")(unit="token"), passages)
    assert mask.inserted_N is not None
    lengths = np.concatenate([lengths_of_spans(passages, mask), np.zeros(mask.inserted_N.sum(), int)])
    assert abs(lengths.mean() - 3.0) < 0.1 and abs((lengths == 0).mean() - np.exp(-3)) < 0.01


def test_span_corruption_hides_the_same_number_of_spans_everywhere() -> None:
    passages = passages_of([101] * 50, holes=0.0)
    mask = draw(Policy.registry.get("span_corruption")(rate=0.15, mean_length=3.0), passages)
    hidden, spans = mask.hidden_N.reshape(50, 101), mask.begins_N.reshape(50, 101)
    assert (hidden.sum(axis=1) == 15).all() and (spans.sum(axis=1) == 5).all()
    assert not (mask.begins_N[1:] & mask.hidden_N[:-1]).any(), "two spans touch"


def test_spans_stand_anywhere_in_a_passage_alike() -> None:
    passages = passages_of([40] * 4000, head=0, holes=0.0)
    for name in ("span", "span_corruption", "infilling"):
        policy = Policy.registry.get(name)(rate=0.2)
        share_40 = draw(policy, passages).hidden_N.reshape(4000, 40).mean(axis=0)
        assert share_40.min() > 0.08, f"{name} hardly ever hides some position"
        assert abs(share_40[10:30].mean() - 0.2) < 0.03


def test_salient_hides_the_spans_it_is_told_and_nothing_else() -> None:
    policy = Policy.registry.get("salient")(spans=2)
    passages = annotated(ragged(3), policy)
    (found,) = passages.spans.values()
    mask = draw(policy, passages)
    begins = np.flatnonzero(mask.begins_N)
    assert np.isin(begins, found.starts_S).all()
    found_R = np.diff(np.searchsorted(found.starts_S, passages.starts_R1))
    np.testing.assert_array_equal(np.diff(np.searchsorted(begins, passages.starts_R1)), np.minimum(found_R, 2))


def test_informative_prefers_heavy_words_and_less_so_when_hot() -> None:
    passages = passages_of([80] * 100, holes=0.0)
    heavy_N = np.zeros(len(passages.tokens_N), bool)
    heavy_N[words(passages).starts_U[::4]] = True
    shares = []
    for temperature in (0.1, 2.0, 1000.0):
        policy = Policy.registry.get("informative")(temperature=temperature)
        weighed = replace(passages, weights={policy.needs()[0]: np.where(heavy_N, 3.0, 0.0).astype(np.float32)})
        hidden_N = draw(policy, weighed).begins_N
        shares.append(heavy_N[hidden_N].mean())
    assert shares[0] > 0.95 and shares[0] > shares[1] > shares[2] and abs(shares[2] - 0.25) < 0.05


def test_the_helper_that_the_other_tests_lean_on() -> None:
    passages = passages_of([5], head=0, holes=0.0)
    batch = corrupt(passages, mask_from(passages, [(1, 3)], inserted=[4]), T5, "spans", 20)
    assert rebuilt(batch.input_ids_BT[0], batch.labels_BU[0], frozenset(T5.sentinels)) == passages.tokens_N.tolist()


def scored(passages: Passages, policy: Policy, scores: list[float]) -> Passages:
    """The passages with spans of one token each from their second token on, and these scores, in every passage."""
    starts_S = np.concatenate([begin + 1 + np.arange(len(scores)) for begin in passages.starts_R1[:-1]])
    rows = len(passages.starts_R1) - 1
    return replace(
        passages, spans={policy.needs()[0]: Spans(starts_S=starts_S, ends_S=starts_S + 1, scores_S=np.tile(scores, rows))}
    )


def test_a_learned_policy_draws_with_the_odds_of_its_scores() -> None:
    probabilities = np.array([0.1, 0.2, 0.3, 0.4])
    for policy, expected in (
        (Learned(), probabilities),
        (Learned(top=2), np.array([0, 0, 3 / 7, 4 / 7])),
        (Learned(temperature=0.5), probabilities**2 / (probabilities**2).sum()),
    ):
        passages = scored(passages_of([8] * 4000, holes=0.0), policy, np.log(probabilities).tolist())
        hidden = draw(policy, passages).hidden_N.reshape(-1, 8)
        assert (hidden.sum(axis=1) == 1).all()
        np.testing.assert_allclose(hidden.mean(axis=0)[1:5], expected, atol=0.035)


def test_a_learned_policy_hides_as_many_spans_as_asked_and_no_more_than_its_best() -> None:
    for spans, top, expected in ((2, 5, 2), (4, 5, 4), (4, 2, 2), (4, 3, 3)):
        policy = Learned(spans=spans, top=top)
        passages = scored(passages_of([8] * 50, holes=0.0), policy, [-1.0, -2.0, -3.0, -4.0])
        assert (draw(policy, passages).hidden_N.reshape(-1, 8).sum(axis=1) == expected).all()


@pytest.mark.parametrize("seed", range(3))
def test_random_spans_keep_number_and_lengths_in_every_passage(seed: int) -> None:
    policy = RandomSpans(of=Policy.registry.get("salient")(spans=4))
    passages = annotated(passages_of([40] * 200, holes=0.0), policy)
    moved, row_N = draw(policy, passages, seed), row_of(passages)
    own = policy.of.draw(passages, np.random.default_rng(seed), 0.5)

    def lengths(mask: Mask) -> list[tuple[int, int]]:
        span_N = np.cumsum(mask.begins_N)[mask.hidden_N]
        sizes = np.bincount(span_N)[1:]
        return sorted(zip(row_N[mask.begins_N].tolist(), sizes.tolist(), strict=True))

    assert lengths(moved) == lengths(own)
    places = np.flatnonzero(moved.begins_N) % 40
    assert (moved.begins_N != own.begins_N).any() and 15 < places.mean() < 25
