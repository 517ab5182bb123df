"""The stretch of time that figures are of, as people write it: 7d, 24h, 90m, 30s."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

SECOND: Final = 1.0
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
LONGEST: Final = 400 * DAY
EXPECTED: Final = "a length of time such as 7d, 24h, 90m or 30s, up to 400d"

STEPS: Final = (
    *(SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE),
    *(HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY),
)
MOST_STEPS: Final = 30
"""Points of time that are told apart in a window."""

FINE: Final = 6 * HOUR
"""In a shorter window whole hours are too coarse."""

_WRITTEN: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])")


class Window(NamedTuple):
    """From `since` until before `until`, in seconds since 1970; `text` is how long, as written."""

    text: str
    since: float
    until: float

    @classmethod
    def before(cls, text: str, now: float) -> Window:
        """The window of this length that ends now. One of many hours begins with an hour.

        Raises:
            ValueError: the text is none. The message says what was expected.
        """
        seconds = seconds_of(text)
        since = max(0.0, now - seconds)
        return cls(text, since if seconds < FINE else since // HOUR * HOUR, now)

    @property
    def is_fine(self) -> bool:
        """Whether it is too short for whole hours."""
        return seconds_of(self.text) < FINE

    def former(self) -> Window:
        """The window of the same length before it."""
        return Window(self.text, max(0.0, self.since - seconds_of(self.text)), self.since)

    @property
    def step(self) -> float:
        """How long the parts are in which it is drawn."""
        seconds = self.until - self.since
        fits = (step for step in STEPS if seconds / step <= MOST_STEPS)
        return next(fits, STEPS[-1])

    def steps(self) -> Iterator[float]:
        """When each part begins, at whole multiples of the step."""
        at = self.since // self.step * self.step
        while at < self.until:
            yield at
            at += self.step


def seconds_of(text: str) -> float:
    """How long a window is.

    Raises:
        ValueError: it is none. The message says what was expected.
    """
    found = _WRITTEN.fullmatch(text)
    seconds = 0.0 if found is None else int(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= LONGEST:
        raise ValueError(EXPECTED)
    return seconds


def moment(at: float) -> str:
    """A moment as ISO 8601 text."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
