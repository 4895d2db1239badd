"""A recipe: a base model and a list of stages, without seeds. Its JSON form is all that crosses to a worker.

Configuration is frozen dataclasses all the way down. `encode` and `decode` turn them into plain JSON values and back;
`digest` hashes that form, and is what run keys and stage keys are made of. A field that does not decide the numbers
(cost, logging, placement) is opted out of the hash by name: `field(metadata=NOT_IN_KEY)`.
"""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from raylab.errors import UserError, unknown
from raylab.registry import Plugin, Registry
from raylab.seeds import Seeds

NUMERICS_VERSION = 1  # raised when the same recipe and seeds would give other numbers than before
NOT_IN_KEY: Mapping[str, Any] = {"key": False}
LATER: Mapping[str, Any] = {"key": "unless default"}  # a field that came later: with its default, keys are those from before


@dataclass(frozen=True, slots=True)
class Knob:
    """The range over which a space may search a field, and that field's own limits are checked elsewhere.

    Either `choices`, or `low` and `high` (both included), on a log scale if `log`.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()


def knob(
    default: Any, *, low: float | None = None, high: float | None = None, log: bool = False, choices: tuple[Any, ...] = ()
) -> Any:
    """A dataclass field with a default and the range a space searches it over."""
    return dataclasses.field(default=default, metadata={"knob": Knob(low, high, log, choices)})


def knobs(cls: type) -> dict[str, Knob]:
    """The searchable fields of a configuration class."""
    return {f.name: f.metadata["knob"] for f in dataclasses.fields(cls) if "knob" in f.metadata}


class Stage(Plugin):
    """One step from model to model. Members are frozen dataclasses, one file each in raylab/stages/.

    `run(model, context)` trains `model` in place and yields `Progress`; what it needs of the world is in `context`
    (raylab.training.context.Context).
    """

    __slots__ = ()
    registry: ClassVar[Registry] = Registry("stage", "raylab.stages")

    def equip(self, model: Any, context: Any) -> Any:
        """The model with what the stage needs of it, such as a head, before it is trained: most need nothing. What it adds
        depends on the run's seeds and data alone, so that a checkpoint of a later stage finds the same parts."""
        return model

    def run(self, model: Any, context: Any) -> Iterator[Any]:
        """Train `model` in place, yielding raylab.training.progress.Progress."""
        raise NotImplementedError

    def reads(self, context: Any) -> Sequence[int]:
        """The corpus tokens that each of its optimizer steps reads: known without training."""
        raise NotImplementedError

    def batches(self, model: Any, context: Any) -> Callable[[int], Any]:
        """The global batch of a step (from 0), as raylab.training.batching.StepBatch."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """The base model: a configuration of a family at a scale (random weights), or a checkpoint by name or path.

    family: "t5" and "bart" are encoder-decoders, "roberta" an encoder, "lstm" a bidirectional LSTM. precision: of the products
    in forward and backward passes; weights and their updates are float32. layers, width: in place of the scale's; the width
    of an LSTM is that of each direction. embeddings: a checkpoint whose token embeddings, and tokenizer, an LSTM begins with.
    """

    family: Literal["t5", "bart", "roberta", "lstm"] = "t5"
    scale: Literal["tiny", "small", "base"] = "tiny"
    pretrained: str | None = None
    dropout: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    layers: int | None = dataclasses.field(default=None, metadata=LATER)
    width: int | None = dataclasses.field(default=None, metadata=LATER)
    embeddings: str | None = dataclasses.field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout is {self.dropout}; expected a fraction from 0 up to, but not including, 1.")
        for name in ("layers", "width"):
            if (value := getattr(self, name)) is not None and (value <= 0 or self.pretrained is not None):
                raise UserError(f"{name} is {value}; expected a positive number, or none where a checkpoint has its own.")
        if self.embeddings is not None and (self.family != "lstm" or self.pretrained is not None):
            raise UserError(f"embeddings is {self.embeddings!r}; only an LSTM from random weights (family 'lstm') takes them.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides a finetuned model but the seeds and the data."""

    base: ModelSpec
    stages: tuple[Stage, ...]
    task: str
    finetune: Stage


def run_key(recipe: Recipe, seeds: Seeds, data_fingerprint: str) -> str:
    """The identity of a run: 20 hexadecimal digits over recipe, derived seeds, data and numerics version."""
    return digest([encode(recipe, for_key=True), encode(seeds), data_fingerprint, NUMERICS_VERSION])


def stage_keys(recipe: Recipe, seeds: Seeds, data_fingerprint: str) -> list[str]:
    """The identities of the models after the first stage, the first two, ...: like a run key, over what decides them. How it is
    finetuned does not."""
    used = {stream: seed for stream, seed in encode(seeds).items() if stream not in ("finetune", "eval")}
    known = [encode(recipe.base, for_key=True), used, data_fingerprint, NUMERICS_VERSION]
    stages = encode(recipe.stages, for_key=True)
    return [digest([*known, stages[: n + 1]]) for n in range(len(stages))]


def digest(value: Any) -> str:
    """20 hexadecimal digits of the canonical JSON of a plain value."""
    return hashlib.blake2b(canonical(value).encode(), digest_size=10).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(value: Any, *, for_key: bool = False) -> Any:
    """Plain JSON values of a configuration; a plugin carries its `name`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = (f for f in dataclasses.fields(value) if not for_key or _in_key(f, getattr(value, f.name)))
        fields = {f.name: encode(getattr(value, f.name), for_key=for_key) for f in kept}
        return {"name": value.name(), **fields} if isinstance(value, Plugin) else fields
    if isinstance(value, (tuple, list)):
        return [encode(item, for_key=for_key) for item in value]
    if isinstance(value, Mapping):
        return {str(k): encode(v, for_key=for_key) for k, v in value.items()}
    return value


def _in_key(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a field with this value decides the numbers."""
    match field.metadata.get("key"):
        case False:
            return False
        case "unless default":
            return bool(value != field.default)
        case _:
            return True


def decode(kind: Any, value: Any, where: str = "recipe") -> Any:
    """The configuration of type `kind` from its JSON form. Raises UserError naming the field that does not fit."""
    if isinstance(kind, type) and issubclass(kind, Plugin):
        fields = _object(value, where)
        if "name" not in fields:
            raise UserError(
                f"{where} has no 'name'. Expected the name of a {kind.registry.kind}, e.g. {kind.registry.names()[0]!r}."
            )
        plugin = kind.registry.get(fields.pop("name"))
        return _decode_fields(plugin, fields, where)
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, _object(value, where), where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where} is {value!r}; expected a list.")
        return tuple(decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return decode(next(a for a in arguments if a is not type(None)), value, where)
    if origin is Literal:
        if value not in arguments:
            raise unknown(where, str(value), map(str, arguments))
        return value
    return _scalar(kind, value, where)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{where} is {value!r}; expected an object with named fields.")
    return dict(value)


def _decode_fields(kind: Any, fields: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    declared = [f.name for f in dataclasses.fields(kind)]
    for name in fields:
        if name not in declared:
            raise unknown(f"field of {where}", name, declared)
    missing = [f.name for f in dataclasses.fields(kind) if f.name not in fields and _required(f)]
    if missing:
        raise UserError(f"{where} lacks {', '.join(missing)}.")
    return kind(**{name: decode(hints[name], item, f"{where}.{name}") for name, item in fields.items()})


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    accepted = {float: (int, float), int: (int,), str: (str,), bool: (bool,)}.get(kind, (kind,))
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{where} is {value!r}; expected {getattr(kind, '__name__', kind)}.")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{where} is {value!r}; expected a finite number.")
    return float(value) if kind is float else value
