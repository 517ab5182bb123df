"""When the thread that writes may do what can wait."""

from __future__ import annotations

import time
from typing import Final

IDLE_SHARE: Final = 0.5
"""A process that uses less than this of a processor leaves time for what can wait."""

LEAST: Final = 0.2
"""Seconds over which that is looked at."""


class Pace:
    """Looks at how much of a processor the process uses, without the thread that asks."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._used = self._others()
        self._idle = False

    def is_idle(self) -> bool:
        """Whether nobody else has wanted much of a processor lately."""
        now = time.monotonic()
        if now - self._at >= LEAST:
            used = self._others()
            self._idle = used - self._used < IDLE_SHARE * (now - self._at)
            self._at, self._used = now, used
        return self._idle

    def _others(self) -> float:
        """Seconds of processors that the other threads have used."""
        return time.process_time() - time.thread_time()
