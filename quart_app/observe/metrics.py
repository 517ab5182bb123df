"""What Prometheus asks for. Requests are counted from the start on; what writes it down is imported
when it is first asked for.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..asgi import Record
from ..middleware.limits import InFlight
from ..recording import Recording
from ..serving.registry import Registry
from .counters import RequestCounters

if TYPE_CHECKING:
    from .prometheus import Exposition, Page


class Metrics:
    """The metrics of one app. Belongs to its event loop."""

    def __init__(self, models: Registry, in_flight: InFlight, recording: Recording) -> None:
        self._models = models
        self._recording = recording
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

        return Exposition(self._counters, self._in_flight, self._models, self._recording)
