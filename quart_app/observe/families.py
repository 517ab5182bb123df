"""The metrics as plain values, which can be added up over processes.

What models count of themselves is read when it is asked for. `prometheus` writes them down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

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

Kind = Literal["counter", "gauge", "histogram"]
Join = Literal["sum", "max", "min"]
"""What the gauges of several processes are together."""

Labels = tuple[str, ...]


class Family(msgspec.Struct, array_like=True):
    """The series of one name. Those of a histogram have their values in `histograms`."""

    name: str
    documentation: str
    kind: Kind
    labels: Labels
    values: list[tuple[Labels, float]]
    histograms: list[tuple[Labels, Histogram]] = []
    join: Join = "sum"


def requests(counters: RequestCounters, in_flight: InFlight) -> Iterator[Family]:
    """What became of the requests."""
    yield _counter(
        "quart_app_requests",
        "Requests that have ended, by route template, method and status.",
        ("route", "method", "status"),
        (
            ((route, method, str(status)), count)
            for (route, method, status), count in counters.ended.items()
        ),
    )
    yield _histogram(
        "quart_app_request_duration_seconds",
        "How long requests took, from their head to the last byte of the answer.",
        ("route",),
        {(route,): seconds for route, seconds in counters.seconds.items()},
    )
    yield _counter(
        "quart_app_failures",
        "Requests that ended in an error, by its kind.",
        ("kind",),
        (((kind,), count) for kind, count in counters.failures.items()),
    )
    yield _gauge(
        "quart_app_requests_in_flight",
        "Requests that are being answered at this moment.",
        (),
        [((), in_flight.requests)],
    )


def spans(outbox: Outbox[Any]) -> Iterator[Family]:
    """What became of the spans of traces."""
    yield _counter(
        "quart_app_spans",
        "Spans by what became of them: sent, dropped for want of room, or not taken.",
        ("outcome",),
        [(("sent",), outbox.sent), (("dropped",), outbox.dropped), (("failed",), outbox.failed)],
    )
    yield _gauge(
        "quart_app_waiting_spans", "Spans that wait to be sent.", (), [((), outbox.waiting)]
    )


def models(registry: Registry) -> Iterator[Family]:
    """What models and the threads that predict tell, at this moment."""
    found = _by_version(registry.servables)
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
        join="max",
    )
    later = {name: entry for (name, _), entry in registry.others.items()}
    yield _gauge(
        "quart_app_model_state",
        "1 for the state in which the model is, 0 for the others.",
        ("model", "state"),
        (
            ((name, state.value), entry.state is state)
            for name, entry in (later | registry.entries).items()
            for state in State
        ),
        join="max",
    )
    yield from _following(registry)
    yield from _challengers(registry)
    yield from _store(registry)
    yield from _threads(registry)
    yield _gauge(
        "quart_app_build_info",
        "The version of the server; always 1.",
        ("version",),
        [((VERSION,), 1)],
        join="max",
    )


def records(recording: Recording) -> Iterator[Family]:
    """What became of the records of predictions."""
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


def watched(found: Mapping[str, Watched]) -> Iterator[Family]:
    """How models that are recorded do, by name; nothing where nothing is recorded."""
    if not found:
        return
    yield _gauge(
        "quart_app_model_drifts",
        "1 where a column drifts in two windows running.",
        MODEL,
        (
            ((name, str(each.drift.version)), bool(each.drift.marked))
            for name, each in found.items()
        ),
    )
    columns = [
        ((name, str(each.drift.version), column.name, _side(column)), column)
        for name, each in found.items()
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
            for name, each in found.items()
            for of in each.scores.targets
            for score in of.scores
        ),
    )


# Of the models -----------------------------------------------------------------------


def _store(registry: Registry) -> Iterator[Family]:
    """Whether the store answers."""
    store = registry.store
    yield _gauge(
        "quart_app_store_reachable",
        "1 if the store of the models answered when it was last asked; a folder always does.",
        (),
        [((), store.is_reachable)],
        join="min",
    )
    yield _counter(
        "quart_app_store_failures",
        "How often the store of the models did not answer.",
        (),
        [((), store.failures)],
    )


def _following(registry: Registry) -> Iterator[Family]:
    """How the server follows its store."""
    yield _counter(
        "quart_app_swaps",
        "Times that another version was let serve.",
        (),
        [((), registry.swaps)],
    )
    yield _counter(
        "quart_app_failed_updates",
        "Times that what the store wants did not load; what served goes on.",
        (),
        [((), registry.failed_updates)],
    )
    yield _gauge(
        "quart_app_model_update_failed",
        "1 where what the store wants does not load, and another version serves.",
        ("model",),
        (
            ((name,), entry.update is not None and entry.update.state == "failed")
            for name, entry in registry.entries.items()
        ),
        join="max",
    )


def _challengers(registry: Registry) -> Iterator[Family]:
    """How the versions do that are tried, beside the champions."""
    found = registry.challenges
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
        (((name,), comparison.dropped) for name, comparison in compared),
    )


def _threads(registry: Registry) -> Iterator[Family]:
    """The threads that predict."""
    workers = registry.workers
    yield _gauge(
        "quart_app_busy_threads",
        "Threads that predict at this moment, those that hang among them.",
        (),
        [((), workers.busy)],
    )
    yield _gauge(
        "quart_app_hung_threads",
        "Threads that have been at one call of predict for longer than anyone waits.",
        (),
        [((), workers.hung)],
    )
    yield _gauge("quart_app_threads", "Threads that may predict.", (), [((), workers.threads)])


def _side(column: ColumnFigures) -> str:
    return "predictions" if column.answers else "inputs"


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


# Of several processes ------------------------------------------------------------------


def together(living: Sequence[Sequence[Family]], dead: Sequence[Sequence[Family]]) -> list[Family]:
    """The families of several processes as one has them: what the dead counted is counted, and
    their gauges are not."""
    found: dict[str, _Sum] = {}
    for lives, processes in ((True, living), (False, dead)):
        for families in processes:
            for family in families:
                if lives or family.kind != "gauge":
                    found.setdefault(family.name, _Sum(family)).add(family)
    return [each.family() for each in found.values()]


class _Sum:
    """The series of one name, of several processes."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._join = JOINS[family.join]
        self._values: dict[Labels, float] = {}
        self._histograms: dict[Labels, Histogram] = {}

    def add(self, family: Family) -> None:
        for labels, value in family.values:
            before = self._values.get(labels)
            self._values[labels] = value if before is None else self._join(before, value)
        for labels, histogram in family.histograms:
            other = self._histograms.get(labels)
            self._histograms[labels] = histogram if other is None else other + histogram

    def family(self) -> Family:
        return msgspec.structs.replace(
            self._family,
            values=[*self._values.items()],
            histograms=[*self._histograms.items()],
        )


def _add(one: float, other: float) -> float:
    return one + other


JOINS: Final[Mapping[Join, Callable[[float, float], float]]] = {
    "sum": _add,
    "max": max,
    "min": min,
}


STEPS: Final = 2**20
"""Seconds are counted in as many parts, so that their sums are exact in whatever order they are
added. Else one that is smaller by the last bit would be a counter that began anew."""


class Lasting:
    """Counters that never go back, although what they are of is let go, or begins anew: a version
    that is loaded again counts from 0. What it counted before it was first looked at again is then
    missing."""

    def __init__(self) -> None:
        self._values: dict[str, _Grown] = {}
        self._histograms: dict[str, _GrownHistograms] = {}

    def kept(self, families: Iterable[Family]) -> list[Family]:
        """The families, with all that their counters have had so far."""
        return [self._kept(each) if each.kind != "gauge" else each for each in families]

    def _kept(self, family: Family) -> Family:
        values = self._values.setdefault(family.name, _Grown())
        histograms = self._histograms.setdefault(family.name, _GrownHistograms())
        return msgspec.structs.replace(
            family,
            values=values.grown(family.values),
            histograms=histograms.grown(family.histograms),
        )


class _Grown:
    """What the counters of one name have grown by in all."""

    def __init__(self) -> None:
        self._last: dict[Labels, float] = {}
        self._all: dict[Labels, float] = {}

    def grown(self, now: Sequence[tuple[Labels, float]]) -> list[tuple[Labels, float]]:
        for labels, value in now:
            more = value - self._last.get(labels, 0)
            self._all[labels] = self._all.get(labels, 0) + max(more, 0)
        self._last = dict(now)
        return [(labels, _exact(value)) for labels, value in self._all.items()]


class _GrownHistograms:
    """The same of histograms."""

    def __init__(self) -> None:
        self._last: dict[Labels, Histogram] = {}
        self._all: dict[Labels, Histogram] = {}

    def grown(self, now: Sequence[tuple[Labels, Histogram]]) -> list[tuple[Labels, Histogram]]:
        for labels, histogram in now:
            nothing = Histogram(histogram.bounds)
            more = _growth(histogram, self._last.get(labels, nothing))
            self._all[labels] = self._all.get(labels, nothing) + more
        self._last = {labels: each + Histogram(each.bounds) for labels, each in now}
        return [
            (labels, Histogram(each.bounds, each.counts, _exact(each.total)))
            for labels, each in self._all.items()
        ]


def _exact(value: float) -> float:
    return math.floor(value * STEPS) / STEPS


def _growth(now: Histogram, before: Histogram) -> Histogram:
    pairs = zip(now.counts, before.counts, strict=True)
    counts = [max(count - former, 0) for count, former in pairs]
    return Histogram(now.bounds, counts, max(now.total - before.total, 0.0))


def _counter(
    name: str, documentation: str, labels: Labels, values: Iterable[tuple[Labels, float]]
) -> Family:
    return Family(name, documentation, "counter", labels, [*values])


def _gauge(
    name: str,
    documentation: str,
    labels: Labels,
    values: Iterable[tuple[Labels, float]],
    *,
    join: Join = "sum",
) -> Family:
    # A truth value is a number here, as JSON and the like do not have it.
    told = [(each, float(value)) for each, value in values]
    return Family(name, documentation, "gauge", labels, told, join=join)


def _histogram(
    name: str, documentation: str, labels: Labels, values: Mapping[Labels, Histogram]
) -> Family:
    return Family(name, documentation, "histogram", labels, [], [*values.items()])
