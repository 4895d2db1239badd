"""Initialisation from a checkpoint's statistics (Wu, Li and Liang 2022): of its weights, no more than means and deviations.

Parameters are put in groups; of each group the mean and standard deviation over all its numbers are measured in the source,
and the parameters are drawn anew from them. Token embeddings never are, nor positions that are learned like them (T5's
relative ones are, as in the paper). T5 has no biases; theirs are groups of their own (our reading).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from raylab.errors import UserError
from raylab.seeds import derive

Grouping = Literal["parameter", "whole_model", "layer", "role", "pre_attention_norm", "constant_norm"]
Form = Literal["mean_std", "scale"]
NORMS, NORM_BIASES, BIASES, POSITIONS, PRODUCTS = "norms", "norm biases", "biases", "relative positions", "products"

_LAYER = re.compile(r"\b\d+\b")  # the first number in a parameter's name is its layer's
_RELATIVE = "relative_attention_bias"
# The norms before self- and cross-attention, by the architecture; those with the norm behind it have none.
_T5 = r"(encoder\.block\.\d+\.layer\.0|decoder\.block\.\d+\.layer\.[01])\.layer_norm\.weight"
_BEFORE_ATTENTION = {
    "t5": _T5, "mt5": _T5, "umt5": _T5,
    "mbart": r"(self|encoder)_attn_layer_norm\.weight", "pegasus": r"(self|encoder)_attn_layer_norm\.weight",
    "roberta-prelayernorm": r"attention\.LayerNorm\.weight", "modernbert": r"attn_norm\.weight",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """Mean and standard deviation of a group's numbers."""

    mean: float
    std: float


def measured(model: PreTrainedModel, grouping: Grouping) -> dict[str, Moments]:
    """The moments of every group of the model's parameters."""
    numbers: dict[str, list[torch.Tensor]] = {}
    for parameter, group, _ in _grouped(model, grouping):
        numbers.setdefault(group, []).append(parameter.detach().flatten().double())
    together = {group: torch.cat(parts) for group, parts in numbers.items()}
    return {group: Moments(mean=x.mean().item(), std=x.std(correction=0).item()) for group, x in together.items()}


@torch.no_grad()
def redraw(model: PreTrainedModel, moments: Mapping[str, Moments], grouping: Grouping, form: Form, seed: int) -> None:
    """Draw the model's parameters anew, each from its group's moments and by a seed of its own name.

    form: "mean_std", all from normal distributions with the group's mean and deviation; "scale", norms become their mean, all
    others get the mean 0. Raises UserError where a group's moments are missing.
    """
    groups = list(_grouped(model, grouping))
    if missing := [group for _, group, _ in groups if group not in moments]:
        raise UserError(lacking(missing))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, group, kind in groups:
        mean, std = moments[group].mean, moments[group].std
        if form == "scale":
            mean, std = (mean, 0.0) if kind == NORMS else (0.0, std)
        generator = torch.Generator().manual_seed(derive(seed, "statistics", names[id(parameter)]))
        parameter.copy_(mean + std * torch.randn(parameter.shape, generator=generator))


@torch.no_grad()
def set_norms(model: PreTrainedModel, value: float) -> None:
    """Make all scales of norms before attention one constant."""
    for parameter, _, _ in _grouped(model, "constant_norm"):
        parameter.fill_(value)


def lacking(names: list[str]) -> str:
    """What a source lacks, in words."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"has nothing for {', '.join(names[:3])}{more}"


def _grouped(model: PreTrainedModel, grouping: Grouping) -> Iterator[tuple[nn.Parameter, str, str]]:
    """Every parameter that a grouping draws anew, its group and its kind."""
    chosen = _before_attention(model) if grouping in ("pre_attention_norm", "constant_norm") else None
    for name, parameter, kind in _parameters(model):
        if chosen is None or chosen.search(name):
            yield parameter, _group(name, kind, grouping), kind


def _group(name: str, kind: str, grouping: Grouping) -> str:
    layer = _LAYER.search(name)
    match grouping:
        case "whole_model":
            return kind
        case "layer":
            return f"{name[: layer.end()] if layer else 'outside of layers'}, {kind}"
        case "role":  # encoder and decoder apart (our reading)
            return _LAYER.sub("*", name, count=1)
        case _:
            return name


def _before_attention(model: PreTrainedModel) -> re.Pattern[str]:
    kind = model.config.model_type
    if kind not in _BEFORE_ATTENTION:
        raise UserError(f"no norm before attention is known of a {kind} model; expected one of {', '.join(_BEFORE_ATTENTION)}.")
    return re.compile(rf"{_BEFORE_ATTENTION[kind]}$")


def _parameters(model: PreTrainedModel) -> Iterator[tuple[str, nn.Parameter, str]]:
    """Name, parameter and kind of all but the embeddings; tied ones under their first name."""
    embeddings = {id(model.get_input_embeddings().weight)}
    if (output := model.get_output_embeddings()) is not None:
        embeddings |= {id(parameter) for parameter in output.parameters()}
    modules = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        path, _, own = name.rpartition(".")
        kind = _kind(path, modules[path], own)
        if kind and id(parameter) not in embeddings:
            yield name, parameter, kind


def _kind(path: str, module: nn.Module, own: str) -> str:
    if isinstance(module, nn.Embedding):
        return POSITIONS if path.endswith(_RELATIVE) else ""
    if "Norm" in type(module).__name__:
        return NORM_BIASES if own == "bias" else NORMS
    return BIASES if own.startswith("bias") else PRODUCTS
