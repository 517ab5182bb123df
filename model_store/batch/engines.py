"""What does the parts of a run: this process, processes beside it, or workers of a Dask cluster.

Processes beside this one are loky's, joblib's backend. On a cluster the parts are Dask's own
futures: joblib's backend for it computes in the driver where there is one worker, and what it
scatters is gone with the workers that had it, while the work that a task made is made again. Each
engine gives outcomes as they come, and takes parts as they are needed. A part may be done twice,
when a worker is lost: its file is then written twice under one name.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from ..errors import InvalidRun, RunStopped, words_of
from .part import Done, Failed, Outcome, Tell, Work, score_part
from .plan import Part
from .process import end_with, one_thread, settle_process

AHEAD: Final = 2
"""Parts that are handed out for each worker, so that none waits for the next."""
THREADS: Final = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
"""What native code reads when it is loaded: from then on one thread of each is all there is."""
CONNECTING: Final = "15s"
WORKERS_WAIT: Final = 30
"""Seconds until a cluster without workers is given up."""


class Engine(Protocol):
    """Does parts in any order. Closing the iterator ends what is on its way."""

    def run(self, work: Work, parts: Sequence[Part], tell: Tell) -> Iterator[Outcome]:
        """The outcome of each part; `tell` is told of rows as they are done.

        Raises:
            RunStopped: the engine has failed, and not a part.
        """
        ...


class Here:
    """This process, one part after another."""

    def run(self, work: Work, parts: Sequence[Part], tell: Tell) -> Iterator[Outcome]:
        with one_thread():
            for part in parts:
                yield score_part(work, part, tell)


class Processes:
    """So many processes of this machine. This one is the first of them: it has imported all that
    the others have yet to, and does parts while they start."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, work: Work, parts: Sequence[Part], tell: Tell) -> Iterator[Outcome]:
        from joblib.externals.loky import ProcessPoolExecutor

        pool = ProcessPoolExecutor(
            self.workers - 1,
            initializer=_receive,
            initargs=(work, os.getpid()),
            env=dict.fromkeys(THREADS, "1"),
        )
        try:
            with one_thread():
                yield from _Shared(pool, self.workers - 1, work, deque(parts), tell).outcomes()
        except concurrent.futures.BrokenExecutor as error:
            raise RunStopped(
                "A worker was killed, perhaps for the memory that it took, and with it all others "
                "ended; run again with --resume, or with fewer --workers.",
                words_of(error).partition("\n")[0],
            ) from error
        finally:
            pool.shutdown(kill_workers=True)


class _Shared:
    """Parts that a pool of processes and this one take in turns."""

    def __init__(
        self, pool: Any, workers: int, work: Work, waiting: deque[Part], tell: Tell
    ) -> None:
        self._pool = pool
        self._workers = workers
        self._work = work
        self._waiting = waiting
        self._tell = tell
        self._handed: list[Any] = []
        self._broken: BaseException | None = None

    def outcomes(self) -> Iterator[Outcome]:
        """The outcome of each part.

        Raises:
            concurrent.futures.BrokenExecutor: a process of the pool was killed.
        """
        self._hand_out()
        while self._waiting or self._handed:
            if self._waiting:
                yield score_part(self._work, self._waiting.popleft(), self._go_on)
            else:
                concurrent.futures.wait(self._handed, return_when="FIRST_COMPLETED")
            done = [future for future in self._handed if future.done()]
            self._handed = [future for future in self._handed if future not in done]
            self._hand_out()
            if self._broken is not None:
                raise self._broken
            for future in done:
                outcome = future.result()
                _tell_rows(outcome, self._tell)
                yield outcome

    def _go_on(self, rows: int) -> None:
        """Called within a part of this process."""
        self._tell(rows)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give parts to the pool. While many wait each process gets one ahead; of the last ones
        none waits behind another while this process has nothing to do."""
        many = len(self._waiting) > AHEAD * (self._workers + 1)
        under_way = sum(not future.done() for future in self._handed)
        wanted = (AHEAD if many else 1) * self._workers - under_way
        try:
            for _ in range(min(wanted, len(self._waiting))):
                self._handed.append(self._pool.submit(_do, self._waiting[0]))
                self._waiting.popleft()
        except concurrent.futures.BrokenExecutor as error:  # told once the part here is done
            self._broken = error


_received: list[Work] = []
"""The work of the run that this process is a worker of: sent once, when it is started."""


def _receive(work: Work, driver: int) -> None:
    end_with(driver)
    settle_process()
    _received[:] = [work]


def _do(part: Part) -> Outcome:
    return score_part(_received[0], part)


class Cluster:
    """The workers of the Dask scheduler at an address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def run(self, work: Work, parts: Sequence[Part], tell: Tell) -> Iterator[Outcome]:
        with self._client() as client:
            try:
                for outcome in _submitted(client, work, parts):
                    _tell_rows(outcome, tell)
                    yield outcome
            except (concurrent.futures.CancelledError, OSError) as error:
                raise RunStopped(
                    f"The scheduler at {self.address} is gone; run again with --resume.",
                    words_of(error).partition("\n")[0],
                ) from error

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            from distributed import Client
        except ImportError:
            raise InvalidRun(
                "The engine dask needs the extra dask: pip install 'quart-app[dask]'."
            ) from None
        try:
            client = Client(self.address, timeout=CONNECTING, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RunStopped(f"No scheduler answers at {self.address}.", words_of(error)) from error
        try:
            _require_workers(client)
            yield client
        finally:
            client.close(timeout=5)


def _submitted(client: Any, work: Work, parts: Sequence[Part]) -> Iterator[Outcome]:
    # A task's result is made again where the workers that had it are gone.
    sent = client.submit(_same, work, key=f"work-{work.run}", pure=False)
    waiting = iter(parts)
    futures: dict[str, Any] = {}

    def hand_out() -> None:
        for part in islice(waiting, max(0, _window(client) - len(futures))):
            key = f"{part.name}-{work.run}"
            futures[part.name] = client.submit(_work, sent, part, key=key, pure=False)

    hand_out()
    while futures:
        finished = _finished(client, [*futures.values()])
        done = {name: future for name, future in futures.items() if future in finished}
        for name in done:
            del futures[name]
        hand_out()
        for name, future in done.items():
            error = future.exception()
            yield future.result() if error is None else _lost(name, error)


def _finished(client: Any, futures: Sequence[Any]) -> set[Any]:
    """Those of the futures that are done, at least one.

    Raises:
        RunStopped: there is no worker any more, and none comes.
        concurrent.futures.CancelledError: the scheduler is gone.
    """
    from distributed import wait

    while True:
        try:
            with client.as_current():
                found: set[Any] = wait(futures, WORKERS_WAIT, "FIRST_COMPLETED").done
            return found
        except TimeoutError:
            _require_workers(client)


def _require_workers(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_WAIT)
    except TimeoutError as error:
        raise RunStopped(
            f"The scheduler at {client.scheduler.address} has no workers; start some, and run "
            "again with --resume."
        ) from error


def _window(client: Any) -> int:
    """How many parts may be handed out, by the threads that the cluster has now."""
    threads: dict[str, int] = client.nthreads()
    return max(AHEAD, AHEAD * sum(threads.values()))


def _lost(name: str, error: BaseException) -> Failed:
    """A part that no worker could do: each was killed, or cannot read what it is sent."""
    if isinstance(error, ImportError):
        told = "the workers need the same quart-app, with the extras score and dask, as is here"
        return Failed(name, f"{words_of(error)}; {told}.", ends=True)
    return Failed(name, words_of(error).partition("\n")[0])


def _same(work: Work) -> Work:
    return work


def _work(work: Work, part: Part) -> Outcome:
    settle_process()
    return score_part(work, part)


def _tell_rows(outcome: Outcome, tell: Tell) -> None:
    if isinstance(outcome, Done):
        tell(outcome.rows)
