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

    precision: of the products in forward and backward passes; weights and their updates are float32.
    """

    family: Literal["t5", "bart"] = "t5"
    scale: Literal["tiny", "small", "base"] = "tiny"
    pretrained: str | None = None
    dropout: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout is {self.dropout}; expected a fraction from 0 up to, but not including, 1.")


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


def digest(value: Any) -> str:
    """20 hexadecimal digits of the canonical JSON of a plain value."""
    return hashlib.blake2b(canonical(value).encode(), digest_size=10).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(value: Any, *, for_key: bool = False) -> Any:
    """Plain JSON values of a configuration; a plugin carries its `name`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = (f for f in dataclasses.fields(value) if not (for_key and f.metadata.get("key") is False))
        fields = {f.name: encode(getattr(value, f.name), for_key=for_key) for f in kept}
        return {"name": value.name(), **fields} if isinstance(value, Plugin) else fields
    if isinstance(value, (tuple, list)):
        return [encode(item, for_key=for_key) for item in value]
    if isinstance(value, Mapping):
        return {str(k): encode(v, for_key=for_key) for k, v in value.items()}
    return value


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
