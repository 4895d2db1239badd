"""Every synthetic task, found by its file, gives the output that follows from its input, and holds the same promises."""

import numpy as np
import pytest

from raylab.errors import UserError
from raylab.recipe import decode, encode
from raylab.synthetic.alphabet import MARKERS, Alphabet
from raylab.synthetic.lime import Sizes
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Binary, Lengths, Pairs, SyntheticTask, Unary
from tests.synthetic.definitions import DEFINITIONS, applied, rules_of, split

NAMES = SyntheticTask.registry.names()
LIME = ("deduct", "induct", "abduct")
PAPER, SHORT, SHORTEST = Lengths(), Lengths.within(64), Lengths(shortest=4, longest=5, room=64)
FEW, SOME, MANY = Alphabet.plain(3), Alphabet.plain(120), Alphabet.plain(32000)


def draw(name: str, rows: int, alphabet: Alphabet, lengths: Lengths, seed: int = 0) -> Pairs:
    task = SyntheticTask.registry.get(name)()
    return task.draw(rows, alphabet, lengths, np.random.default_rng(seed))


def payload(source: list[int], alphabet: Alphabet) -> list[int]:
    """What stands behind the name."""
    return source[source.index(alphabet.markers["name_end"]) + 1 :]


def test_the_tasks_that_the_paper_has_are_there() -> None:
    assert set(NAMES) >= {*DEFINITIONS, *LIME, "lime"}
    assert len(DEFINITIONS) == 18


@pytest.mark.parametrize("lengths", [PAPER, SHORT, SHORTEST], ids=["paper", "short", "shortest"])
@pytest.mark.parametrize("alphabet", [FEW, SOME, MANY], ids=["3 symbols", "120 symbols", "32000 symbols"])
@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_the_output_follows_from_the_input(name: str, alphabet: Alphabet, lengths: Lengths) -> None:
    pairs = draw(name, 200, alphabet, lengths)
    for source, target in zip(pairs.sources.plain(), pairs.targets.plain(), strict=True):
        expected = DEFINITIONS[name](payload(source, alphabet), alphabet)
        assert target == (expected or [alphabet.markers["empty"]])


def parts_of_lime(source: list[int], target: list[int], name: str) -> tuple[list[int], list[int], list[int], list[int]]:
    """Symbols, pattern, rules, result."""
    symbols, one, other = split(source, SOME.markers["separator"])
    pattern, rules, result = {"deduct": (one, other, target), "induct": (target, other, one), "abduct": (one, target, other)}[
        name
    ]
    return symbols, pattern, rules, result


def declared(symbols: list[int]) -> list[list[int]]:
    """The upper, lower and math symbols of an example."""
    upper, lower, math = (symbols.index(SOME.markers[name]) for name in ("upper", "lower", "math"))
    assert upper == 0
    return [symbols[upper + 1 : lower], symbols[lower + 1 : math], symbols[math + 1 :]]


def check_lime(source: list[int], target: list[int], name: str, sizes: Sizes) -> None:
    symbols, pattern, written, result = parts_of_lime(source, target, name)
    rules, (uppers, lowers, maths) = rules_of(written, SOME), declared(symbols)
    assert applied(pattern, rules) == result
    assert list(rules) == uppers, "rules come in the order of the symbols they are for"
    assert set(uppers) <= set(pattern) <= {*uppers, *maths}
    assert all(set(image) <= {*lowers, *maths} for image in rules.values())
    assert all(sizes.images[0] <= len(image) <= sizes.images[1] for image in rules.values())
    assert (len(lowers), len(maths)) == (sizes.lower, sizes.math)
    assert len({*uppers, *lowers, *maths}) == len(uppers) + len(lowers) + len(maths), "a symbol is of one kind"
    drawn = [token for token in pattern if token in uppers]
    assert len(drawn) in range(2 * sizes.uppers[0], 2 * sizes.uppers[1] + 1, 2)
    assert sizes.signs[0] <= len(pattern) - len(drawn) <= sizes.signs[1]


@pytest.mark.parametrize("room", [64, 100, 512])
@pytest.mark.parametrize("name", LIME)
def test_lime_asks_for_one_of_pattern_rules_and_result(name: str, room: int) -> None:
    pairs = draw(name, 200, SOME, Lengths.within(room))
    for source, target in zip(pairs.sources.plain(), pairs.targets.plain(), strict=True):
        check_lime(source, target, name, Sizes.within(room))
        assert max(len(source), len(target)) <= room


def test_lime_mixes_the_three_in_equal_parts() -> None:
    pairs = draw("lime", 3000, SOME, SHORT)
    told = []
    for source, target in zip(pairs.sources.plain(), pairs.targets.plain(), strict=True):
        _, one, other = split(source, SOME.markers["separator"])
        rules_at = [SOME.markers["open"] in part for part in (target, other)]
        told.append("abduct" if rules_at[0] else "deduct" if len(target) > len(one) else "induct")
        check_lime(source, target, told[-1], Sizes.within(64))
    assert [told.count(name) / 3000 for name in LIME] == pytest.approx([1 / 3] * 3, abs=0.04)


def test_lime_has_the_sizes_of_the_paper_where_they_fit() -> None:
    paper = Sizes(lower=24, math=20, uppers=(3, 5), signs=(5, 19), images=(2, 8))
    assert Sizes.within(512) == Sizes.within(220) == paper
    assert Sizes.within(64) != paper
    assert all(Sizes.within(room).longest <= room for room in range(50, 300))
    with pytest.raises(UserError, match="LIME needs inputs of at least 44 tokens; the data are prepared for 40"):
        draw("deduct", 1, SOME, Lengths.within(40))
    with pytest.raises(UserError, match="different symbols are needed at once and there are 3"):
        draw("deduct", 1, FEW, SHORT)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_examples(name: str) -> None:
    first, again, other = (draw(name, 20, SOME, SHORT, seed) for seed in (1, 1, 2))
    for side in ("sources", "targets"):
        assert getattr(first, side).plain() == getattr(again, side).plain()
    assert first.sources.plain() != other.sources.plain()


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_has_a_row_on_each_side_that_is_not_empty(name: str) -> None:
    for rows in (0, 1, 37):
        pairs = draw(name, rows, SOME, SHORT)
        assert len(pairs.sources) == len(pairs.targets) == rows
        for side in (pairs.sources, pairs.targets):
            assert len(side.tokens_N) == side.starts_R1[-1] and (side.sizes > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_plain_json_and_comes_back_from_it(name: str) -> None:
    task = SyntheticTask.registry.get(name)()
    assert decode(SyntheticTask, encode(task)) == task


@pytest.mark.parametrize("lengths", [PAPER, SHORT, SHORTEST], ids=["paper", "short", "shortest"])
@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_payloads_have_the_length_that_is_asked_for(name: str, lengths: Lengths) -> None:
    pairs = draw(name, 3000, SOME, lengths)
    prefix = [*SOME.texts([name.replace("_", " ")])[0], SOME.markers["name_end"]]
    assert all(source[: len(prefix)] == prefix for source in pairs.sources.plain())
    sizes_R = pairs.sources.sizes - len(prefix)
    assert lengths.shortest <= sizes_R.min() <= lengths.shortest + 2
    assert lengths.longest - 2 <= sizes_R.max() <= lengths.longest


@pytest.mark.parametrize("name", NAMES)
def test_sequences_are_made_of_symbols_and_all_of_them(name: str) -> None:
    seen = set(draw(name, 2000, SOME, SHORT).sources.tokens_N.tolist())
    assert set(SOME.symbols_S.tolist()) <= seen
    assert seen <= {*SOME.symbols_S.tolist(), *SOME.markers.values(), *SOME.texts([name.replace("_", " ")])[0]}


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_payloads_that_do_not_fit_the_model_are_told(name: str) -> None:
    with pytest.raises(UserError, match=f"{name}: payloads of up to 64 tokens make .* the data are prepared for 64"):
        draw(name, 1, SOME, Lengths.within(64, longest=64))


def test_there_are_markers_for_all_and_every_task_is_of_a_kind() -> None:
    assert len(set(SOME.markers.values())) == len(MARKERS)
    assert {issubclass(SyntheticTask.registry.get(name), (Unary, Binary)) for name in DEFINITIONS} == {True}


def test_first_of_equal_runs_words_and_empty_outputs() -> None:
    """What random inputs hardly ever show."""
    word, three = FEW.markers["word"], Rows.lists([[2], [2, 3], []])
    longest = SyntheticTask.registry.get("longest_word")()
    assert longest.output(Rows.lists([[2, word, 3], [2, 2, word, 3, word, 4, 4]]), FEW).plain() == [[2], [2, 2]]
    minus = SyntheticTask.registry.get("set1_minus_set2")()
    assert minus.output(three, Rows.lists([[2], [], [2]]), FEW).plain() == [[], [2, 3], []]
    delete = SyntheticTask.registry.get("delete")()
    assert delete.output(three, Rows.lists([[2], [3], [4]]), FEW).plain() == [[], [2], []]
