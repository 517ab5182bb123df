"""A store in a bucket, with a cache on the disk.

    <name>/<version>/…        the files of a version, as in a folder
    <name>/.claims/<version>  whose number it is, before there is anything of it
    <name>/head.json, history.jsonl, .index.json: see `model_store.head_objects`

A version is there once the head of its model lists it. Whoever publishes first claims a number, by
an object that nobody else can make, writes the files, the manifest last, and then adds the version
to the head by compare-and-swap. So two writers get two versions, and one that was killed leaves
what nobody sees; it is cleared away by one who publishes a day later. Nothing is listed but the
claims of a model, by who publishes.

What is read of a version lies in the cache, a folder like that of a store. It is taken from the
bucket where it is not there or damaged, and proven each time it is used: the manifest by the
bucket's own, which is read once a process, all else by the manifest. Where the bucket is out of
reach, what was read of it before goes on being served, and is found again at the next start. Beyond
its size versions go from it, least recently used first.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import msgspec

from . import files, manifest
from .errors import (
    CorruptVersion,
    HeadChanged,
    InvalidName,
    ModelNotFound,
    StoreForbidden,
    StoreNotWritable,
    StoreUnreachable,
    Unsigned,
    VersionNotFound,
)
from .head import Change, Head, What, shell_user
from .head_objects import ATTEMPTS, HeadObjects
from .manifest import MANIFEST, Manifest
from .objects import Listed, Objects
from .signing import LIMIT, SIGNATURE, PublicKey
from .store import (
    MANIFEST_LIMIT,
    ModelStore,
    Verified,
    remove_abandoned,
    require_name,
    require_unused,
)

P = ParamSpec("P")
R = TypeVar("R")

CLAIMS: Final = ".claims"
ABANDONED: Final = timedelta(days=1)
"""How much older than another a claim is whose writer is gone."""


_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def _again(
    change: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[BucketStore, P], R]:
    """A change of a head that is tried again where somebody else was faster."""

    @functools.wraps(change)
    def tried(store: BucketStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(ATTEMPTS):
            try:
                return change(store, *args, **kwargs)
            except HeadChanged:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(secrets.randbelow(50) / 1000 * min(attempt + 1, 10))
        raise AssertionError

    return tried


class BucketStore(ModelStore):
    """The published pipelines below a prefix of a bucket.

    `cache` is a folder of this store alone, which several processes may share, and `room` the bytes
    beyond which versions go from it. `place` is the URL.
    """

    def __init__(
        self,
        objects: Objects,
        cache: str | os.PathLike[str],
        *,
        place: str = "s3://",
        public_key: PublicKey | None = None,
        room: int | None = None,
    ) -> None:
        super().__init__(cache, public_key=public_key)
        self._room = room
        self._heads: HeadObjects = HeadObjects(objects, self.root)
        self._objects = objects
        self._place_name = place
        self._manifests: dict[tuple[str, int], str] = {}
        self._fetching: dict[tuple[str, int], threading.Lock] = {}

    def __repr__(self) -> str:
        return f"BucketStore({self._place_name!r})"

    @classmethod
    def open(
        cls,
        url: str,
        caches: str | os.PathLike[str],
        *,
        public_key: PublicKey | None = None,
        room: int | None = None,
    ) -> BucketStore:
        """The store at `s3://bucket/prefix`, with a folder of its own below `caches`.

        Raises:
            MissingExtra: obstore is not installed.
            ValueError: it is no such URL.
        """
        own = Path(caches, hashlib.sha256(url.encode()).hexdigest()[:16])
        return cls(Objects.open(url), own, place=url, public_key=public_key, room=room)

    @property
    def place(self) -> str:
        return self._place_name

    @property
    def is_reachable(self) -> bool:
        """Whether the bucket answered when it was last asked."""
        return self._objects.is_reachable

    @property
    def failures(self) -> int:
        """How often it did not, since the program started."""
        return self._objects.failures

    # Reading -----------------------------------------------------------------

    def folders(self) -> list[str]:
        return self._heads.names()

    def models(self) -> list[str]:
        return sorted(self._heads.names())

    def verify(self, name: str, version: int | str | None = None, **options: Any) -> Verified:
        try:
            verified = super().verify(name, version, **options)
        except (Unsigned, StoreUnreachable):
            raise
        except CorruptVersion:
            # The cache is damaged, or the bucket is: what it has now is taken and looked at again.
            number = self.resolve(name, version)
            with self._one_at_a_time(name, number):
                self._fetch(name, number)
            return super().verify(name, version, **options)
        with contextlib.suppress(OSError):  # which says that it was used
            os.utime(self.root / name / str(verified.manifest.version))
        return verified

    # Writing -----------------------------------------------------------------

    edit = _again(ModelStore.edit)
    promote = _again(ModelStore.promote)
    rollback = _again(ModelStore.rollback)
    challenge = _again(ModelStore.challenge)
    stop = _again(ModelStore.stop)
    promote_challenger = _again(ModelStore.promote_challenger)

    @_again
    def remove(
        self, name: str, version: int | str, *, who: str | None = None, why: str | None = None
    ) -> int:
        with self._locked(name):
            number, head = self._resolved(name, version)
            require_unused(head, name, number)
            left = tuple(other for other in head.versions if other != number)
            edits = {other: edit for other, edit in head.edits.items() if other != number}
            change = _change("remove", who, why, number)
            self._swap(name, head, change, edits=edits, versions=left)
            # It is gone; what follows is room.
            with contextlib.suppress(StoreUnreachable, HeadChanged):
                if not left:
                    self._enlist(name)
                self._objects.delete(self._keys_of(name, number))
        files.discard(self.root / name / str(number))
        return number

    # Inside ------------------------------------------------------------------

    def _numbers(self, name: str) -> list[int]:
        try:
            require_name(name)
        except InvalidName:
            return []
        return sorted(self._heads.read(name).versions) if self._is_listed(name) else []

    def _is_listed(self, name: str) -> bool:
        """Whether the index names a model, so that no head is asked for by any name that somebody
        makes up. Where there is no telling, the head does."""
        try:
            return name in self._heads.names()
        except CorruptVersion:
            return True

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        try:
            with super()._locked(name):
                yield
        except StoreUnreachable as error:
            raise self._not_writable(error) from error

    def _swap(self, name: str, before: Head, change: Change, **changed: Any) -> None:
        self._heads.swap(name, before, msgspec.structs.replace(before, **changed), change)

    def _write_signature(self, name: str, number: int, signature: bytes) -> None:
        self._objects.put(f"{name}/{number}/{SIGNATURE}", signature)
        super()._write_signature(name, number, signature)

    def _write_version(
        self, draft: Manifest, contents: Mapping[str, bytes], who: str | None, why: str | None
    ) -> Manifest:
        name = draft.name
        try:
            number = self._claim(name)
            for file, data in contents.items():
                self._objects.put(f"{name}/{number}/{file}", data)
            published = msgspec.structs.replace(draft, version=number)
            if not self._objects.make(f"{name}/{number}/{MANIFEST}", manifest.write(published)):
                raise StoreNotWritable(f"{name} version {number} is there already; publish again.")
            self._add(name, number, who, why)
            self._enlist(name)
            with contextlib.suppress(StoreUnreachable):
                self._clear_abandoned(name, number)
        except StoreUnreachable as error:
            raise self._not_writable(error) from error
        return published

    def _not_writable(self, error: StoreUnreachable) -> StoreNotWritable:
        forbidden = isinstance(error, StoreForbidden)
        why = "does not allow it to this key" if forbidden else "cannot be reached"
        return StoreNotWritable(
            f"The store {self.place} cannot be written: the bucket {why}.", error.words
        )

    def _claim(self, name: str) -> int:
        """A number that nobody else has or will have."""
        head = self._fresh_head(name)
        number = max((head.last, *head.versions), default=0)
        nonce = secrets.token_hex().encode()
        while True:
            number += 1
            if self._objects.make(_claim_of(name, number), nonce):
                return number

    @_again
    def _add(self, name: str, number: int, who: str | None, why: str | None) -> None:
        """Let the head list a version, which is there from then on."""
        head = self._fresh_head(name)
        if number not in head.versions:
            versions = tuple(sorted({*head.versions, number}))
            change = _change("publish", who, why, number)
            self._swap(name, head, change, versions=versions, last=max(head.last, number))

    def _fresh_head(self, name: str) -> Head:
        with self._heads.locked(name):
            return self._heads.read(name)

    def _enlist(self, name: str) -> None:
        self._heads.enlist(name, lambda: [name] if self._fresh_head(name).versions else [])

    def _clear_abandoned(self, name: str, number: int) -> None:
        """Remove what writers left that were killed, by the bucket's own clock."""
        claims = {_number_of(claim): claim for claim in self._objects.listed(f"{name}/{CLAIMS}/")}
        versions = self._fresh_head(name).versions
        for other, claim in claims.items():
            if other not in versions and claims[number].at - claim.at > ABANDONED:
                self._objects.delete(self._keys_of(name, other))

    def _keys_of(self, name: str, number: int) -> list[str]:
        """The keys of all that there is of a version, its claim last."""
        found = [listed.key for listed in self._objects.listed(f"{name}/{number}/")]
        return [*found, _claim_of(name, number)]

    # The cache ---------------------------------------------------------------

    def _published(self, name: str, number: int) -> Manifest:
        if self._public_key is not None:
            self._refresh_signature(name, number)
        return super()._published(name, number)

    def _refresh_signature(self, name: str, number: int) -> None:
        """Take the signature from the bucket, since a version may be signed at any time."""
        folder = self._contained(name, number)
        with contextlib.suppress(StoreUnreachable):
            found = self._objects.get(f"{name}/{number}/{SIGNATURE}", LIMIT)
            with files.writing(self.root):
                if found is None:
                    (folder / SIGNATURE).unlink(missing_ok=True)
                elif SIGNATURE not in files.entries(folder) or found.data != files.read(
                    folder / SIGNATURE, LIMIT
                ):
                    files.replace(folder / SIGNATURE, found.data)

    def _contained(self, name: str, number: int) -> Path:
        """The folder of a version in the cache, with the manifest that the bucket has."""
        with self._one_at_a_time(name, number):
            if not self._is_cached(name, number):
                self._fetch(name, number)
        return super()._contained(name, number)

    def _one_at_a_time(self, name: str, number: int) -> threading.Lock:
        return self._fetching.setdefault((name, number), threading.Lock())

    def _is_cached(self, name: str, number: int) -> bool:
        path = self.root / name / str(number) / MANIFEST
        try:
            cached = hashlib.sha256(files.read(path, MANIFEST_LIMIT)).hexdigest()
        except CorruptVersion:
            return False
        known = self._manifests.get((name, number))
        if known is None:
            try:
                known = hashlib.sha256(self._manifest_bytes(name, number)).hexdigest()
            except StoreUnreachable:
                return True  # as it was when it came
            self._manifests[name, number] = known
        return cached == known

    def _manifest_bytes(self, name: str, number: int) -> bytes:
        found = self._objects.get(f"{name}/{number}/{MANIFEST}", MANIFEST_LIMIT)
        if found is None:
            raise VersionNotFound(f"The bucket has no version {number} of {name} any more.")
        return found.data

    def _fetch(self, name: str, number: int) -> None:
        """Put a version into the cache, whole, in the place of what was there."""
        data, where = self._manifest_bytes(name, number), f"{name} version {number}"
        signature = self._objects.get(f"{name}/{number}/{SIGNATURE}", LIMIT)
        if self._public_key is not None:
            if signature is None:
                raise Unsigned(
                    f"{where} is not signed, and a signature is required here "
                    "(QUART_APP_REQUIRE_SIGNATURE)."
                )
            self._public_key.signed(signature.data, where).require(data, MANIFEST, where)
        listed = manifest.read(data).files
        for file in listed:
            if not _FILE.fullmatch(file) or file in (MANIFEST, SIGNATURE):
                raise CorruptVersion(f"The manifest of {where} lists {file!r}, which is no file.")
        folder = self.root / name
        with files.writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder)
            with files.temporary_folder(folder) as temporary:
                for file, expected in listed.items():
                    self._download(f"{name}/{number}/{file}", temporary / file, expected, where)
                if signature is not None:
                    files.write(temporary / SIGNATURE, signature.data)
                files.write(temporary / MANIFEST, data)
                _put_in_place(temporary, folder / str(number))
        self._manifests[name, number] = hashlib.sha256(data).hexdigest()
        self._forget_removed(name)
        self._make_room(folder / str(number))

    def _download(self, key: str, path: Path, expected: manifest.File, where: str) -> None:
        digest, size = hashlib.sha256(), 0
        with path.open("xb") as file:
            for piece in self._objects.pieces(key):
                size += len(piece)
                if size > expected.size:
                    break
                digest.update(piece)
                file.write(piece)
        if size != expected.size or digest.hexdigest() != expected.sha256:
            raise CorruptVersion(
                f"{path.name} of {where} is not in the bucket as it was published; publish it "
                "again."
            )

    def _forget_removed(self, name: str) -> None:
        """Clear versions out of the cache that are removed from the bucket."""
        versions = self._numbers(name)
        for entry in files.entries(self.root / name):
            if entry.isdigit() and int(entry) not in versions:
                files.discard(self.root / name / entry)

    def _make_room(self, new: Path) -> None:
        """Clear versions out of the cache until it has its size: least recently used first, those
        that serve last, and never the new one. Who reads one of them meanwhile takes it anew."""
        if self._room is None:
            return
        cached = [*_cached(self.root)]
        too_much = sum(each.size for each in cached) - self._room
        if too_much <= 0:
            return
        serving = {name: self._served(name) for name in {each.path.parent.name for each in cached}}
        for each in sorted(cached, key=lambda each: (each.number == serving[each.name], each.used)):
            if too_much <= 0:
                return
            if each.path != new:
                files.discard(each.path)
                too_much -= each.size

    def _served(self, name: str) -> int | None:
        """The version that serves, as far as is known."""
        try:
            return self.resolve(name)
        except (ModelNotFound, CorruptVersion):
            return None


class _Cached(NamedTuple):
    """A version in the cache: its bytes, and when it was last used, by the clock of its files."""

    path: Path
    size: int
    used: float

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def number(self) -> int:
        return int(self.path.name)


def _cached(root: Path) -> Iterator[_Cached]:
    for name in files.entries(root):
        for entry in files.entries(root / name):
            path = root / name / entry
            with contextlib.suppress(OSError):  # another process was faster
                if entry.isdigit():
                    size = sum(file.stat().st_size for file in path.iterdir())
                    yield _Cached(path, size, path.stat().st_mtime)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename a folder to the place of another. Whoever reads the other goes on reading it."""
    if folder.is_symlink() or folder.exists():
        other = Path(tempfile.mkdtemp(prefix=files.TEMPORARY, dir=folder.parent))
        with contextlib.suppress(FileNotFoundError):
            folder.rename(other / folder.name)
        files.discard(other)
    try:
        temporary.rename(folder)
    except OSError as error:  # another process was faster
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _change(what: What, who: str | None, why: str | None, version: int) -> Change:
    return Change(what=what, who=who or shell_user(), why=why, version=version)


def _claim_of(name: str, number: int) -> str:
    return f"{name}/{CLAIMS}/{number}"


def _number_of(claim: Listed) -> int:
    return int(claim.key.rpartition("/")[2])
