"""The access log: a line of JSON for each request, to stdout.

Nobody who reads slowly, or not at all, holds the server up: a bounded number of lines wait for a
thread that writes them; what comes on top is dropped, and a line says how many were.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from ..asgi import Record

MAX_LINES: Final = 8_192
"""Lines that may wait, of at most 2 KB each."""

MAX_PATH: Final = 1_024
"""Characters of a path that are shown. So a line is shorter than what a pipe takes in one piece."""

GATHER: Final = 0.05
"""Seconds in which lines are gathered, so that the thread is not woken for each of them."""

LEAVE: Final = 0.5
"""Seconds that the last lines have at the end of the process."""

logger = logging.getLogger(__name__)


class Line(msgspec.Struct):
    """What a line tells, in its order."""

    time: str
    method: str
    route: str | None
    path: str
    status: int
    duration_ms: float
    bytes: int
    model: str | None
    version: int | None
    rows: int | None
    error: str | None
    aborted: bool
    request_id: str | None
    client: str | None


class Dropped(msgspec.Struct):
    """That so many lines are missing before this one."""

    time: str
    dropped: int


_encoder: Final = msgspec.json.Encoder()


def line(record: Record) -> bytes:
    """The record as a line of JSON in ASCII. It has one end of line, whatever was sent."""
    path = record.path
    return _encoded(
        Line(
            timestamp(record.began),
            record.method,
            record.route,
            path if len(path) <= MAX_PATH else f"{path[:MAX_PATH]}...",
            record.status,
            round(record.seconds * 1000, 3),
            record.bytes,
            record.model,
            record.version,
            record.rows,
            record.error,
            record.aborted,
            record.request_id,
            record.client,
        )
    )


def timestamp(seconds: float) -> str:
    """A moment in seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    second, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(second)}.{milliseconds:03}Z"


@lru_cache(maxsize=16)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _encoded(told: Line | Dropped) -> bytes:
    encoded = _encoder.encode(told)
    if not encoded.isascii():  # U+2028 and the like end a line for some readers
        encoded = json.dumps(json.loads(encoded), separators=(",", ":")).encode()
    return encoded + b"\n"


class LineWriter:
    """Writes lines to a file descriptor, in a thread of its own. One thread calls `write`."""

    def __init__(self, descriptor: int, *, max_lines: int = MAX_LINES) -> None:
        self._descriptor = descriptor
        self._max_lines = max_lines
        self._lines: deque[bytes] = deque()
        self._refused = 0
        self._failed = 0
        self._told = 0
        self._cut = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        # A daemon, since a reader that hangs must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written, because too many waited or because writing failed."""
        return self._refused + self._failed

    def write(self, line: bytes) -> None:
        """Let the line be written soon. Never blocks."""
        if len(self._lines) >= self._max_lines:
            self._refused += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, seconds: float = LEAVE) -> None:
        """Write what waits, for at most this long."""
        self._closing.set()
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.wait(GATHER)
            for piece, count in self._pieces():
                self._write(piece, count)
            self._tell_dropped()

    def _pieces(self) -> Iterator[tuple[bytes, int]]:
        """What waits, as pieces that a pipe takes whole, each with its number of lines."""
        piece, count = b"", 0
        for _ in range(len(self._lines)):
            line = self._lines.popleft()
            if count and len(piece) + len(line) > select.PIPE_BUF:
                yield piece, count
                piece, count = b"", 0
            piece += line
            count += 1
        if count:
            yield piece, count

    def _tell_dropped(self) -> None:
        dropped = self.dropped
        if dropped > self._told:
            told = Dropped(timestamp(time.time()), dropped - self._told)
            if self._write(_encoded(told), 0):
                self._told = dropped

    def _write(self, piece: bytes, count: int) -> bool:
        """Whether it was written. Where that fails, as on a full disk, the next one is tried."""
        rest = memoryview(b"\n" + piece if self._cut else piece)
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
                self._cut = bool(rest)
        except OSError:
            self._failed += count
            return False
        return True

    def _write_some(self, rest: memoryview) -> int:
        with contextlib.suppress(BlockingIOError):
            return os.write(self._descriptor, rest)
        ready = select.poll()
        ready.register(self._descriptor, select.POLLOUT)
        ready.poll()
        return 0


class AccessLog:
    """Observes requests and writes a line for each."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def __call__(self, record: Record) -> None:
        self._writer.write(line(record))
