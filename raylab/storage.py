"""Where studies lie: a folder, or a place in a bucket of S3 or Google Cloud Storage, worked on in a folder of this machine.

All work is done `here`, in a folder. With a bucket, `push` takes files there and `fetch` brings them back; with a plain
folder there is nowhere to take them, and both do nothing. A folder is pushed file by file, and is complete there when its
`last` file is: whoever fetches it looks for that one.

Credentials are the environment's business (AWS_ACCESS_KEY_ID, AWS_PROFILE, a machine's role, GOOGLE_APPLICATION_CREDENTIALS):
they are never part of a place's name, so that a name may stand in ledgers, logs and reports.
"""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from raylab.errors import UserError

# What a URL may say of how a bucket is reached; pyarrow knows more, among it secrets
OPTIONS = {"s3": ("endpoint_override", "region", "scheme"), "gs": ("endpoint_override", "scheme", "retry_limit_seconds")}
EXPECTED = "expected a folder, s3://BUCKET/PATH or gs://BUCKET/PATH"
GS_RETRY_S = 10  # Google's client goes on trying for a quarter of an hour otherwise
S3_CONNECT_S, S3_SILENCE_S, S3_ATTEMPTS = 5.0, 10.0, 3  # half a minute until a server that says nothing is given up
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_PART = re.compile(r"[\w.=+-]+")  # of a path: a name that is the same here, there, in a URL and in a shell
_CHUNK_BYTES = 8 * 2**20


class StorageError(UserError, OSError):
    """A bucket did not do what it was asked to; why, in one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """A bucket and how it is reached. scheme: s3 or gs. options: of its URL. endpoint: of another server than the
    cloud's own, from the environment."""

    scheme: str
    name: str
    options: tuple[tuple[str, str], ...] = ()
    endpoint: str = ""

    def url(self, key: str, *, reach: bool = False) -> str:
        """The name of the place `key`. reach: with the environment's endpoint in it, for machines of another environment."""
        options = dict(self.options)
        if reach and self.endpoint:
            options.setdefault("endpoint_override", self.endpoint)
        return f"{self.scheme}://{'/'.join(filter(None, (self.name, key)))}{'?' if options else ''}{urlencode(options)}"

    @property
    def folder(self) -> Path:
        """Where it is worked on: a folder of this machine that follows from its name."""
        host = urlsplit(f"//{dict(self.options).get('endpoint_override', self.endpoint).rpartition('//')[2]}").netloc
        return cache_folder().joinpath(*filter(None, (self.scheme, re.sub(r"[^\w.-]", "_", host), self.name)))

    def files(self) -> Any:
        """The pyarrow filesystem; one for all that is done with this bucket in a process."""
        return _connected(self)


@cache
def _connected(bucket: Bucket) -> Any:
    from pyarrow.fs import FileSystem  # a tenth of a second that plain folders do not pay

    options = dict(bucket.options)
    if bucket.endpoint:
        options.setdefault("endpoint_override", bucket.endpoint)
    with _told(bucket.url("")):
        if bucket.scheme == "s3":
            return _s3(bucket.name, options)
        options.setdefault("retry_limit_seconds", str(GS_RETRY_S))
        return FileSystem.from_uri(f"gs://{bucket.name}?{urlencode(options)}")[0]


def _s3(bucket: str, options: dict[str, str]) -> Any:
    """From a URL, pyarrow makes one that waits minutes for a server that does not answer."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    own = "endpoint_override" in options
    return S3FileSystem(
        region=options.get("region") or (None if own else resolve_s3_region(bucket)), scheme=options.get("scheme", "https"),
        endpoint_override=options.get("endpoint_override"), connect_timeout=S3_CONNECT_S, request_timeout=S3_SILENCE_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What lies in a bucket: its name below the place that was asked about, bytes, and when it was written (Unix seconds)."""

    name: str
    size: int
    written: int
    is_folder: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """A place: the folder `here`, and with a bucket the place `key` there. `storage / "name"` is a place in it.

    Names are relative, with slashes. What is done in a bucket raises StorageError where it fails.
    """

    here: Path
    bucket: Bucket | None = None
    key: str = ""
    given: str = field(default="", compare=False)

    @classmethod
    def of(cls, text: str | Path) -> "Storage":
        """The place that a path or a URL names. Nothing is looked at yet. Raises UserError for what names no place."""
        if not _URL.match(str(text)):
            return cls(here=Path(text).expanduser().resolve(), given=str(text))
        bucket, key = _parsed(str(text))
        return cls(here=bucket.folder / key, bucket=bucket, key=key)

    def __truediv__(self, name: str) -> "Storage":
        key = "/".join(filter(None, (self.key, name))) if self.bucket else ""
        return Storage(here=self.here / name, bucket=self.bucket, key=key)

    @property
    def parent(self) -> "Storage":
        """The place that this one lies in."""
        return Storage(here=self.here.parent, bucket=self.bucket, key=self.key.rpartition("/")[0])

    def at(self, path: Path) -> "Storage":
        """The place that is worked on at `path`: below `here`, where there is a bucket."""
        if not self.bucket:
            return Storage(here=path)
        name = path.relative_to(self.here).as_posix()
        return self if name == "." else self / name

    def __str__(self) -> str:
        """As a person names it."""
        return self.bucket.url(self.key) if self.bucket else self.given or str(self.here)

    @property
    def address(self) -> str:
        """As any machine finds it: what `of` takes."""
        return self.bucket.url(self.key, reach=True) if self.bucket else str(self.here)

    # --- there --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise UserError, in one line, if files cannot be written, read and deleted in the bucket."""
        if self.bucket:
            probe = f".raylab-{uuid.uuid4().hex[:8]}"
            self.write(probe, b"raylab")
            if self.read(probe) != b"raylab":
                raise StorageError(f"what is written to {self} can't be read back. Give another --storage.")
            self.delete(probe)

    def check_bucket(self) -> None:
        """Raise UserError, in one line, if there is no such bucket: asked what lies in it, it has nothing."""
        if self.bucket:
            with _told(str(self)):
                if self.bucket.files().get_file_info(self.bucket.name).type.name == "NotFound":
                    raise StorageError(_no_bucket(str(self)))

    def read(self, name: str) -> bytes | None:
        """The content of a file there, or None if there is none."""
        if not self.bucket:
            return None
        try:
            with _told(str(self)), self.bucket.files().open_input_stream(self._there(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Make a file there, or make it anew: it is seen whole or not at all."""
        if self.bucket:
            with _told(str(self)), self.bucket.files().open_output_stream(self._there(name)) as stream:
                stream.write(content)

    def delete(self, name: str) -> None:
        """Delete a file or a folder there, if there is one."""
        if self.bucket:
            files, there = self.bucket.files(), self._there(name)
            with contextlib.suppress(FileNotFoundError), _told(str(self)):
                (files.delete_dir if self.stat(name).is_folder else files.delete_file)(there)

    def stat(self, name: str) -> Entry:
        """What is there under a name. Raises FileNotFoundError, which is no StorageError, if nothing is."""
        if not self.bucket:
            raise FileNotFoundError(name)
        with _told(str(self)):
            info = self.bucket.files().get_file_info(self._there(name))
        if info.type.name == "NotFound":
            raise FileNotFoundError(name)
        return _entry(name, info)

    def entries(self, name: str = "", *, recursive: bool = False) -> list[Entry]:
        """What lies there in a folder, named from that folder on; nothing if there is no such folder.

        Raises StorageError for a name that leads out of it: nobody but an attacker writes such a key.
        """
        if not self.bucket:
            return []
        from pyarrow.fs import FileSelector

        base = self._there(name)
        with _told(str(self)):
            found = self.bucket.files().get_file_info(FileSelector(base, recursive=recursive, allow_not_found=True))
        return [_entry(self._inside(info.path, base), info) for info in found]

    def push(self, name: str = "", *, last: str | None = None, keyed: bool = False) -> None:
        """Take a file, or a folder's files, from here to the bucket.

        last: the name of the file that makes a folder complete. keyed: a file that is there with the same size is the same.
        """
        if not self.bucket:
            return
        source = self.here / name
        if source.is_file():
            self._push_file(name)
            return
        there = {entry.name: entry.size for entry in self.entries(name, recursive=True)} if keyed else {}
        for file in _files(source, last):
            if there.get(file) != (source / file).stat().st_size:
                self._push_file(f"{name}/{file}" if name else file)

    def fetch(self, name: str = "", *, last: str | None = None, keyed: bool = False) -> bool:
        """Bring a file, or a folder's files, here from the bucket; those that are here already are left as they are.

        False if it is not there, or not complete for want of its `last` file. keyed: as in `push`.
        """
        if not self.bucket:
            return (self.here / name / (last or "")).exists()
        if name and (one := self._one(name)) is not None:
            self._fetch_file(one, keyed)
            return True
        found = [entry for entry in self.entries(name, recursive=True) if not entry.is_folder]
        if not found or (last is not None and last not in {entry.name for entry in found}):
            return False
        place = self / name if name else self
        for entry in sorted(found, key=lambda entry: entry.name == last):
            place._fetch_file(entry, keyed)
        return True

    def _one(self, name: str) -> Entry | None:
        """The file of that name there, if it is one."""
        with contextlib.suppress(FileNotFoundError):
            entry = self.stat(name)
            return None if entry.is_folder else entry
        return None

    def _there(self, name: str) -> str:
        assert self.bucket is not None
        return "/".join(filter(None, (self.bucket.name, self.key, name)))

    def _inside(self, path: str, base: str) -> str:
        """`path` as seen from the folder `base`."""
        name = path.removeprefix(f"{base}/")
        parts = name.split("/")
        if name == path or "\\" in name or "\0" in name or {"", ".", ".."} & set(parts) or PurePosixPath(name).is_absolute():
            raise StorageError(f"{self} holds an object that leads out of its folder ({path!r}). Delete it; nothing was read.")
        return name

    def _push_file(self, name: str) -> None:
        assert self.bucket is not None
        there = self._there(name)
        with _told(str(self)), open(self.here / name, "rb") as source, self.bucket.files().open_output_stream(there) as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)

    def _fetch_file(self, entry: Entry, keyed: bool) -> None:
        assert self.bucket is not None
        target = self.here / entry.name
        if target.is_file():
            known = target.stat()
            if known.st_size == entry.size and (keyed or int(known.st_mtime) == entry.written):
                return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
        try:
            there = self._there(entry.name)
            with _told(str(self)), self.bucket.files().open_input_stream(there) as source, open(temporary, "wb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
            os.utime(temporary, (entry.written, entry.written))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where buckets are worked on: RAYLAB_CACHE, or `raylab` in the user's cache folder."""
    own = os.environ.get("RAYLAB_CACHE")
    if own:
        return Path(own).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser().resolve() / "raylab"


def _entry(name: str, info: Any) -> Entry:
    written = int(info.mtime.timestamp()) if info.mtime else 0
    return Entry(name=name, size=info.size or 0, written=written, is_folder=info.type.name == "Directory")


def _files(folder: Path, last: str | None) -> list[str]:
    """The files below a folder, by name, and that one last; not those that somebody is about to write."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    names = [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]
    return sorted(names, key=lambda name: (name == last, name))


def _parsed(text: str) -> tuple[Bucket, str]:
    """The bucket and the key in it of a URL. What is refused is not repeated where it may hold a secret."""
    url = urlsplit(text)
    scheme = {"gcs": "gs"}.get(url.scheme, url.scheme)
    if scheme not in OPTIONS or not text.lower().startswith(f"{url.scheme}://"):
        raise UserError(f"--storage {text.partition(':')[0]}:... is no storage: {EXPECTED}.")
    secrets = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if scheme == "s3" else "GOOGLE_APPLICATION_CREDENTIALS"
    endpoint = _environments_endpoint() if scheme == "s3" else ""
    options = tuple(sorted(parse_qsl(url.query, keep_blank_values=True)))
    if "@" in url.netloc or any("@" in value for _, value in options) or "@" in endpoint:
        raise UserError(f"the URL of a storage may not hold credentials; give them in the environment, as {secrets}.")
    for name, _ in options:
        if name not in OPTIONS[scheme]:
            raise UserError(f"--storage {scheme}://...: unknown option {name!r}; expected {', '.join(OPTIONS[scheme])}.")
    if not url.netloc:
        raise UserError(f"--storage {scheme}:// names no bucket: {EXPECTED}.")
    key = url.path.strip("/")
    parts = [url.netloc, *(key.split("/") if key else ())]
    if url.fragment or not all(_PART.fullmatch(part) and part not in (".", "..") for part in parts):
        allowed = "letters, digits, '.', '_', '=', '+' and '-'"
        raise UserError(f"--storage {scheme}://{url.netloc}{url.path}: expected names of {allowed} between slashes.")
    return Bucket(scheme=scheme, name=url.netloc, options=options, endpoint=endpoint), key


def _environments_endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


# --- what went wrong -------------------------------------------------------------------------------------------------

_AWS = re.compile(r"AWS Error (\w+) during \w+ operation: (.*?)(?: \(Request ID.*)?$", re.DOTALL)
_GOOGLE = re.compile(r"google::cloud::Status\((\w+): (.*)\)$", re.DOTALL)
_NO_BUCKET = re.compile(r"bucket does not exist|Bucket '[^']*' not found")
_DENIED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "PERMISSION_DENIED", "UNAUTHENTICATED", "OAuth2")


@contextlib.contextmanager
def _told(place: str) -> Iterator[None]:
    """Inside, what pyarrow raises becomes a StorageError; FileNotFoundError is left to who can answer it."""
    from pyarrow import ArrowException

    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except (OSError, ArrowException) as error:
        raise StorageError(_sentence(place, error)) from error


def _sentence(place: str, error: BaseException) -> str:
    """Place, trouble and what to do."""
    text = " ".join(str(error).split())
    code, reason = next(((m[1], m[2]) for pattern in (_AWS, _GOOGLE) if (m := pattern.search(text))), ("", text))
    reason = reason.rpartition("Details: ")[2].rpartition("underlying error message was: ")[2].partition(" error_info=")[0]
    short = reason.strip(". }")[:160]
    if code == "NO_SUCH_BUCKET" or _NO_BUCKET.search(text):
        return _no_bucket(place)
    if code == "NETWORK_CONNECTION" or "CURL error" in reason:
        own = "AWS_ENDPOINT_URL or endpoint_override" if place.startswith("s3:") else "endpoint_override"
        return f"{place} does not answer ({short}). Check the network and, for a server of your own, {own}."
    if any(word in f"{code} {text}" for word in _DENIED):
        advice = "Credentials that may list, read, write and delete there come from the environment or the machine's role"
        return f"access to {place} is denied ({code.lower().replace('_', ' ') or 'no credentials'}: {short}). {advice}."
    return f"{place}: {short}."


def _no_bucket(place: str) -> str:
    return f"the bucket of {place} is not there. Make it, or correct --storage."
