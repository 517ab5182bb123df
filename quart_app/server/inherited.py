"""The standard streams that a process was started with."""

from __future__ import annotations

import contextlib
import logging
import os
import stat

FORMAT = "%(asctime)s %(levelname)s %(message)s"


def hold_descriptors() -> None:
    """Open nothing in place of each standard descriptor that is closed: else the next file or
    connection would get its number, and what is written there."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)


def stderr_without_waiting() -> int:
    """A descriptor of what stderr is, which never waits for who reads it; stderr itself where that
    need not be, as of a file, or cannot, as of a socket."""
    try:
        if stat.S_ISREG(os.fstat(2).st_mode):
            return 2
        # Opened anew, so that it stays as it is for others who write there.
        return os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND)
    except OSError:
        return 2


class Log(logging.Handler):
    """Writes to stderr by this thread, without waiting: what nobody reads is lost."""

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = stderr_without_waiting()
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, or lose it."""
        line = self.format(record) + "\n"
        with contextlib.suppress(OSError):
            os.write(self._descriptor, line.encode(errors="backslashreplace"))


def log_without_waiting() -> None:
    """Log to stderr in this way."""
    logging.basicConfig(level=logging.INFO, handlers=[Log()], force=True)
