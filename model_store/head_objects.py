"""Heads of models in a bucket, their histories, and the index of the store.

    .index.json               the names of all models
    <name>/head.json          see `model_store.head`; `versions` are those that there are
    <name>/history.jsonl      a line a change, the newest some thousand

They are the same as in a folder (`model_store.head_files`), and are changed by compare-and-swap
instead of under a lock. A look at one that has not changed is answered without a body. What was
read is kept, in memory for a moment and in the cache on the disk, so that a bucket out of reach
takes nothing away that was known.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from . import files, head
from .errors import CorruptVersion, HeadChanged, StoreNotWritable, StoreUnreachable
from .head import Change, Head, Stamp
from .head_files import HEAD, HISTORY, INDEX, Index
from .objects import AlreadyThere, Changed, Found, Objects, Tag, Unchanged

FRESH: Final = 1.0
"""Seconds for which what was read of the bucket is not read again, but to change it."""

HISTORY_KEPT: Final = 1024 * 1024
"""Bytes of a history: some 5,000 changes."""

INDEX_LIMIT: Final = 16 * 1024 * 1024
ATTEMPTS: Final = 30
"""How often a change is tried again that others were faster than."""


class _Known(NamedTuple):
    """What an object held when it was last read, and when that was, by `time.monotonic`."""

    found: Found | None
    at: float


class HeadObjects:
    """The heads of the models in one bucket. Every method blocks on the network."""

    def __init__(self, objects: Objects, cache: Path) -> None:
        self._objects = objects
        self._cache = cache
        self._known: dict[str, _Known] = {}

    def read(self, name: str) -> Head:
        """The head of a model, as it was at most a moment ago; where the bucket is out of reach, as
        it was when it was last read.

        Raises:
            CorruptVersion: it cannot be read.
            StoreUnreachable: nothing is known of it.
        """
        found = self._latest(_key(name, HEAD), head.LIMIT, age=FRESH)
        return Head() if found is None else head.read(found.data, name)

    def stamp(self, name: str) -> Stamp | None:
        """Which head a model has; None where it is damaged, or nothing is known of it."""
        try:
            found = self._latest(_key(name, HEAD), head.LIMIT)
        except StoreUnreachable:
            return None
        return Stamp() if found is None else head.read_stamp(found.data)

    def index(self) -> Index | None:
        """The names of all models; None where there is no index, or none that can be read."""
        with contextlib.suppress(StoreUnreachable, msgspec.DecodeError, UnicodeDecodeError):
            found = self._latest(INDEX, INDEX_LIMIT)
            return None if found is None else msgspec.json.decode(found.data, type=Index)
        return None

    def names(self) -> list[str]:
        """The names in the index.

        Raises:
            CorruptVersion, StoreUnreachable
        """
        found = self._latest(INDEX, INDEX_LIMIT, age=FRESH)
        return [] if found is None else list(_index_in(found).names)

    def swap(self, name: str, before: Head, after: Head, change: Change) -> Head:
        """Put a head in place of the one that was read, and add the change to the history.

        Raises:
            HeadChanged: another one is there.
            StoreUnreachable
        """
        there = self._objects.get(_key(name, HEAD), head.LIMIT)
        now = Head() if there is None else head.read(there.data, name)
        if now.stamp != before.stamp:
            self._forget(_key(name, HEAD))
            raise HeadChanged(f"The head of {name} was changed by somebody else meanwhile.")
        if before.change is not None:
            self._append(name, before.change)  # whose writer was perhaps killed
        written = before.followed_by(after, change)
        if not self._put(_key(name, HEAD), head.write(written), there and there.tag):
            raise HeadChanged(f"The head of {name} was changed by somebody else meanwhile.")
        assert written.change is not None
        with contextlib.suppress(StoreUnreachable):  # the next writer adds it
            self._append(name, written.change)
        return written

    def begin(self, name: str, first: Head) -> None:
        """Write the first head of a model that nobody else knows yet.

        Raises:
            StoreUnreachable, HeadChanged
        """
        begun = msgspec.structs.replace(first, generation=1, nonce=os.urandom(8).hex())
        if not self._put(_key(name, HEAD), head.write(begun), None):
            raise HeadChanged(f"{name} has a head already.")

    def append(self, name: str, change: Change) -> None:
        """Add to the history what changes no head.

        Raises:
            StoreUnreachable
        """
        stamp = self.read(name).stamp
        self._append(name, msgspec.structs.replace(change, generation=stamp.generation))

    def history(self, name: str) -> list[Change]:
        """What was done to a model, oldest first.

        Raises:
            CorruptVersion, StoreUnreachable
        """
        found = self._latest(_key(name, HISTORY), 2 * HISTORY_KEPT, age=FRESH)
        changes = [] if found is None else [*_changes(found.data)]
        last = self.read(name).change
        if last is not None and last not in changes[-100:]:
            changes.append(last)
        return changes

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Nothing is locked in a bucket: who swaps a head that somebody else has changed is told,
        and begins again from the head that is there."""
        self._forget(_key(name, HEAD))
        yield

    def enlist(self, name: str, models: Callable[[], Sequence[str]]) -> None:
        """Let the index name a model or not, as `models`, which is asked each time, does.

        Raises:
            HeadChanged: others were faster, again and again.
            CorruptVersion, StoreUnreachable
        """
        for _ in _attempts(INDEX):
            there = self._objects.get(INDEX, INDEX_LIMIT)
            before = Index() if there is None else _index_in(there)
            is_one = name in models()
            if (name in before.names) == is_one:
                return
            names = {*before.names, name} if is_one else {*before.names} - {name}
            after = Index(
                generation=before.generation + 1,
                nonce=os.urandom(8).hex(),
                names=tuple(sorted(names)),
            )
            if self._put(INDEX, msgspec.json.encode(after), there and there.tag):
                return

    # Inside ------------------------------------------------------------------

    def _latest(self, key: str, limit: int, age: float = 0.0) -> Found | None:
        """What an object holds, or held at most `age` seconds ago; where the bucket is out of
        reach, what is known of it."""
        known = self._known.get(key)
        if known is not None and time.monotonic() - known.at < age:
            return known.found
        tag = None if known is None or known.found is None else known.found.tag
        try:
            found = self._objects.get(key, limit, unlike=tag)
        except Unchanged:
            assert known is not None
            found = known.found
        except StoreUnreachable:
            if known is not None:
                return known.found
            with contextlib.suppress(CorruptVersion):
                return Found(files.read(self._cache / key, limit), Tag(None, None))
            raise
        else:
            self._to_cache(key, found)
        self._known[key] = _Known(found, time.monotonic())
        return found

    def _put(self, key: str, data: bytes, tag: Tag | None) -> bool:
        """Put an object in the place of what was read, which was none without a tag; False where
        something else is there."""
        try:
            new = self._objects.create(key, data) if tag is None else None
            new = new or self._objects.replace(key, data, tag or Tag(None, None))
        except (AlreadyThere, Changed):
            self._forget(key)
            there = self._objects.get(key, max(len(data), head.LIMIT, INDEX_LIMIT))
            if there is None or there.data != data:  # else it was this one, whose answer was lost
                return False
            new = there.tag
        self._known[key] = _Known(Found(data, new), time.monotonic())
        self._to_cache(key, Found(data, new))
        return True

    def _append(self, name: str, change: Change) -> None:
        key, line = _key(name, HISTORY), msgspec.json.encode(change)
        for _ in _attempts(key):
            there = self._objects.get(key, 2 * HISTORY_KEPT)
            lines = b"" if there is None else there.data
            if line in lines.splitlines():
                return
            if len(lines) > HISTORY_KEPT:
                lines = lines[-HISTORY_KEPT // 2 :].partition(b"\n")[2]
            if self._put(key, lines + line + b"\n", there and there.tag):
                return

    def _forget(self, key: str) -> None:
        known = self._known.get(key)
        if known is not None:
            self._known[key] = _Known(known.found, -FRESH)

    def _to_cache(self, key: str, found: Found | None) -> None:
        """Keep it for a start without the bucket, where the disk allows it."""
        path = self._cache / key
        if path.name not in (HEAD, INDEX):
            return
        with contextlib.suppress(OSError, StoreNotWritable):
            if found is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                files.replace(path, found.data)


def _key(name: str, file: str) -> str:
    return f"{name}/{file}"


def _attempts(what: str) -> Iterator[None]:
    """A turn after another, with a little time in between that is drawn.

    Raises:
        HeadChanged: when there were enough.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(int.from_bytes(os.urandom(1), "big") / 256 * 0.05 * min(attempt, 10))
        yield
    raise HeadChanged(f"{what} was changed by others again and again.")


def _index_in(found: Found) -> Index:
    try:
        return msgspec.json.decode(found.data, type=Index)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptVersion(f"{INDEX} in the bucket cannot be read; remove it.") from error


def _changes(data: bytes) -> Iterator[Any]:
    for line in data.splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield msgspec.json.decode(line, type=Change)
