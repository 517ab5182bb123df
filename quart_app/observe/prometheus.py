"""The metrics as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

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

from .families import Family
from .process import CPU

OPENMETRICS: Final = "application/openmetrics-text"


class Page(NamedTuple):
    """What a scrape reads."""

    body: bytes
    content_type: str


def page(families: Sequence[Family], accept: str) -> Page:
    """The families as text, in the format of OpenMetrics where `accept` names it; beside them what
    this process takes, unless they say that of all processes."""
    registry = CollectorRegistry()
    if not any(family.name == CPU for family in families):
        ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(FamilyCollector(families))
    if OPENMETRICS in accept.lower():
        return Page(
            openmetrics.generate_latest(registry),  # type: ignore[no-untyped-call]
            openmetrics.CONTENT_TYPE_LATEST,
        )
    return Page(generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)


class FamilyCollector(Collector):
    """Families, as Prometheus's library has them."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def describe(self) -> list[Metric]:
        """Nothing: registering it needs no names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """A family each."""
        return map(_metric, self._families)


def _metric(family: Family) -> Metric:
    name, documentation, labels = family.name, family.documentation, family.labels
    if family.kind == "histogram":
        return _histogram(family)
    metric = (
        CounterMetricFamily(name, documentation, labels=labels)
        if family.kind == "counter"
        else GaugeMetricFamily(name, documentation, labels=labels)
    )
    for told, value in family.values:
        metric.add_metric(told, value)
    return metric


def _histogram(family: Family) -> Metric:
    metric = HistogramMetricFamily(family.name, family.documentation, labels=family.labels)
    for told, histogram in family.histograms:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        metric.add_metric(told, buckets, histogram.total)
    return metric
