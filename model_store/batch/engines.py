"""What does the parts of a run: this process, processes beside it, or workers of a Dask cluster.

Processes here are joblib's backend loky. On a cluster the parts are Dask's own futures: joblib's
backend for it computes in the driver where there is one worker, and what it scatters is gone with
the workers that had it, while the work that a task made is made again. Each engine gives outcomes
as they come, and takes parts as they are needed. A part may be done twice, when a worker is lost:
its file is then written twice under one name.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from ..errors import InvalidRun, RunStopped, words_of
from .part import Done, Failed, Outcome, Tell, Work, score_part
from .plan import Part
from .process import end_with, one_thread, settle_process

AHEAD: Final = 2
"""Parts that are handed out for each worker, so that none waits for the next."""
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
    """So many processes of this machine."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, work: Work, parts: Sequence[Part], tell: Tell) -> Iterator[Outcome]:
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool

        backend = joblib.parallel_config(
            "loky", inner_max_num_threads=1, initializer=_receive, initargs=(work, os.getpid())
        )
        try:
            with backend:
                outcomes = joblib.Parallel(
                    n_jobs=self.workers,
                    return_as="generator_unordered",
                    batch_size=1,
                    pre_dispatch=AHEAD * self.workers,
                )(joblib.delayed(_do)(part) for part in parts)
            # Closed before its end, it kills the processes and hands out no more.
            with contextlib.closing(outcomes):
                for outcome in outcomes:
                    _tell_rows(outcome, tell)
                    yield outcome
        except BrokenProcessPool as error:
            raise RunStopped(
                "A worker was killed, perhaps for the memory that it took, and with it all others "
                "ended; run again with --resume, or with fewer --workers.",
                words_of(error).partition("\n")[0],
            ) from error


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
