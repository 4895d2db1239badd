"""Last token: x -> its last token."""

from dataclasses import dataclass

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Unary


@dataclass(frozen=True, kw_only=True, slots=True)
class LastToken(Unary):
    """The last token: a b c -> c."""

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        return x.where(x.place == x.spread(x.sizes) - 1)
