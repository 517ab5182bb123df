"""What the workers of a server and their supervisor write for one another, in memory they share.

A row for each worker, of 64-bit numbers that one process writes and the others read: what is
written is seen whole. Nobody waits for anybody: a process that stands still, or was killed in the
middle of something, holds up no other.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum
from typing import Final

STOPPING, WANTED, HEAD = 0, 1, 8
"""Numbers before the rows: whether the whole server ends; the newest generation of which a worker
wants a newer one."""

BEAT, CONNECTIONS, STATE, ROW = 0, 1, 2, 8
"""Numbers of a row, which fills a line of a processor's cache."""

BYTES: Final = 8
BANKS: Final = 2
"""There are rows for two generations of workers, the one that serves and the one that comes; and
one more, for who answers before there is any."""


class State(IntEnum):
    """How far a worker is."""

    BEGUN = 0
    SERVING = 1
    """Accepts connections, and has its models."""
    LEAVING = 2


class Board:
    """The memory, in one of the processes. `descriptor` is what others open it by."""

    def __init__(self, descriptor: int, workers: int) -> None:
        self.descriptor = descriptor
        self.workers = workers
        size = BYTES * (HEAD + ROW * (BANKS * workers + 1))
        os.ftruncate(descriptor, size)
        self._memory = mmap.mmap(descriptor, size)
        self._numbers = memoryview(self._memory).cast("Q")

    @classmethod
    def new(cls, workers: int) -> Board:
        """An empty one."""
        return cls(os.memfd_create("workers"), workers)

    @property
    def stopping(self) -> bool:
        """Whether all workers are to end, and no other takes their connections."""
        return bool(self._numbers[STOPPING])

    def stop(self) -> None:
        """Let all know that the server ends."""
        self._numbers[STOPPING] = 1

    @property
    def wanted(self) -> int:
        """The newest generation that was found to be out of date."""
        return self._numbers[WANTED]

    def want(self, generation: int) -> None:
        """Ask for one that is newer than this."""
        self._numbers[WANTED] = max(self._numbers[WANTED], generation)

    def row(self, number: int) -> Row:
        """One row by its number."""
        start = HEAD + ROW * number
        return Row(self._numbers[start : start + ROW])

    def first_row(self, bank: int) -> int:
        """The row of slot 0 in a bank; that of who answers before there are workers is alone in
        its own."""
        return bank * self.workers


class Row:
    """What is known of one worker."""

    def __init__(self, numbers: memoryview) -> None:
        self._numbers = numbers

    @property
    def beat(self) -> int:
        """Changes as long as its event loop turns."""
        return int(self._numbers[BEAT])

    def tick(self) -> None:
        """The event loop has turned."""
        self._numbers[BEAT] += 1

    @property
    def connections(self) -> int:
        """Those that are open."""
        return int(self._numbers[CONNECTIONS])

    @connections.setter
    def connections(self, count: int) -> None:
        self._numbers[CONNECTIONS] = count

    @property
    def state(self) -> State:
        """How far it is."""
        return State(self._numbers[STATE])

    @state.setter
    def state(self, state: State) -> None:
        self._numbers[STATE] = state

    def clear(self) -> None:
        """Nobody has this row."""
        for number in range(ROW):
            self._numbers[number] = 0
