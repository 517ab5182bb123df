"""Ids of 128 random bits, for requests and responses."""

from __future__ import annotations

import os
import weakref
from functools import partial
from typing import Final

BYTES: Final = 16
STOCK: Final = 64
"""Ids that are drawn at a time. Each draw is a system call, which takes longer than all else."""


class RandomIds:
    """Gives ids of 32 hexadecimal digits that nobody can guess. Threads may share it.

    A process that is forked draws ids of its own.
    """

    def __init__(self) -> None:
        self._stock: list[str] = []
        os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))

    def new(self) -> str:
        """An id that was not given before."""
        try:
            return self._stock.pop()
        except IndexError:
            return self._draw()

    def forget(self) -> None:
        """Give none of the ids that were drawn so far."""
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
