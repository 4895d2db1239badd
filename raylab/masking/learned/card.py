"""A policy card: the folder in which a learned masking policy is kept, shared and read by people.

    model.safetensors    the extractor's weights
    policy.json          format, configuration, tokenizer contract, what it was learned on, cost, evidence, transfer
    tokenizer/           the tokenizer that it reads through
    README.md            the same for people

It loads with torch, transformers and safetensors alone, and runs no code of its own.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from raylab.errors import UserError
from raylab.masking.learned.extractor import Extractor, ExtractorConfig
from raylab.recipe import decode, digest

FORMAT = 1  # raised when older versions of raylab could not read what is written
WEIGHTS, DESCRIPTION, TOKENIZER, README = "model.safetensors", "policy.json", "tokenizer", "README.md"
# Text in which tokenizers differ that have the same vocabulary: case, accents, digits, spaces, signs
_PROBE = "The Café in Zürich, opened on 3 May 1898 (the 2nd one), didn't serve  1,250.75 guests; naïve?\nÅ—x_y@z… 東京"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a card says. how: "supervised" or "meta". tokenizer: the contract of its tokenizer. learned_on: task, source,
    corpus, fingerprint and counts of the data. recipe, seed: how it was learned. cost: tokens, flops, seconds of it.
    evidence: measures on held-out data, each {"value", "low", "high"} with a 95 % interval where there is one. transfer: rows
    of results on other tasks. notes: what a reader must know."""

    name: str
    how: str
    extractor: ExtractorConfig
    tokenizer: str
    learned_on: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    cost: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    transfer: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    def check_tokenizer(self, tokenizer: Any, whose: str) -> None:
        """Raise UserError unless `tokenizer` cuts and numbers text as the policy's own. whose: e.g. "this data's"."""
        got = tokenizer_contract(tokenizer)
        if got != self.tokenizer:
            raise UserError(
                f"the policy {self.name!r} was learned with another tokenizer ({self.extractor.vocab_size:,} entries, "
                f"{self.tokenizer[:8]}) than {whose} ({len(tokenizer):,} entries, {got[:8]}), so that its token ids mean other "
                "words. Learn one with this tokenizer, or use a base model with the policy's."
            )


def tokenizer_contract(tokenizer: Any) -> str:
    """A digest of what a policy relies on in a tokenizer: which id each entry has, and how text is cut. Padding,
    truncation, and what is set before and after a text do not count."""
    ids = tokenizer(_PROBE, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
    return digest([sorted(tokenizer.get_vocab().items()), list(ids)])


def save(folder: Path, extractor: Extractor, card: Card, tokenizer: Any) -> None:
    """Write a card into a new folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    tokenizer.save_pretrained(folder / TOKENIZER)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in extractor.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    describe(folder, card)


def describe(folder: Path, card: Card) -> None:
    """Write what a card says, anew if need be: evidence and transfer results may be added to a card that is there."""
    (folder / DESCRIPTION).write_text(
        json.dumps({"format": FORMAT, **asdict(card)}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / README).write_text(_readme(card), encoding="utf-8")


def read(folder: Path) -> Card:
    """What a card says. Raises UserError for a folder that is no card, is damaged, or comes from a later raylab."""
    if not (folder / DESCRIPTION).is_file():
        raise UserError(
            f"{folder} holds no masking policy: it has no {DESCRIPTION}. Give a folder that `raylab policy learn` or "
            "`raylab policy export` wrote."
        )
    try:
        told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(folder, f"{DESCRIPTION} is no JSON ({error})") from error
    version = told.pop("format", None) if isinstance(told, dict) else None
    if not isinstance(version, int):
        raise _damaged(folder, f"{DESCRIPTION} names no format")
    if version > FORMAT:
        raise UserError(
            f"the masking policy in {folder} has format {version}; this raylab reads up to {FORMAT}. Install a newer raylab."
        )
    try:
        extractor = decode(ExtractorConfig, told.pop("extractor"), where="extractor")
        return Card(**{**told, "extractor": extractor, **{name: tuple(told.get(name, ())) for name in ("transfer", "notes")}})
    except (UserError, KeyError, TypeError) as error:
        raise _damaged(folder, f"{DESCRIPTION} does not say what it should ({error})") from error


def load(folder: Path) -> tuple[Extractor, Card]:
    """The extractor of a card, ready to score, and what the card says. Raises UserError as `read`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = read(folder)
    extractor = Extractor(card.extractor)
    try:
        extractor.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError as error:
        raise _damaged(folder, f"it has no {WEIGHTS}") from error
    except (SafetensorError, RuntimeError) as error:
        raise _damaged(folder, f"{WEIGHTS} is cut off or not of this configuration") from error
    return extractor.eval().requires_grad_(False), card


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer that a card came with."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder / TOKENIZER))
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"its {TOKENIZER}/ cannot be read ({str(error).splitlines()[0]})") from error


def identity(folder: Path) -> str:
    """20 hexadecimal digits of what a card decides: weights, configuration, tokenizer. Not what it tells beside."""
    card = read(folder)
    try:
        weights = hashlib.blake2b((folder / WEIGHTS).read_bytes(), digest_size=10).hexdigest()
    except FileNotFoundError as error:
        raise _damaged(folder, f"it has no {WEIGHTS}") from error
    return digest([weights, asdict(card.extractor), card.tokenizer])


def with_transfer(card: Card, row: Mapping[str, Any]) -> Card:
    """The card with one more result on another task."""
    return replace(card, transfer=(*card.transfer, row))


def _damaged(folder: Path, why: str) -> UserError:
    return UserError(f"the masking policy in {folder} is damaged: {why}. Copy or learn it again.")


def _readme(card: Card) -> str:
    config = card.extractor
    lines = [
        f"# Masking policy {card.name}",
        "",
        f"Chooses the spans that intermediate pretraining hides. Learned by {_HOW.get(card.how, card.how)}: a "
        f"{config.layers}-layer {config.kind} of width {config.width} with two pointers over {config.vocab_size:,} token "
        f"embeddings, spans of at most {config.longest} tokens. It reads a passage alone, never a question.",
        "",
        "```python",
        "import raylab",
        "",
        'policy = raylab.load_policy("PATH/OF/THIS/FOLDER")',
        "collator = policy.collator(model)  # for transformers.Trainer(..., data_collator=collator)",
        "```",
        *_section("Learned on", card.learned_on),
        *_section("Recipe", {**card.recipe, "seed": card.seed}),
        *_section("Cost", card.cost),
        *_section("Evidence", card.evidence),
        *(_section("Notes", dict(enumerate(card.notes, start=1)))),
    ]
    if card.transfer:
        columns = list(dict.fromkeys(name for row in card.transfer for name in row))
        lines += ["", "## Transfer", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
        lines += [f"| {' | '.join(_told(row.get(name, '')) for name in columns)} |" for row in card.transfer]
    return "\n".join([*lines, "", f"Tokenizer contract: `{card.tokenizer}` (its tokenizer lies in `{TOKENIZER}/`).", ""])


_HOW = {"supervised": "direct supervision (passages and the answers that stand in them)", "meta": "meta-learning"}


def _section(title: str, rows: Mapping[Any, Any]) -> list[str]:
    told = [f"- {str(name).replace('_', ' ')}: {_told(value)}" for name, value in rows.items()]
    return ["", f"## {title}", "", *told] if told else []


def _told(value: Any) -> str:
    if isinstance(value, Mapping) and "value" in value:
        low, high = value.get("low"), value.get("high")
        return f"{value['value']:.4g}" + (
            f" (95 % interval {low:.4g} to {high:.4g})" if low is not None and high is not None else ""
        )
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_told(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
