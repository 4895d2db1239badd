"""A model with heads as `raylab export` or `raylab run --save` left it: read again, and asked."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerBase

import raylab.models.lstm  # noqa: F401 (makes it known to transformers)
from raylab.data.tokenizer import load_tokenizer
from raylab.errors import UserError
from raylab.families._inputs import inputs_of, padded
from raylab.masking.corrupt import Batch
from raylab.models.headed import HEADS, Headed
from raylab.training.batching import to_device

DATA = "data.json"  # beside an exported model: what it was trained on


class Loaded:
    """A finetuned model and its tokenizer. task: the name of its head. labels: what its outputs stand for, where that is known.
    max_tokens: of a text, or of a pair together, special ones included; what is longer is cut."""

    def __init__(self, model: Headed, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str], max_tokens: int) -> None:
        self.model, self.tokenizer, self.labels, self.max_tokens = model.eval(), tokenizer, tuple(labels), max_tokens
        self.task = next(iter(model.heads))

    @torch.inference_mode()
    def logits(self, texts: Sequence[str], others: Sequence[str] | None = None) -> torch.Tensor:
        """What the head says of texts, or of pairs of texts: (B, outputs), in float32."""
        inputs = inputs_of(self.tokenizer, texts, others or [""] * len(texts), self.max_tokens)
        ids_BT, there_BT = padded(inputs.ids, int(self.tokenizer.pad_token_id))
        segments_BT = (torch.arange(ids_BT.shape[1]) >= torch.tensor(inputs.second_starts)[:, None]).numpy() & there_BT
        batch = Batch(
            input_ids_BT=ids_BT, attention_BT=there_BT, labels_BU=ids_BT[:, :1], segments_BT=segments_BT.astype("int64")
        )
        device = next(self.model.parameters()).device
        return self.model.answer(self.task, to_device(batch, slice(None), device)).float()


def load_model(folder: Path | str, max_tokens: int | None = None) -> Loaded:
    """The model in a folder, on the CPU; its body is `.model.body`, a model of transformers. max_tokens: in place of those of its
    scale. Raises UserError for a folder without heads."""
    folder = Path(folder)
    if not (folder / HEADS).is_file():
        raise UserError(
            f"{folder} holds no {HEADS}: no model with heads. One that writes is loaded by transformers' from_pretrained()."
        )
    kind = AutoModelForSeq2SeqLM if AutoConfig.from_pretrained(folder).is_encoder_decoder else AutoModelForMaskedLM
    body = kind.from_pretrained(folder)
    data = json.loads((folder / DATA).read_text(encoding="utf-8")) if (folder / DATA).is_file() else {}
    length = max_tokens or int(data.get("max_tokens", 512))
    return Loaded(Headed.from_pretrained(folder, body), load_tokenizer(str(folder)), data.get("labels", ()), length)
