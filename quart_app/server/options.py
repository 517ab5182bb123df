"""How a server is run: what the settings decide, in one value that goes through to its consumers.

A new setting of the server is a field here, beside its row in `quart_app.config`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .orders import LINGER

if TYPE_CHECKING:
    from .share import Share

SECONDS = 1.0
BACKGROUND = 2 * SECONDS  # for the app to end its own work
SLACK = 0.5 * SECONDS  # for what has just been cancelled to end


class Shutdown(msgspec.Struct, frozen=True):
    """How long each step of an exit may take, in seconds from the end of the one before it.

    The watchdog counts from the signal, or from the failure that ends the process.
    """

    delay: float = 1 * SECONDS
    drain: float = 20 * SECONDS
    background: float = BACKGROUND
    watchdog: float = 24 * SECONDS

    @classmethod
    def within(cls, delay: float, drain: float) -> Shutdown:
        """These times, with a watchdog that leaves each step its own: 24 s for 1 and 20."""
        return cls(delay, drain, BACKGROUND, delay + drain + BACKGROUND + 2 * SLACK)


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a server may take and how long it waits. Times are in seconds.

    `keep_alive` is how long an idle connection is kept; `max_connections` is how many there are at
    a time. The app has `startup_timeout` to start. With more than `max_memory` bytes in memory the
    process ends itself. `share` is there where other processes accept from the same socket.
    """

    keep_alive: float = 5 * SECONDS
    max_connections: int = 1000
    max_memory: int | None = None
    startup_timeout: float = 60 * SECONDS
    share: Share | None = None
    shutdown: Shutdown = msgspec.field(default_factory=Shutdown)

    @property
    def patience(self) -> float:
        """How long answers that are on their way out have once nothing is accepted any more: until
        after requests are cancelled, and before the server is."""
        lingering = 0.0 if self.share is None else LINGER
        return lingering + self.shutdown.drain + SLACK / 2


OPTIONS = ServerOptions()
