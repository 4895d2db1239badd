"""Seeds: the same on every machine, different for whatever differs."""

from dataclasses import asdict

from raylab.seeds import STREAMS, Seeds, derive


def test_values_are_those_of_every_machine() -> None:
    assert derive(0) == 4761921975702974394
    assert derive(0, "mask", 12) == 1255261047052532588
    assert Seeds.of(3, 1).init == 6609197978083432348


def test_a_seed_depends_on_all_that_it_is_derived_from() -> None:
    paths: list[tuple[int | str, ...]] = [(), ("a",), ("b",), ("a", 0), ("a", 1), (0,), (10,), (1, 0)]
    seeds = [derive(study, *path) for study in (0, 1) for path in paths]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_replicates_and_streams_have_seeds_of_their_own() -> None:
    seeds = [seed for study in (0, 1) for replicate in range(3) for seed in asdict(Seeds.of(study, replicate)).values()]
    assert len(set(seeds)) == 2 * 3 * len(STREAMS)
    assert tuple(asdict(Seeds.of(0, 0))) == STREAMS


def test_recipes_of_a_replicate_share_their_seeds() -> None:
    assert Seeds.of(5, 2) == Seeds.of(5, 2)
