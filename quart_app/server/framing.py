"""What a request brings beside its data: chunks of a few bytes, which take longer to parse than to
send, extensions and zeros around them, and lines without end."""

from __future__ import annotations

import re
from typing import Final

SMALL: Final = 512
"""A part of a body with fewer bytes of data is small: it costs as much as one with many."""

FREE_BYTES: Final = 128 * 1024
TIMES: Final = 16
"""A body may have so many bytes of framing, and so many for each byte of its data. A chunk of one
byte has five, and one whose size is padded to eight digits twelve."""

MAX_LINES: Final = 256
"""Lines of a head, or trailers. The app refuses more than 100 headers in words of its own; the
parsers would take tens of thousands first."""

EMPTY_LINE: Final = re.compile(rb"\n\r?\n")


class Framing:
    """Counts what has come of one body.

    After `small_a_turn` small parts the next one has to wait for a turn.
    """

    __slots__ = ("_data", "_read", "_small", "_small_a_turn")

    def __init__(self, small_a_turn: int) -> None:
        self._small_a_turn = small_a_turn
        self._small = 0
        self._read = 0
        self._data = 0

    def add_read(self, size: int) -> None:
        """So many bytes were parsed, of framing and of data."""
        self._read += size

    def add_data(self, size: int) -> None:
        """A part of the data was among them, so long."""
        self._data += size
        if size < SMALL:
            self._small += 1

    def begin_turn(self) -> None:
        """It is this body's turn."""
        self._small = 0

    @property
    def is_turn_over(self) -> bool:
        """Whether the next part has to wait."""
        return self._small >= self._small_a_turn

    @property
    def is_too_much(self) -> bool:
        """Whether it has more framing than a body may."""
        return self._read - self._data > FREE_BYTES + TIMES * self._data


def lines_of(received: bytes) -> int:
    """How many lines there are before the first empty one, or until the end."""
    if received.startswith((b"\r\n", b"\n")):
        return 0
    found = received.count(b"\n")
    if found <= MAX_LINES:  # what follows the empty line is hardly ever there
        return found
    end = EMPTY_LINE.search(received)
    return found if end is None else received.count(b"\n", 0, end.start()) + 1
