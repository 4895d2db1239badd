"""transformers' Trainer, set to do nothing but train: rows of like length together, fused AdamW, no logs, no checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from raylab.bench._training.cases import Collator, Rows
from raylab.training.optimizer import Optimization


def train(
    model: Any, rows: Rows, collate: Collator, optimization: Optimization, folder: Path, *, steps: int, batch_size: int,
    seed: int, on_gpu: bool, bfloat16: bool, ended: Callable[[], None],
) -> None:  # fmt: skip
    """Train `model` in place under the same schedule as raylab's own loop. `ended` is called after every step.

    The rows are those of all steps, for rows are grouped in sections of 50 batches, the longest first: a run that ended within
    one would have had more than its share of long ones.
    """
    warmup, decay = (round(share * steps) for share in (optimization.warmup, optimization.decay))
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=batch_size, seed=seed, use_cpu=not on_gpu,
        bf16=bfloat16,
        learning_rate=optimization.learning_rate, lr_scheduler_type="warmup_stable_decay", warmup_steps=warmup,
        lr_scheduler_kwargs={"num_decay_steps": decay, "decay_type": "linear"}, optim="adamw_torch_fused",
        adam_beta2=optimization.beta2, weight_decay=optimization.weight_decay, max_grad_norm=optimization.clip,
        train_sampling_strategy="group_by_length", dataloader_drop_last=True, dataloader_num_workers=2 if on_gpu else 0,
        dataloader_pin_memory=on_gpu, remove_unused_columns=False, report_to="none", logging_strategy="no", save_strategy="no",
        disable_tqdm=True, logging_nan_inf_filter=False,
    )  # fmt: skip
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=_repeated(rows, steps * batch_size, seed),
        data_collator=collate,
        callbacks=[_Told(ended)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _repeated(rows: Rows, count: int, seed: int) -> Rows:
    """So many of the rows: each once, in a random order, before any comes again."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(rows)) for _ in range(-(-count // len(rows)))]
    return [rows[number] for number in np.concatenate(orders)[:count]]


class _Told(TrainerCallback):
    def __init__(self, ended: Callable[[], None]) -> None:
        self.ended = ended

    def on_step_end(self, *told: Any, **more: Any) -> None:
        self.ended()
