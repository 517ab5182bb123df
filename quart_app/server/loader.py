"""The process that loads the models and forks the workers, which share its memory.

It has one thread, no event loop and no connection to anything, and it never gets any, since a
worker would have them in a state that nobody goes on with. What a worker needs of these it makes
itself, after the fork. Native code runs in one thread too, by the environment with which this
process was started (`concurrency.py`): OpenMP hangs a process that was forked of one in which it
had several.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from . import memory
from .board import BANKS, Board
from .channel import Channel
from .inherited import stderr_without_waiting
from .lineage import end_with, fork_for
from .orders import DUMP, FORERUNNER, Orders
from .place import Place
from .share import Share

TASKS: Final = Path("/proc/self/task")

Models = TypeVar("Models")

logger = logging.getLogger(__name__)


class Post(msgspec.Struct, frozen=True):
    """What a worker serves with, and as which of them."""

    place: Place
    sockets: list[socket.socket]
    share: Share


class Work(Generic[Models]):
    """What a loader does that knows of models.

    `opening` is what the supervisor is told with the sockets. `load` is given the versions that
    serve now, those that are not to be loaded, with the reason, and whom to tell of each before it
    is. `versions` are what it has loaded, by name. `workers` says how many there may be, at most as
    many as it is given. `serve` returns the exit code; with `forerun` the models are on their way.
    """

    def open(self) -> tuple[list[socket.socket], Mapping[str, Any]]:
        """The listening sockets, and what the supervisor is to know."""
        raise NotImplementedError

    def load(
        self,
        served: Mapping[str, int],
        skipped: Mapping[tuple[str, int], str],
        on_load: Callable[[str, int], None],
    ) -> Models:
        """Load the models."""
        raise NotImplementedError

    def versions(self, models: Models) -> Mapping[str, int]:
        """Which version serves, by the name of the model."""
        raise NotImplementedError

    def workers(self, most: int) -> int:
        """For how many workers there is the memory, once the models are loaded."""
        raise NotImplementedError

    def serve(self, post: Post, models: Models | None, *, forerun: bool) -> int:
        """Serve as a worker; the exit code."""
        raise NotImplementedError


class Loader(Generic[Models]):
    """Follows the orders of a supervisor, with the work that is given."""

    def __init__(self, orders: Orders, work: Work[Models]) -> None:
        self._orders, self._work = orders, work
        self._channel = Channel.of(orders.channel)
        os.set_inheritable(orders.board, False)
        self._board = Board(orders.board, orders.workers)
        self._sockets = [socket.socket(fileno=number) for number in orders.sockets]
        for sock in self._sockets:
            sock.set_inheritable(False)

    def run(self) -> int:
        """Load, and fork workers for as long as the supervisor wants that. Returns in each of the
        processes, with the exit code."""
        if not end_with(self._orders.supervisor, signal.SIGKILL):
            return 0
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        gc.disable()  # a collection would write to what workers share
        if not self._sockets:
            self._open()
        if self._orders.forerun and self._fork(FORERUNNER, self._orders.workers):
            return self._serve(FORERUNNER, self._orders.workers, None)
        models = self._work.load(
            self._orders.served_before(),
            {(name, version): reason for name, version, reason in self._orders.skipped},
            lambda name, version: self._channel.send({"loading": [name, version]}),
        )
        self._orders.report.write_text(json.dumps(self._work.versions(models)))
        gc.collect()
        gc.freeze()
        memory.trim()
        self._see_threads()
        workers = self._work.workers(self._orders.workers)
        self._channel.send({"loaded": workers})
        while (slot := self._next_slot()) is not None:
            if self._fork(slot, workers):
                return self._serve(slot, workers, models)
        return 0

    def _open(self) -> None:
        self._sockets, told = self._work.open()
        self._channel.send(told, [sock.fileno() for sock in self._sockets])

    def _next_slot(self) -> int | None:
        """The slot that the supervisor wants a worker for; None once it has gone."""
        with contextlib.suppress(OSError):
            received = self._channel.receive()
            if received is not None:
                return int(received[0]["fork"])
        return None

    def _fork(self, slot: int, workers: int) -> bool:
        """Whether this is the worker."""

        def tell(pid: int) -> None:
            self._channel.send({"worker": pid, "slot": slot})

        return fork_for(self._orders.supervisor, tell)

    def _serve(self, slot: int, workers: int, models: Models | None) -> int:
        """Runs in a worker."""
        self._channel.close()
        gc.enable()
        _write_where_it_hangs()
        orders = self._orders
        folder = Path(orders.folder)
        if slot == FORERUNNER:
            place = Place(0, workers, folder)
            number = self._board.first_row(BANKS)
        else:
            place = Place(slot, workers, folder, orders.generation)
            number = self._board.first_row(orders.bank) + slot
        share = Share(self._board, number, place.generation)
        return self._work.serve(
            Post(place, self._sockets, share), models, forerun=slot == FORERUNNER
        )

    def _see_threads(self) -> None:
        """Say that there are threads, which a worker does not have."""
        with contextlib.suppress(OSError):
            count = len(list(TASKS.iterdir()))
            if count > 1:
                logger.warning(
                    "The process that loaded the models has %d threads, as something in them or in "
                    "their packages has begun some. Workers do not have these, and may hang; with "
                    "one worker there is no such process.",
                    count,
                )


def _write_where_it_hangs() -> None:
    """Let a signal, and the end by a crash, write the stack of each thread, without waiting for who
    reads that."""
    handle = stderr_without_waiting()
    faulthandler.enable(handle)
    faulthandler.register(DUMP, handle)
