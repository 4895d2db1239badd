"""The space of whole recipes, over tasks with a head and tasks without; and the space of finetuning."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylab.models.build import build
from raylab.recipe import ModelSpec, encode
from raylab.search.labels import label
from raylab.search.space import Setting, load_space
from tests.models.test_encoder_decoder import Vocabulary
from tests.search.small_study import SETTING, Draws

HEADED = replace(SETTING, base=ModelSpec(family="roberta"), task_family="classification")
SPACE = load_space("recipe")


def families(setting: Setting) -> Counter[tuple[str, str, str]]:
    """What is pretrained on, the base model and the mode of 300 draws."""
    drawn: list[Any] = [SPACE.recipe(Draws(seed, setting.fixed), setting) for seed in range(300)]
    return Counter((SPACE.family(recipe).split()[0], recipe.base.family, recipe.finetune.mode) for recipe in drawn)


def test_a_task_with_a_head_has_every_way_that_fits_its_base() -> None:
    found = families(HEADED)
    ways = {("no", "roberta"), ("no", "t5"), ("no", "lstm"), ("denoise", "roberta"), ("denoise", "t5"), ("denoise", "lstm"),
            ("discriminate", "roberta"), ("synthesize", "t5")}  # fmt: skip
    assert {(way, base) for way, base, _ in found} == ways
    assert {mode for *_, mode in found} == {"full", "frozen"}


def test_a_task_that_asks_for_text_has_an_encoder_decoder_alone() -> None:
    assert {(base, mode) for _, base, mode in families(SETTING)} == {("t5", "full")}
    assert {way for way, *_ in families(SETTING)} == {"no", "denoise", "synthesize"}


def test_every_start_is_another_recipe_and_the_first_is_the_baseline() -> None:
    for setting in (SETTING, HEADED):
        starts = [SPACE.decode(start, setting)[0] for start in SPACE.starts(setting)]
        assert len(set(starts)) == len(starts) <= 12
        assert SPACE.family(starts[0]) == SPACE.baseline_family


def test_a_policy_that_not_every_base_can_be_asked_with_is_left_out() -> None:
    setting = replace(HEADED, base=ModelSpec(family="t5"), policies=("uniform", "infilling"))
    assert {
        r.stages[0].policy.name() for seed in range(99) if (r := _drawn(seed, setting)).stages and "policy" in encode(r.stages[0])
    } == {"uniform"}


def _drawn(seed: int, setting: Setting) -> Any:
    return SPACE.recipe(Draws(seed), setting)


def test_a_checkpoint_stands_beside_its_statistics(tmp_path: Path) -> None:
    build(ModelSpec(family="roberta"), Vocabulary(300), 0).save_pretrained(tmp_path)  # type: ignore[arg-type]
    drawn = [_drawn(seed, replace(HEADED, base=ModelSpec(pretrained=str(tmp_path)))) for seed in range(200)]
    sources = {r.stages[0].source for r in drawn if SPACE.family(r) == "init_from_statistics"}
    assert sources == {str(tmp_path)}
    assert {r.base.pretrained or r.base.family for r in drawn} == {str(tmp_path), "lstm"}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "no pretraining"),
        ({"base": "lstm"}, "no pretraining; lstm"),
        ({"pretraining": "denoise", "mode": "frozen"}, "uniform -> tokens, lr 0.001; finetuning frozen"),
        ({"pretraining": "discriminate"}, "discriminate uniform, lr 0.001"),
        ({"pretraining": "synthesize", "synthetic": "lime"}, "synthesize lime, lr 0.002; t5"),
        ({"finetune_learning_rate": 0.001}, "no pretraining; finetuning lr 0.001"),
    ],
)
def test_a_label_says_what_tells_a_recipe_from_the_usual_one(values: dict[str, Any], told: str) -> None:
    usual = encode(SPACE.decode({}, HEADED)[0])
    assert label(encode(SPACE.decode(values, HEADED)[0]), usual) == told


def test_finetuning_is_searched_behind_one_beginning() -> None:
    space = load_space("hyperparameters")
    drawn: list[Any] = [space.recipe(Draws(seed), SETTING) for seed in range(50)]
    assert len({recipe.stages for recipe in drawn}) == 1 and len({recipe.finetune for recipe in drawn}) == 50
    examples = {recipe.finetune.steps * recipe.finetune.batch_size for recipe in drawn}
    assert max(examples) - min(examples) <= 64, "as many examples, whatever the batch"
    usual = space.decode({}, SETTING)[0]
    assert space.family(usual) == space.baseline_family and space.baseline(drawn[0], SETTING) == usual
    changed = space.decode({"dropout": 0.2, "weight_decay": 0.1, "decay": 0.5, "finetune_batch": 4}, SETTING)[0]
    assert label(encode(changed), encode(usual)) == (
        "uniform -> spans, lr 0.004; finetuning steps 10, batch 4, dropout 0.2, decay 0.45, weight decay 0.1"
    )
