"""Requests that wait for the same model share one call of predict.

There is no timer. A request that finds the batcher idle is run at once; what arrives while a batch
runs forms the next one, as does what the next few turns of a busy loop bring. One batch of a model
runs at a time, in a thread, and the loop stays free; or in the loop, where that is so short that a
thread would cost more (`short_calls.py`). What fails there is run again in a thread, where what is
to blame is looked for.

Whoever submits gets an answer or an error, whatever happens: a cancelled caller takes only its own
future with it; when a batch fails, each of its requests is run once alone, so that only the
culprit fails; and when the batcher is closed, whoever still waits is told.

A thread cannot be stopped. What a predict that takes too long was asked goes on to wait for it, and
the batcher goes on in another thread where one is spare.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..asgi import Turn
from .short_calls import ShortCalls

Rows = NDArray[Any]

LOOK_AGAIN: Final = 0.1
"""Seconds from one look at who has waited for too long to the next."""

MOST_TURNS: Final = 8
"""Turns of a busy loop that a batch which is predicted there waits for others to join it."""

IDLE_NS: Final = 10_000
"""A turn of the loop that takes less has done nothing for anybody."""

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


@dataclass(slots=True)
class _Request(Generic[Answer]):
    rows: Rows
    future: asyncio.Future[Answer]
    since: int
    until: float | None
    turns: list[Turn] | None

    def resolve(self, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def reject(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


_Batch = Sequence[_Request[Answer]]


class Batcher(Generic[Answer]):
    """Runs `predict` on rows of shape (n, columns), in `executor`.

    Belongs to the event loop that runs when it is made.

    `max_batch_size` counts rows; a request with more is a batch of its own. `max_queue_size`
    counts the rows that wait, and one request is taken however large it is when none wait. Nor is
    one taken whose turn would be more than `max_wait` seconds away, as fast as it has been going.
    `observe` is told of every batch that was answered.

    `short` takes what may be predicted in the loop. A batch that takes longer than `patience`
    seconds is overtaken by the next one as soon as the executor has a thread for that, which
    `spare` tells.
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
        short: ShortCalls[Answer] | None = None,
    ) -> None:
        self._predict = predict
        self._executor = executor
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._max_wait = max_wait
        self._patience = patience
        self._spare = spare
        self._observe = observe
        self._short = short
        self._pace = 0.0  # nanoseconds that a batch takes, of late
        self._waiting: deque[_Request[Answer]] = deque()
        self._waiting_rows = 0
        self._alone: deque[_Request[Answer]] = deque()  # of a batch that failed
        self._running: _Batch[Answer] = ()
        self._begun = 0  # when that one began
        self._going = False  # it runs, or is about to begin
        self._overtaken: list[_Batch[Answer]] = []
        self._timer: asyncio.TimerHandle | None = None  # one for all requests and batches
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        # To ask which loop runs is a system call before Python 3.12.
        self._loop = asyncio.get_running_loop()

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for their turn."""
        return self._waiting_rows

    async def submit(
        self, rows: Rows, *, until: float | None = None, turns: list[Turn] | None = None
    ) -> Answer:
        """Wait for the answer to these rows. All rows of one batcher have one dtype and width.
        Calls of predict that took them are added to `turns`.

        Cancelling the caller drops the request when its turn comes; a batch that runs goes on.
        So does the end of the time, a moment of the loop's, which is noticed within `LOOK_AGAIN`.

        Raises:
            QueueFull, Closed, TimeoutError, and whatever `predict` raised on these rows alone.
        """
        if self._closed:
            raise Closed
        if self._waiting and self._full(len(rows)):
            raise QueueFull(f"{self._waiting_rows} rows are waiting.")
        request: _Request[Answer] = _Request(
            rows, self._loop.create_future(), time.perf_counter_ns(), until, turns
        )
        self._waiting.append(request)
        self._waiting_rows += len(rows)
        if not self._going:
            self._going = True
            self._idle.clear()
            # With all that come in this turn of the loop.
            self._loop.call_soon(self._gather, MOST_TURNS, time.perf_counter_ns())
        if self._timer is None and (until is not None or self._patience < math.inf):
            self._look_later()
        return await request.future

    def _full(self, rows: int) -> bool:
        if self._waiting_rows + rows > self._max_queue_size:
            return True
        batches = min(self._waiting_rows / self._max_batch_size, len(self._waiting))
        return batches * self._pace > self._max_wait * NANOSECONDS

    async def drain(self) -> None:
        """Wait until nothing waits or runs. Cancelling it stops nothing."""
        await self._idle.wait()

    async def close(self) -> None:
        """Take no more, and fail with `Closed` what waits or runs. A running thread goes on."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._end()

    def _end(self) -> None:
        """Fail with `Closed` what waits or runs."""
        for request in self._requests():
            request.reject(Closed())
        self._running = ()
        self._overtaken.clear()
        self._going = False
        self._alone.clear()
        self._waiting.clear()
        self._waiting_rows = 0
        self._idle.set()

    def _gather(self, turns: int, since: int) -> None:
        """Begin at once where a thread predicts, since what comes meanwhile waits for the next
        batch, or where the loop has nothing else to do. While it is busy, go on with what its next
        turns bring as well: of requests that come one by one each would be a batch of its own."""
        now = time.perf_counter_ns()
        if self._short is None or not turns or now - since < IDLE_NS:
            self._start_next()
        elif not self._closed:
            self._loop.call_soon(self._gather, turns - 1, now)

    def _start_next(self) -> None:
        """Answer the next batch, or give it to a thread, if there is one."""
        while batch := self._next_batch():
            if self._answered_here(batch):
                if self._waiting or self._alone:
                    self._running = ()
                    self._loop.call_soon(self._start_next)  # the loop has a turn in between
                    return
                continue
            self._running = batch
            self._begun = time.perf_counter_ns()
            settle = partial(self._settle, batch, self._begun)
            tell = partial(_tell, self._loop, settle)
            try:
                self._executor.submit(self._predict_batch, batch).add_done_callback(tell)
            except RuntimeError as error:  # it was shut down
                for request in batch:
                    request.reject(error)
            else:
                return
        self._running = ()
        self._going = False
        if not self._overtaken:
            self._idle.set()

    def _answered_here(self, batch: _Batch[Answer]) -> bool:
        """Whether the loop itself has answered this batch. It does not where that might take long,
        and not where it failed."""
        short = self._short
        if short is None or not short.take(sum(len(request.rows) for request in batch)):
            return False
        begun = time.perf_counter_ns()
        try:
            answer = _whole(short, _joined(batch))
        except Exception:
            return False
        _note_turns(batch, begun)
        self._answer(batch, begun, answer)
        return True

    def _look_later(self) -> None:
        seconds = min(LOOK_AGAIN, self._patience)
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """See whose time is over, and whether the batch that runs is to be overtaken. A timer for
        each request would cost more than most predictions."""
        self._timer = None
        if not self._going and not self._overtaken:
            return
        self._look_later()
        now = self._loop.time()
        for request in self._requests():
            if request.until is not None and request.until <= now:
                request.reject(TimeoutError())
        took = (time.perf_counter_ns() - self._begun) / NANOSECONDS
        if not self._running or took < self._patience:
            return
        if (self._waiting or self._alone) and self._spare():
            self._overtaken.append(self._running)
            self._start_next()

    def _requests(self) -> Iterator[_Request[Answer]]:
        """All that run or wait."""
        return chain(self._running, *self._overtaken, self._alone, self._waiting)

    def _next_batch(self) -> _Batch[Answer]:
        """The next requests in the order they came, without those whose callers have gone."""
        while self._alone:
            request = self._alone.popleft()
            if not request.future.done():
                return [request]
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

    def _settle(self, batch: _Batch[Answer], begun: int, done: Future[Answer]) -> None:
        """Tell each request of a batch what became of it, and go on with the next batch."""
        if self._closed:
            return
        if done.cancelled():  # the executor was shut down before its turn came
            self._end()
            return
        _note_turns(batch, begun)
        error = done.exception()
        if error is None:
            self._answer(batch, begun, done.result())
        elif len(batch) == 1:
            batch[0].reject(error)
        else:
            self._alone.extend(batch)
        if self._running is batch:
            self._start_next()
        else:
            self._finish_overtaken(batch)

    def _finish_overtaken(self, batch: _Batch[Answer]) -> None:
        self._overtaken = [other for other in self._overtaken if other is not batch]
        if self._going:
            return
        self._going = True
        self._start_next()  # what failed with others is run alone

    def _answer(self, batch: _Batch[Answer], begun: int, answer: Answer) -> None:
        if len(batch) == 1:
            batch[0].resolve(answer)
            start = len(batch[0].rows)
        else:
            start = 0
            for request in batch:
                stop = start + len(request.rows)
                request.resolve(answer[start:stop])
                start = stop
        took = time.perf_counter_ns() - begun
        self._keep_pace(took)
        if self._observe is not None:
            waited = sum(begun - request.since for request in batch)
            self._observe(Batch(start, len(batch), waited, took))

    def _keep_pace(self, took: int) -> None:
        short = min(took, self._patience * NANOSECONDS)  # those behind it need not wait for longer
        self._pace += (short - self._pace) / MEMORY if self._pace else short

    def _predict_batch(self, batch: _Batch[Answer]) -> Answer:
        """Runs in the thread."""
        return _whole(self._predict, _joined(batch))


def _joined(batch: _Batch[Answer]) -> Rows:
    parts = [request.rows for request in batch]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _whole(predict: Callable[[Rows], Answer], rows: Rows) -> Answer:
    """An answer to every row, or an error that a future can carry."""
    try:
        answer = predict(rows)
    except BaseException as error:
        ends_the_loop = not isinstance(error, Exception)  # SystemExit and its like
        if ends_the_loop or isinstance(error, StopIteration | CancelledError):
            raise RuntimeError(f"predict raised {type(error).__name__}: {error}") from error
        raise
    if len(answer) != len(rows):
        raise RuntimeError(f"predict answered {len(rows)} rows with {len(answer)}.")
    return answer


def _note_turns(batch: _Batch[Answer], begun: int) -> None:
    """Let the requests that want to know have the call of predict that has just ended."""
    told = [(each.turns, each.since) for each in batch if each.turns is not None]
    if told:
        ended, rows = time.perf_counter_ns(), sum(len(request.rows) for request in batch)
        for turns, since in told:
            turns.append(Turn(since, begun, ended, rows, len(batch)))


def _tell(
    loop: asyncio.AbstractEventLoop,
    settle: Callable[[Future[Answer]], None],
    done: Future[Answer],
) -> None:
    """Let the loop settle what a thread has done. Half of what `run_in_executor` does for that
    would be for a second future, which nobody here waits for."""
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(settle, done)
