"""The score: minus log2 of the probability of an answer and its end, whatever it is scored beside."""

import math

import pytest
import torch
from transformers import PreTrainedModel

from raylab.data.prepared import Prepared
from raylab.data.task import Question
from raylab.families.question_answering import ANSWER_TOKENS
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.training import evaluation
from raylab.training.evaluation import means, score
from raylab.training.memory import Memory
from raylab.training.parallel import Parallel


@pytest.fixture(scope="module", params=["t5", "bart"])
def model(request: pytest.FixtureRequest, data: Prepared) -> PreTrainedModel:
    return build(ModelSpec(family=request.param, dropout=0.3), data.tokenizer, seed=3)


def bits_by_hand(model: PreTrainedModel, example: Question, data: Prepared) -> float:
    """One token after the other, each given those before it; no padding, no batch."""
    plain = {"add_special_tokens": False}
    eos = data.tokenizer.eos_token_id
    input_ids = torch.tensor([[*data.tokenizer(example.question, **plain)["input_ids"], eos]])
    before, bits = [model.config.decoder_start_token_id], 0.0
    for token in [*data.tokenizer(example.answer, **plain)["input_ids"], eos]:
        logits = model(input_ids=input_ids, decoder_input_ids=torch.tensor([before])).logits[0, -1]
        bits -= float(logits.log_softmax(-1)[token]) / math.log(2)
        before.append(token)
    return bits


@torch.no_grad()
def test_bits_per_answer_is_the_direct_sum(model: PreTrainedModel, data: Prepared) -> None:
    examples = data.splits["dev"]
    model.train()  # scoring switches dropout off by itself
    scored = score(model, examples, data, Parallel(), Memory())["bits_per_answer"]
    assert scored == pytest.approx([bits_by_hand(model, e, data) for e in examples], rel=1e-5)


def test_a_score_depends_on_its_question_alone(model: PreTrainedModel, data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = data.splits["train"]
    together = score(model, examples, data, Parallel(), Memory())
    monkeypatch.setattr(evaluation, "BATCH", 5)
    backwards = score(model, examples[::-1], data, Parallel(), Memory())
    for measure, values in together.items():
        assert backwards[measure][::-1] == pytest.approx(values, rel=1e-5)
    alone = score(model, examples[4:5], data, Parallel(), Memory())
    assert alone["bits_per_answer"] == pytest.approx(together["bits_per_answer"][4:5], rel=1e-5)


def test_answers_are_judged_by_all_aliases(model: PreTrainedModel, data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = {"Who?": "the Beatles!", "Where?": "in Rome now", "When?": ""}
    examples = [
        Question(id="1", question="Who?", answer="Fab Four", answers=("Fab Four", "Beatles")),
        Question(id="2", question="Where?", answer="Rome", answers=("Rome",)),
        Question(id="3", question="When?", answer="1066", answers=("1066",)),
    ]

    def generate(input_ids: torch.Tensor, **settings: object) -> torch.Tensor:
        asked = data.tokenizer.batch_decode(input_ids, skip_special_tokens=True)
        ids = [data.tokenizer(replies[text.strip()], add_special_tokens=False)["input_ids"] for text in asked]
        width = max(map(len, ids))
        start, pad = model.config.decoder_start_token_id, data.tokenizer.pad_token_id
        return torch.tensor([[start, *row, *[pad] * (width - len(row))] for row in ids])

    monkeypatch.setattr(model, "generate", generate)
    scored = score(model, examples, data, Parallel(), Memory())
    assert scored["exact_match"] == [1.0, 0.0, 0.0]
    assert scored["f1"] == pytest.approx([1.0, 0.5, 0.0])


def test_greedy_answers_are_the_likeliest_tokens(model: PreTrainedModel, data: Prepared) -> None:
    """The path from model to text: an answer that the model prefers at every token is an exact match."""
    question = data.splits["dev"][0].question
    eos = data.tokenizer.eos_token_id
    input_ids = torch.tensor([[*data.tokenizer(question, add_special_tokens=False)["input_ids"], eos]])
    said = [model.eval().config.decoder_start_token_id]
    for _ in range(ANSWER_TOKENS):
        said.append(int(model(input_ids=input_ids, decoder_input_ids=torch.tensor([said])).logits[0, -1].argmax()))
        if said[-1] == eos:
            break
    answer = data.tokenizer.decode(said, skip_special_tokens=True)
    example = Question(id="1", question=question, answer=answer, answers=(answer,))
    assert score(model, [example, *data.splits["dev"]], data, Parallel(), Memory())["exact_match"][0] == 1.0


def test_means_are_named_by_split() -> None:
    assert means({"f1": [0.0, 1.0], "exact_match": [0.0, 0.0]}, "dev") == {"dev_f1": 0.5, "dev_exact_match": 0.0}
