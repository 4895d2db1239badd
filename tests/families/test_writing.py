"""How answers are written: with what was computed of the words before, and no further than the last of a batch goes on."""

from typing import Any

import pytest
import torch

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.training.evaluation import score
from raylab.training.memory import Memory
from raylab.training.objective import objective_of
from raylab.training.parallel import CPU, Parallel
from tests import tiny

MOST = 9  # tokens
FAMILIES = ("t5", "bart")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def written(family: Any, data: Prepared, ends_after: tuple[int, ...]) -> tuple[list[str], list[int], int]:
    """What a model writes whose k-th row ends after so many tokens, the tokens that its decoder read at each step, and how often
    its encoder ran."""
    model = build(ModelSpec(family=family), data.tokenizer, 0).eval()
    read: list[int] = []
    encoded: list[int] = []

    def ending(_module: Any, _arguments: Any, logits_BUV: torch.Tensor) -> torch.Tensor:
        for row, end in enumerate(ends_after):
            logits_BUV[row, -1, data.symbols.eos] = 1e9 if len(read) > end else -1e9
        return logits_BUV

    model.get_output_embeddings().register_forward_hook(ending)
    model.get_decoder().register_forward_pre_hook(lambda _, __, told: read.append(told["input_ids"].shape[1]), with_kwargs=True)
    model.get_encoder().register_forward_hook(lambda *_: encoded.append(1))
    objective: Any = objective_of(data)
    batch = objective.read(data.splits["dev"][: len(ends_after)], CPU)
    with torch.inference_mode():
        return objective.written(model, batch, MOST), read, len(encoded)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_step_reads_one_token_and_the_source_is_read_once(family: str, data: Prepared) -> None:
    texts, read, encoded = written(family, data, (MOST, MOST))
    assert (len(texts), read, encoded) == (2, [1] * MOST, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_stops_where_the_last_row_ends(family: str, data: Prepared) -> None:
    _, read, _ = written(family, data, (0, 3))
    assert len(read) == 4, "three tokens and the end"


def test_examples_of_one_length_are_answered_together(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(ModelSpec(), data.tokenizer, 0)
    objective: Any = objective_of(data)
    sizes: list[int] = []
    batches: list[int] = []
    real = type(objective).answers

    def noting(self: Any, model: Any, examples: Any, device: torch.device) -> Any:
        sizes.extend(self.size(example) for example in examples)
        batches.append(len(examples))
        return real(self, model, examples, device)

    monkeypatch.setattr(type(objective), "answers", noting)
    monkeypatch.setattr("raylab.training.evaluation.BATCH", 2)
    score(model, data.splits["dev"], data, Parallel(), Memory())
    assert len(batches) > 1 and sizes == sorted(sizes)
