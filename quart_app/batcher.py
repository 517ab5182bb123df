"""Requests that wait for the same model share one call of predict.

There is no timer. A request that finds the batcher idle is run at once; what arrives while a batch
runs forms the next one. One batch of a model runs at a time, in a thread, and the loop stays free.

Whoever submits gets an answer or an error, whatever happens: a cancelled caller takes only its own
future with it; when a batch fails, each of its requests is run once alone, so that only the
culprit fails; and when the batcher is closed, whoever still waits is told.

A thread cannot be stopped. What a predict that takes too long was asked goes on to wait for it, and
the batcher goes on in another thread where one is spare.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]

LOOK_AGAIN: Final = 0.1
"""Seconds after which a batch that takes too long finds out whether a thread is spare by now."""

MEMORY: Final = 8
"""How many batches the usual time of one is taken from."""

NANOSECONDS: Final = 1e9


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
    counts the rows that wait, and one request is taken however large it is when none wait. Nor is
    one taken whose turn would be more than `max_wait` seconds away, as fast as it has been going.
    `observe` is told of every batch that was answered.

    A batch that takes longer than `patience` seconds is overtaken by the next one as soon as the
    executor has a thread for that, which `spare` tells.
    """

    def __init__(
        self,
        predict: Callable[[Rows], Answer],
        executor: Executor,
        *,
        max_batch_size: int = 256,
        max_queue_size: int = 20_000,
        max_wait: float = math.inf,
        patience: float = math.inf,
        spare: Callable[[], bool] = lambda: True,
        observe: Callable[[Batch], None] | None = None,
    ) -> None:
        self._predict = predict
        self._executor = executor
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._max_wait = max_wait
        self._patience = patience
        self._spare = spare
        self._observe = observe
        self._pace = 0.0  # seconds that a batch takes, of late
        self._waiting: deque[_Request[Answer]] = deque()
        self._waiting_rows = 0
        self._worker: asyncio.Task[None] | None = None
        self._overtaken: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def submit(self, rows: Rows) -> Answer:
        """Wait for the answer to these rows. All rows of one batcher have one dtype and width.

        Cancelling the caller drops the request when its turn comes; a batch that runs goes on.

        Raises:
            QueueFull, Closed, and whatever `predict` raised on these rows alone.
        """
        if self._closed:
            raise Closed
        if self._waiting and self._full(len(rows)):
            raise QueueFull(f"{self._waiting_rows} rows are waiting.")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(rows, future, time.perf_counter_ns()))
        self._waiting_rows += len(rows)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    @property
    def waiting(self) -> int:
        """Rows whose turn has not come."""
        return self._waiting_rows

    def _full(self, rows: int) -> bool:
        if self._waiting_rows + rows > self._max_queue_size:
            return True
        batches = min(self._waiting_rows / self._max_batch_size, len(self._waiting))
        return batches * self._pace > self._max_wait

    async def drain(self) -> None:
        """Wait until nothing waits or runs. Cancelling it stops nothing."""
        while running := self._tasks():
            await asyncio.wait(running)

    async def close(self) -> None:
        """Take no more, and fail with `Closed` what waits or runs. A running thread goes on."""
        self._closed = True
        for task in self._tasks():
            task.cancel()
        self._reject_waiting()  # a worker that has not begun yet never comes to its `finally`
        await self.drain()

    def _tasks(self) -> list[asyncio.Task[None]]:
        tasks = list(self._overtaken)
        if self._worker is not None:
            tasks.append(self._worker)
        return [task for task in tasks if not task.done()]

    async def _work(self) -> None:
        """Run batch after batch, until none waits or another worker has overtaken this one."""
        worker = asyncio.current_task()
        batch: Sequence[_Request[Answer]] = ()
        try:
            while self._worker is worker and (batch := self._next_batch()):
                self._look_in(self._patience)
                await self._run(batch)
                if self._worker is worker and self._timer is not None:
                    self._timer.cancel()
        finally:
            # Only a cancelled worker leaves anyone here.
            for request in batch:
                request.reject(Closed())
            if self._worker is worker:
                self._reject_waiting()
                self._worker = None

    def _look_in(self, seconds: float) -> None:
        """See after this time whether the batch that runs is to be overtaken."""
        if seconds < math.inf:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._overtake)

    def _overtake(self) -> None:
        worker = self._worker
        if worker is None or worker.done():
            return
        if not (self._waiting and self._spare()):
            self._look_in(LOOK_AGAIN)
            return
        self._overtaken.add(worker)
        worker.add_done_callback(self._overtaken.discard)
        self._worker = asyncio.create_task(self._work())

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
        took = time.perf_counter_ns() - begun
        self._keep_pace(took / NANOSECONDS)
        if self._observe is not None:
            waited = sum(begun - request.since for request in batch)
            self._observe(Batch(start, len(batch), waited, took))

    def _keep_pace(self, seconds: float) -> None:
        seconds = min(seconds, self._patience)  # those behind it need not wait for longer
        self._pace = self._pace + (seconds - self._pace) / MEMORY if self._pace else seconds

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
