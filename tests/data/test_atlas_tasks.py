"""The built-in tasks: one of every family at least, made the same each time, split by record, and learnable."""

from collections import Counter

import numpy as np
import pytest

from raylab.data.assembly import Limits
from raylab.data.atlas.tasks import TASKS, _facts, load_task
from raylab.data.family import families
from raylab.data.source import DataRequest, fingerprint, load
from raylab.data.task import QUESTION_ANSWERING, SPLITS, Choice, TaskData


@pytest.fixture(scope="module")
def tasks() -> dict[str, TaskData]:
    return {name: load_task(name, Limits()) for name in TASKS}


def test_there_are_twelve_at_least_and_some_of_every_family() -> None:
    assert len(TASKS) >= 12
    assert {task.family for task in TASKS.values()} == {family.name() for family in families()} - {QUESTION_ANSWERING}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_whole(name: str, tasks: dict[str, TaskData]) -> None:
    data = tasks[name]
    assert (data.name, data.source, data.corpus_name) == (name, f"builtin:{name}", f"{name}'s own text")
    assert all(len(data.splits[split]) >= 200 for split in SPLITS[1:]) and len(data.splits["train"]) >= 1000
    assert len({e.id for split in SPLITS for e in data.splits[split]}) == sum(map(len, data.splits.values()))
    assert fingerprint(load_task(name, Limits())) == fingerprint(data)


def test_records_are_of_one_split_each() -> None:
    keys = {split: {record.key for record in facts.records} for split, facts in _facts().items()}
    assert all(keys.values()) and not keys["train"] & (keys["dev"] | keys["test"]) and not keys["dev"] & keys["test"]


@pytest.mark.parametrize("name", [task.name for task in TASKS.values() if task.family == "classification"])
def test_classes_are_learnable_and_not_trivial(name: str, tasks: dict[str, TaskData]) -> None:
    """A logistic regression on words, and on how many of them both texts have, does better than the commonest class."""
    data = tasks[name]
    common = Counter(e.label for e in data.splits["test"]).most_common(1)[0][1] / len(data.splits["test"])
    assert common < 0.6
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    words = text.TfidfVectorizer(ngram_range=(1, 2), min_df=2)
    train, test = data.splits["train"], data.splits["test"]
    fitted = words.fit_transform([" ".join(e.inputs()) for e in train])

    def features(examples: tuple, counts: object) -> np.ndarray:
        shared = [[len(set(e.text.split()) & set(e.text_b.split())) / (1 + len(e.text_b.split()))] for e in examples]
        return np.hstack([counts.toarray(), shared])  # type: ignore[attr-defined]

    model = linear.LogisticRegression(C=10, max_iter=200).fit(features(train, fitted), [e.label for e in train])
    right = model.score(features(test, words.transform([" ".join(e.inputs()) for e in test])), [e.label for e in test])
    assert right > common + 0.02


def test_the_place_of_a_choice_gives_nothing_away(tasks: dict[str, TaskData]) -> None:
    for data in tasks.values():
        choices = [e for e in data.splits["train"] if isinstance(e, Choice)]
        places = Counter(e.label for e in choices)
        assert not choices or max(places.values()) < 0.3 * len(choices)


def test_a_built_in_task_is_loaded_by_its_name() -> None:
    data = load(DataRequest(dataset="atlas_entailment", max_examples=50, max_passages=20))
    assert (data.family, data.labels) == ("classification", ("entailment", "not_entailment"))
    assert [len(data.splits[split]) for split in SPLITS] == [50, 50, 50] and len(data.corpus) == 20
    other = load(DataRequest(dataset="atlas_entailment", corpus="atlas_topic", max_examples=50))
    assert other.corpus_name == "atlas_topic's own text" and other.splits == data.splits
