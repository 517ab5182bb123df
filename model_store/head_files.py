"""Heads of models in a folder, their histories, and the index of the store.

    <store>/.index.json               the names of all models
    <store>/<name>/head.json          see `model_store.head`
    <store>/<name>/history.jsonl      a line a change
    <store>/<name>/aliases.json       of a store that was written before there were heads

Everything is written under a lock that the kernel frees when its holder is killed. A change is a
part of the head that it makes, so one whose writer was killed before the line was written is found
there, and the next writer adds its line.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from . import files, head
from .errors import CorruptVersion, HeadChanged, words_of
from .head import Change, Head, Stamp

HEAD: Final = "head.json"
HISTORY: Final = "history.jsonl"
INDEX: Final = ".index.json"
OLDER: Final = "aliases.json"
LOCK: Final = ".lock"
LIMIT: Final = 1024 * 1024
"""Bytes of aliases or of an index."""

NONCE: Final = 16
"""Digits of a nonce."""

TAIL: Final = 64 * 1024
"""Bytes at the end of a history in which its newest line is looked for."""

HISTORY_SHOWN: Final = 4 * 1024 * 1024
"""Bytes at the end of a history that are read of it: some 20,000 changes."""


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The names of all models of a store, by which new ones are found without a listing."""

    generation: int = 0
    nonce: str = ""
    names: tuple[str, ...] = ()


class Heads(Protocol):
    """The heads of the models of a store, wherever they lie."""

    def read(self, name: str) -> Head: ...
    def stamp(self, name: str) -> Stamp | None: ...
    def index(self) -> Index | None: ...
    def swap(self, name: str, before: Head, after: Head, change: Change) -> Head: ...
    def append(self, name: str, change: Change) -> None: ...
    def history(self, name: str) -> list[Change]: ...
    def locked(self, name: str) -> AbstractContextManager[None]: ...
    def enlist(self, name: str, models: Callable[[], Sequence[str]]) -> None: ...


class HeadFiles:
    """The heads of the models below one folder. Every method blocks on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> Head:
        """The head of a model; that of an older store is made of its aliases.

        Raises:
            CorruptVersion: there is a file, and it cannot be read.
        """
        path = self._root / name / HEAD
        if _is_there(path):
            return head.read(files.read(path, head.LIMIT), name)
        older = _Older.read(self._root / name)
        return Head(aliases=older.versions, former=tuple(older.history))

    def stamp(self, name: str) -> Stamp | None:
        """Which head a model has: one small read, and no look at any time. None where it cannot be
        told, since it is damaged or gone."""
        try:
            return head.read_stamp(files.read(self._root / name / HEAD, head.LIMIT))
        except CorruptVersion:
            return None if _is_there(self._root / name / HEAD) else Stamp()

    def swap(self, name: str, before: Head, after: Head, change: Change) -> Head:
        """Put a head in place of the one that was read, which still must be there, and add the
        change to the history. The caller holds the lock.

        Raises:
            HeadChanged: another one is there.
            OSError: it cannot be written.
        """
        folder = self._root / name
        if self.read(name).stamp != before.stamp:
            raise HeadChanged(f"The head of {name} was changed by somebody else meanwhile.")
        if before.change is not None and not self._is_written(name, before.change):
            self._append(name, before.change)
        written = before.followed_by(after, change)
        files.replace(folder / HEAD, head.write(written))
        (folder / OLDER).unlink(missing_ok=True)
        assert written.change is not None
        with contextlib.suppress(OSError):  # the next writer adds it
            self._append(name, written.change)
        return written

    def begin(self, name: str, first: Head) -> None:
        """Write the first head of a model that nobody else knows yet. Equal ones are equal files.

        Raises:
            OSError: it cannot be written.
        """
        nonce = hashlib.sha256(head.write(first)).hexdigest()[:NONCE]
        begun = msgspec.structs.replace(first, generation=1, nonce=nonce)
        files.write(self._root / name / HEAD, head.write(begun))

    def append(self, name: str, change: Change) -> None:
        """Add to the history what changes no head. The caller holds the lock.

        Raises:
            OSError: it cannot be written.
        """
        stamp = self.read(name).stamp
        self._append(name, msgspec.structs.replace(change, generation=stamp.generation))

    def history(self, name: str) -> list[Change]:
        """What was done to a model, oldest first. A line that was torn is passed over.

        Raises:
            CorruptVersion: the head or the history cannot be read.
        """
        found = self._lines(name, HISTORY_SHOWN)
        last = self.read(name).change
        if last is not None and last not in found[-100:]:
            found.append(last)
        return found

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """One writer of a model at a time."""
        with _locked(self._root / name):
            yield

    def index(self) -> Index | None:
        """The names of all models; None where there is no index, or none that can be read."""
        try:
            return msgspec.json.decode(files.read(self._root / INDEX, LIMIT), type=Index)
        except (CorruptVersion, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def enlist(self, name: str, models: Callable[[], Sequence[str]]) -> None:
        """Let the index name a model or not, as `models`, which lists the store, does.

        Raises:
            OSError: it cannot be written.
        """
        with _locked(self._root):
            before = self.index()
            names = tuple(models())
            if before is not None and (name in before.names) == (name in names):
                return
            generation = 0 if before is None else before.generation
            after = Index(
                generation=generation + 1, nonce=os.urandom(8).hex(), names=tuple(sorted(names))
            )
            files.replace(self._root / INDEX, msgspec.json.encode(after))

    def _is_written(self, name: str, change: Change) -> bool:
        return change in self._lines(name, TAIL)

    def _lines(self, name: str, limit: int) -> list[Change]:
        path = self._root / name / HISTORY
        if not _is_there(path):
            return []
        found = []
        for line in files.read_end(path, limit).splitlines():
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                found.append(msgspec.json.decode(line, type=Change))
        return found

    def _append(self, name: str, change: Change) -> None:
        files.append(self._root / name / HISTORY, msgspec.json.encode(change))


class _Older(msgspec.Struct, frozen=True, kw_only=True):
    """The aliases of a store that has no heads yet, and which versions served, oldest first."""

    format: int = 1
    versions: dict[str, int] = {}
    history: list[int] = []

    @classmethod
    def read(cls, folder: Path) -> _Older:
        """Raises CorruptVersion where there is a file that cannot be read."""
        path = folder / OLDER
        if not _is_there(path):
            return cls()
        try:
            found = msgspec.json.decode(files.read(path, LIMIT), type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptVersion(
                f"{folder.name}/{OLDER} cannot be read; remove it and promote again.",
                words_of(error),
            ) from error
        if found.format > 1:
            raise CorruptVersion(
                f"The aliases of {folder.name} have format {found.format}, and this program reads "
                "up to 1; upgrade quart-app."
            )
        return found


def _is_there(path: Path) -> bool:
    """Whether there is something, be it a link that leads nowhere."""
    return path.is_symlink() or path.exists()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
