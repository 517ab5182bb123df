"""When the thread that writes may do what can wait."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

IDLE_SHARE: Final = 0.5
"""A process that wants less than this of a processor leaves time for what can wait."""

LEAST: Final = 0.2
"""Seconds over which that is looked at."""

NANOSECOND: Final = 1e-9

SCHEDULED: Final = Path("/proc/self/schedstat")
"""How long the main thread has run, and has waited for a processor that others had."""


class Pace:
    """Looks at how much of a processor the process wants, without the thread that asks."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._wanted = self._want()
        self._idle = False

    def is_idle(self) -> bool:
        """Whether nobody else has wanted much of a processor lately."""
        now = time.monotonic()
        if now - self._at >= LEAST:
            wanted = self._want()
            self._idle = wanted - self._wanted < IDLE_SHARE * (now - self._at)
            self._at, self._wanted = now, wanted
        return self._idle

    def _want(self) -> float:
        """Seconds of a processor that the other threads have had, or the main one waited for."""
        return time.process_time() - time.thread_time() + _waited()


def _waited() -> float:
    try:
        return int(SCHEDULED.read_text().split()[1]) * NANOSECOND
    except (OSError, IndexError, ValueError):
        return 0.0  # it is told by Linux alone
