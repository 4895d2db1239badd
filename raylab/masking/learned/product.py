"""Learned policies as products: learned once, kept under what decides them, and found again.

STORAGE/products/<key>/    a policy card (raylab.masking.learned.card)
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

from raylab.data.files import written_once
from raylab.data.prepared import Prepared
from raylab.errors import unknown
from raylab.masking.learned.card import DESCRIPTION, Card, identity, load, save, tokenizer_of
from raylab.masking.learned.extractor import Extractor
from raylab.masking.policies.learned import LEARNERS
from raylab.recipe import NUMERICS_VERSION, digest, encode
from raylab.training.progress import Progress

PRODUCTS = "products"


class Learner(Protocol):
    """How a policy is learned: a frozen configuration, whose class's name says what kind of learning it is."""

    def cost(self, data: Prepared, seed: int) -> dict[str, float]:
        """Corpus `tokens` and `flops` that learning takes, known before, and where they are not exact the factor `within` which
        they are right."""

    def learn(self, data: Prepared, seed: int, **given: Any) -> Generator[Progress, None, tuple[Extractor, Card]]:
        """Learn from the train split. Yields a Progress a step; returns the extractor and its card."""


def learner(name: str) -> type:
    """The class of configurations of a kind of learning. Raises UserError for an unknown name."""
    if name == "supervised":
        from raylab.masking.learned.supervised import Supervised

        return Supervised
    if name == "meta":
        from raylab.masking.learned.meta.config import Meta

        return Meta
    raise unknown("way to learn a policy", name, LEARNERS)


def cards(storage: Path) -> list[Path]:
    """The folders of the policies that lie below `storage`."""
    return sorted(folder.parent for folder in (storage / PRODUCTS).glob(f"*/{DESCRIPTION}"))


def key_of(how: Learner, data: Prepared, seed: int) -> str:
    """The product's key, known before it is learned: 20 hexadecimal digits of configuration, seed, data and numerics."""
    return digest([type(how).__name__.lower(), encode(how), seed, data.fingerprint, NUMERICS_VERSION])


def learned(how: Learner, data: Prepared, seed: int, storage: Path, **given: Any) -> Generator[Progress, None, Path]:
    """Learn a policy, unless it is there; returns its folder below `storage`. given: what `how.learn` takes beside, such as
    where to begin. Raises as `how.learn`."""
    folder = storage / PRODUCTS / key_of(how, data, seed)
    if not folder.exists():
        with written_once(folder) as unfinished:
            extractor, card = yield from how.learn(data, seed, **given)
            save(unfinished, extractor, card, data.tokenizer)
    return folder


def taken_in(card_folder: Path, storage: Path) -> str:
    """The key of somebody's policy card, as a product below `storage`: copied there, unless it is there already."""
    key = identity(card_folder)
    folder = storage / PRODUCTS / key
    if not folder.exists():
        extractor, card = load(card_folder)
        with written_once(folder) as unfinished:
            save(unfinished, extractor, card, tokenizer_of(card_folder))
    return key
