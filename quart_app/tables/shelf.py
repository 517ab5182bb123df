"""Results of jobs as files that all workers of a server find: the result, and what is to be said of
it.

A file is written by the worker that runs the job. When it has ended, or that worker has died, any
of them may remove it. Times are of the clock that all processes of a machine share.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from model_store import manifest as manifests

from ..middleware.spool import no_room
from ..siblings.channel import Channel, Name
from .job import Job, Shelved, State, Status

FOLDER: Final = "files"

ENDED: Final = "The worker that answered it has ended. Send the file again."
"""Why a job failed that nobody goes on with."""

STOPPING: Final = 1.0
"""Seconds that another worker has to stop a job."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")

logger = logging.getLogger(__name__)


class Entry(Status, kw_only=True):
    """What lies beside a result: by which worker it is, and until when it is kept once it has
    ended."""

    owner: str
    until: float | None = None


_entry: Final = msgspec.json.Decoder(Entry)


class Shelf:
    """The files. All of it blocks for less than a millisecond or so, but for `stop`."""

    def __init__(self, channel: Channel, kept: float) -> None:
        """Each is kept for so many seconds from its end."""
        self.channel = channel
        self._kept = kept
        self._folder = channel.folder / FOLDER

    def create(self, id: str) -> IO[bytes]:
        """The file of a new result.

        Raises:
            NotReady: it cannot be made.
        """
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return open(self._result(id), "x+b", opener=_private)
        except OSError as error:
            raise no_room(error) from error

    def describe(self, job: Job) -> None:
        """Say of which model a job is, once.

        Raises:
            NotReady: that cannot be written.
        """
        try:
            self._manifest(job.id).write_bytes(manifests.write(job.manifest))
            self._write(self._entry_of(job))
        except OSError as error:
            raise no_room(error) from error

    def note(self, job: Job) -> None:
        """Say how far a job is. What cannot be written is logged: the others then say less of it
        than there is."""
        try:
            self._write(self._entry_of(job))
        except OSError as error:
            logger.warning("how far a table is cannot be written: %s", error)

    def end(self, job: Job, *, cut_off: bool) -> None:
        """Say what became of a job, which has ended. One that was `cut_off` since its worker ends
        has failed, and so has one of which nothing can be said."""
        if cut_off and job.state is State.STOPPED:
            job.state, job.reason = State.FAILED, ENDED
        if job.state is State.DONE:
            try:
                self._write(self._entry_of(job))
                return
            except OSError as error:
                job.state, job.reason = State.FAILED, str(no_room(error))
        with contextlib.suppress(OSError):
            self._result(job.id).unlink()
        self.note(job)

    def find(self, id: str) -> Shelved | None:
        """The job with this id, whichever worker has it; None where there is none, or not any
        more."""
        entry = self._current(id) if _ID.fullmatch(id) else None
        if entry is None or _is_over(entry):
            return None
        try:
            manifest = manifests.read(self._manifest(id).read_bytes())
        except OSError:
            return None
        facts = {name: getattr(entry, name) for name in Status.__struct_fields__}
        return Shelved(**facts, manifest=manifest, path=self._result(id))

    async def stop(self, id: str) -> None:
        """Have the worker that runs a job stop it."""
        await self.channel.ask("stop", id.encode(), seconds=STOPPING)

    def remove(self, id: str) -> None:
        """Let a job go; who reads its result reads on."""
        for path in (self._index(id), self._manifest(id), self._result(id)):
            with contextlib.suppress(OSError):
                path.unlink()

    def sweep(self, most: int) -> None:
        """Remove what was kept for long enough, and of what has ended all but so many, the oldest
        first."""
        until: dict[str, float] = {}
        for id in self._ids():
            entry = self._current(id)
            if entry is not None and entry.until is not None:
                until[id] = entry.until
        newest_first = sorted(until, key=until.__getitem__, reverse=True)
        now = time.monotonic()
        for number, id in enumerate(newest_first):
            if number >= most or until[id] <= now:
                self.remove(id)

    def _current(self, id: str) -> Entry | None:
        """What is to be said of a job now; where its worker died meanwhile, that it failed."""
        entry = self._read(id)
        if entry is None or entry.state is not State.RUNNING or self._lives(entry.owner):
            return entry
        entry = self._read(id)  # it may have ended, and then its worker
        if entry is None or entry.state is not State.RUNNING:
            return entry
        until = time.monotonic() + self._kept
        entry = msgspec.structs.replace(entry, state=State.FAILED, reason=ENDED, until=until)
        with contextlib.suppress(OSError):
            self._write(entry)
            self._result(id).unlink()
        return entry

    def _lives(self, owner: str) -> bool:
        name = Name.read(owner)
        return name is not None and self.channel.is_there(name)

    def _entry_of(self, job: Job) -> Entry:
        facts = {name: getattr(job, name) for name in Status.__struct_fields__}
        until = None if job.state is State.RUNNING else time.monotonic() + self._kept
        return Entry(**facts, owner=str(self.channel.name), until=until)

    def _read(self, id: str) -> Entry | None:
        try:
            return _entry.decode(self._index(id).read_bytes())
        except OSError:
            return None

    def _write(self, entry: Entry) -> None:
        path = self._index(entry.id)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            new.write_bytes(msgspec.json.encode(entry))
            new.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise

    def _ids(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            for file in os.listdir(self._folder):
                if file.endswith(".json") and _ID.fullmatch(id := file.removesuffix(".json")):
                    yield id

    def _index(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def _manifest(self, id: str) -> Path:
        return self._folder / f"{id}.manifest"

    def _result(self, id: str) -> Path:
        return self._folder / f"{id}.csv"


def _is_over(entry: Entry) -> bool:
    return entry.until is not None and entry.until <= time.monotonic()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
