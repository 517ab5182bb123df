"""The metrics as Prometheus reads them. What models count of themselves is read when it is asked
for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ..documents import State
from ..figures import ColumnFigures, Watched
from ..middleware.limits import InFlight
from ..recording import Recording
from ..serving.registry import Registry
from ..serving.servable import Servable
from ..serving.statistics import Histogram
from ..version import VERSION
from .counters import RequestCounters
from .outbox import Outbox

MODEL: Final = ("model", "version")
OPENMETRICS: Final = "application/openmetrics-text"


class Page(NamedTuple):
    """What a scrape reads."""

    body: bytes
    content_type: str


class Exposition:
    """What is told of one app."""

    def __init__(
        self,
        counters: RequestCounters,
        in_flight: InFlight,
        models: Registry,
        recording: Recording,
        spans: Outbox[Any] | None = None,
    ) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(RequestCollector(counters, in_flight))
        self._registry.register(ModelCollector(models))
        self._registry.register(RecordCollector(recording))
        self._watch = WatchCollector()
        self._registry.register(self._watch)
        if spans is not None:
            self._registry.register(SpanCollector(spans))

    def page(self, accept: str, watched: Mapping[str, Watched]) -> Page:
        """All of them as text, in the format of OpenMetrics where `Accept` names it."""
        self._watch.found = watched
        if OPENMETRICS in accept.lower():
            return Page(
                openmetrics.generate_latest(self._registry),  # type: ignore[no-untyped-call]
                openmetrics.CONTENT_TYPE_LATEST,
            )
        return Page(generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4)


class RequestCollector(Collector):
    """What became of the requests."""

    def __init__(self, counters: RequestCounters, in_flight: InFlight) -> None:
        self._counters = counters
        self._in_flight = in_flight

    def describe(self) -> list[Metric]:
        """Nothing: registering it counts nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family each."""
        requests = CounterMetricFamily(
            "quart_app_requests",
            "Requests that have ended, by route template, method and status.",
            labels=("route", "method", "status"),
        )
        for (route, method, status), count in self._counters.ended.items():
            requests.add_metric((route, method, str(status)), count)
        yield requests
        yield _histogram(
            "quart_app_request_duration_seconds",
            "How long requests took, from their head to the last byte of the answer.",
            ("route",),
            {(route,): seconds for route, seconds in self._counters.seconds.items()},
        )
        failures = CounterMetricFamily(
            "quart_app_failures", "Requests that ended in an error, by its kind.", labels=("kind",)
        )
        for kind, count in self._counters.failures.items():
            failures.add_metric((kind,), count)
        yield failures
        yield _gauge(
            "quart_app_requests_in_flight",
            "Requests that are being answered at this moment.",
            (),
            [((), self._in_flight.requests)],
        )


class SpanCollector(Collector):
    """What became of the spans of traces."""

    def __init__(self, spans: Outbox[Any]) -> None:
        self._spans = spans

    def describe(self) -> list[Metric]:
        """Nothing: registering it counts nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family each."""
        spans = self._spans
        yield _counter(
            "quart_app_spans",
            "Spans by what became of them: sent, dropped for want of room, or not taken.",
            ("outcome",),
            [(("sent",), spans.sent), (("dropped",), spans.dropped), (("failed",), spans.failed)],
        )
        yield _gauge(
            "quart_app_waiting_spans", "Spans that wait to be sent.", (), [((), spans.waiting)]
        )


class ModelCollector(Collector):
    """What models and the threads that predict tell, at the moment it is asked for."""

    def __init__(self, models: Registry) -> None:
        self._models = models

    def describe(self) -> list[Metric]:
        """Nothing: registering it asks no model."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family each."""
        found = _by_version(self._models.servables)
        yield _histogram(
            "quart_app_batch_rows",
            "Rows that one call of predict answered.",
            MODEL,
            _summed(found, lambda servable: servable.statistics.rows),
        )
        yield _histogram(
            "quart_app_predict_duration_seconds",
            "How long the calls of predict took that answered.",
            MODEL,
            _summed(found, lambda servable: servable.statistics.seconds),
        )
        yield _gauge(
            "quart_app_queue_rows",
            "Rows that wait for a call of predict.",
            MODEL,
            (
                (labels, sum(servable.waiting_rows for servable in same))
                for labels, same in found.items()
            ),
        )
        yield _gauge(
            "quart_app_model_load_seconds",
            "How long it took to verify, load and warm what is loaded.",
            MODEL,
            ((labels, same[0].load_seconds) for labels, same in found.items()),
        )
        later = {name: entry for (name, _), entry in self._models.others.items()}
        yield _gauge(
            "quart_app_model_state",
            "1 for the state in which the model is, 0 for the others.",
            ("model", "state"),
            (
                ((name, state.value), entry.state is state)
                for name, entry in (later | self._models.entries).items()
                for state in State
            ),
        )
        yield from self._following()
        yield from self._challengers()
        yield from self._store()
        yield _gauge(
            "quart_app_busy_threads",
            "Threads that predict at this moment, those that hang among them.",
            (),
            [((), self._models.workers.busy)],
        )
        yield _gauge(
            "quart_app_hung_threads",
            "Threads that have been at one call of predict for longer than anyone waits.",
            (),
            [((), self._models.workers.hung)],
        )
        yield _gauge(
            "quart_app_threads",
            "Threads that may predict.",
            (),
            [((), self._models.workers.threads)],
        )
        yield _gauge(
            "quart_app_build_info",
            "The version of the server; always 1.",
            ("version",),
            [((VERSION,), 1)],
        )

    def _store(self) -> Iterator[Metric]:
        """Whether the store answers."""
        store = self._models.store
        yield _gauge(
            "quart_app_store_reachable",
            "1 if the store of the models answered when it was last asked; a folder always does.",
            (),
            [((), store.is_reachable)],
        )
        failures = CounterMetricFamily(
            "quart_app_store_failures", "How often the store of the models did not answer."
        )
        failures.add_metric((), store.failures)
        yield failures

    def _following(self) -> Iterator[Metric]:
        """How the server follows its store."""
        yield _counter(
            "quart_app_swaps",
            "Times that another version was let serve.",
            (),
            [((), self._models.swaps)],
        )
        yield _counter(
            "quart_app_failed_updates",
            "Times that what the store wants did not load; what served goes on.",
            (),
            [((), self._models.failed_updates)],
        )
        yield _gauge(
            "quart_app_model_update_failed",
            "1 where what the store wants does not load, and another version serves.",
            ("model",),
            (
                ((name,), entry.update is not None and entry.update.state == "failed")
                for name, entry in self._models.entries.items()
            ),
        )

    def _challengers(self) -> Iterator[Metric]:
        """How the versions do that are tried, beside the champions."""
        found = self._models.challenges
        sides = [
            ((name, role), tally)
            for name, challenge in found.items()
            for role, tally in (
                ("champion", challenge.comparison.champion),
                (challenge.challenger.kind, challenge.comparison.challenger),
            )
        ]
        labels = ("model", "role")
        yield _counter(
            "quart_app_compared_requests",
            "Requests since a challenger began that count for the comparison.",
            labels,
            ((told, tally.requests) for told, tally in sides),
        )
        yield _counter(
            "quart_app_compared_errors",
            "Those that failed.",
            labels,
            ((told, tally.errors) for told, tally in sides),
        )
        compared = [(name, challenge.comparison) for name, challenge in found.items()]
        yield _counter(
            "quart_app_compared_rows",
            "Rows to which both versions were asked.",
            ("model",),
            (((name,), comparison.rows) for name, comparison in compared),
        )
        yield _counter(
            "quart_app_different_rows",
            "Rows that both answered differently.",
            ("model",),
            (((name,), comparison.different) for name, comparison in compared),
        )
        yield _counter(
            "quart_app_dropped_copies",
            "Copies of requests that were dropped, since the server had more to do.",
            ("model",),
            (((name,), challenge.dropped) for name, challenge in found.items()),
        )


class RecordCollector(Collector):
    """What became of the records of predictions."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def describe(self) -> list[Metric]:
        """Nothing: registering it asks nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family each."""
        recording = self._recording
        yield _counter(
            "quart_app_records_kept",
            "Rows of predictions that were recorded.",
            (),
            [((), recording.kept)],
        )
        yield _counter(
            "quart_app_records_dropped",
            "Rows of predictions that were to be recorded and were not, by reason.",
            ("reason",),
            (((reason,), count) for reason, count in recording.dropped.items()),
        )
        yield _counter(
            "quart_app_records_removed",
            "Recorded rows that were deleted again, by reason: age, rows, disk.",
            ("reason",),
            (((reason,), count) for reason, count in recording.removed.items()),
        )
        yield _gauge(
            "quart_app_records_waiting",
            "Rows of predictions that wait to be recorded.",
            (),
            [((), recording.waiting_rows)],
        )


class WatchCollector(Collector):
    """How models that are recorded do, as was `found` last."""

    def __init__(self) -> None:
        self.found: Mapping[str, Watched] = {}

    def describe(self) -> list[Metric]:
        """Nothing: registering it looks at nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family each; none where nothing is recorded."""
        if not self.found:
            return
        yield _gauge(
            "quart_app_model_drifts",
            "1 where a column drifts in two windows running.",
            MODEL,
            (
                ((name, str(each.drift.version)), bool(each.drift.marked))
                for name, each in self.found.items()
            ),
        )
        columns = [
            ((name, str(each.drift.version), column.name, _side(column)), column)
            for name, each in self.found.items()
            for column in each.drift.columns
            if column.distance is not None and column.threshold is not None
        ]
        labels = (*MODEL, "column", "side")
        yield _gauge(
            "quart_app_drift_distance",
            "How far a column is from the training data, or what is predicted.",
            labels,
            ((told, column.distance or 0.0) for told, column in columns),
        )
        yield _gauge(
            "quart_app_drift_threshold",
            "From which distance on that is more than chance.",
            labels,
            ((told, column.threshold or 0.0) for told, column in columns),
        )
        yield _gauge(
            "quart_app_live_score",
            "How good the predictions were whose truth is known.",
            (*MODEL, "target", "score"),
            (
                ((name, str(each.drift.version), of.target or "", score.name), score.value)
                for name, each in self.found.items()
                for of in each.scores.targets
                for score in of.scores
            ),
        )


def _side(column: ColumnFigures) -> str:
    return "predictions" if column.answers else "inputs"


Labels = tuple[str, ...]


def _by_version(servables: Iterable[Servable]) -> dict[Labels, list[Servable]]:
    """Those with the same labels together: a version may be loaded by name and by number."""
    found: dict[Labels, list[Servable]] = {}
    for servable in servables:
        labels = servable.manifest.name, str(servable.manifest.version)
        found.setdefault(labels, []).append(servable)
    return found


def _summed(
    found: Mapping[Labels, list[Servable]], read: Callable[[Servable], Histogram]
) -> dict[Labels, Histogram]:
    sums = {}
    for labels, (first, *others) in found.items():
        sums[labels] = sum(map(read, others), read(first))
    return sums


def _counter(
    name: str, documentation: str, labels: Labels, values: Iterable[tuple[Labels, float]]
) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for told, value in values:
        family.add_metric(told, value)
    return family


def _gauge(
    name: str, documentation: str, labels: Labels, values: Iterable[tuple[Labels, float]]
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for told, value in values:
        family.add_metric(told, value)
    return family


def _histogram(
    name: str, documentation: str, labels: Labels, values: Mapping[Labels, Histogram]
) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for told, histogram in values.items():
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        family.add_metric(told, buckets, histogram.total)
    return family
