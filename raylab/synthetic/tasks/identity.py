"""Identity: x -> x."""

from dataclasses import dataclass

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Unary


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity(Unary):
    """The sequence as it is: a b c -> a b c."""

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        return x
