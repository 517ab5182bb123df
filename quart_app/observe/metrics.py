"""What Prometheus asks for. Requests are counted from the start on; what writes it down is imported
when it is first asked for.

Every label is bounded: routes are templates, methods and kinds of errors are those of a list.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Final

from ..asgi import Record
from ..middleware.limits import InFlight
from ..serving.registry import Registry
from ..serving.statistics import SECONDS, Histogram

if TYPE_CHECKING:
    from .prometheus import Exposition, Page

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
UNMATCHED: Final = "unmatched"
"""The route of a request to which no template fits."""


class RequestCounters:
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
        self._counters = RequestCounters()

    def __call__(self, record: Record) -> None:
        """Count a request that has ended."""
        self._counters.count(record)

    def page(self, accept: str = "") -> Page:
        """All of them as text, in the format of OpenMetrics where `Accept` names it."""
        return self._exposition.page(accept)

    @cached_property
    def _exposition(self) -> Exposition:
        # Prometheus's library is imported when it is first asked for.
        from .prometheus import Exposition

        return Exposition(self._counters, self._in_flight, self._models)
