"""Which columns of a row keep a pipeline from an answer: found by asking it again, and never by
reading what it says of that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

SECONDS = 0.1
"""How long it may be looked for; a call that has begun then goes on to its end."""


def culprits(
    row: NDArray[Any],
    known: NDArray[Any],
    answers: Callable[[NDArray[Any]], bool],
    *,
    order: Sequence[int] | None = None,
    seconds: float = SECONDS,
) -> list[int]:
    """The columns of which the known value alone gives a row an answer.

    `row` has the shape (1, columns), and `answers` says whether there is an answer to such a one.
    `known`, of the shape (columns,), is a row that has an answer. None are found where only several
    of them together would help, and not all where there was no time to try them: in this `order`,
    the likeliest first. Blocks.
    """
    until = time.monotonic() + seconds
    found = []
    for column in range(row.shape[1]) if order is None else order:
        if time.monotonic() > until:
            break
        other = row.copy()
        other[0, column] = known[column]
        if answers(other):
            found.append(column)
    return sorted(found)
