"""Places: folders, and buckets of a real S3 server."""

import os
from pathlib import Path
from typing import Any

import pytest

from raylab.errors import UserError
from raylab.storage import Storage, StorageError


@pytest.fixture
def place(bucket: str) -> Storage:
    return Storage.of(f"{bucket}/raylab")


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(place: Storage, folder: str = "") -> list[str]:
    return sorted(entry.name for entry in place.entries(folder, recursive=True) if not entry.is_folder)


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Storage.of("runs") / "mine"
    assert (place.here, place.bucket, str(place)) == (tmp_path / "runs" / "mine", None, str(tmp_path / "runs" / "mine"))
    assert Storage.of(place.address) == place == Storage.of("runs").at(tmp_path / "runs" / "mine")
    write(place.here, model="weights")
    place.push()
    place.check()
    assert place.fetch("model") and not place.fetch("other")
    assert place.entries() == [] and place.read("model") is None, "nothing is anywhere else"


def test_a_bucket_is_worked_on_in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYLAB_CACHE", str(tmp_path))
    there = Storage.of("s3://mine/a/b/")
    assert (str(there), there.here) == ("s3://mine/a/b", tmp_path / "s3" / "mine" / "a" / "b")
    assert there == Storage.of("s3://mine/a") / "b" == Storage.of("s3://mine/a").at(there.here)
    assert there.parent == Storage.of("s3://mine/a") and (there / "c").parent == there
    elsewhere = Storage.of("s3://mine/a/b?endpoint_override=http://127.0.0.1:9000")
    assert elsewhere.here == tmp_path / "s3" / "127.0.0.1_9000" / "mine" / "a" / "b", "another server's bucket is another"
    assert Storage.of(str(elsewhere)) == elsewhere
    assert Storage.of("gcs://mine/a").here == Storage.of("gs://mine/a").here


def test_an_address_tells_other_machines_which_server_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    place = Storage.of("s3://mine/a")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert Storage.of(place.address).here == place.here
    assert Storage.of(place.address).bucket != Storage.of("s3://mine/a").bucket


def test_gs_is_reached_through_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    fs = pytest.importorskip("pyarrow.fs")
    if not hasattr(fs, "GcsFileSystem"):
        pytest.skip("this pyarrow was built without Google Cloud Storage")
    bucket = Storage.of("gs://mine/a?endpoint_override=127.0.0.1:9&scheme=http").bucket
    assert bucket is not None and isinstance(bucket.files(), fs.GcsFileSystem)


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_folder_goes_there_and_comes_back_on_another_machine(
    place: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(place.here / "model", weights="w" * 100_000, sub__config="{}", **{".hidden": "no"})
    place.push("model", last="weights")
    assert names(place) == ["model/sub/config", "model/weights"]
    monkeypatch.setenv("RAYLAB_CACHE", str(tmp_path / "other"))
    other = Storage.of(str(place))
    assert other.here != place.here and other.fetch("model", last="weights")
    assert (other.here / "model" / "weights").read_text() == "w" * 100_000
    assert (other.here / "model" / "sub" / "config").read_text() == "{}"
    assert other.fetch("model/weights") and not other.fetch("nothing") and not other.fetch("model", last="nothing")


def test_what_is_not_complete_is_not_fetched(place: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place.write("model/weights", b"w")
    assert not place.fetch("model", last="config.json")
    assert not (place.here / "model").exists()
    place.write("model/config.json", b"{}")
    assert place.fetch("model", last="config.json")


def test_what_is_here_already_stays_unless_it_is_newer_there(place: Storage) -> None:
    place.write("report", b"first")
    place.fetch("report")
    kept = place.here / "report"
    before = kept.stat().st_ino
    assert place.fetch("report") and kept.stat().st_ino == before
    place.write("report", b"second, longer")
    assert place.fetch("report") and kept.read_bytes() == b"second, longer"


def test_what_a_key_names_is_taken_there_once(place: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place.here / "data", tokens="1 2 3", meta="{}")
    place.push("data", last="meta", keyed=True)
    write(place.here / "data", annotations="4 5")
    sent: list[str] = []
    send = Storage._push_file
    monkeypatch.setattr(Storage, "_push_file", lambda self, name: (sent.append(name), send(self, name)))
    place.push("data", last="meta", keyed=True)
    assert sent == ["data/annotations"]


def test_reading_writing_deleting(place: Storage) -> None:
    assert place.read("a") is None and place.entries() == []
    place.delete("a")
    place.check()
    assert names(place) == [], "the probe is gone"
    for run in ("one", "two"):
        place.write(f"runs/{run}/end.json", b"1")
    assert sorted(entry.name for entry in place.entries("runs")) == ["one", "two"]
    assert place.stat("runs/one").is_folder and place.stat("runs/one/end.json").size == 1
    place.delete("runs/one")
    assert names(place) == ["runs/two/end.json"]
    with pytest.raises(FileNotFoundError):
        place.stat("runs/one")


@pytest.mark.parametrize("key", ["../../escaped", "runs/../../escaped", "a//b", "a\\..\\b"])
def test_a_key_that_leads_out_of_its_folder_is_refused(place: Storage, key: str) -> None:
    import boto3

    assert place.bucket is not None
    write(place.here.parent, untouched="")
    boto3.client("s3").put_object(Bucket=place.bucket.name, Key=f"raylab/model/{key}", Body=b"evil")
    with pytest.raises(StorageError, match="leads out of its folder"):
        place.fetch("model")
    assert [path.name for path in place.here.parents[1].rglob("*") if path.is_file()] == ["untouched"]


def test_a_download_that_breaks_off_leaves_nothing(place: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("model", b"weights")

    def breaks(*_: Any) -> None:
        raise OSError("connection reset")

    monkeypatch.setattr("shutil.copyfileobj", breaks)
    with pytest.raises(StorageError, match="connection reset"):
        place.fetch("model")
    assert list(place.here.iterdir()) == []


# --- what may be wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://host/x", ["--storage ftp:...", "expected a folder, s3://BUCKET/PATH or gs://BUCKET/PATH"]),
        ("s3:/bucket/x", ["--storage s3:...", "expected a folder"]),
        ("s3://", ["names no bucket"]),
        ("s3:///x", ["names no bucket"]),
        ("s3://bucket/../x", ["expected names of letters"]),
        ("s3://bucket/two words", ["expected names of letters"]),
        ("s3://bucket/a#b", ["expected names of letters"]),
        ("s3://bucket/x?regoin=eu", ["unknown option 'regoin'", "region"]),
        ("gs://bucket/x?region=eu", ["unknown option 'region'"]),
    ],
)
def test_no_place(text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        Storage.of(text)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIAHUNTER2:hunter2@bucket/x",
        "s3://bucket/x?secret_key=hunter2",
        "s3://bucket/x?access_key=hunter2&secret_key=hunter2",
        "s3://bucket/x?endpoint_override=http://me:hunter2@host",
        "https://me:hunter2@host/x",
        "gs://me:hunter2@bucket/x",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UserError) as caught:
        Storage.of(text)
    assert "hunter2" not in str(caught.value).lower()


def test_credentials_in_the_environments_endpoint_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:hunter2@127.0.0.1:9000")
    with pytest.raises(UserError, match="may not hold credentials") as caught:
        Storage.of("s3://bucket/x")
    assert "hunter2" not in str(caught.value)


def test_a_user_whose_environment_names_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAYLAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Storage.of("s3://bucket").here == tmp_path / "raylab" / "s3" / "bucket"
    monkeypatch.setitem(os.environ, "XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Storage.of("s3://bucket").here == tmp_path / ".cache" / "raylab" / "s3" / "bucket"
