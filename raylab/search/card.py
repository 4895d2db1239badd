"""What stands beside an exported winner: its scores with intervals, the command that remakes it, the model card."""

import shlex
from collections.abc import Iterator
from typing import Any

from raylab.search.labels import run_label
from raylab.search.ledger import Run, Study
from raylab.verdict.paired import estimate

DATA_OPTIONS = ("dataset", "source", "data_dir", "corpus", "splits", "answerable_only", "max_examples", "max_passages")
MEASURES = {
    "bits_per_answer": "bits per answer (lower is better)", "bits_per_label": "bits per label (lower is better)", "f1": "F1",
    "macro_f1": "macro F1", "matthews_correlation": "Matthews' correlation",
}  # fmt: skip


def winner_runs(study: Study) -> list[Run]:
    """The verdict's finished runs of the winner, one a replicate; the first is the one whose model is kept."""
    verdict = study.verdict or {}
    arms = (arm["keys"] for arm in verdict.get("arms", []) if arm["label"] == verdict["winner"])
    return [study.runs[key] for key in next(arms, []) if key in study.runs and study.runs[key].state == "finished"]


def scores(study: Study) -> dict[str, Any]:
    """The verdict, and for each measure of the test split the winner's mean over seeds and questions with its interval."""
    return {"verdict": study.verdict, "test": dict(_test_scores(winner_runs(study)))}


def _test_scores(runs: list[Run]) -> Iterator[tuple[str, dict[str, Any]]]:
    measures = runs[0].scores.get("test", {}) if runs else {}
    for measure in measures:
        whole = estimate([run.scores["test"][measure] for run in runs])
        yield measure, {"mean": whole.mean, **whole.as_json()}


def command(study: Study, run: Run) -> str:
    """The command line that trains this run's model again, in the exported folder."""
    replicate = ["--seed", str(study.settings["seed"]), "--replicate", str(run.replicate)]
    return shlex.join(["raylab", "run", "recipe.json", *replicate, *_data_options(study)])


def _data_options(study: Study) -> Iterator[str]:
    """The options of the data, with the source that was found instead of the one to be looked for ("auto")."""
    settings = {**study.settings, "source": study.data["source"].split(":")[0]}
    for name in DATA_OPTIONS:
        value, option = settings.get(name), "--" + name.replace("_", "-")
        if value is False:
            yield option.replace("--", "--no-", 1)
        elif isinstance(value, dict) and value:
            yield from (option, ",".join(f"{split}={file}" for split, file in value.items()))
        elif value and value is not True:
            yield from (option, str(value))


_WRITES = """from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

model = AutoModelForSeq2SeqLM.from_pretrained("PATH/TO/THIS/FOLDER")
tokenizer = AutoTokenizer.from_pretrained("PATH/TO/THIS/FOLDER")"""
_WITH_HEADS = """import raylab  # the body is an ordinary model of transformers; its heads stand in heads.safetensors

model = raylab.load_model("PATH/TO/THIS/FOLDER")
model.logits(["some text"])  # a row a text; of pairs: model.logits(texts, others)
model.labels  # what the columns stand for"""


def model_card(study: Study, run: Run, with_heads: bool = False) -> str:
    """README.md of an exported model, in the Hugging Face form. with_heads: it has heads of raylab's beside its body."""
    verdict = (study.verdict or {}).get("sentence", "No verdict was run.")
    warnings = "".join(f"> **{warning}**\n\n" for warning in study.data.get("warnings", []))
    return f"""---
library_name: transformers
tags: [raylab]
---
# {run_label(run)}

The winner of the raylab study `{study.name}`: {verdict}

{warnings}{_task(study)} Recipe: `recipe.json`; data: `data.json`; all figures: `scores.json`.

```python
{_WITH_HEADS if with_heads else _WRITES}
```

## Scores on the test split

{_score_table(scores(study)["test"], _noun(study))}

Intervals are for other seeds and other {_noun(study)}, 95 %.

## To make it again

```sh
{command(study, run)}
```
"""


def _noun(study: Study) -> str:
    return "examples" if "examples" in study.data else "questions"


def _task(study: Study) -> str:
    data = study.data
    named = f"`{data.get('name')}` ({data.get('source')}, fingerprint\n`{data.get('fingerprint')}`)"
    if _noun(study) == "questions":
        return f"The model was finetuned to answer the questions of {named} from its weights alone."
    return f"The model was finetuned for {data['family'].replace('_', ' ')} on {named}."


def _score_table(test: dict[str, dict[str, Any]], noun: str) -> str:
    rows = "\n".join(_score_row(name, figures) for name, figures in test.items())
    return f"| measure | mean | 95 % interval | seeds | {noun} |\n|---|---|---|---|---|\n{rows}"


def _score_row(name: str, figures: dict[str, Any]) -> str:
    low, high = figures["low"], figures["high"]
    interval = "-" if low is None else f"{low:.3f} to {high:.3f}"
    told = MEASURES.get(name, name.replace("_", " "))
    return f"| {told} | {figures['mean']:.3f} | {interval} | {figures['seeds']} | {figures['questions']} |"
