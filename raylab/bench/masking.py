"""How fast masks are drawn, on one core, beside transformers' collators on the same tokens in the same run.

Two figures a policy: tokens a second for the mask alone, given cached annotations, and for mask and labels together,
which is what a collator does; the ratios compare the latter. The collators get what suits them best: tensors that are
stacked, padded and free of Python lists already, in the batch size at which each of them is fastest.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import DataCollatorForLanguageModeling

from raylab.bench import Compared
from raylab.data import atlas
from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.corpus import tokenise
from raylab.data.tokenizer import symbols_of, train_bpe
from raylab.errors import UserError
from raylab.masking.corrupt import Symbols, mlm
from raylab.masking.policy import Passages, Policy, Spans, policies_by_default
from raylab.training.threads import one_thread

HELP = "tokens a second of every masking policy, beside transformers' collators"

GOALS_MTOK_S = {"uniform": 50.0, "span": 50.0}  # what raylab promises, in million tokens a second; 10 for all others
_LEAST_GOAL = 10.0
_COLLATOR_ROWS = (32, 256, 4096)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the size of the batch and the number of runs."""
    parser.add_argument("--rows", type=int, default=4096, help="passages of a batch (default: 4096)")
    parser.add_argument("--length", type=int, default=64, help="tokens of a passage (default: 64)")
    parser.add_argument("--runs", type=int, default=15, help="runs of which the median counts (default: 15)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians over `--runs` runs in this process, with one thread; CPU seconds, so that its neighbours do not count."""
    if min(args.rows, args.length, args.runs) < 1:
        raise UserError("--rows, --length and --runs are counts; expected at least 1 of each.")
    with one_thread():
        return _measure(args.rows, args.length, args.runs)


def _measure(rows: int, length: int, runs: int) -> dict[str, Any]:
    corpus = atlas.load().corpus
    tokenizer = train_bpe((passage.text for passage in corpus), 4000)
    text = tokenise(corpus, tokenizer, length)
    plain, whole_word = (
        _collator_speed(text, DataCollatorForLanguageModeling(tokenizer, **options), rows, length, runs)
        for options in ({}, {"whole_word_mask": True, "mask_replace_prob": 1.0, "random_replace_prob": 0.0})
    )
    policies = {name: _policy_speed(name, text, symbols_of(tokenizer), rows, length, runs) for name in policies_by_default()}
    for figures in policies.values():
        figures["ratio_collator"] = figures["labels_mtok_s"] / plain
        figures["ratio_whole_word"] = figures["labels_mtok_s"] / whole_word
    return {
        "tokens": rows * length,
        "rows": rows,
        "runs": runs,
        "collator_mtok_s": plain,
        "whole_word_mtok_s": whole_word,
        "policies": policies,
    }


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [
        (
            "Mtok/s, uniform masks with labels; transformers' collator",
            result["policies"]["uniform"]["labels_mtok_s"],
            result["collator_mtok_s"],
        )
    ]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"Masking, Mtok/s on one core, batches of {result['tokens']:,} tokens", title_justify="left", box=None)
    for column in ("policy", "mask", "goal", "with labels", "x collator", "x whole word"):
        table.add_column(column, justify="left" if column == "policy" else "right", no_wrap=True)
    for name, figures in result["policies"].items():
        ratios = f"{figures['ratio_collator']:.1f}", f"{figures['ratio_whole_word']:.0f}"
        table.add_row(
            name, f"{figures['mtok_s']:.0f}", f"{figures['goal_mtok_s']:.0f}", f"{figures['labels_mtok_s']:.0f}", *ratios
        )
    table.add_row("transformers' collator", "", "", f"{result['collator_mtok_s']:.1f}", "1", "")
    table.add_row("its whole-word mode", "", "", f"{result['whole_word_mtok_s']:.2f}", "", "1")
    Console().print(table)
    Console().print(f"Goal: every mask as quick as its goal. {'Met.' if met(result) else 'Missed.'}")


def met(result: Mapping[str, Any]) -> bool:
    """Is every policy's mask drawn as quickly as it should be?"""
    return all(figures["mtok_s"] >= figures["goal_mtok_s"] for figures in result["policies"].values())


def _policy_speed(name: str, text: TokenisedText, symbols: Symbols, rows: int, length: int, runs: int) -> dict[str, float]:
    policy: Policy = Policy.registry.get(name)()
    packed = _packed(text, {annotation: annotation.compute(text) for annotation in policy.needs()}, rows, length)
    rng = np.random.default_rng(0)
    drawn = _median_s(lambda: policy.draw(packed, rng, 0.5), runs)
    labelled = _median_s(lambda: mlm(packed, policy.draw(packed, rng, 0.5), symbols), runs)
    goal = GOALS_MTOK_S.get(name, _LEAST_GOAL)
    return {"mtok_s": rows * length / drawn / 1e6, "goal_mtok_s": goal, "labels_mtok_s": rows * length / labelled / 1e6}


def _collator_speed(text: TokenisedText, collator: DataCollatorForLanguageModeling, rows: int, length: int, runs: int) -> float:
    """The collator's own masking function, called with stacked tensors, at its best batch size."""
    take = np.resize(np.arange(len(text.tokens_N)), rows * length)
    ids = torch.from_numpy(text.tokens_N[take].astype(np.int64)).view(rows, length)
    special = torch.zeros_like(ids)
    words = np.stack([text.char_starts_N[take], text.char_ends_N[take]], axis=1).astype(np.int64)
    offsets = torch.from_numpy(words).view(rows, length, 2) if collator.whole_word_mask else None

    def collate(size: int) -> None:
        for begin in range(0, rows, size):
            part = slice(begin, begin + size)
            collator.torch_mask_tokens(ids[part].clone(), special[part], None if offsets is None else offsets[part])

    seconds = min(_median_s(partial(collate, size), max(3, runs // 3)) for size in _COLLATOR_ROWS)
    return rows * length / seconds / 1e6


def _median_s(action: Callable[[], object], runs: int) -> float:
    action()
    seconds = []
    for _ in range(runs):
        begin = time.process_time()
        action()
        seconds.append(time.process_time() - begin)
    return float(np.median(seconds))


def _packed(text: TokenisedText, annotations: Mapping[Annotation, np.ndarray], rows: int, length: int) -> Passages:
    """The corpus over and over, cut into passages of equal length, so that the collators have no padding to do."""
    take = np.resize(np.arange(len(text.tokens_N)), rows * length)
    return Passages(
        tokens_N=text.tokens_N[take],
        starts_R1=np.arange(rows + 1) * length,
        maskable_N=np.ones(len(take), bool),
        word_starts_N=text.word_starts_N[take],
        vocab_size=text.vocab_size,
        spans={a: _packed_spans(s, len(text.tokens_N), rows, length) for a, s in annotations.items() if a.gives == "spans"},
        weights={a: w[take] for a, w in annotations.items() if a.gives == "weights"},
    )


def _packed_spans(spans_S2: np.ndarray, corpus: int, rows: int, length: int) -> Spans:
    """The spans of every repetition of the corpus that lie within one passage."""
    repeated = (spans_S2 + corpus * np.arange(-(-rows * length // corpus))[:, None, None]).reshape(-1, 2)
    whole = (repeated[:, 0] // length == (repeated[:, 1] - 1) // length) & (repeated[:, 1] <= rows * length)
    return Spans(starts_S=repeated[whole, 0], ends_S=repeated[whole, 1])
