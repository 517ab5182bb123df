"""stdout and stderr of a server, which nobody who does not read them can hold up.

What is printed or logged goes to a `LineWriter`, line by line, also what a model prints. Weak
point: what compiled code writes to a descriptor by itself goes past this.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from .access_log import dropped_line
from .line_writer import LineWriter
from .turns import Turns

MAX_LINE: Final = 64 * 1024
"""Bytes that may wait for the end of their line."""


class Lines(io.RawIOBase):
    """A stream of bytes whose lines are queued for a writer. Any thread may write."""

    def __init__(self, writer: LineWriter) -> None:
        self.writer = writer
        self._lock = threading.Lock()
        self._rest = b""

    def write(self, data: Any, /) -> int:
        """Queue the lines that are whole now. Never blocks."""
        written = bytes(data)
        with self._lock:
            *lines, self._rest = (self._rest + written).split(b"\n")
            if len(self._rest) > MAX_LINE:
                lines.append(self._rest)
                self._rest = b""
            for line in lines:
                self.writer.write(line + b"\n")
        return len(written)

    def end(self) -> None:
        """Queue what has no end of line yet, and write what waits, for a short time."""
        if self._rest:
            self.write(b"\n")
        self.writer.close()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.writer.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.writer.descriptor)


@contextlib.contextmanager
def queued(folder: Path | None = None) -> Iterator[LineWriter | None]:
    """Queue what is written to `sys.stdout` and `sys.stderr` meanwhile, and write at the end what
    waits, for half a second each. Yields the writer of stdout; None where stdout is closed.

    Processes that write to the same streams take turns by files in a `folder` that they share.

    To be entered once in a process, in the main thread, before logging is set up.
    """
    with contextlib.ExitStack() as stack:
        out, err = (
            _lines(sys.stdout, dropped_line, folder),
            _lines(sys.stderr, _dropped_text, folder),
        )
        if err is not None:
            stack.callback(err.end)
            stack.enter_context(contextlib.redirect_stderr(_text(err)))
        if out is not None:
            stack.callback(out.end)
            stack.enter_context(contextlib.redirect_stdout(_text(out)))
        yield None if out is None else out.writer


def _lines(
    stream: IO[str] | None, tell_dropped: Callable[[int], bytes], folder: Path | None
) -> Lines | None:
    """None where the stream is closed, or has no descriptor."""
    try:
        if stream is None:
            return None
        descriptor = stream.fileno()
        turns = None if folder is None else Turns(folder, descriptor)
        return Lines(LineWriter(descriptor, tell_dropped, turns=turns))
    except (OSError, ValueError):
        return None


def _text(lines: Lines) -> IO[str]:
    # Raw streams are what TextIOWrapper has in an interpreter that does not buffer, too.
    return io.TextIOWrapper(
        lines,  # type: ignore[type-var]
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )


def _dropped_text(count: int) -> bytes:
    moment = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"{moment} WARNING Lines dropped, as nobody read them: {count}\n".encode()
