"""What Prometheus asks for. Requests are counted from the start on; what writes it down is imported
when it is first asked for.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ..asgi import Record
from ..figures import Watched
from ..middleware.limits import InFlight
from ..recording import Recording
from ..serving.registry import Registry
from .counters import RequestCounters
from .outbox import Outbox

if TYPE_CHECKING:
    from .prometheus import Exposition, Page


NOTHING: Final[Mapping[str, Watched]] = MappingProxyType({})


class Metrics:
    """The metrics of one app. Belongs to its event loop."""

    def __init__(
        self,
        models: Registry,
        in_flight: InFlight,
        recording: Recording,
        spans: Outbox[Any] | None = None,
    ) -> None:
        """With `spans`, those on their way to a collector."""
        self._models = models
        self._recording = recording
        self._in_flight = in_flight
        self._spans = spans
        self._counters = RequestCounters()

    def __call__(self, record: Record) -> None:
        """Count a request that has ended."""
        self._counters.count(record)

    def page(self, accept: str = "", watched: Mapping[str, Watched] = NOTHING) -> Page:
        """All of them as text, in the format of OpenMetrics where `Accept` names it; `watched` by
        the names of models."""
        return self._exposition.page(accept, watched)

    @cached_property
    def _exposition(self) -> Exposition:
        # Prometheus's library is imported when it is first asked for.
        from .prometheus import Exposition

        return Exposition(
            self._counters, self._in_flight, self._models, self._recording, self._spans
        )
