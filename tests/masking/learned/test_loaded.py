"""A policy card in a plain transformers Trainer, in an interpreter that has no ray, optuna or mlflow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from raylab.data.tokenizer import train_bpe
from raylab.errors import UserError
from raylab.masking.learned.card import Card, save, tokenizer_contract
from raylab.masking.learned.extractor import Extractor, ExtractorConfig
from raylab.masking.learned.loaded import load_policy

TEXTS = ["Lake Orvane froze in 1831, when Ada Quill crossed it on foot.", "Ilse Marrow was born in the port of Tessaly."]
TRAIN = """
import sys
sys.modules.update(dict.fromkeys(("ray", "optuna", "mlflow")))
from transformers import AutoTokenizer, Trainer, TrainingArguments
from tests.masking.learned.test_loaded import KINDS, TEXTS
import raylab

card, kind, out = sys.argv[1:]
policy = raylab.load_policy(card)
model = KINDS[kind](len(policy.tokenizer))
collator = policy.collator(model)

rows = [{"input_ids": ids} for ids in policy.tokenizer(TEXTS * 4)["input_ids"]]
arguments = TrainingArguments(out, max_steps=3, per_device_train_batch_size=4, report_to=[], use_cpu=True, save_strategy="no")
trained = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator).train()
assert 0 < trained.training_loss < 20, trained.training_loss
"""


def _t5(vocabulary: int) -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=vocabulary, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0, decoder_start_token_id=0
    )
    return T5ForConditionalGeneration(config)


def _bart(vocabulary: int) -> BartForConditionalGeneration:
    sizes = {f"{side}_{what}": 1 for side in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    config = BartConfig(vocab_size=vocabulary, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, **sizes)
    return BartForConditionalGeneration(config)


def _bert(vocabulary: int) -> BertForMaskedLM:
    config = BertConfig(vocab_size=vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    return BertForMaskedLM(config)


KINDS = {"t5": _t5, "bart": _bart, "bert": _bert}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer, folder = train_bpe(TEXTS, 340), tmp_path_factory.mktemp("cards") / "mine"
    torch.manual_seed(0)
    config = ExtractorConfig(vocab_size=len(tokenizer), width=8, longest=4)
    told = Card(name="mine", how="supervised", extractor=config, tokenizer=tokenizer_contract(tokenizer))
    save(folder, Extractor(config), told, tokenizer)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_trains_in_a_plain_trainer_without_ray_optuna_and_mlflow(kind: str, card: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(card), kind, str(tmp_path)], capture_output=True, text=True, check=False, cwd=root
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_asks_for_spans_of_the_passages_and_no_special_token(kind: str, card: Path) -> None:
    policy = load_policy(card)
    tokenizer = policy.tokenizer
    collator = policy.collator(KINDS[kind](len(tokenizer)), tokenizer, spans=2)
    eos = tokenizer.eos_token_id
    rows = [{"input_ids": [*ids, eos]} for ids in tokenizer(TEXTS, add_special_tokens=False)["input_ids"]]
    batch = collator(rows)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    if kind == "bert":
        assert batch["input_ids"].shape == batch["labels"].shape
        asked = batch["labels"] != -100
        assert (batch["input_ids"][asked] == tokenizer.mask_token_id).all() and not (batch["labels"][asked] == eos).any()
        for row, original in enumerate(rows):
            length = len(original["input_ids"])
            whole = torch.where(asked[row], batch["labels"][row], batch["input_ids"][row])[:length]
            assert whole.tolist() == original["input_ids"]
    else:
        assert (batch["labels"] == eos).any(dim=1).all()
    assert (batch["labels"] != -100).sum(dim=1).min() >= 1


def test_the_seed_decides_the_masks(card: Path) -> None:
    policy = load_policy(card)
    rows = [{"input_ids": ids} for ids in policy.tokenizer(TEXTS * 8)["input_ids"]]

    def labels(seed: int) -> np.ndarray:
        torch.manual_seed(0)
        model = _bert(len(policy.tokenizer))
        return np.asarray(policy.collator(model, temperature=10.0, seed=seed)(rows)["labels"])

    np.testing.assert_array_equal(labels(1), labels(1))
    assert (labels(1) != labels(2)).any()


def test_what_does_not_fit_is_told_in_one_line(card: Path, tmp_path: Path) -> None:
    policy = load_policy(card)
    with pytest.raises(UserError, match="learned with another tokenizer"):
        policy.collator(_t5(340), train_bpe(["Other words, of which nobody knew."], 320))
    with pytest.raises(UserError, match="the model has 12 token embeddings"):
        policy.collator(_t5(12))
    with pytest.raises(UserError, match="holds no masking policy"):
        load_policy(tmp_path)
