"""Length: x -> how many tokens it has."""

from dataclasses import dataclass

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Unary


@dataclass(frozen=True, kw_only=True, slots=True)
class Length(Unary):
    """The number of tokens, as decimal text: a b a -> 3."""

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        return alphabet.decimals(x.sizes)
