"""First token: x -> its first token."""

from dataclasses import dataclass

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Unary


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstToken(Unary):
    """The first token: a b c -> a."""

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        return x.where(x.place == 0)
