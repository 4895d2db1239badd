"""What a search is asked for: the options that decide its results, checked, with their defaults filled in.

They stand in the ledger's first line in this plain form, so that a resumed study is the same study.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

from raylab.cluster.sampler import SAMPLERS
from raylab.data.family import family_of
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.data.task import QUESTION_ANSWERING
from raylab.errors import UserError, unknown
from raylab.masking.policies.learned import LEARNERS
from raylab.masking.policy import Policy, policies_by_default
from raylab.models.build import is_encoder_decoder
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec
from raylab.search.compare import absent, differences
from raylab.search.space import Setting
from raylab.search.study import Settings
from raylab.training.objective import Objective

ASHA_FROM = 24  # trials; with fewer, successive halving saves little
DATA: dict[str, Any] = {
    "dataset": "triviaqa", "source": "auto", "data_dir": None, "corpus": None, "text_column": None, "splits": {},
    "answerable_only": True,
    "max_examples": None, "max_passages": None,
}  # fmt: skip
STUDY: dict[str, Any] = {
    "space": "masking", "space_file": None, "trials": 12, "seeds": 10, "seed": 0, "scale": None, "family": None, "base": None,
    "precision": None, "policies": None, "metric": None, "sampler": "gp", "scheduler": None,
    "set": [], "prior": [], "policy": [], "sources": None, "allow_target_in_sources": False, "allow_overlap": False,
}  # fmt: skip
DECIDING = (*DATA, *STUDY)
FAMILIES: tuple[str, ...] = get_args(get_type_hints(ModelSpec)["family"])  # of models
# What stood where an option that came later had nothing to say
_BEFORE = {"sampler": "tpe", "family": "t5", "metric": "bits_per_answer", "learned": {}}
# Corpus tokens a recipe reads with the spans target, and finetuning steps: what the scale needs to tell recipes apart
BUDGETS = {"tiny": (200_000, 120), "small": (20_000_000, 2_000), "base": (400_000_000, 10_000)}
_SETTINGS = {"budget_tokens", "finetune_steps", "batch_size"}
_OF_STUDY = ("space", "trials", "seed", "seeds", "metric", "sampler", "scheduler")


def resolve(given: Mapping[str, Any], has_gpu: bool) -> dict[str, Any]:
    """All deciding options in plain JSON values: those given, and the defaults of this machine for the others. What the data
    decide is None until they are there (`fitted`)."""
    options = {**DATA, **STUDY, **{name: _plain(value) for name, value in given.items()}}
    options["scale"] = options["scale"] or ("small" if has_gpu else "tiny")
    options["precision"] = options["precision"] or ("bfloat16" if has_gpu else "float32")
    options["scheduler"] = options["scheduler"] or ("asha" if options["trials"] >= ASHA_FROM else "none")
    _check(options)
    options["policies"] = _policies(options["policies"])
    return options


def fitted(options: Mapping[str, Any], family: str) -> dict[str, Any]:
    """The options for data of a family of tasks: its own measure, a model that can learn it and the policies that the model can
    be asked with, where they were not given. Raises UserError where what was given does not fit."""
    task: type[Objective] = Objective.registry.get(family)
    measures = family_of(family).measures
    found = {**options, "metric": options["metric"] or next(iter(measures)), "family": options["family"] or _model_of(task)}
    if found["metric"] not in measures:
        raise unknown("--metric", found["metric"], measures, f"These are the measures of {_words(family)}.")
    writes = is_encoder_decoder(base_of(found))
    if task.writes and not writes:
        told = f"--base {found['base']}" if found["base"] else f"--family {found['family']}"
        raise UserError(
            f"{told} is an encoder, but {_words(family)} asks for answers in words; give an encoder-decoder: t5, bart, or a "
            "checkpoint like them."
        )
    return {**found, "policies": _fitting(found["policies"], writes)}


def _model_of(task: type[Objective]) -> str:
    return "t5" if task.writes else "roberta"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _fitting(named: Sequence[str] | None, writes: bool) -> list[str]:
    """The policies named, or else all that the model can be asked with."""
    names = named or policies_by_default()
    unfit = [] if writes else [name for name in names if name in Policy.registry.names() and _inserts(name)]
    if named and unfit:
        raise UserError(
            f"--policies {unfit[0]}: it sets mask symbols where nothing is hidden, which asks nothing of an encoder. Leave it "
            "out, or take an encoder-decoder (--family t5)."
        )
    return [name for name in names if name not in unfit]


def _inserts(policy: str) -> bool:
    found: type[Policy] = Policy.registry.get(policy)
    return found.inserts


def stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The deciding options of a study from its ledger. One that came later than the ledger has the default it stands for."""
    return {name: settings.get(name, default) for name, default in {**DATA, **STUDY, **_BEFORE}.items()}


def continued(before: Mapping[str, Any], given: Mapping[str, Any], free: Sequence[str]) -> dict[str, Any]:
    """The options of a study that continues another: those given, and its parent's for the others. What is fixed by `--set` is
    added to what was fixed before, without what is free again."""
    fixed, added = (dict(_pair(text) for text in options.get("set") or ()) for options in (before, given))
    for name in free:
        if name not in fixed:
            raise unknown("choice for --free", name, fixed, "It frees what --set had fixed.")
    pairs = {name: value for name, value in {**fixed, **added}.items() if name in added or name not in free}
    options = {**before, "prior": [], **{name: _plain(value) for name, value in given.items()}}
    options["set"] = [f"{name}={value}" for name, value in pairs.items()]
    _check(options)
    options["policies"] = _policies(options["policies"])
    return options


def check_same(stored: Mapping[str, Any], given: Mapping[str, Any], name: str) -> None:
    """Raise UserError if a resumed study was given options that differ from those it was started with."""
    plain = {key: _plain(value) for key, value in given.items()}
    if plain.get("policies"):
        plain["policies"] = _policies(plain["policies"])
    found = differences({key: stored.get(key) for key in plain}, plain)
    if found:
        told = "; ".join(f"{d.field} was {_told(d.left)}, now {_told(d.right)}" for d in found)
        raise UserError(f"{name} was started with other settings: {told}. Resume it without them, or start a new study.")


def _told(value: Any) -> str:
    return "not given" if value in (None, absent, [], {}) else repr(value)


def settings_of(options: Mapping[str, Any], task: str, family: str = QUESTION_ANSWERING, sources: Sequence[str] = ()) -> Settings:
    """The study's settings on a task of a family, with the tasks that may be learned before it.

    Raises UserError for a `--set` that is not key=value or no positive number."""
    numbers, fixed = numbers_of(options)
    setting = Setting(
        task=task,
        task_family=family,
        base=base_of(options),
        policies=tuple(options["policies"]),
        fixed=fixed,
        learned=options.get("learned", {}),
        sources=tuple(sources),
        **numbers,
    )
    return Settings(setting=setting, **{k: options[k] for k in _OF_STUDY})


def numbers_of(options: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, str]]:
    """How much every recipe trains at this scale unless `--set` says otherwise, and what else `--set` fixes."""
    fixed = dict(_pair(text) for text in options["set"])
    budget_tokens, finetune_steps = BUDGETS[options["scale"]]
    numbers = {"budget_tokens": budget_tokens, "finetune_steps": finetune_steps, "batch_size": 32}
    return numbers | {name: _positive(name, fixed.pop(name)) for name in _SETTINGS & fixed.keys()}, fixed


def base_of(options: Mapping[str, Any]) -> ModelSpec:
    """The base model that the options describe."""
    return ModelSpec(
        family=options["family"], scale=options["scale"], pretrained=options["base"], precision=options["precision"],
        dropout=0.0 if options["scale"] == "tiny" else 0.1,
    )  # fmt: skip


def _check(options: Mapping[str, Any]) -> None:
    for name, least in (("trials", 1), ("seeds", 2)):
        if options[name] < least:
            raise UserError(f"--{name} is {options[name]}; expected at least {least}.")
    expected = {
        "scale": SIZES, "family": FAMILIES, "precision": ("float32", "bfloat16"), "metric": HIGHER_IS_BETTER,
        "sampler": SAMPLERS, "scheduler": ("asha", "none"),
    }  # fmt: skip
    for name, choices in expected.items():
        if options[name] is not None and options[name] not in choices:
            raise unknown(f"--{name}", str(options[name]), choices)


def _policies(named: Any) -> list[str] | None:
    """Policy names from "a,b" or a list, each checked, and once; None, for all that fit, stays None."""
    if named is None:
        return None
    names = [name.strip() for name in (named.split(",") if isinstance(named, str) else named)]
    for name in names:
        if name not in Policy.registry.names() and name not in LEARNERS:
            raise unknown("masking policy", name, [*Policy.registry.names(), *LEARNERS])
        if name not in LEARNERS and Policy.registry.get(name).searched == "never":
            raise UserError(f"--policies {name}: it is a reference for studies, which knows the answers; a search never has it.")
        if name == "learned":
            raise UserError(f"--policies learned: name how ({', '.join(LEARNERS)}), or give its card: --policy PATH.")
    return list(dict.fromkeys(names))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise UserError(f"--set {text!r} is not of the form KEY=VALUE, e.g. learning_rate=0.002.")
    return key.strip(), value.strip()


def _positive(name: str, text: str) -> int:
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        number = math.nan
    if not (number >= 1 and number == int(number)):
        raise UserError(f"--set {name}={text}: expected a positive whole number, e.g. {name}=100000.")
    return int(number)


def _plain(value: Any) -> Any:
    """A JSON value; a path in full, so that a study can be resumed from another folder."""
    return str(value.expanduser().resolve()) if isinstance(value, Path) else value
