"""The first process of a server with several workers: it sees that there are always as many.

    supervisor → loader → workers

It imports neither numpy nor a model, so that nothing in an artifact can bring it down. A loader
(`loader.py`) brings the models into its memory and forks the workers, which share it. The workers
become children of the supervisor, which is told of the end of each:

- A worker that ends is replaced by the loader of its generation; one that ends again soon, after a
  pause that grows.
- A worker whose event loop does not turn for `heartbeat` seconds is killed, as by a model that
  keeps the interpreter's lock for ever. These are counted in looks of the supervisor, not by a
  clock, so that a machine or a container that stood still ends nobody.
- A loader that ends is replaced too, after a pause that grows. What serves goes on serving. A
  version in whose load it crashed is not tried again.
- When a worker finds that the store has other versions, a new loader is started. Once each of its
  workers serves, those of before get SIGUSR1 and end when they have answered what they have taken.
  Then the next one may begin. One that has a long table to answer lingers: after the time in which
  all else ends the next one may begin beside it, but not beside those of two generations.

At the first SIGTERM, SIGINT or SIGHUP (which, where it is ignored, stays so) all workers get
SIGTERM, and what outlives the watchdog of `run.py` is killed. The exit code is the worst of theirs.
When the supervisor is killed, the loader ends, and the workers end as by SIGTERM.

Weak point: then a worker whose model keeps the interpreter's lock stays, until that returns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Final

from .board import BANKS, Board, Row, State
from .channel import Channel
from .lineage import adopt_orphans
from .orders import DUMP, FORERUNNER, LINGER, Orders

LOOK_SECONDS: Final = 0.1
"""How often it is looked what has become of the workers."""

GROWTH: Final = 2.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""What ends after so long is replaced at once, as if it was the first time."""

LOAD_SECONDS: Final = 900.0
"""After so long without a word from it a loader is killed."""

GRACE: Final = 5.0
"""Seconds beyond the watchdog of a worker after which it is killed."""

LINGERING: Final = 2
"""How many generations may still have work when another begins."""

DUMP_SECONDS: Final = 0.5
"""Between the signal at which a worker writes where it hangs, and the one that kills it."""

REPLACED: Final = signal.SIGUSR1
STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

CRASHES: Final = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS}
)
TRIES: Final = 2
"""How often a loader may end in another way while it loads a version, before that is given up."""

BY_SIGNAL: Final = 128
"""What shells add to the number of a signal."""

Version = tuple[str, int]

logger = logging.getLogger(__name__)


class Pause:
    """How long to wait before something is tried again: the longer, the more often it failed."""

    def __init__(self) -> None:
        self._next = 0.0
        self._until = 0.0

    def begin(self, lasted: float) -> None:
        """Wait from now on, after what was tried has lasted so many seconds."""
        if lasted > STEADY_SECONDS:
            self._next = 0.0
        self._until = time.monotonic() + self._next
        self._next = min(LONGEST_PAUSE, max(FIRST_PAUSE, GROWTH * self._next))

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._until


class Worker:
    """A process that serves, and what was last seen of it."""

    def __init__(self, pid: int, generation: int, slot: int, row: Row) -> None:
        self.pid, self.generation, self.slot = pid, generation, slot
        self.begun = time.monotonic()
        self.kill_at: float | None = None
        self.leaves = False
        self.lingers = False
        self.has_served = False
        self._row = row
        self._beat = -1
        self._silent = 0

    @property
    def serves(self) -> bool:
        return self._row.state is State.SERVING

    def look(self) -> float:
        """For how many seconds of this process it has not said anything."""
        self.has_served = self.has_served or self.serves
        beat = self._row.beat
        self._silent = 0 if beat != self._beat else self._silent + 1
        self._beat = beat
        return self._silent * LOOK_SECONDS

    def leave(self, number: signal.Signals, seconds: float) -> None:
        """Ask it to end within so long."""
        until = time.monotonic() + seconds
        self.kill_at = until if self.kill_at is None else min(self.kill_at, until)
        if not self.leaves:
            self.leaves = True
            self.send(number)

    def linger(self) -> bool:
        """Give one that was replaced the time for what it has accepted; False where it has not
        heard that it was, or had that time."""
        has_heard = self.leaves and self._row.state is State.LEAVING
        if self.lingers or not has_heard:
            return False
        self.lingers = True
        self.kill_at = time.monotonic() + LINGER
        return True

    def send(self, number: signal.Signals) -> None:
        """It is a child that was not waited for, so that nobody else has its process id."""
        os.kill(self.pid, number)


class Loader:
    """A process that loads, and what it is to fork."""

    def __init__(self, orders: Orders, pid: int, channel: Channel) -> None:
        self.generation, self.bank = orders.generation, orders.bank
        self.report = orders.report
        self.pid, self.channel = pid, channel
        self.begun = self.heard = time.monotonic()
        self.is_alive = True
        self.loading: Version | None = None
        self.workers: int | None = None
        """How many there are to be, once it has loaded."""
        self.forking: set[int] = set()
        self.pauses: dict[int, Pause] = {}

    def end(self) -> None:
        """It, and what it has started, but no worker, which has a group of its own."""
        if self.is_alive:
            os.killpg(self.pid, signal.SIGKILL)

    def fork(self, slot: int) -> None:
        """Have it fork a worker, unless it has just ended."""
        with contextlib.suppress(OSError):
            self.channel.send({"fork": slot})
            self.forking.add(slot)

    def pause(self, slot: int) -> Pause:
        return self.pauses.setdefault(slot, Pause())


class Supervisor:
    """`command` starts a loader, and takes a file with its orders as the last argument."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], workers: int
    ) -> None:
        self._command, self._environment = command, environment
        self._count = workers
        self._board = Board.new(workers)
        self._folder = tempfile.mkdtemp(prefix="quart-app-")
        self._selector = selectors.DefaultSelector()
        self._sockets: list[int] = []
        self._announcement: str | None = None
        self._heartbeat = self._watchdog = STEADY_SECONDS
        self._generation = 0
        self._serving: Loader | None = None
        self._coming: Loader | None = None
        self._alive: dict[int, Worker] = {}
        self._pause = Pause()
        self._blamed: dict[Version, int] = {}
        self._skipped: dict[Version, str] = {}
        self._has_served = False
        self._asked_to_stop = self._stopping = False
        self._give_up = 0.0
        self._code = 0

    def run(self) -> int:
        """Serve until a signal; the exit code."""
        adopt_orphans()
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in STOPS:
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_stop)
        try:
            while not self._turn():
                for key, _ in self._selector.select(LOOK_SECONDS):
                    if key.data is None:
                        os.read(wake, 4096)
                self._hear_all()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        return self._code

    def _on_stop(self, number: int, frame: object) -> None:
        self._asked_to_stop = True

    def _turn(self) -> bool:
        """Do what there is to do; whether that was the last of it."""
        self._reap()
        self._look_at_workers()
        if self._asked_to_stop and not self._stopping:
            self._stop()
        if self._stopping:
            return self._has_stopped()
        self._replace_loaders()
        self._replace_workers()
        self._take_over()
        return False

    # Ending --------------------------------------------------------------------------

    def _stop(self) -> None:
        """Let all end."""
        self._stopping = True
        self._board.stop()
        seconds = self._watchdog + GRACE
        self._give_up = time.monotonic() + seconds + GRACE
        for loader in self._loaders():
            loader.end()
        for worker in self._alive.values():
            worker.leave(signal.SIGTERM, seconds)
        for descriptor in self._sockets:  # or connections would be queued when nobody is left
            os.close(descriptor)
        self._sockets = []

    def _has_stopped(self) -> bool:
        if time.monotonic() > self._give_up:
            return True
        has_channels = len(self._selector.get_map()) > 1  # by which a worker may be told of yet
        has_loaders = any(loader.is_alive for loader in self._loaders())
        return not (self._alive or has_loaders or has_channels)

    def _loaders(self) -> list[Loader]:
        return [loader for loader in (self._serving, self._coming) if loader is not None]

    # What loaders say ----------------------------------------------------------------

    def _hear_all(self) -> None:
        """Take all that was said so far."""
        for key in [*self._selector.get_map().values()]:
            loader: Loader | None = key.data
            while loader is not None and self._hear(loader):
                pass

    def _hear(self, loader: Loader) -> bool:
        """Whether anything was said."""
        try:
            received = loader.channel.receive()
        except BlockingIOError:
            return False
        except OSError:
            received = None
        if received is None:
            self._selector.unregister(loader.channel)
            loader.channel.close()
            return False
        message, descriptors = received
        loader.heard = time.monotonic()
        match message:
            case {"announcement": announcement, "heartbeat": heartbeat, "watchdog": watchdog}:
                self._announcement = announcement
                self._heartbeat, self._watchdog = heartbeat, watchdog
                self._keep(descriptors)
            case {"loading": [name, version]}:
                loader.loading = name, version
            case {"loaded": workers}:
                loader.loading, loader.workers = None, workers
            case {"worker": pid, "slot": slot}:
                self._begin_worker(loader, pid, slot)
        return True

    def _keep(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        self._sockets = descriptors

    def _begin_worker(self, loader: Loader, pid: int, slot: int) -> None:
        loader.forking.discard(slot)
        generation, number = loader.generation, self._board.first_row(loader.bank) + slot
        if slot == FORERUNNER:
            generation, number = 0, self._board.first_row(BANKS)
        worker = self._alive[pid] = Worker(pid, generation, slot, self._board.row(number))
        if self._stopping:
            worker.leave(signal.SIGTERM, self._watchdog + GRACE)
        elif loader not in self._loaders():
            worker.leave(REPLACED, self._watchdog + GRACE)

    # Workers -------------------------------------------------------------------------

    def _look_at_workers(self) -> None:
        for worker in self._alive.values():
            silent = worker.look()
            if worker.serves:
                self._note_that_it_serves(worker)
            now = time.monotonic()
            if worker.kill_at is not None and now >= worker.kill_at:
                if self._stopping or not worker.linger():
                    worker.send(signal.SIGKILL)
            elif worker.kill_at is None and silent >= self._heartbeat:
                logger.error(
                    "Worker %d (process %d) has said nothing for %.0f s, as when a model keeps the "
                    "interpreter to itself. It is killed, and another takes its place.",
                    *(worker.slot, worker.pid, silent),
                )
                worker.send(DUMP)
                worker.kill_at = now + DUMP_SECONDS

    def _note_that_it_serves(self, worker: Worker) -> None:
        if worker.slot != FORERUNNER:
            self._has_served = True
        if self._announcement is not None:
            with contextlib.suppress(OSError):
                print(self._announcement, flush=True)
            self._announcement = None

    def _replace_workers(self) -> None:
        for loader in self._loaders():
            if not loader.is_alive or loader.workers is None:
                continue
            there = {
                worker.slot
                for worker in self._alive.values()
                if worker.generation == loader.generation
            }
            for slot in set(range(loader.workers)) - there - loader.forking:
                if loader.pause(slot).is_over:
                    loader.fork(slot)

    def _worker_ended(self, worker: Worker, code: int) -> None:
        if self._stopping:
            # Killed before it could take anything, it has failed at nothing.
            is_fault = worker.has_served or code != -signal.SIGTERM
            self._code = max(self._code, _exit_code(code) if is_fault else 0)
            return
        if worker.leaves:
            return
        logger.warning("Worker %d (process %d) has ended %s.", worker.slot, worker.pid, _how(code))
        if code > 0 and not self._has_served and not worker.has_served:
            # As a server of one process that does not start.
            self._code = code
            self._asked_to_stop = True
        for loader in self._loaders():
            if loader.generation == worker.generation:
                loader.pause(worker.slot).begin(time.monotonic() - worker.begun)

    # Loaders -------------------------------------------------------------------------

    def _replace_loaders(self) -> None:
        coming, serving = self._coming, self._serving
        if coming is not None:
            if coming.workers is None and time.monotonic() > coming.heard + LOAD_SECONDS:
                logger.error("Loading has said nothing for %.0f s, and is ended.", LOAD_SECONDS)
                coming.end()
            return
        is_wanted = (
            serving is None or not serving.is_alive or self._board.wanted >= serving.generation
        )
        current = {0} if serving is None else {0, serving.generation}
        before = [each for each in self._alive.values() if each.generation not in current]
        lingering = {worker.generation for worker in before if worker.lingers}
        has_room = all(worker.lingers for worker in before) and len(lingering) < LINGERING
        if is_wanted and has_room and self._pause.is_over:
            self._start_loader()

    def _start_loader(self) -> None:
        self._generation += 1
        serving = self._serving
        channel, theirs = Channel.pair()
        orders = Orders(
            supervisor=os.getpid(),
            channel=theirs.fileno(),
            board=self._board.descriptor,
            sockets=self._sockets,
            folder=self._folder,
            workers=self._count,
            generation=self._generation,
            bank=0 if serving is None else 1 - serving.bank,
            forerun=not self._alive,
            served=None if serving is None else str(serving.report),
            skipped=[(*version, reason) for version, reason in self._skipped.items()],
        )
        self._clear_rows(orders)
        os.set_inheritable(theirs.fileno(), True)
        os.set_inheritable(self._board.descriptor, True)
        pid = os.posix_spawn(
            sys.executable,
            [*self._command, str(orders.write())],
            self._environment,
            setpgroup=0,
        )
        theirs.close()
        self._coming = loader = Loader(orders, pid, channel)
        self._selector.register(channel, selectors.EVENT_READ, loader)

    def _clear_rows(self, orders: Orders) -> None:
        first = self._board.first_row(orders.bank)
        for number in range(first, first + orders.workers):
            self._board.row(number).clear()
        if orders.forerun:
            self._board.row(self._board.first_row(BANKS)).clear()

    def _take_over(self) -> None:
        """Let the workers of a new generation stand alone, once all of them serve."""
        coming = self._coming
        if coming is None or coming.workers is None:
            return
        own = [worker for worker in self._alive.values() if worker.generation == coming.generation]
        if sum(worker.serves for worker in own) < coming.workers:
            return
        for worker in self._alive.values():
            if worker.generation != coming.generation and not worker.leaves:
                worker.leave(REPLACED, self._watchdog + GRACE)
        if self._serving is not None:
            self._serving.end()
        self._serving, self._coming = coming, None
        self._pause = Pause()
        self._blamed.clear()

    def _loader_ended(self, loader: Loader, code: int) -> None:
        loader.is_alive = False
        if self._stopping or loader not in (self._serving, self._coming):
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(loader.pid, signal.SIGKILL)  # what it has started
        if code >= 0 and not self._sockets:
            self._code = code  # it has said why
            self._asked_to_stop = True
            return
        logger.error("The process that loads the models has ended %s.", _how(code))
        self._pause.begin(time.monotonic() - loader.begun)
        if loader is self._coming:
            self._coming = None
            self._blame(loader, code)
            for worker in self._alive.values():
                if worker.generation == loader.generation:
                    worker.leave(REPLACED, self._watchdog + GRACE)

    def _blame(self, loader: Loader, code: int) -> None:
        """Give a version up that has brought a loader down."""
        if loader.loading is None:
            return
        name, version = loader.loading
        ended = self._blamed[loader.loading] = self._blamed.get(loader.loading, 0) + 1
        if -code in CRASHES or ended >= TRIES:
            reason = f"The process that loaded it ended {_how(code)}."
            self._skipped[loader.loading] = reason
            logger.error("%s version %d is not loaded again: %s", name, version, reason)

    # The end of processes ------------------------------------------------------------

    def _reap(self) -> None:
        """Learn which processes have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            loader = next((each for each in self._loaders() if each.pid == pid), None)
            if loader is not None:
                self._loader_ended(loader, code)
                continue
            if pid not in self._alive:
                self._hear_all()  # it was told of before it became a child of this process
            worker = self._alive.pop(pid, None)
            if worker is not None:
                self._worker_ended(worker, code)


def _exit_code(code: int) -> int:
    return code if code >= 0 else BY_SIGNAL - code


def _how(code: int) -> str:
    if code >= 0:
        return f"with {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
