"""A recipe in a few words, for tables, sentences and legends: "salient spans=2 -> spans, lr 0.004".

A label says what tells a recipe from others: its stages, each with the choices that are not the default; and what of its base
model and of its finetuning is not as `usual`, a recipe of the same study that was drawn with all defaults.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from raylab.errors import UserError
from raylab.recipe import Stage
from raylab.registry import Registry
from raylab.search.ledger import Run

NO_STAGES = "no pretraining"
NO_MORE_STAGES = "no intermediate pretraining"  # of a checkpoint, which is pretrained itself
_OF_LEARNED = ("product", "path", "learner")  # which policy it is: its name says that
_HELD = ("budget_tokens", "batch_size", "micro_batch")  # by a study, for all of its recipes
_TASKS = 3  # of a mixture that are named
_BARE = ("family", "scale", "mode", "precision")
_SPOKEN = {"learning_rate": "lr", "label_share": "labels", "batch_size": "batch"}

Plain = Mapping[str, Any]


def label(recipe: Plain, usual: Plain | None = None) -> str:
    """The short name of a recipe in JSON form."""
    stages = " + ".join(map(_stage, recipe["stages"])) or without_stages(recipe["base"])
    return "; ".join([stages, *(_others(recipe, usual) if usual else ())])


def without_stages(base: Plain) -> str:
    """What a base model without further stages is called."""
    return NO_MORE_STAGES if base.get("pretrained") else NO_STAGES


def run_label(run: Run) -> str:
    """The label a run was given, or else its recipe's."""
    return run.label or label(run.recipe)


def _stage(stage: Plain) -> str:
    """What is trained: a policy and its target, or the stage's name with the plugins that it holds and its choices."""
    held = [_plugin(name, value) for name, value in stage.items() if isinstance(value, Mapping) and "name" in value]
    if "policy" in stage and "target" in stage:
        return ", ".join([f"{held[0]} -> {stage['target']}", *_circumstances(stage)])
    return ", ".join([" ".join([stage["name"], *held, *_mixed(stage), *_choices(stage, Stage.registry)]), *_circumstances(stage)])


def _mixed(stage: Plain) -> Iterator[str]:
    """The largest tasks of a mixture with their shares, or how many there are where their sizes decide."""
    tasks, weights = stage.get("tasks", ()), stage.get("weights", ())
    if weights:
        largest = sorted(zip(weights, tasks, strict=True), reverse=True)[:_TASKS]
        more = [f"{len(tasks) - _TASKS} more"] if len(tasks) > _TASKS else []
        yield "on " + " + ".join([*(f"{task} {weight / sum(weights):.0%}" for weight, task in largest), *more])
    elif tasks:
        yield f"on {len(tasks)} tasks"


def _plugin(field: str, plugin: Plain) -> str:
    """A plugin that stands in a stage's field, with its choices."""
    from raylab.masking.policy import Policy  # numpy: only where a policy or a task is to be named
    from raylab.synthetic.task import SyntheticTask

    registries = {"policy": Policy.registry, "task": SyntheticTask.registry}
    return " ".join([plugin.get("learner") or plugin["name"], *_choices(plugin, registries[field])])


def _circumstances(stage: Plain) -> Iterator[str]:
    if (share := stage.get("corpus_share", 1.0)) != 1.0:
        yield f"{share:.0%} of the corpus"
    if rate := (stage.get("optimization") or {}).get("learning_rate"):
        yield f"lr {rate:.2g}"


def _choices(plugin: Plain, registry: Registry) -> Iterator[str]:
    """The fields that differ from their defaults; all of them where the plugin is not installed here."""
    try:
        defaults = {f.name: f.default for f in dataclasses.fields(registry.get(plugin["name"]))}
    except UserError:  # a study from a machine with other plugins can still be listed
        defaults = {}
    for name, value in plugin.items():
        told = name not in ("name", "corpus_share", *_HELD, *_OF_LEARNED) and not isinstance(value, (dict, list))
        if told and value != defaults.get(name, dataclasses.MISSING):
            yield f"{name}={_plain(value)}"


def _others(recipe: Plain, usual: Plain) -> Iterator[str]:
    """What of the base model is not as usual, and what of the finetuning."""
    if base := _differing(recipe["base"], usual["base"]):
        yield ", ".join(_spoken(name, value) for name, value in base)
    finetune, other = recipe["finetune"], usual["finetune"]
    if own := _differing({**finetune, **finetune.get("optimization", {})}, {**other, **other.get("optimization", {})}):
        yield f"finetuning {', '.join(_spoken(name, value) for name, value in own)}"


def _spoken(name: str, value: Any) -> str:
    """A field and its value; the value alone where it says what it is of."""
    if name == "pretrained":
        return PurePath(value).name
    return str(value) if name in _BARE else f"{_SPOKEN.get(name, name.replace('_', ' '))} {_plain(value)}"


def _differing(ours: Plain, usual: Plain) -> list[tuple[str, Any]]:
    """The plain fields that are not as usual. One that is None says nothing of itself: what takes its place does."""
    return [
        (name, value) for name, value in ours.items()
        if value is not None and not isinstance(value, Mapping) and value != usual.get(name)
    ]  # fmt: skip


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
