"""Every synthetic task a second time, slowly: what a person would say the output of a payload is.

A payload is a list of token ids; texts are the ids of a text, as `Alphabet.texts` gives them.
"""

from collections.abc import Callable, Mapping

from raylab.synthetic.alphabet import Alphabet

Definition = Callable[[list[int], Alphabet], list[int]]


def split(tokens: list[int], marker: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in tokens:
        if token == marker:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def text(value: object, alphabet: Alphabet) -> list[int]:
    return alphabet.texts([str(value)])[0]


def once(tokens: list[int]) -> list[int]:
    return list(dict.fromkeys(tokens))


def deduplicate(x: list[int], alphabet: Alphabet) -> list[int]:
    out: list[int] = []
    for token in x:
        if not out or out[-1] != token:
            out.append(token)
    return out


def longest_word(x: list[int], alphabet: Alphabet) -> list[int]:
    return max(split(x, alphabet.markers["word"]), key=len)  # the first of equal ones


def place(x: list[int], q: list[int]) -> int:
    return next((i for i in range(len(x) - len(q) + 1) if x[i : i + len(q)] == q), -1)


def delete(x: list[int], q: list[int]) -> list[int]:
    at = place(x, q)
    return x if at < 0 else x[:at] + x[at + len(q) :]


def sort(x: list[int], q: list[int]) -> list[int]:
    rank = {token: i for i, token in enumerate(q)}
    return sorted(x, key=rank.__getitem__)


def unary(function: Callable[[list[int]], list[int]]) -> Definition:
    return lambda payload, alphabet: function(payload)


def binary(function: Callable[[list[int], list[int]], list[int]]) -> Definition:
    return lambda payload, alphabet: function(*split(payload, alphabet.markers["argument"]))


def spoken(function: Callable[[list[int], list[int]], object]) -> Definition:
    """Its answer is a text."""
    return lambda payload, alphabet: text(function(*split(payload, alphabet.markers["argument"])), alphabet)


DEFINITIONS: Mapping[str, Definition] = {
    "identity": unary(lambda x: x),
    "reverse": unary(lambda x: x[::-1]),
    "duplicate": unary(lambda x: [token for token in x for _ in range(2)]),
    "first_token": unary(lambda x: [x[0]]),
    "last_token": unary(lambda x: [x[-1]]),
    "length": lambda x, alphabet: text(len(x), alphabet),
    "deduplicate": deduplicate,
    "set": unary(once),
    "longest_word": longest_word,
    "count": spoken(lambda x, q: x.count(q[0])),
    "delete": binary(delete),
    "search": spoken(lambda x, q: "yes" if place(x, q) >= 0 else "no"),
    "replace": binary(lambda x, q: [q[1] if token == q[0] else token for token in x]),
    "sort": binary(sort),
    "union": binary(lambda x, q: once(x + q)),
    "intersect": binary(lambda x, q: [token for token in once(x) if token in q]),
    "set1_minus_set2": binary(lambda x, q: [token for token in once(x) if token not in q]),
    "set2_minus_set1": binary(lambda x, q: [token for token in once(q) if token not in x]),
}


def rules_of(written: list[int], alphabet: Alphabet) -> dict[int, list[int]]:
    """`A : [ ... ]`, one after the other."""
    found: dict[int, list[int]] = {}
    rest = written
    while rest:
        assert rest[1:3] == [alphabet.markers["maps"], alphabet.markers["open"]]
        end = rest.index(alphabet.markers["close"])
        assert rest[0] not in found, "two rules for one symbol"
        found[rest[0]] = rest[3:end]
        rest = rest[end + 1 :]
    return found


def applied(pattern: list[int], rules: dict[int, list[int]]) -> list[int]:
    return [out for token in pattern for out in rules.get(token, [token])]
