"""What goes along with a search that runs elsewhere, and the arguments it runs with there."""

from pathlib import Path

import pytest

from raylab.app import parcel
from raylab.app.parcel import Parcel
from raylab.errors import UserError

STORAGE = ("--storage", "s3://bucket/raylab")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A person's own files: plugins, a space, data, a corpus."""
    (tmp_path / "plugins" / "masking" / "policies" / "__pycache__").mkdir(parents=True)
    (tmp_path / "plugins" / "masking" / "policies" / "own.py").write_text("a = 1\n")
    (tmp_path / "plugins" / "masking" / "policies" / "__pycache__" / "own.pyc").write_text("")
    (tmp_path / "data" / "trivia").mkdir(parents=True)
    (tmp_path / "data" / "trivia" / "train.jsonl").write_text("{}\n")
    (tmp_path / "wiki.jsonl").write_text("{}\n")
    (tmp_path / "space.py").write_text("b = 2\n")
    return tmp_path


def refusal(*argv: str) -> str:
    with pytest.raises(UserError) as told:
        Parcel.of(argv)
    return str(told.value)


def pairs(arguments: tuple[str, ...]) -> dict[str, str]:
    """Of arguments that are all options with values."""
    return dict(zip(arguments[::2], arguments[1::2], strict=True))


def test_what_is_asked_for_stays_and_gets_a_name() -> None:
    sent = Parcel.of(["masking", "--dataset", "triviaqa", "--trials", "2", "--set", "batch_size=8", *STORAGE])
    assert sent.along == {}
    assert sent.name is not None and sent.name.startswith("masking-triviaqa-20")
    assert sent.arguments == (
        "masking", "--dataset", "triviaqa", "--trials", "2", "--set", "batch_size=8", *STORAGE, "--name", sent.name,
        "--address", "auto",
    )  # fmt: skip


def test_a_name_of_ones_own_a_resumed_one_and_a_plan() -> None:
    assert Parcel.of(["masking", "--name", "mine", *STORAGE]).name == "mine"
    resumed = Parcel.of(["--resume", "mine", *STORAGE])
    assert (resumed.name, "--name" in resumed.arguments) == ("mine", False)
    plan = Parcel.of(["masking", "--plan", *STORAGE])
    assert (plan.name, "--name" in plan.arguments) == (None, False)


def test_where_it_runs_is_not_taken_along() -> None:
    """Nor whether somebody is to be asked: `--address ray://...` and --yes are about this end of it."""
    sent = Parcel.of(["masking", "--address", "ray://host:10001", "--name", "mine", "--yes", *STORAGE])
    assert sent.arguments == ("masking", "--name", "mine", *STORAGE, "--address", "auto")
    assert Parcel.of(["masking", "--address=ray://host:10001", "--name", "mine", *STORAGE]) == sent


def test_own_files_get_places_in_what_is_sent(mine: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    sent = Parcel.of([
        "--space-file", str(mine / "space.py"), "--plugins", str(mine / "plugins"), f"--data-dir={mine / 'data'}",
        "--dataset", "trivia", "--corpus", str(mine / "wiki.jsonl"), "--name", "mine", *STORAGE,
    ])  # fmt: skip
    options = pairs(sent.arguments)
    places = [options[option] for option in ("--space-file", "--plugins", "--data-dir", "--corpus")]
    assert places == ["along/0/space.py", "along/1/plugins", "along/2/data", "./along/3/wiki.jsonl"]
    assert options["--dataset"] == "trivia"

    folder = tmp_path_factory.mktemp("sent")
    size = sent.fill(folder)
    assert (folder / "along/0/space.py").read_text() == "b = 2\n"
    assert (folder / "along/1/plugins/masking/policies/own.py").read_text() == "a = 1\n"
    assert (folder / "along/2/data/trivia/train.jsonl").is_file()
    assert (folder / "along/3/wiki.jsonl").is_file()
    assert (folder / "raylab" / "search" / "__main__.py").is_file() and (folder / "raylab" / "app" / "submit.py").is_file()
    assert not list(folder.rglob("__pycache__"))
    assert size == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_an_own_dataset_that_lies_at_a_path(mine: Path) -> None:
    sent = Parcel.of(["masking", "--dataset", str(mine / "data" / "trivia"), *STORAGE])
    assert "./along/0/trivia" in sent.arguments
    assert (sent.name or "").startswith("masking-trivia-20")


def test_own_tasks_to_mix_go_along_beside_those_known_by_name(mine: Path) -> None:
    """Neither "atlas_topic" nor the part of a folder below --data-dir is a path of this machine."""
    named = f"atlas_topic,{mine / 'data' / 'trivia'},fewglue/rte"
    sent = Parcel.of(["mixture", "--target", str(mine / "data/trivia"), "--sources", named, *STORAGE])
    assert sent.along == {"along/0/trivia": mine / "data/trivia", "along/1/trivia": mine / "data/trivia"}
    assert {"./along/0/trivia", "atlas_topic,./along/1/trivia,fewglue/rte"} <= set(sent.arguments)


def test_a_home_folder_is_known(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(mine))
    assert Parcel.of(["masking", "--plugins", "~/plugins", *STORAGE]).along == {"along/0/plugins": mine / "plugins"}


def test_paths_of_the_cluster_stay_as_they_are() -> None:
    argv = ("masking", "--data-dir", "/shared/data", "--dataset", "/shared/data/trivia", "--name", "mine", *STORAGE)
    sent = Parcel.of(argv, in_place=True)
    assert sent.along == {}
    assert sent.arguments == (*argv, "--address", "auto")


def test_what_is_not_here() -> None:
    told = refusal("masking", "--data-dir", "/nowhere/at/all", *STORAGE)
    assert told.startswith("--data-dir /nowhere/at/all: there is nothing of that name here") and "--in-place" in told


@pytest.mark.parametrize(
    ("storage", "got"), [((), "is missing"), (("--storage", "runs"), "is runs"), (("--storage=./runs",), "is ./runs")]
)
def test_results_must_lie_where_they_are_found_again(storage: tuple[str, ...], got: str) -> None:
    told = refusal("masking", *storage)
    assert told.startswith(f"--storage {got}:") and "s3://BUCKET/PATH" in told


def test_too_much_to_go_along(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "MOST_BYTES", 3)
    (mine / "data" / "trivia" / "test.jsonl").write_text("x" * 2_000_000)
    told = refusal("masking", "--data-dir", str(mine / "data"), "--plugins", str(mine / "plugins"), *STORAGE)
    assert told.startswith(f"{mine / 'data'} holds 2 MB; at most ") and "--in-place" in told


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["masking", "--trails", "3"], "unknown option --trails. Did you mean --trials?"),
        (["--trials", "3"], "no space to search"),
        (["masking", "--lanes", "0"], "--lanes is 0"),
        (["masking", "--workers-per-lane", "4:1"], "--workers-per-lane is 4:1"),
        (["masking", "--name", "a name"], "--name 'a name'"),
    ],
)
def test_a_search_s_own_mistakes_are_told_before_anything_is_sent(argv: list[str], words: str) -> None:
    assert refusal(*argv, *STORAGE).startswith(words)


def test_an_elastic_lane_is_for_a_cluster_which_this_is() -> None:
    assert "1:4" in Parcel.of(["masking", "--workers-per-lane", "1:4", *STORAGE]).arguments
