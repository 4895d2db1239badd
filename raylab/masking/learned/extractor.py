"""A scorer of spans: what of a passage is likely to be asked, read from the passage alone.

After Ye et al. 2021 (arXiv 2104.08840; the architecture is our reading of it): an encoder with two pointers, one to a
span's first token and one to its last. The question is no input. A span's score is the sum of both pointers, over the
spans of at most `longest` tokens of which every token may be hidden.

Letters: B passages, T positions, L = longest span in tokens, H width, K spans a passage.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from raylab.errors import UserError

NEVER = -1e9  # the log-probability of what can't be; finite, so that differences and gradients stay so


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractorConfig:
    """kind: "bilstm" (width: of each direction, as in torch.nn.LSTM) or "transformer" (width: of the model, 4 heads).

    longest: tokens of the longest span. dropout: in training, on what each layer reads.
    """

    vocab_size: int
    kind: Literal["bilstm", "transformer"] = "bilstm"
    width: int = 64
    layers: int = 2
    longest: int = 10
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "layers", "longest"):
            if getattr(self, name) < 1:
                raise UserError(f"the extractor's {name} is {getattr(self, name)}; expected at least 1.")
        if self.kind not in ("bilstm", "transformer"):
            raise UserError(f"the extractor's kind is {self.kind!r}; expected 'bilstm' or 'transformer'.")
        if self.kind == "transformer" and self.width % 8:
            raise UserError(f"the width of a transformer extractor is {self.width}; expected a multiple of 8.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"the extractor's dropout is {self.dropout}; expected a fraction from 0 up to, but not including, 1.")


class Extractor(nn.Module):
    """Token ids to start and end logits."""

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.Embedding(config.vocab_size, config.width)
        self.encoder = _BiLSTM(config) if config.kind == "bilstm" else _Transformer(config)
        self.dropout = nn.Dropout(config.dropout)
        self.pointers = nn.Linear(self.encoder.width, 2)

    def forward(self, input_ids_BT: torch.Tensor, attention_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Start and end logits, (B, T) each. attention_BT: False at padding, which stands behind the tokens."""
        states_BTH = self.encoder(self.dropout(self.embeddings(input_ids_BT)), attention_BT)
        start_BT, end_BT = self.pointers(self.dropout(states_BTH)).unbind(dim=-1)
        return start_BT, end_BT

    def log_probs(self, input_ids_BT: torch.Tensor, attention_BT: torch.Tensor, maskable_BT: torch.Tensor) -> torch.Tensor:
        """The log-probability of each span of each passage, (B, T, L); as `span_log_probs`."""
        start_BT, end_BT = self(input_ids_BT, attention_BT)
        return span_log_probs(start_BT, end_BT, maskable_BT & attention_BT.bool(), self.config.longest)

    def flops_a_token(self) -> float:
        """Floating-point operations of a forward pass, two a weight; embeddings are looked up, not multiplied."""
        return 2.0 * sum(p.numel() for name, p in self.named_parameters() if p.ndim == 2 and not name.startswith("embeddings"))


class _BiLSTM(nn.Module):
    """Two LSTMs a layer, the second over each passage backwards.

    nn.LSTM's own second direction begins in the padding; packed sequences avoid that and cost its fast path on a CPU.
    """

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.width = 2 * config.width
        sizes = [config.width, *[self.width] * (config.layers - 1)]
        self.forwards = nn.ModuleList(nn.LSTM(size, config.width, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(size, config.width, batch_first=True) for size in sizes)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, states_BTH: torch.Tensor, attention_BT: torch.Tensor) -> torch.Tensor:
        mirror_BT = _mirror(attention_BT)
        for layer, (forward, backward) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            read_BTH = self.dropout(states_BTH) if layer else states_BTH
            there, _ = forward(read_BTH)
            back, _ = backward(_taken(read_BTH, mirror_BT))
            states_BTH = torch.cat([there, _taken(back, mirror_BT)], dim=-1)
        return states_BTH


def _mirror(attention_BT: torch.Tensor) -> torch.Tensor:
    """For each position that of its mirror image within its passage; padding stays where it is."""
    place_T = torch.arange(attention_BT.shape[1], device=attention_BT.device)
    lengths_B1 = attention_BT.sum(dim=1, keepdim=True)
    return torch.where(place_T < lengths_B1, lengths_B1 - 1 - place_T, place_T)


def _taken(states_BTH: torch.Tensor, place_BT: torch.Tensor) -> torch.Tensor:
    return states_BTH.gather(1, place_BT[..., None].expand(-1, -1, states_BTH.shape[-1]))


class _Transformer(nn.Module):
    """A pre-norm encoder with sinusoidal positions, so that it reads passages of any length."""

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.width = config.width
        layer = nn.TransformerEncoderLayer(
            config.width, nhead=4, dim_feedforward=4 * config.width, dropout=config.dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, norm=nn.LayerNorm(config.width), enable_nested_tensor=False)

    def forward(self, states_BTH: torch.Tensor, attention_BT: torch.Tensor) -> torch.Tensor:
        placed_BTH = states_BTH + _positions(states_BTH)
        states: torch.Tensor = self.layers(placed_BTH, src_key_padding_mask=~attention_BT.bool())
        return states


def _positions(states_BTH: torch.Tensor) -> torch.Tensor:
    """Sines and cosines (Vaswani et al. 2017), (T, H)."""
    length, width = states_BTH.shape[1:]
    rates = torch.exp(torch.arange(0, width, 2, device=states_BTH.device) * (-math.log(10_000.0) / width))
    angles = torch.arange(length, device=states_BTH.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(states_BTH.dtype)


def span_log_probs(start_BT: torch.Tensor, end_BT: torch.Tensor, allowed_BT: torch.Tensor, longest: int) -> torch.Tensor:
    """The joint log-probability of each span, (B, T, L): [:, t, n] is that of the n + 1 tokens from t on.

    Start logit plus end logit, normalised over the spans of at most `longest` tokens that are all allowed; NEVER for any
    other. A passage without such a span has NEVER everywhere.
    """
    score_BTL = start_BT[:, :, None] + _ahead(end_BT, longest, 0.0)
    possible_BTL = _ahead(allowed_BT.to(start_BT.dtype), longest, 0.0).cumprod(dim=-1) > 0
    score_BTL = score_BTL.masked_fill(~possible_BTL, NEVER)
    log_p_BTL = score_BTL.flatten(1).log_softmax(dim=-1).view_as(score_BTL)
    return log_p_BTL.masked_fill(~possible_BTL, NEVER)


def _ahead(values_BT: torch.Tensor, longest: int, padding: float) -> torch.Tensor:
    """The values at positions t, t + 1, ..., t + L - 1, (B, T, L)."""
    return nn.functional.pad(values_BT, (0, longest - 1), value=padding).unfold(1, longest, 1)


def top_spans(log_p_BTL: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best `count` spans of each passage that do not overlap, best first, as first token, one past the last, and
    log-probability, (B, K) each. Where a passage has fewer, the others have NEVER and no tokens."""
    left_BTL = log_p_BTL.clone()
    place_T1 = torch.arange(left_BTL.shape[1], device=left_BTL.device)[:, None]
    ends_TL = place_T1 + 1 + torch.arange(left_BTL.shape[2], device=left_BTL.device)
    starts, ends, scores = [], [], []
    for _ in range(count):
        score_B, index_B = left_BTL.flatten(1).max(dim=1)
        start_B = index_B // left_BTL.shape[2]
        end_B = torch.where(score_B > NEVER / 2, start_B + 1 + index_B % left_BTL.shape[2], start_B)
        touching_BTL = (place_T1 < end_B[:, None, None]) & (ends_TL > start_B[:, None, None])
        left_BTL = left_BTL.masked_fill(touching_BTL, NEVER)
        starts.append(start_B)
        ends.append(end_B)
        scores.append(score_B)
    return torch.stack(starts, dim=1), torch.stack(ends, dim=1), torch.stack(scores, dim=1)


def sampled_spans(
    log_p_BTL: torch.Tensor, count: int, temperature: float, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`count` spans of each passage, drawn one after the other with odds exp(log-probability / temperature), none that
    overlaps an earlier one; in the form of `top_spans`, with their log-probabilities at temperature 1."""
    if temperature <= 0:
        raise UserError(f"the sampling temperature is {temperature}; expected a positive number.")
    uniform = torch.rand(log_p_BTL.shape, generator=generator, dtype=log_p_BTL.dtype, device=log_p_BTL.device)
    gumbel_BTL = -torch.log(-torch.log(uniform.clamp(1e-12, 1 - 1e-7)))
    # The Gumbel top-k trick (Kool et al. 2019): the greatest of the perturbed is a draw, and so is the next among the rest.
    drawn_BTL = torch.where(log_p_BTL > NEVER / 2, log_p_BTL / temperature + gumbel_BTL, NEVER)
    starts_BK, ends_BK, _ = top_spans(drawn_BTL.detach(), count)
    return starts_BK, ends_BK, span_scores(log_p_BTL, starts_BK, ends_BK)


def span_scores(log_p_BTL: torch.Tensor, starts_BK: torch.Tensor, ends_BK: torch.Tensor) -> torch.Tensor:
    """The log-probabilities of given spans, (B, K), differentiable; NEVER for a span of no tokens."""
    longest = log_p_BTL.shape[2]
    index_BK = starts_BK * longest + (ends_BK - starts_BK - 1).clamp(0, longest - 1)
    found_BK = log_p_BTL.flatten(1).gather(1, index_BK)
    return torch.where(ends_BK > starts_BK, found_BK, torch.full_like(found_BK, NEVER))
