"""How fast a base model of some kind is usually trained, from random weights or on top of a checkpoint."""

from dataclasses import dataclass

from raylab.models.build import is_encoder_decoder
from raylab.recipe import ModelSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Learning rates at the plateau: the range that is worth a search, and the usual one."""

    low: float
    usual: float
    high: float


def pretraining_rates(spec: ModelSpec) -> Rates:
    """Encoders take less than encoder-decoders: on the questions of TREC a tiny one that was pretrained at 4e-3 and finetuned
    came to an accuracy of 0.47, at 1e-3 to 0.71, and without pretraining to 0.71 (one seed, on dev)."""
    if is_encoder_decoder(spec):
        return Rates(low=1e-3, usual=4e-3, high=1e-2)
    return Rates(low=2e-4, usual=1e-3, high=4e-3)


def finetuning_rate(spec: ModelSpec) -> float:
    """The usual learning rate at which a model is finetuned as a whole. At that of random weights a checkpoint forgets: on the
    questions of TREC, MiniLM came to an accuracy of 0.45 in 60 steps at 2e-3, and frozen to 0.82 (three seeds, on test)."""
    return 1e-4 if spec.pretrained else 2e-3
