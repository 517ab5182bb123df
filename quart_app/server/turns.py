"""Turns of what costs the loop more than it costs a client: requests that wait behind another of
their connection, as HTTP/1.1 lets clients send them in one go, and small chunks of a body. All
connections share them, so that many such ones take the loop from nobody."""

from __future__ import annotations

from collections.abc import Callable

TURN_SECONDS = 0.002
"""From one turn to the next."""


class Turns:
    """Gives a turn every `TURN_SECONDS`, in the order in which they are asked for.

    `clock` tells the seconds of the event loop.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = 0.0

    def take(self) -> float:
        """In how many seconds the turn comes."""
        now = self._clock()
        turn = max(now, self._next)
        self._next = turn + TURN_SECONDS
        return turn - now
