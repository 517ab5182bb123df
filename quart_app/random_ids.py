"""Ids of 128 bits, for requests and responses: the time, and 80 random bits.

They are ordered by time, so that a table of them grows at its end, as UUIDs of version 7 are.
Source: https://www.rfc-editor.org/rfc/rfc9562#section-5.7
"""

from __future__ import annotations

import os
import time
import weakref
from functools import partial
from typing import Final

BYTES: Final = 10
STOCK: Final = 64
"""Random parts that are drawn at a time. Each draw is a system call, which takes longer than all
else."""

MILLISECOND: Final = 1_000_000


class RandomIds:
    """Gives ids of 32 hexadecimal digits that nobody can guess: the first twelve are milliseconds
    since 1970. Threads may share it.

    A process that is forked draws ids of its own.
    """

    def __init__(self) -> None:
        self._stock: list[str] = []
        os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))

    def new(self) -> str:
        """An id that was not given before."""
        try:
            rest = self._stock.pop()
        except IndexError:
            rest = self._draw()
        return f"{time.time_ns() // MILLISECOND:012x}{rest}"

    def forget(self) -> None:
        """Give none of what was drawn so far."""
        self._stock = []

    def _draw(self) -> str:
        digits = os.urandom(STOCK * BYTES).hex()
        length = 2 * BYTES
        first, *self._stock = (digits[at : at + length] for at in range(0, len(digits), length))
        return first


def _forget(reference: weakref.ref[RandomIds]) -> None:
    """Runs in a process that was forked, which has the stock of its parent."""
    ids = reference()
    if ids is not None:
        ids.forget()
