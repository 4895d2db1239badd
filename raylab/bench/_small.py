"""A study of trials of about a second, on the atlas's invented passages: for benches of what a search does around its trials."""

import os
import time
from pathlib import Path
from typing import Any

from raylab.data import atlas
from raylab.data.prepared import Preparation, prepare
from raylab.data.source import fingerprint
from raylab.recipe import ModelSpec
from raylab.search.ledger import Study
from raylab.search.space import Setting, load_space
from raylab.search.study import Conduct, Settings


def small_study(
    folder: Path, trials: int, space: str = "masking", policies: tuple[str, ...] = ("uniform",), **settings: Any
) -> Conduct:
    """One that is to explore so many recipes of a space; its data are prepared below `folder`. settings: of the study."""
    task = atlas.fixture()
    data = prepare(task, fingerprint(task), Preparation(vocab_size=400), folder)
    setting = Setting(task=task.name, base=ModelSpec(), policies=policies, budget_tokens=2000, finetune_steps=4, batch_size=8)
    asked = Settings(
        space=space, trials=trials, seed=0, seeds=2, metric="bits_per_answer", setting=setting,
        **{"scheduler": "none", **settings},
    )  # fmt: skip
    study = Study(
        name=f"bench-{space}-{os.getpid()}", settings={"metric": asked.metric}, data={}, environment={}, created=time.time()
    )
    return Conduct(asked, load_space(space), data, study)
