"""How long an explanation may take."""

from __future__ import annotations

import math
import time

from ..errors import Unexplained


class Clock:
    """So many seconds from now on; None is without end."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._until = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() > self._until

    def require(self) -> None:
        """
        Raises:
            Unexplained: the time is over.
        """
        if self.over:
            raise Unexplained(
                f"To explain these rows takes longer than the {self.seconds:g} seconds that are "
                "allowed for it; send fewer rows at once."
            )
