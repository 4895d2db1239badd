"""How fast learned masking policies read a corpus, and what masking with one costs beside salient masking.

A corpus is read once: threads take whole batches, so that cores add up, and the figure is tokens a CPU second, in which
neighbours on the machine do not count. After that, a mask is drawn from spans that stand there, as for salient masking.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from raylab.bench import Compared
from raylab.data import atlas
from raylab.data.annotation import TokenisedText
from raylab.data.corpus import tokenise
from raylab.data.tokenizer import train_bpe
from raylab.errors import UserError
from raylab.masking.learned.extractor import Extractor, ExtractorConfig
from raylab.masking.learned.scoring import Reading, best_spans
from raylab.masking.policies.learned import Learned
from raylab.masking.policies.salient import Salient
from raylab.masking.policy import Passages, Policy, spans_of

HELP = "tokens a second at which learned masking policies read a corpus"

GOAL_MTOK_S = 0.2  # on two cores, of the BiLSTM with two layers of width 64
CORES = 2
KINDS = ("bilstm", "transformer")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the size of the extractors and the number of runs."""
    parser.add_argument("--width", type=int, default=64, help="of the extractors (default: 64)")
    parser.add_argument("--layers", type=int, default=2, help="of the extractors (default: 2)")
    parser.add_argument("--passages", type=int, default=2000, help="of the atlas that are read (default: 2000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median counts (default: 5)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians over `--runs` runs, kinds in turn."""
    if min(args.width, args.layers, args.passages, args.runs) < 1:
        raise UserError("--width, --layers, --passages and --runs are counts; expected at least 1 of each.")
    corpus = atlas.load().corpus[: args.passages]
    tokenizer = train_bpe((passage.text for passage in corpus), 2000)
    text = tokenise(corpus, tokenizer, 64)
    scorers = {kind: _extractor(kind, len(tokenizer), args.width, args.layers) for kind in KINDS}
    reading, tokens = Reading.of(text), len(text.tokens_N)
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for run in range(args.runs + 1):
        for kind, scorer in scorers.items():
            took = _cpu_s(lambda scorer=scorer: best_spans(scorer, reading))  # type: ignore[misc]
            seconds[kind] += [took] if run else []  # the first warms up
    speeds = {kind: tokens / float(np.median(took)) / 1e6 for kind, took in seconds.items()}
    return {
        "tokens": tokens, "width": args.width, "layers": args.layers, "cores": CORES, "goal_mtok_s": GOAL_MTOK_S,
        "mtok_cpu_s": speeds, "mtok_s": {kind: CORES * speed for kind, speed in speeds.items()},
        "draw": _drawn(scorers["bilstm"], text, args.runs),
    }  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("Mtok/s that a BiLSTM reads; goal", result["mtok_s"]["bilstm"], result["goal_mtok_s"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    size = f"{result['layers']} layers of width {result['width']}"
    table = Table(title=f"Reading {result['tokens']:,} tokens once, {size}", title_justify="left", box=None)
    for column in ("extractor", "Mtok/s a core", f"on {result['cores']} cores"):
        table.add_column(column, justify="left" if column == "extractor" else "right")
    for kind, speed in result["mtok_cpu_s"].items():
        table.add_row(kind, f"{speed:.2f}", f"{result['mtok_s'][kind]:.2f}")
    Console().print(table)
    draw = result["draw"]
    Console().print(
        f"Masks, once it is read: {draw['learned_mtok_s']:.0f} Mtok/s; salient masking {draw['salient_mtok_s']:.0f}, "
        f"{draw['ratio']:.1f} times as fast."
    )
    met_ = "Met." if met(result) else "Missed."
    Console().print(f"Goal: the bilstm at {result['goal_mtok_s']:g} Mtok/s on {result['cores']} cores. {met_}")


def met(result: Mapping[str, Any]) -> bool:
    """Does the BiLSTM read as fast as it should?"""
    return bool(result["mtok_s"]["bilstm"] >= result["goal_mtok_s"])


def _extractor(kind: Any, vocab_size: int, width: int, layers: int) -> Extractor:
    torch.manual_seed(0)
    return Extractor(ExtractorConfig(vocab_size=vocab_size, kind=kind, width=width, layers=layers)).eval()


def _drawn(scorer: Extractor, text: TokenisedText, runs: int) -> dict[str, float]:
    """Tokens a CPU second of masks of the whole corpus, by a learned policy and by salient masking."""
    policies: dict[str, Policy] = {"learned": Learned(), "salient": Salient()}
    found = {"learned": best_spans(scorer, Reading.of(text)), "salient": Salient().needs()[0].compute(text)}
    rng = np.random.default_rng(0)
    speeds = {}
    for name, policy in policies.items():
        passages = Passages(
            tokens_N=text.tokens_N, starts_R1=text.starts_P1, maskable_N=text.maskable_N, word_starts_N=text.word_starts_N,
            vocab_size=text.vocab_size, spans={policy.needs()[0]: spans_of(found[name])}, weights={},
        )  # fmt: skip
        took = [_cpu_s(lambda p=policy, of=passages: p.draw(of, rng, 0.0)) for _ in range(2 + 4 * runs)]  # type: ignore[misc]
        speeds[f"{name}_mtok_s"] = len(text.tokens_N) / float(np.median(took[2:])) / 1e6
    return {**speeds, "ratio": speeds["salient_mtok_s"] / speeds["learned_mtok_s"]}


def _cpu_s(action: Callable[[], object]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin
