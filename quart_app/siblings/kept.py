"""What each worker has counted, in a file of its own, so that it outlives the worker.

Whoever wants to know asks the others to say what they have now, reads the files of those that do
not answer or have died, and adds all up. A worker writes its file before it answers, and after a
second in which something changed: so what was told once is never less later. At kill -9 it loses
what it counted since the last of both.

Files of dead workers are folded into one, `gone`, which names them: a process that is killed
between writing it and removing them makes nobody count them twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..serving.threads import run_in_daemon
from .channel import Channel, Name

SUBJECT: Final = "counts"
SUFFIX: Final = ".counts"
GONE: Final = "gone.counts"
LOCK: Final = "counts.lock"

SECONDS: Final = 1.0
"""Between two looks whether something changed."""

LOOKS: Final = 50
LOOK_SECONDS: Final = 0.01
"""How often, and after which time, it is tried again to have the lock."""

logger = logging.getLogger(__name__)


class Piece(NamedTuple):
    """What one worker has counted, or all that have died together."""

    lives: bool
    body: bytes


class Gone(msgspec.Struct, array_like=True):
    """The sum of the workers with these `names`, which have died."""

    names: list[str]
    body: bytes


_gone: Final = msgspec.msgpack.Decoder(Gone)


class Kept:
    """The counts of this worker and the others. Belongs to one event loop."""

    def __init__(
        self,
        channel: Channel,
        read: Callable[[], bytes],
        fold: Callable[[Sequence[bytes]], bytes],
    ) -> None:
        """`read` says what this worker has counted; `fold` adds up what dead ones had."""
        self._channel = channel
        self._count = read
        self._fold = fold
        self._written = b""
        self._writing = asyncio.Lock()
        self._gathering = asyncio.Lock()
        self._next: asyncio.Task[list[Piece]] | None = None
        self._is_told = False
        channel.on(SUBJECT, self._answer)

    async def run(self) -> None:
        """For ever, write what has changed."""
        while True:
            await self.write()
            await asyncio.sleep(SECONDS)

    async def write(self) -> bytes:
        """Bring the file of this worker to what it has counted, and return that."""
        # A thread that writes is not stopped by who waits for it, nor is one overtaken by the next.
        return await asyncio.shield(asyncio.create_task(self._write_next()))

    async def _write_next(self) -> bytes:
        async with self._writing:
            body = self._count()
            if body != self._written:
                await run_in_daemon(partial(self._write, body))
            return body

    async def gather(self) -> list[Piece]:
        """What all have counted by now. Those that ask at the same time are answered together."""
        if self._next is None:
            self._next = asyncio.create_task(self._gather_next(), name="gather")
        return [*await asyncio.shield(self._next)]

    async def _gather_next(self) -> list[Piece]:
        async with self._gathering:
            self._next = None  # who comes from now on wants to know of what comes from now on
            own, others = await asyncio.gather(self.write(), self._channel.ask(SUBJECT))
            told = {str(name): body for name, body in others.items() if body is not None}
            told[str(self._channel.name)] = own
            return await run_in_daemon(partial(self._read, told))

    async def _answer(self, body: bytes) -> bytes:
        return await self.write()

    # Files, in threads -------------------------------------------------------------

    def _write(self, body: bytes) -> None:
        path = self._channel.folder / f"{self._channel.name}{SUFFIX}"
        try:
            _replace(path, body)
            self._written = body
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                logger.warning("what is counted cannot be kept for when a worker dies: %s", error)

    def _read(self, told: Mapping[str, bytes]) -> list[Piece]:
        with _locked(self._channel.folder / LOCK, fcntl.LOCK_SH):
            living, dead, gone = self._files(told)
        if dead:
            with _locked(self._channel.folder / LOCK, fcntl.LOCK_EX) as is_locked:
                living, dead, gone = self._files(told)
                if is_locked and dead:
                    gone, dead = self._folded(gone, dead), {}
        pieces = [Piece(True, body) for body in living.values()]
        pieces += [Piece(False, body) for body in dead.values()]
        return [*pieces, *([] if gone is None else [Piece(False, gone.body)])]

    def _files(
        self, told: Mapping[str, bytes]
    ) -> tuple[dict[str, bytes], dict[str, bytes], Gone | None]:
        """What those that live have counted, what those had that died since the last look, and what
        all others had."""
        living, dead = dict(told), dict[str, bytes]()
        gone = self._read_gone()
        known = set() if gone is None else set(gone.names)
        for file in _listed(self._channel.folder):
            text = file.removesuffix(SUFFIX)
            if text == file or text in living or text in known:
                continue
            name = Name.read(text)
            body = None if name is None else _content(self._channel.folder / file)
            if name is not None and body is not None:
                (living if self._channel.is_there(name) else dead)[text] = body
        return living, dead, gone

    def _read_gone(self) -> Gone | None:
        data = _content(self._channel.folder / GONE)
        return None if data is None else _gone.decode(data)

    def _folded(self, gone: Gone | None, dead: Mapping[str, bytes]) -> Gone:
        """All that died in one file. Those that are named there need not stay."""
        folder = self._channel.folder
        before = [] if gone is None else [gone.body]
        body = self._fold([*before, *dead.values()])
        # Of those that were folded earlier the files have been removed by now.
        left = [] if gone is None else [name for name in gone.names if _there(folder, name)]
        found = Gone([*left, *dead], body)
        try:
            _replace(folder / GONE, msgspec.msgpack.encode(found))
        except OSError:
            return found
        for name in found.names:
            with contextlib.suppress(OSError):
                (folder / f"{name}{SUFFIX}").unlink()
        return found


def _there(folder: Path, name: str) -> bool:
    return (folder / f"{name}{SUFFIX}").exists()


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _replace(path: Path, data: bytes) -> None:
    """Write a file at once for who reads it. It need not outlive the machine."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[bool]:
    """Hold a lock meanwhile, where it can be had within half a second. It is let go with the
    process that holds it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False
        return
    try:
        yield _try_lock(handle, how)
    finally:
        os.close(handle)


def _try_lock(handle: int, how: int) -> bool:
    for _ in range(LOOKS):
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOOK_SECONDS)
        else:
            return True
    return False
