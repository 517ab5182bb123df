"""Which of several rows keeps a model from an answer: found by asking for ever fewer of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from model_store.errors import Unanswerable

SECONDS: Final = 0.2
"""How long it may be looked for; a call that has begun then goes on to its end."""

Ask = Callable[[slice], Awaitable[object]]


async def blamed(error: Unanswerable, rows: int, ask: Ask) -> Unanswerable:
    """The error of so many rows as one that names the first row to blame, counted from 0, and with
    it the columns. It is as it was where no row alone is to blame, or where there is no time.

    `ask` asks for some of the rows, and raises Unanswerable where they have no answer.
    """
    until = time.monotonic() + SECONDS
    first, last = 0, rows
    while last - first > 1:
        if time.monotonic() > until:
            return error
        middle = (first + last) // 2
        if await _failed(ask, slice(first, middle)) is None:
            first = middle
        else:
            last = middle
    alone = await _failed(ask, slice(first, last))
    return error if alone is None else Unanswerable(f"Row {first}: {alone}", alone.words)


async def _failed(ask: Ask, rows: slice) -> Unanswerable | None:
    try:
        await ask(rows)
    except Unanswerable as error:
        return error
    return None
