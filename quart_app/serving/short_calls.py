"""Calls of predict that are made in the event loop, since they take less time than a thread's turn.

A call by a thread costs about 70 µs of CPU beside what the model takes, and a request waits for two
more turns of the loop. Of a small plain form that is more than the prediction. But the loop stands
still meanwhile, so there are three bounds: on what computes (`Model.is_steady`), on the rows of a
call, found by measuring when a model is loaded, and on the time of each call that is made.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from model_store import Model

SHORT_NS: Final = 200_000
"""A call that takes longer when the model is loaded is one for a thread."""

LONG_NS: Final = 1_000_000
"""When calls of late took longer on average, threads make them for `PAUSE` seconds."""

MOST_NS: Final = 4_000_000
"""What a call counts as at most: something else may have had the processor for longer."""

PAUSE: Final = 10.0

MEMORY: Final = 8
"""How many calls that average is taken from."""

ROWS: Final = (64, 16, 4, 1)
"""How many rows a call in the loop may have."""

CALLS: Final = 5
"""By how many calls a time is measured."""

Rows = NDArray[Any]
Answer = TypeVar("Answer")


class ShortCalls(Generic[Answer]):
    """Calls `predict`, of up to `most` rows. Belongs to one event loop."""

    def __init__(self, predict: Callable[[Rows], Answer], most: int) -> None:
        self._predict = predict
        self._most = most
        self._pace = 0.0  # nanoseconds that a call takes, of late
        self._from: float | None = None  # when calls may be made again, in the seconds of a clock

    def take(self, rows: int) -> bool:
        """Whether a call with so many rows may be made now."""
        if self._from is not None:
            if time.monotonic() < self._from:
                return False
            self._from, self._pace = None, 0.0
        return rows <= self._most

    def __call__(self, matrix: Rows) -> Answer:
        """Predict.

        Raises:
            Whatever `predict` raises.
        """
        begun = time.perf_counter_ns()
        try:
            return self._predict(matrix)
        finally:
            took = min(time.perf_counter_ns() - begun, MOST_NS)
            self._pace += (took - self._pace) / MEMORY
            if self._pace > LONG_NS:
                self._from = time.monotonic() + PAUSE


def most_rows(model: Model) -> int:
    """How many rows a model that is being loaded predicts within `SHORT_NS`, at most those of
    `ROWS`; 0 where its calls are for threads. Blocks for some milliseconds.

    Raises:
        PredictionFailed: it has no answer to its golden rows.
    """
    if not model.is_steady:
        return 0
    golden = model.golden_rows()
    fitting = 0
    for rows in reversed(ROWS):
        matrix = golden[np.arange(rows) % len(golden)]
        if statistics.median(_took(model, matrix) for _ in range(CALLS)) > SHORT_NS:
            break
        fitting = rows
    return fitting


def _took(model: Model, matrix: Rows) -> int:
    begun = time.thread_time_ns()
    model.said(matrix)
    return time.thread_time_ns() - begun
