"""What Prometheus asks for: requests are counted here, and `exposition` writes it down.

Every label is bounded: routes are templates, models are loaded ones, methods and kinds of errors
are those of a list.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Final

from .limits import InFlight
from .record import Record
from .registry import Registry
from .statistics import SECONDS, Histogram

if TYPE_CHECKING:
    from .exposition import Exposition, Page

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
UNMATCHED: Final = "unmatched"
"""The route of a request to which no template fits."""


class Requests:
    """What became of the requests. Without the counters of Prometheus's library: there is one
    thread that counts, so it needs no locks, and no series that says since when."""

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str, int]] = Counter()
        self.seconds: dict[str, Histogram] = {}
        self.failures: Counter[str] = Counter()

    def count(self, record: Record) -> None:
        """Count a request that has ended."""
        route = record.route or UNMATCHED
        method = record.method if record.method in METHODS else OTHER
        self.ended[route, method, record.status] += 1
        seconds = self.seconds.get(route)
        if seconds is None:
            seconds = self.seconds[route] = Histogram(SECONDS)
        seconds.add(record.seconds)
        if record.error is not None:
            self.failures[record.error] += 1


class Metrics:
    """The metrics of one app. Belongs to its event loop."""

    def __init__(self, models: Registry, in_flight: InFlight) -> None:
        self._models = models
        self._in_flight = in_flight
        self._requests = Requests()

    def __call__(self, record: Record) -> None:
        """Count a request that has ended."""
        self._requests.count(record)

    def page(self, accept: str = "") -> Page:
        """All of them as text, in the format of OpenMetrics where `Accept` names it."""
        return self._exposition.page(accept)

    @cached_property
    def _exposition(self) -> Exposition:
        # Prometheus's library is imported when it is first asked for.
        from .exposition import Exposition

        return Exposition(self._requests, self._in_flight, self._models)
