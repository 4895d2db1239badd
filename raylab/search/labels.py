"""A recipe in a few words, for tables, sentences and legends: "salient spans=2 -> spans, lr 0.004"."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from raylab.errors import UserError
from raylab.recipe import Stage
from raylab.search.ledger import Run

NO_STAGES = "no intermediate pretraining"


def label(recipe: Mapping[str, Any]) -> str:
    """The short name of a recipe in JSON form: its stages, each with the choices that are not the default."""
    return " + ".join(map(_stage, recipe["stages"])) or NO_STAGES


def run_label(run: Run) -> str:
    """The label a run was given, or else its recipe's."""
    return run.label or label(run.recipe)


def _stage(stage: Mapping[str, Any]) -> str:
    if "policy" not in stage:
        return " ".join([stage["name"], *_choices(stage, Stage.registry.get)])
    return ", ".join([f"{_policy(stage['policy'])} -> {stage['target']}", *_circumstances(stage)])


def _policy(policy: Mapping[str, Any]) -> str:
    from raylab.masking.policy import Policy  # numpy: only where a policy is to be named

    return " ".join([policy["name"], *_choices(policy, Policy.registry.get)])


def _circumstances(stage: Mapping[str, Any]) -> Iterator[str]:
    if (share := stage.get("corpus_share", 1.0)) != 1.0:
        yield f"{share:.0%} of the corpus"
    if rate := stage.get("optimization", {}).get("learning_rate"):
        yield f"lr {rate:.2g}"


def _choices(plugin: Mapping[str, Any], find: Any) -> Iterator[str]:
    """The fields that differ from their defaults; all of them where the plugin is not installed here."""
    try:
        defaults = {f.name: f.default for f in dataclasses.fields(find(plugin["name"]))}
    except UserError:  # a study from a machine with other plugins can still be listed
        defaults = {}
    for name, value in plugin.items():
        if name != "name" and value != defaults.get(name, dataclasses.MISSING) and not isinstance(value, (dict, list)):
            yield f"{name}={_plain(value)}"


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
