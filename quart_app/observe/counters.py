"""What became of the requests, counted.

Every label is bounded: routes are templates, methods and kinds of errors are those of a list.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..asgi import Record
from ..serving.statistics import SECONDS, Histogram

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
