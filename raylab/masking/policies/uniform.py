"""Independent tokens: the masking of BERT (Devlin et al. 2019, arXiv 1810.04805), and the baseline of every verdict."""

from dataclasses import dataclass

import numpy as np

from raylab.masking.policy import MASK, Mask, Passages
from raylab.masking.sampling import chosen, tokens
from raylab.masking.schedule import RatedPolicy, require


@dataclass(frozen=True, kw_only=True, slots=True)
class Uniform(RatedPolicy):
    """Every maskable token is as likely to be hidden as any other, each on its own.

    random_share, keep_share: of the hidden tokens, how many stand in the input as a random token or as themselves
    (BERT: 0.1 and 0.1). The random one is drawn from the batch's maskable tokens, so it is never a special token;
    BERT draws it from the whole vocabulary.
    """

    random_share: float = 0.0
    keep_share: float = 0.0

    def __post_init__(self) -> None:
        RatedPolicy.__post_init__(self)
        shares = (self.random_share, self.keep_share)
        require(min(shares) >= 0 and sum(shares) <= 1, "random_share, keep_share", shares, "shares of a sum of at most 1")

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        units = tokens(passages)
        hidden_N = np.zeros(len(passages.tokens_N), bool)
        hidden_N[units.starts_U[chosen(units.sizes, self.rate_at(progress), rng)]] = True
        replacement_N = self._replacements(passages, hidden_N, rng) if self.random_share or self.keep_share else None
        return Mask(hidden_N=hidden_N, begins_N=hidden_N, replacement_N=replacement_N)

    def _replacements(self, passages: Passages, hidden_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        hidden = np.flatnonzero(hidden_N)
        coin = rng.random(len(hidden))
        replaced = hidden[coin < self.random_share]
        kept = hidden[(coin >= self.random_share) & (coin < self.random_share + self.keep_share)]
        replacement_N = np.full(len(hidden_N), MASK, dtype=np.int32)
        replacement_N[kept] = passages.tokens_N[kept]
        if len(replaced):
            replacement_N[replaced] = rng.choice(passages.tokens_N[passages.maskable_N], size=len(replaced))
        return replacement_N
