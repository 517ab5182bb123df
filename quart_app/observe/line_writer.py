"""Lines on their way to a file descriptor, which nobody who reads slowly can hold up.

A bounded number of lines wait for a thread that writes them. What comes on top is dropped, and a
line says how many were. Where several processes write to one descriptor, they take turns.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from .turns import Turn, Turns

MAX_LINES: Final = 8_192
MAX_BYTES: Final = 16 * 1024 * 1024
"""What may wait."""

GATHER: Final = 0.05
"""Seconds in which lines are gathered, so that the thread is not woken for each of them."""

LEAVE: Final = 0.5
"""Seconds that the last lines have at the end of the process."""


class LineWriter:
    """Writes lines to a file descriptor, in a thread of its own. Any thread may call `write`.

    `tell_dropped` makes the line that says how many are missing before it. With `turns`, other
    processes write to the descriptor as well.
    """

    def __init__(
        self,
        descriptor: int,
        tell_dropped: Callable[[int], bytes],
        *,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
        turns: Turns | None = None,
    ) -> None:
        self.descriptor = descriptor
        self._dropped_line = tell_dropped
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._lock = threading.Lock()  # of the two that follow
        self._queued = 0
        self._refused = 0
        self._taken = 0
        self._failed = 0
        self._told = 0
        self._turns = turns
        self._turn = Turn()
        self._wake = threading.Event()
        self._closing = threading.Event()
        # A daemon, since a reader that hangs must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written, because too many waited or because writing failed."""
        return self._refused + self._failed

    def write(self, line: bytes) -> None:
        """Let the line be written soon. Never blocks."""
        with self._lock:
            waiting = self._queued - self._taken
            if len(self._lines) >= self._max_lines or waiting + len(line) > self._max_bytes:
                self._refused += 1
                return
            self._queued += len(line)
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
            self._taken += len(line)
            if count and len(piece) + len(line) > select.PIPE_BUF:
                yield piece, count
                piece, count = b"", 0
            piece += line
            count += 1
        if count:
            yield piece, count

    def _tell_dropped(self) -> None:
        dropped = self.dropped
        if dropped > self._told and self._write(self._dropped_line(dropped - self._told), 0):
            self._told = dropped

    def _write(self, piece: bytes, count: int) -> bool:
        """Whether it was written. Where that fails, as on a full disk, the next one is tried."""
        try:
            with self._next_turn(len(piece)) as turn:
                rest = memoryview(b"\n" + piece if turn.cut else piece)
                while rest:
                    rest = rest[self._write_some(rest) :]
                    turn.cut = bool(rest)
        except OSError:
            self._failed += count
            return False
        return True

    def _next_turn(self, size: int) -> contextlib.AbstractContextManager[Turn]:
        if self._turns is None:
            return contextlib.nullcontext(self._turn)
        return self._turns.turn(alone=size > select.PIPE_BUF)

    def _write_some(self, rest: memoryview) -> int:
        with contextlib.suppress(BlockingIOError):
            return os.write(self.descriptor, rest)
        ready = select.poll()
        ready.register(self.descriptor, select.POLLOUT)
        ready.poll()
        return 0
