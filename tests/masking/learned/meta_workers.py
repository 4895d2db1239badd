"""One of several equal workers that meta-learn a policy, in a process of its own."""

from pathlib import Path

import torch
import torch.distributed as dist

from raylab.data.prepared import Prepared
from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.meta.config import Meta
from raylab.recipe import ModelSpec
from raylab.training.checkpoint import Checkpoints
from raylab.training.parallel import Parallel

# BART's GELU is smooth: a rounding error of the inner model stays one
SMALL = Meta(
    base=ModelSpec(family="bart"), base_pretraining=2, base_finetuning=2, base_batch=4, questions=4, draws=2, steps=3,
    episodes=3, updates=2, batch=2, width=8, dropout=0.0,
)  # fmt: skip


def learned(config: Meta, data: Prepared, parallel: Parallel | None = None, checkpoints: Checkpoints | None = None) -> Extractor:
    """The policy that comes out."""
    learning = config.learn(data, 0, parallel, checkpoints)
    while True:
        try:
            next(learning)
        except StopIteration as end:
            extractor: Extractor = end.value[0]
            return extractor


def worker(rank: int, world: int, folder: str, out: str) -> None:
    """Learn with the others; each writes its policy to OUT/<rank>.pt."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{out}/rendezvous", rank=rank, world_size=world)
    extractor = learned(SMALL, Prepared(Path(folder)), Parallel.current(torch.device("cpu")))
    torch.save(extractor.state_dict(), Path(out) / f"{rank}.pt")
    dist.destroy_process_group()
