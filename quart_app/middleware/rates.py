"""How often somebody may ask: windows of the library limits, in bounded memory.

A window begins with the first request in it, so that two of them beside each other may hold twice
the rate. The library's own storage starts a thread every hundredth of a second and has no bound.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from limits import parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

MAX_WINDOWS: Final = 20_000
"""Windows that are kept; where there are more, the one that began first is forgotten."""


class Rates:
    """Counts requests by whoever sent them, in this process alone.

    `clock` tells seconds since some moment, and only goes forward.
    """

    def __init__(self, limits: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._items = [parse(limit) for limit in limits]
        self._windows = Windows(clock)
        self._limiter = FixedWindowRateLimiter(self._windows)
        self._clock = clock

    def __len__(self) -> int:
        return len(self._windows)

    def hit(self, *who: str) -> int | None:
        """Count a request: None where it may be answered, else in how many seconds one may be."""
        used_up = [item for item in self._items if not self._limiter.hit(item, *who)]
        if not used_up:
            return None
        ends = max(self._limiter.get_window_stats(item, *who).reset_time for item in used_up)
        return max(1, math.ceil(ends - self._clock()))


class Windows(Storage):
    """The windows by their keys: when each ends, and how often it was hit."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        ends, count = self._windows.get(key, (0.0, 0))
        now = self._clock()
        if ends <= now:
            self._windows.pop(key, None)
            self._forget(now)
            ends, count = now + expiry, 0
        self._windows[key] = ends, count + amount
        return count + amount

    def _forget(self, now: float) -> None:
        """Make room for one more: of those that began first, two that ended, or one."""
        for _ in range(2):
            oldest = next(iter(self._windows), None)
            if oldest is None or self._windows[oldest][0] > now:
                break
            del self._windows[oldest]
        if len(self._windows) >= MAX_WINDOWS:
            self._windows.popitem(last=False)

    def get(self, key: str) -> int:
        ends, count = self._windows.get(key, (0.0, 0))
        return count if ends > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        return self._windows.get(key, (self._clock(), 0))[0]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)
