"""How an HTTP server is run in this process: signals, drain, exit code.

`hypercorn_server` and `uvicorn_server` parse HTTP; what surrounds them is here, and the same for
both.

At the first SIGTERM, SIGINT or SIGHUP (which, where it is ignored, as with nohup, stays so):

1. `on_stop` is called (readiness turns to 503). For `delay` seconds connections are accepted
   as before, so that whoever routes to us can stop doing so. Answers now say
   `Connection: close`: clients that keep connections open move away by themselves.
2. The kernel drops further handshakes, what it had queued is accepted, and for `SETTLE` seconds
   what has been accepted may still send its request. Then the listener is closed.
3. Idle connections are closed; a head that has begun to arrive has 2 s more. Requests being
   answered have `drain` seconds; one that is not finished by then is cancelled, and its client gets
   status 500 or a cut-off body.
4. The app's lifespan is shut down, in `background` seconds and a little. Exit code 0.

A process that takes more memory than it may (`memory.py`) ends in the same way, as if that was the
signal, but with exit code 1: a platform starts it anew.

One of several workers (`share.py`) ends in the same way at SIGUSR1, when others have taken its
place, or because of its memory: then it is the others that accept, from the first moment on. In the
first case nobody waits for it, and it has `LINGER` for what it has accepted.

So a connection is either refused before it is established or served. What cannot be promised, by
the nature of HTTP/1.1: a request sent on a kept-alive connection that has been idle since before
the signal, at the moment in which we close it (RFC 9112, section 9.5). Where the kernel has no
socket filters (anything but Linux), the same holds for a handshake that ends in that moment.

Further signals neither shorten the drain nor disturb it, to the end of the process. SIGQUIT and
SIGKILL still end it at once.

Weak points: Python cannot stop a thread, and waits for the threads of executors before it exits.
If one hangs, the watchdog ends the process with exit code 1 and the stack of every thread. A thread
that keeps the interpreter's lock when the signal comes keeps the signal from us as well: then the
watchdog begins when the lock is free.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import gc
import importlib.util
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import msgspec
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from msgspec import structs

from . import memory
from .descriptors import connections_within
from .options import OPTIONS, SLACK, ServerOptions
from .orders import LINGER
from .sockets import stop_accepting, url

logger = logging.getLogger(__name__)

GARBAGE = (10_000, 20, 100)
"""How many new objects there are before garbage is looked for, and how often among older ones. With
Python's own 700, 10 and 10, a body of 350,000 empty lists has it go through all that scikit-learn
brought, again and again: the event loop stood still for half a second."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3), by their numbers in malloc.h."""
LARGE_BLOCK = 1024 * 1024
"""Bytes from which on a block is a mapping of its own, which is gone when it is freed."""
FREE_BLOCK = 2 * LARGE_BLOCK
"""Bytes that may be free at the end of the heap."""
MEGABYTE = 1024 * 1024
ADDRESS_SPACE = 1024 * MEGABYTE
"""Bytes that a server of small models takes, threads and libraries, mapped and mostly unused."""
Reason = Literal["signal", "memory", "replaced"]
"""Why a server stops."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
REPLACED = signal.SIGUSR1
"""The signal to one of several workers that others have taken its place."""

LOOK_SECONDS = 0.25
"""How often a worker that has been replaced looks whether the whole server ends."""

REPLACED_SECONDS = 1.0
"""How long a worker that has been replaced keeps connections that are idle: what is answered
meanwhile says that they end."""


class ServeError(Exception):
    """Serving has failed in a known way. The message is a sentence."""


class HttpServer(Protocol):
    """What parses HTTP and calls the app.

    It accepts connections on a duplicate of the socket, calls `until_stop` once it does so, and
    after that has returned closes idle connections, lets requests end, and returns. Of `options`
    it reads `keep_alive`, `patience` and `max_connections`: a connection beyond these takes the
    place of the one that has been without a request for longest, or is told 503 and closed.
    """

    def __call__(
        self,
        app: ASGIFramework,
        sock: socket.socket,
        until_stop: Callable[[], Awaitable[None]],
        options: ServerOptions,
    ) -> Coroutine[Any, Any, None]: ...


class Beside(Protocol):
    """Another server of the app, in the same event loop. It has at most so many connections."""

    connections: int

    async def start(self) -> None:
        """Listen and answer.

        Raises:
            ServeError: that is not possible.
        """

    async def stop(self, seconds: float) -> None:
        """Take nothing more. What is being answered has so long; then it is cut off. To be called
        again does nothing."""


def http_server(name: str) -> HttpServer:
    """The server of this name, `hypercorn` or `uvicorn`.

    Raises:
        ImportError: it is not installed. The message says how to install it.
    """
    if name == "uvicorn":
        from .uvicorn_server import serve
    else:
        from .hypercorn_server import serve
    return serve


def serve(
    app: ASGIFramework,
    sock: socket.socket,
    http: HttpServer,
    options: ServerOptions = OPTIONS,
    *,
    on_stop: Callable[[Reason], None],
    on_listening: Callable[[str], None] | None = None,
    release: Callable[[], None] = lambda: None,
    beside: Beside | None = None,
    opening: Callable[[], Coroutine[Any, Any, None]] | None = None,
    finishing: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> int:
    """Serve the app until SIGTERM, SIGINT or SIGHUP; the exit code.

    To be called once, in the main thread, as the last thing a process does: it takes the socket
    and the signals over, and the watchdog it has started outlives it.

    0 after a signal, also when requests had to be cut off (that is logged) or the app was still
    starting. 1 after a failure: the app does not start, does not stop, or anything unexpected.
    `on_listening` gets the URL when connections are accepted, `on_stop` is told why it
    stops, and `release` lets caches of the app go, when there is little memory left. They run in
    the event loop. `beside` is served from before `on_listening` on, and drained with HTTP.
    `opening` is waited for before connections are accepted, once the app has started, and
    `finishing` before it is shut down, where others have taken its place and serve.
    """
    gc.set_threshold(*GARBAGE)
    _return_memory()
    _tell_address_space()
    with sock, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(_report)
        stop = _Stop(options.shutdown.watchdog, on_stop)

        def interrupt(reason: Reason) -> None:
            stop.start_watchdog(reason)
            loop.call_soon_threadsafe(stop.set, reason)

        service = _Service(
            *(app, sock, http, options, stop, on_listening, release, beside, opening, finishing)
        )
        signals: dict[signal.Signals, Reason] = dict.fromkeys(SIGNALS, "signal")
        if options.share is not None:
            signals[REPLACED] = "replaced"
        with _first_signal(signals, interrupt):
            if options.share is not None and options.share.stopping:
                interrupt("signal")  # which came before there was a handler
            return runner.run(service.exit_code())


class _Stop:
    """The end of the server, once it was asked for, and why."""

    def __init__(self, watchdog: float, on_stop: Callable[[Reason], None]) -> None:
        self.reason: Reason | None = None
        self.since = 0.0
        self._watchdog = watchdog
        self._watched = False
        self._on_stop = on_stop
        self._event = asyncio.Event()
        self.wait = self._event.wait

    def set(self, reason: Reason) -> None:
        """Begin to stop. The first reason counts."""
        if self.reason is None:
            self.reason = reason
            self.since = time.monotonic()
            self.start_watchdog(reason)
            self._event.set()
            self._on_stop(reason)

    def start_watchdog(self, reason: Reason = "signal") -> None:
        """Let it count from the first call on."""
        if not self._watched:
            self._watched = True
            lingering = LINGER if reason == "replaced" else 0.0
            _start_watchdog(self._watchdog + lingering)


class _Service(msgspec.Struct, frozen=True):
    app: ASGIFramework
    sock: socket.socket
    http: HttpServer
    options: ServerOptions
    stop: _Stop
    on_listening: Callable[[str], None] | None
    release: Callable[[], None]
    beside: Beside | None
    opening: Callable[[], Coroutine[Any, Any, None]] | None
    finishing: Callable[[], Coroutine[Any, Any, None]] | None

    async def exit_code(self) -> int:
        try:
            await self._run()
        except ServeError as error:
            logger.error("%s", error)
        except Exception:
            logger.exception("The server has failed.")
        else:
            return 1 if self.stop.reason == "memory" else 0
        self.stop.start_watchdog()
        return 1

    async def _run(self) -> None:
        share = self.options.share
        beating = None if share is None else asyncio.create_task(share.beat())
        lifespan = _Lifespan(self.app)
        if not await self._unless_stopped(lifespan.startup(self.options.startup_timeout)):
            return
        watching = asyncio.create_task(self._watch_memory())
        try:
            if self.opening is None or await self._unless_stopped(self.opening()):
                if self.beside is not None:
                    await self.beside.start()
                await self._serve_http(_Requests(self.app, lifespan.state))
                await self._finish()
        finally:
            if self.beside is not None:
                await self.beside.stop(0)
            watching.cancel()
            await lifespan.shutdown(self.options.shutdown.background + SLACK)
            if beating is not None:
                beating.cancel()

    async def _unless_stopped(self, step: Coroutine[Any, Any, None]) -> bool:
        """Take a step of the start; False if the signal came first."""
        starting = asyncio.create_task(step)
        stopping = asyncio.create_task(self.stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            starting.result()
            return True
        starting.cancel()
        return False

    async def _watch_memory(self) -> None:
        """Stop when there is more than `max_memory` of it."""
        begun, limit = time.monotonic(), self.options.max_memory
        if limit is None:
            return
        if memory.resident() is None:
            logger.warning("MAX_MEMORY cannot be held: this system has no /proc/self/statm.")
            return
        found = await memory.exceeded(limit, self.release)
        if self.stop.reason is None:
            logger.error(
                "The process takes %d MB of memory after %d s, and may take %d MB (MAX_MEMORY). It "
                "answers what it has accepted and ends with 1, to be started anew.",
                *(found // MEGABYTE, time.monotonic() - begun, limit // MEGABYTE),
            )
            self.stop.set("memory")

    async def _serve_http(self, requests: _Requests) -> None:
        """Accept and answer until `stop` is set, then drain.

        The drain is bounded here: the servers' own bounds come before or after a `wait_closed`
        that from Python 3.12.1 on has none.
        """

        async def until_stop() -> None:
            if self.on_listening is not None:
                self.on_listening(url(self.sock))
            await self.stop.wait()
            requests.closing = True
            await self._leave()
            if self.beside is not None:
                draining.append(asyncio.create_task(self.beside.stop(self.options.shutdown.drain)))
            if share is None or share.stopping:
                await stop_accepting(self.sock)
            bounds.append(asyncio.create_task(self._bound(requests, server)))

        share = self.options.share
        draining: list[asyncio.Task[None]] = []
        bounds: list[asyncio.Task[None]] = []
        others = 0 if self.beside is None else self.beside.connections
        most = connections_within(self.options.max_connections, others=others)
        options = structs.replace(self.options, max_connections=most)
        server = asyncio.create_task(self.http(requests, self.sock, until_stop, options))
        await asyncio.wait({server})
        for bound in bounds:
            bound.cancel()
        if server.cancelled():
            logger.warning("Connections were left open, as they did not close in time.")
        else:
            server.result()
        await asyncio.gather(*draining)
        if self.stop.reason is None:
            raise ServeError("The HTTP server stopped without a signal.")

    async def _bound(self, requests: _Requests, server: asyncio.Task[None]) -> None:
        """Let what is being answered go on for as long as it may, and no longer."""
        if self.stop.reason == "replaced":
            await self._while_others_serve()
        await asyncio.sleep(self.options.shutdown.drain)
        requests.cut_off()
        await asyncio.sleep(SLACK)
        server.cancel()

    async def _finish(self) -> None:
        """Wait for what nobody is connected for, where others serve meanwhile."""
        if self.stop.reason != "replaced" or self.finishing is None:
            return
        steps = {
            asyncio.create_task(self.finishing()),
            asyncio.create_task(self._while_others_serve()),
        }
        await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
        for step in steps:
            step.cancel()

    async def _while_others_serve(self) -> None:
        """Wait until the whole server ends, or until `LINGER` after the signal."""
        share = self.options.share
        until = self.stop.since + LINGER
        while time.monotonic() < until:
            if share is None or share.stopping:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _leave(self) -> None:
        """Let whoever routes to us, or the other workers, take what comes from now on."""
        share = self.options.share
        if share is not None:
            share.leave(for_good=self.stop.reason == "replaced")
        if share is None or self.stop.reason == "signal":
            await asyncio.sleep(self.options.shutdown.delay)
        if share is not None and not share.stopping:
            await asyncio.sleep(REPLACED_SECONDS)


def _return_memory() -> None:
    """Have glibc give back what was freed. By itself it keeps up to 64 MB, from the first time on
    that so large a block was: ever more of them, after one large body and another."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and no need for it
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
        mallopt(M_TRIM_THRESHOLD, FREE_BLOCK)


def _tell_address_space() -> None:
    """Say that there is little of it while that can be said: without it compiled libraries hang
    while they are imported, with the interpreter's lock."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        logger.warning(
            "The address space is limited to %d MB (ulimit -v). With less than %d MB models may "
            "not load, and the server may hang.",
            limit // MEGABYTE,
            ADDRESS_SPACE // MEGABYTE,
        )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what failed outside any task, but not connections that were cut off (Python 3.11)."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _start_watchdog(seconds: float) -> None:
    """End the process with exit code 1 after this time, if it still runs then.

    faulthandler rather than a Python thread: it needs no interpreter lock, so it also ends a
    process in which a C extension keeps that lock from then on, and it says where every thread
    hangs. Weak point: it reads the stack of a thread that may go on meanwhile, and now and then the
    process ends by SIGSEGV in that moment, instead of with 1.
    """
    try:
        # Opened anew, so that it can be written without waiting for who reads it, and stays as it
        # is for others who write there.
        handle = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND)
    except OSError:
        # A socket, or no Linux: what cannot be said does not hold up the end, which is then by
        # SIGALRM.
        handle = 2
        signal.setitimer(signal.ITIMER_REAL, seconds + SLACK)
    faulthandler.dump_traceback_later(seconds, exit=True, file=handle)


@contextmanager
def _first_signal(
    signals: Mapping[signal.Signals, Reason], interrupt: Callable[[Reason], None]
) -> Iterator[None]:
    """Call `interrupt` at the first of the signals; the others are ignored, then and for good.

    Handlers of the event loop would be taken away when it closes, and a signal that is repeated
    while the interpreter exits would still kill the process.
    """
    received = False

    def handle(number: int, frame: object) -> None:
        nonlocal received
        if not received:
            received = True
            interrupt(signals[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in signals}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if received else handler)


class _Lifespan:
    """The app's ASGI lifespan. Kept from the servers: to them an app that raises in it has none."""

    def __init__(self, app: ASGIFramework) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    async def startup(self, seconds: float) -> None:
        self._task = asyncio.create_task(self._run())
        await self._ask("startup", seconds)

    async def shutdown(self, seconds: float) -> None:
        await self._ask("shutdown", seconds)

    async def _run(self) -> None:
        try:
            await self._app(
                {
                    "type": "lifespan",
                    "asgi": {"version": "3.0", "spec_version": "2.0"},
                    "state": self.state,
                },
                self._events.get,
                self._answers.put,
            )
        except Exception:
            logger.exception("The app's lifespan has raised an exception.")
        finally:
            self._answers.put_nowait({"type": "ended", "message": "its lifespan has ended"})

    async def _ask(self, stage: str, seconds: float) -> None:
        self._events.put_nowait({"type": f"lifespan.{stage}"})
        try:
            async with asyncio.timeout(seconds):
                answer = await self._answers.get()
        except TimeoutError:
            raise ServeError(f"The app's {stage} took longer than {seconds:g} s.") from None
        if answer["type"] != f"lifespan.{stage}.complete":
            reason = answer.get("message") or "it gave no reason"
            raise ServeError(f"The app's {stage} failed: {reason.rstrip('.')}.")


class _Requests:
    """The app as the server calls it: knows which requests are being answered."""

    def __init__(self, app: ASGIFramework, state: dict[str, Any]) -> None:
        self.closing = False
        self._app = app
        self._state = state
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            scope["state"].update(self._state)
            return
        if scope["http_version"].startswith("1"):
            send = self._closing(send)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._tasks.discard(task)

    def _closing(self, send: ASGISendCallable) -> ASGISendCallable:
        def send_closing(message: ASGISendEvent) -> Awaitable[None]:
            if self.closing and message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            return send(message)

        return send_closing

    def cut_off(self) -> None:
        if self._tasks:
            logger.warning("Requests cut off, as they did not end in time: %d.", len(self._tasks))
        for task in self._tasks:
            task.cancel()
