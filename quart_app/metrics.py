"""What Prometheus asks for. Requests are counted here; what models count of themselves is read when
it is asked for.

Every label is bounded: routes are templates, models are loaded ones, methods and kinds of errors
are those of a list.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client import Histogram as RequestHistogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .record import Record
from .registry import Registry, State
from .servable import Servable
from .statistics import SECONDS, Histogram
from .version import VERSION

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
UNMATCHED: Final = "unmatched"
"""The route of a request to which no template fits."""

MODEL: Final = ("model", "version")
OPENMETRICS: Final = "application/openmetrics-text"


class Page(NamedTuple):
    """What a scrape reads."""

    body: bytes
    content_type: str


class _Series(NamedTuple):
    """The series of one route, method and status, bound so that none is looked up again."""

    add: Callable[[], None]
    observe: Callable[[float], None]


class Metrics:
    """The metrics of one app. Belongs to its event loop."""

    def __init__(self, models: Registry) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "quart_app_requests",
            "Requests that have ended, by route template, method and status.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._durations = RequestHistogram(
            "quart_app_request_duration_seconds",
            "How long requests took, from the first line to the last byte of the answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._failures = Counter(
            "quart_app_failures",
            "Requests that ended in an error, by its kind.",
            ("kind",),
            registry=self._registry,
        )
        self._registry.register(ModelCollector(models))
        self._series: dict[tuple[str | None, str, int], _Series] = {}

    def __call__(self, record: Record) -> None:
        """Count a request that has ended."""
        method = record.method if record.method in METHODS else OTHER
        key = (record.route, method, record.status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._bind(record.route or UNMATCHED, method, key[2])
        series.add()
        series.observe(record.seconds)
        if record.error is not None:
            self._failures.labels(record.error).inc()

    def _bind(self, route: str, method: str, status: int) -> _Series:
        return _Series(
            self._requests.labels(route, method, str(status)).inc,
            self._durations.labels(route).observe,
        )

    def page(self, accept: str = "") -> Page:
        """All of them as text, in the format of OpenMetrics where `Accept` names it."""
        if OPENMETRICS in accept.lower():
            return Page(
                openmetrics.generate_latest(self._registry),  # type: ignore[no-untyped-call]
                openmetrics.CONTENT_TYPE_LATEST,
            )
        return Page(generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4)


class ModelCollector(Collector):
    """What models and the threads that predict tell, at the moment it is asked for."""

    def __init__(self, models: Registry) -> None:
        self._models = models

    def describe(self) -> list[Metric]:
        """Nothing, so that registering it asks no model."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family each."""
        servables = self._models.servables
        yield _histogram(
            "quart_app_batch_rows",
            "Rows that one call of predict answered.",
            servables,
            lambda servable: servable.statistics.rows,
        )
        yield _histogram(
            "quart_app_predict_duration_seconds",
            "How long the calls of predict took that answered.",
            servables,
            lambda servable: servable.statistics.seconds,
        )
        queue = GaugeMetricFamily(
            "quart_app_queue_rows", "Rows that wait for a call of predict.", labels=MODEL
        )
        waiting: dict[tuple[str, str], int] = {}
        for servable in servables:
            labels = _labels(servable)
            waiting[labels] = waiting.get(labels, 0) + servable.waiting_rows
        for labels, rows in waiting.items():
            queue.add_metric(labels, rows)
        yield queue
        yield GaugeMetricFamily(
            "quart_app_busy_threads",
            "Threads that predict at this moment.",
            value=self._models.busy_threads,
        )
        yield GaugeMetricFamily(
            "quart_app_threads", "Threads that may predict.", value=self._models.threads
        )
        yield self._states()
        yield self._loads()
        build = GaugeMetricFamily(
            "quart_app_build_info", "The version of the server, always 1.", labels=("version",)
        )
        build.add_metric((VERSION,), 1)
        yield build

    def _states(self) -> Metric:
        family = GaugeMetricFamily(
            "quart_app_model_state",
            "1 for the state in which the model is, 0 for the others.",
            labels=("model", "state"),
        )
        later = {name: entry for (name, _), entry in self._models.others.items()}
        for name, entry in (later | self._models.entries).items():
            for state in State:
                family.add_metric((name, state.value), entry.state is state)
        return family

    def _loads(self) -> Metric:
        family = GaugeMetricFamily(
            "quart_app_model_load_seconds",
            "How long it took to verify, load and warm what is loaded.",
            labels=MODEL,
        )
        found = {_labels(servable): servable.load_seconds for servable in self._models.servables}
        for labels, seconds in found.items():
            family.add_metric(labels, seconds)
        return family


def _histogram(
    name: str,
    documentation: str,
    servables: list[Servable],
    read: Callable[[Servable], Histogram],
) -> Metric:
    """What the servables counted, one series a version: it may be loaded twice, by its name and by
    its number."""
    family = HistogramMetricFamily(name, documentation, labels=MODEL)
    found: dict[tuple[str, str], Histogram] = {}
    for servable in servables:
        histogram, labels = read(servable), _labels(servable)
        found[labels] = found[labels] + histogram if labels in found else histogram
    for labels, histogram in found.items():
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        family.add_metric(labels, buckets, histogram.total)
    return family


def _labels(servable: Servable) -> tuple[str, str]:
    return servable.manifest.name, str(servable.manifest.version)
