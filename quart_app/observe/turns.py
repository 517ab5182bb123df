"""Turns of several processes that write lines to one descriptor.

What a pipe takes in one piece is never mixed with what others write. A longer line is, unless all
keep away from the descriptor while it is written: so they take turns by a lock on a file, which
goes with the process that has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Turn:
    """Somebody's turn. `cut` says that what was written last has no end of line."""

    __slots__ = ("cut",)

    def __init__(self) -> None:
        self.cut = False


class Turns:
    """The turns at one descriptor. For threads that do nothing but write, since it blocks while
    others have the turn.

    The file is of no bytes unless a long line is being written, or whoever wrote one died.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        """Descriptors of one file or pipe share their turns, whichever process has them. The lock
        is held open to the end of the process.

        Raises:
            OSError: the folder cannot be written.
        """
        found = os.fstat(descriptor)
        path = folder / f"lines-{found.st_dev:x}-{found.st_ino:x}.lock"
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator[Turn]:
        """Write meanwhile; `alone` where it is more than a pipe takes in one piece."""
        turn = Turn()
        fcntl.flock(self._handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            if not alone and self._is_cut():
                fcntl.flock(self._handle, fcntl.LOCK_EX)
                alone = True
            turn.cut = self._is_cut()
            if alone:
                os.ftruncate(self._handle, 1)
            yield turn
            if alone and not turn.cut:
                os.ftruncate(self._handle, 0)
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _is_cut(self) -> bool:
        return os.fstat(self._handle).st_size > 0
