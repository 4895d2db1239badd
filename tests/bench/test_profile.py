"""A small recipe on the atlas's invented passages, part by part; how long a part takes is no matter here."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from raylab.app import preparation
from raylab.app.cli import main
from raylab.bench import profile
from raylab.data import atlas
from raylab.models.peaks import peak_of
from raylab.recipe import encode
from tests import tiny


def test_a_recipe_is_told_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preparation, "load_for", lambda *_: atlas.fixture())
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(encode(replace(tiny.recipe(pretrain_steps=8, finetune_steps=6), task="atlas"))))
    main(["bench", "profile", "--recipe", str(file), "--json"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"start", "data", "forward_backward", "optimizer", "rungs", "evaluation", "waiting"} <= result["seconds"].keys()
    assert sum(result["shares"].values()) == pytest.approx(1.0)
    assert [stage["stage"] for stage in result["stages"]] == ["denoise", "finetune"]
    assert all(stage["step_flops"] > 0 and stage["mfu"] is None for stage in result["stages"])
    profile.show(result)
    out = capsys.readouterr().out
    assert "forward backward" in out and "not measured" in out and "Most memory held: host" in out
    assert profile.met({"shares": {"rungs": 0.1}}) and not profile.met({"shares": {"rungs": 0.3}})


@pytest.mark.parametrize(("text", "words"), [(None, "cannot read --recipe"), ("{", "is not JSON"), ("{}", "lacks")])
def test_a_recipe_that_is_none(text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recipe.json"
    if text is not None:
        file.write_text(text)
    assert main(["bench", "profile", "--recipe", str(file)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H200", "bfloat16", 989.4),
        ("NVIDIA H100 80GB HBM3", "float32", 66.9),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA L4", "bfloat16", 121),
        ("NVIDIA L40S", "bfloat16", 362),
        ("NVIDIA L40", "bfloat16", None),
    ],
)
def test_peaks_are_those_of_the_device_named(name: str, precision: str, tera: float | None) -> None:
    peak = peak_of(name, precision)
    assert peak == (None if tera is None else pytest.approx(tera * 1e12))
