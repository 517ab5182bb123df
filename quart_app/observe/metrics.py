"""What Prometheus asks for. Requests are counted from the start on; what writes it down is imported
when it is first asked for.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ..asgi import Record
from ..figures import Watched
from ..middleware.limits import InFlight
from ..recording import Recording
from ..serving.registry import Registry
from . import families
from .counters import RequestCounters
from .families import Family
from .outbox import Outbox

if TYPE_CHECKING:
    from .prometheus import Page


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

    def families(self) -> Iterator[Family]:
        """All of them but those of `watched`, as plain values."""
        yield from families.requests(self._counters, self._in_flight)
        yield from families.models(self._models)
        yield from families.records(self._recording)
        if self._spans is not None:
            yield from families.spans(self._spans)


def page(
    told: Iterable[Family], accept: str = "", watched: Mapping[str, Watched] = NOTHING
) -> Page:
    """The families as text, in the format of OpenMetrics where `accept` names it; `watched` by the
    names of models."""
    # Prometheus's library is imported when it is first asked for.
    from .prometheus import page

    return page([*told, *families.watched(watched)], accept)
