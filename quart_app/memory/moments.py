"""Moments as people write them: a date, a date and time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_AGO: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment_of(text: str, now: float) -> float:
    """The moment that a text says, in seconds since 1970; in UTC where it names no zone.

    Raises:
        ValueError: what was expected, in words.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - int(ago[1]) * _SECONDS[ago[2]]
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        expected = "a date such as 2026-11-30, a date and time, or how long ago, such as 7d"
        raise ValueError(expected) from None


def iso(moment: float) -> str:
    """A moment in seconds since 1970 as ISO 8601 text in UTC, to the millisecond."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
