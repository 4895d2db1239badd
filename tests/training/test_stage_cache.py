"""The stage cache: runs that begin alike pay once, and nothing else changes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.recipe import Recipe, stage_keys
from raylab.seeds import Seeds
from raylab.storage import Storage
from raylab.training.stage_cache import StageCache, entries, prune
from raylab.training.totals import Totals
from tests import tiny

RECIPE = replace(tiny.recipe(dropout=0.1), stages=tiny.recipe().stages * 2)


def cache(folder: Path, **settings: Any) -> StageCache:
    return StageCache(place=Storage(here=folder / "stages"), **settings)


def finetuned_otherwise(recipe: Recipe) -> Recipe:
    return replace(recipe, finetune=replace(recipe.finetune, steps=9))  # type: ignore[type-var]


def run(recipe: Recipe, data: Prepared, **execution: Any) -> tuple[dict[str, Any], Totals]:
    totals = Totals()
    trace = tiny.traced(recipe, data, totals=totals, **execution)
    assert trace.result is not None
    counted = set(Totals().used())
    return {name: value for name, value in tiny.numbers(trace.result).items() if name not in counted}, totals


def test_a_shared_prefix_is_trained_once_and_changes_no_number(data: Prepared, tmp_path: Path) -> None:
    first, paid = run(RECIPE, data, cache=cache(tmp_path))
    other, reused = run(finetuned_otherwise(RECIPE), data, cache=cache(tmp_path))
    assert other == run(finetuned_otherwise(RECIPE), data)[0] != first
    assert (reused.tokens, reused.reused_tokens, reused.steps) == (0, paid.tokens, 9)


def test_what_a_lost_attempt_of_a_run_has_trained_is_the_runs_own(data: Prepared, tmp_path: Path) -> None:
    first, paid = run(RECIPE, data, cache=cache(tmp_path))
    again, total = run(RECIPE, data, cache=cache(tmp_path))
    assert again == first
    assert {**total.used()} == {**paid.used()} and total.reused_tokens == 0


def test_the_longest_prefix_is_taken(data: Prepared, tmp_path: Path) -> None:
    short = replace(RECIPE, stages=RECIPE.stages[:1])
    _, paid = run(short, data, cache=cache(tmp_path))
    longer, totals = run(RECIPE, data, cache=cache(tmp_path))
    assert longer == run(RECIPE, data)[0]
    assert totals.reused_tokens == paid.tokens and totals.tokens > 0
    held = {entry.key: entry.cost["tokens"] for entry in entries(Storage(here=tmp_path / "stages"))}
    keys = stage_keys(RECIPE, tiny.SEEDS, data.fingerprint)
    assert held == {keys[0]: paid.tokens, keys[1]: paid.tokens + totals.tokens}  # what it takes to train it from the start


def test_how_it_is_finetuned_and_scored_is_not_in_a_stage_key() -> None:
    keys = stage_keys(RECIPE, tiny.SEEDS, "data")
    assert keys == stage_keys(finetuned_otherwise(RECIPE), replace(tiny.SEEDS, finetune=1, eval=2), "data")
    assert len({*keys, *stage_keys(RECIPE, Seeds.of(0, 1), "data"), *stage_keys(RECIPE, tiny.SEEDS, "other")}) == 6


@pytest.mark.parametrize("harm", ["cut", "no manifest"])
def test_an_entry_that_was_cut_short_is_trained_anew(harm: str, data: Prepared, tmp_path: Path) -> None:
    first, paid = run(RECIPE, data, cache=cache(tmp_path))
    for folder in (tmp_path / "stages").iterdir():
        if harm == "cut":
            weights = folder / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-100])
        else:
            (folder / "manifest.json").unlink()
    again, totals = run(RECIPE, data, cache=cache(tmp_path))
    assert again == first and totals.tokens == paid.tokens
    assert len(entries(Storage(here=tmp_path / "stages"))) == 2


def test_a_full_cache_or_disk_stops_caching_not_the_run(data: Prepared, tmp_path: Path) -> None:
    full = cache(tmp_path, limit_bytes=10)
    plain, _ = run(RECIPE, data)
    assert run(RECIPE, data, cache=full)[0] == plain
    assert entries(full.place) == []
    (tmp_path / "file").write_text("no folder")
    assert run(RECIPE, data, cache=StageCache(place=Storage(here=tmp_path / "file" / "stages")))[0] == plain


def test_what_is_pruned_is_what_was_of_use_longest_ago(data: Prepared, tmp_path: Path) -> None:
    kept = cache(tmp_path)
    run(RECIPE, data, cache=kept)
    newest, oldest = entries(kept.place)
    gone = prune(kept.place, newest.size)
    assert [entry.key for entry in gone] == [oldest.key]
    assert [entry.key for entry in entries(kept.place)] == [newest.key]
    assert json.loads((kept.place.here / newest.key / "manifest.json").read_text())["what"].startswith("denoise")
