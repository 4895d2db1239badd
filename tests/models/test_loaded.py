"""A model with a head that was saved, loaded again and asked: it says what it said before."""

from pathlib import Path
from typing import Any

import pytest
import torch

import raylab
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.models.build import build
from raylab.models.loaded import load_model
from raylab.recipe import ModelSpec, digest
from raylab.stages.finetune import Finetune
from raylab.training.context import Context
from raylab.training.objective import objective_of
from tests import tiny
from tests.families import invented


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    how = Preparation(vocab_size=400, max_tokens=32)
    return prepare(invented.task("classification"), digest("loaded"), how, tmp_path_factory.mktemp("loaded"))


def saved(folder: Path, data: Prepared, family: Any, mode: Any) -> torch.nn.Module:
    """A model with a head, in its folder."""
    model = build(ModelSpec(family=family), data.tokenizer, 0)
    headed: Any = Finetune(mode=mode).equip(model, Context(data=data, seeds=tiny.SEEDS))
    headed.save_pretrained(folder)
    data.tokenizer.save_pretrained(folder)
    return headed.eval()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("family", "mode"), [("roberta", "full"), ("lstm", "frozen"), ("t5", "full")])
def test_it_says_what_it_said(family: str, mode: str, data: Prepared, tmp_path: Path) -> None:
    model = saved(tmp_path, data, family, mode)
    (tmp_path / "data.json").write_text('{"labels": ["red", "blue", "green", "white"], "max_tokens": 32}')
    examples = data.splits["dev"]
    objective: Any = objective_of(data)
    with torch.inference_mode():
        expected, _ = objective.read(model, examples, torch.device("cpu"))
    loaded = raylab.load_model(tmp_path)
    assert loaded.labels == ("red", "blue", "green", "white")
    got = loaded.logits([e.text for e in examples], [e.text_b for e in examples])
    assert torch.allclose(got, expected, atol=1e-5)
    assert loaded.logits(["one text alone"]).shape == (1, 4)


def test_a_folder_without_heads_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no heads\.safetensors: no model with heads"):
        load_model(tmp_path)
