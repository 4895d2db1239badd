"""LIME: deduction, induction and abduction in equal parts."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import stacked
from raylab.synthetic.task import Lengths, Pairs, SyntheticTask
from raylab.synthetic.tasks.abduct import Abduct
from raylab.synthetic.tasks.deduct import Deduct
from raylab.synthetic.tasks.induct import Induct


@dataclass(frozen=True, kw_only=True, slots=True)
class Lime(SyntheticTask):
    """The mixture that the paper calls LIME: each example is one of Deduct, Induct and Abduct, all as likely."""

    def draw(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Pairs:
        counts = rng.multinomial(rows, [1 / 3] * 3).tolist()
        pairs = [task.draw(n, alphabet, lengths, rng) for task, n in zip((Deduct(), Induct(), Abduct()), counts, strict=True)]
        return Pairs(sources=stacked(*(p.sources for p in pairs)), targets=stacked(*(p.targets for p in pairs)))
