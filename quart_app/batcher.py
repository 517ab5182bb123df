"""Requests that wait for the same model share one call of predict.

There is no timer. A request that finds the batcher idle is run at once; what arrives while a batch
runs forms the next one. One batch of a model runs at a time, in a thread, and the loop stays free.

Whoever submits gets an answer or an error, whatever happens: a cancelled caller takes only its own
future with it; when a batch fails, each of its requests is run once alone, so that only the
culprit fails; and when the batcher is closed, whoever still waits is told.

Known weak point: a thread cannot be stopped. A predict that hangs keeps its thread, and the
requests behind it wait until their own deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


class QueueFull(Exception):
    """As many rows are waiting as may wait."""


class Closed(Exception):
    """The batcher takes no more requests, and will not answer those that wait."""


class Sliceable(Protocol):
    """An answer to many rows, of which a slice is the answer to some of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Self: ...


Answer = TypeVar("Answer", bound=Sliceable)


class Batch(NamedTuple):
    """What one call of predict answered: how many rows of how many requests, how long these had
    waited before, added up, and how long it took. Times are in nanoseconds."""

    rows: int
    requests: int
    waited: int
    took: int


@dataclass(frozen=True, slots=True)
class _Request(Generic[Answer]):
    rows: Rows
    future: asyncio.Future[Answer]
    since: int

    def resolve(self, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def reject(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Batcher(Generic[Answer]):
    """Runs `predict` on rows of shape (n, columns), in `executor`.

    `max_batch_size` counts rows; a request with more is a batch of its own. `max_queue_size`
    counts the rows that wait, and one request is taken however large it is when none wait.
    `observe` is told of every batch that was answered.
    """

    def __init__(
        self,
        predict: Callable[[Rows], Answer],
        executor: Executor,
        *,
        max_batch_size: int = 256,
        max_queue_size: int = 20_000,
        observe: Callable[[Batch], None] | None = None,
    ) -> None:
        self._predict = predict
        self._executor = executor
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._observe = observe
        self._waiting: deque[_Request[Answer]] = deque()
        self._waiting_rows = 0
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for their turn."""
        return self._waiting_rows

    async def submit(self, rows: Rows) -> Answer:
        """Wait for the answer to these rows. All rows of one batcher have one dtype and width.

        Cancelling the caller drops the request when its turn comes; a batch that runs goes on.

        Raises:
            QueueFull, Closed, and whatever `predict` raised on these rows alone.
        """
        if self._closed:
            raise Closed
        if self._waiting and self._waiting_rows + len(rows) > self._max_queue_size:
            raise QueueFull(f"{self._waiting_rows} rows are waiting.")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(rows, future, time.perf_counter_ns()))
        self._waiting_rows += len(rows)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def drain(self) -> None:
        """Wait until nothing waits or runs. Cancelling it stops nothing."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker])

    async def close(self) -> None:
        """Take no more, and fail with `Closed` what waits or runs. A running thread goes on."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            self._reject_waiting()  # a worker that has not begun yet never comes to its `finally`
            await self.drain()

    async def _work(self) -> None:
        batch: Sequence[_Request[Answer]] = ()
        try:
            while batch := self._next_batch():
                await self._run(batch)
        finally:
            # Only a cancelled worker leaves anyone here.
            for request in batch:
                request.reject(Closed())
            self._reject_waiting()
            self._worker = None

    def _reject_waiting(self) -> None:
        for request in self._waiting:
            request.reject(Closed())
        self._waiting.clear()
        self._waiting_rows = 0

    def _next_batch(self) -> Sequence[_Request[Answer]]:
        """The next requests in the order they came, without those whose callers have gone."""
        batch: list[_Request[Answer]] = []
        size = 0
        while self._waiting:
            count = len(self._waiting[0].rows)
            if batch and size + count > self._max_batch_size:
                break
            request = self._waiting.popleft()
            self._waiting_rows -= count
            if not request.future.done():
                batch.append(request)
                size += count
        return batch

    async def _run(self, batch: Sequence[_Request[Answer]]) -> None:
        begun = time.perf_counter_ns()
        try:
            answer = await self._predict_in_thread([request.rows for request in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].reject(error)
                return
            for request in batch:
                if not request.future.done():
                    await self._run([request])
            return
        start = 0
        for request in batch:
            stop = start + len(request.rows)
            request.resolve(answer[start:stop])
            start = stop
        if self._observe is not None:
            waited = sum(begun - request.since for request in batch)
            took = time.perf_counter_ns() - begun
            self._observe(Batch(start, len(batch), waited, took))

    async def _predict_in_thread(self, parts: Sequence[Rows]) -> Answer:
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        loop = asyncio.get_running_loop()
        answer: Answer = await loop.run_in_executor(self._executor, self._predict_whole, rows)
        return answer

    def _predict_whole(self, rows: Rows) -> Answer:
        """An answer to every row, or an error that a future can carry. Runs in the thread."""
        try:
            answer = self._predict(rows)
        except BaseException as error:
            ends_the_loop = not isinstance(error, Exception)  # SystemExit and its like
            if ends_the_loop or isinstance(error, StopIteration | CancelledError):
                raise RuntimeError(f"predict raised {type(error).__name__}: {error}") from error
            raise
        if len(answer) != len(rows):
            raise RuntimeError(f"predict answered {len(rows)} rows with {len(answer)}.")
        return answer
