"""A server in processes of its own, on a core of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from .contenders import Contender, Request

SERVER_CORE, LOAD_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
LIMIT = 90.0  # seconds until the first right answer


class NotServing(Exception):
    """A server does not start, or answers wrongly."""


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Within it, processes that are started run on that core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Running:
    """A contender that runs. `cold` are the seconds from its exec to the first right answer."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.port, *self._others = _free_ports(3)
        self._folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        for name, text in contender.files.items():
            Path(self._folder.name, name).write_text(self._filled(text))
        self._log = Path(self._folder.name, "log")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "QUART_APP_")) and name != "DATABASE_URL"
        } | {name: self._filled(value) for name, value in contender.environment.items()}
        environment["HOME"] = self._folder.name
        begun = time.perf_counter()
        with pinned(SERVER_CORE), self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [self._filled(part) for part in contender.command],
                cwd=self._folder.name,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(begun + LIMIT)
        except BaseException:
            self.stop()
            raise
        self.cold = time.perf_counter() - begun

    def _filled(self, text: str) -> str:
        """Quoted ports become numbers, as in JSON."""
        ports = dict(zip(("{port}", "{port2}", "{port3}"), (self.port, *self._others), strict=True))
        for mark, number in ports.items():
            text = text.replace(f'"{mark}"', str(number)).replace(mark, str(number))
        return text.replace("{folder}", self._folder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, request: Request) -> float:
        """Send a request; the seconds until its right answer.

        Raises:
            NotServing: the answer is wrong.
            OSError, HTTPException: there is none.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            begun = time.perf_counter()
            headers = {"Content-Type": "application/json"}
            connection.request("POST", request.path, request.body, headers)
            response = connection.getresponse()
            body = response.read()
            took = time.perf_counter() - begun
        finally:
            connection.close()
        if response.status != 200 or not request.is_right(json.loads(body)):
            raise NotServing(f"{self.contender.name}: {response.status} {body[:300]!r}")
        return took

    def _wait(self, limit: float) -> None:
        last: Exception | None = None
        while time.perf_counter() < limit and self.process.poll() is None:
            try:
                self.ask(self.contender.one)
                return
            except (OSError, http.client.HTTPException, NotServing) as error:
                last = error
            time.sleep(0.01)
        log = self._log.read_text(errors="replace")[-2000:]
        raise NotServing(f"{self.contender.name} does not answer: {last!r}\n{log}")

    def memory(self) -> float:
        """The PSS of all its processes in MiB."""
        kib = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kib += int(line.split()[1])
        return kib / 1024

    def cpu(self) -> float:
        """The seconds of CPU that its processes have used."""
        ticks = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def _pids(self) -> list[int]:
        """Its processes: those of its session."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                pid, _, rest = path.read_text().partition(" ")
                if int(rest.rpartition(")")[2].split()[3]) == self.process.pid:
                    found.append(int(pid))
        return found

    def stop(self) -> None:
        """End all its processes."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._folder.cleanup()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        free = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in free]
