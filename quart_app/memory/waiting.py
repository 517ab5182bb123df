"""What waits to be recorded: a bounded queue from the event loop to the thread that writes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from model_store import Manifest
from model_store.record_settings import RecordSettings

from ..inference import InferenceRequest

QUEUE_ROWS: Final = 20_000
QUEUE_BYTES: Final = 32 * 1024 * 1024
"""What may wait. Bytes are estimated."""

CELL_BYTES: Final = 80
"""About what a number takes on its way: an object of Python, and its place in a list."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """A request that was answered, failed or was refused, as it was.

    Of an answer there are `labels`, and perhaps `probabilities`. There is no `request` of one that
    was refused before it was read. `summed` says that it is a part of a table, which is recorded in
    summaries alone.
    """

    manifest: Manifest
    settings: RecordSettings
    request: InferenceRequest | None
    id: str
    at: float
    variant: str
    door: str
    milliseconds: float
    status: int = 200
    error: str | None = None
    labels: Any = None
    probabilities: Any = None
    summed: bool = False

    @property
    def rows(self) -> int:
        """Rows that it is recorded as."""
        return 1 if self.request is None else self.request.rows


class Waiting:
    """The queue. One thread puts, another takes."""

    def __init__(self) -> None:
        self._items: deque[tuple[Item, int]] = deque()
        # Each is changed by one thread alone, so that they need no lock.
        self._rows_put = self._rows_done = 0
        self._bytes_put = self._bytes_done = 0
        self.wake = threading.Event()
        """Set when there is something to take."""

    @property
    def rows(self) -> int:
        """Rows that were put and are not done yet."""
        return self._rows_put - self._rows_done

    def mark(self) -> int:
        """What has been put by now, for `is_past`."""
        return self._rows_put

    def is_past(self, mark: int) -> bool:
        """Whether all that had been put by that mark is done."""
        return self._rows_done >= mark

    def put(self, item: Item) -> bool:
        """Put something at the end, unless there is no room for it. Never blocks."""
        size = _size(item)
        if (
            self.rows + item.rows > QUEUE_ROWS
            or self._bytes_put - self._bytes_done + size > QUEUE_BYTES
        ):
            return False
        self._rows_put += item.rows
        self._bytes_put += size
        self._items.append((item, size))
        if not self.wake.is_set():
            self.wake.set()
        return True

    def take(self, rows: int) -> list[tuple[Item, int]]:
        """What waits for longest, so many rows of it or one larger request, each with its size."""
        found: list[tuple[Item, int]] = []
        while self._items and (not found or rows >= self._items[0][0].rows):
            found.append(self._items.popleft())
            rows -= found[-1][0].rows
        return found

    def done(self, items: Sequence[tuple[Item, int]]) -> None:
        """Give others the room of what was taken."""
        self._rows_done += sum(item.rows for item, _ in items)
        self._bytes_done += sum(size for _, size in items)


def _size(item: Item) -> int:
    """About how many bytes something holds."""
    request = item.request
    if request is None:
        return CELL_BYTES
    columns = request.columns
    values = columns.values() if hasattr(columns, "values") else columns
    size = CELL_BYTES * (8 + request.rows * (len(item.manifest.targets) + len(columns)))
    for column in values:
        # Of other values, and of texts in arrays, there is nothing large in a request.
        if type(column) is list and column and type(column[0]) is str:
            size += sum(len(value) for value in column if type(value) is str)
    return size
