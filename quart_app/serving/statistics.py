"""What one version of one model has done since it was loaded, counted as Triton counts."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

from .batcher import Batch

MAX_SIZES: Final = 1000
"""Sizes of batches that are told apart; of others only the sums are kept."""


SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
"""Durations by which requests and calls of predict are told apart."""

ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_000, 10_000)
"""Sizes by which batches are told apart."""


class Histogram(msgspec.Struct):
    """How many values were at most each of the bounds, counted apart, and the sum of all; the last
    count is of those above every bound."""

    bounds: Sequence[float]
    counts: list[int] = msgspec.field(default_factory=list)
    total: float = 0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def __add__(self, other: Histogram) -> Histogram:
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return Histogram(self.bounds, counts, self.total + other.total)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Duration(msgspec.Struct):
    """How often something was done, and for how many nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.count + other.count, self.ns + other.ns)

    def add(self, ns: int, count: int = 1) -> None:
        self.count += count
        self.ns += ns


class Statistics(msgspec.Struct):
    """`success` and `fail` are whole requests, and the others parts of them: each request of a
    batch waits for the whole call. `inferences` counts rows, `executions` calls of predict, and
    `last` is when the last of them ended, in milliseconds since 1970. `batches` has the calls by
    their number of rows, `rows` and `seconds` by bounds of that and of their duration."""

    success: Duration = msgspec.field(default_factory=Duration)
    fail: Duration = msgspec.field(default_factory=Duration)
    queue: Duration = msgspec.field(default_factory=Duration)
    compute_input: Duration = msgspec.field(default_factory=Duration)
    compute_infer: Duration = msgspec.field(default_factory=Duration)
    inferences: int = 0
    executions: int = 0
    last: int = 0
    batches: dict[int, Duration] = msgspec.field(default_factory=dict)
    rows: Histogram = msgspec.field(default_factory=lambda: Histogram(ROWS))
    seconds: Histogram = msgspec.field(default_factory=lambda: Histogram(SECONDS))

    def __add__(self, other: Statistics) -> Statistics:
        batches = dict(self.batches)
        for rows, duration in other.batches.items():
            batches[rows] = batches.get(rows, Duration()) + duration
        return Statistics(
            self.success + other.success,
            self.fail + other.fail,
            self.queue + other.queue,
            self.compute_input + other.compute_input,
            self.compute_infer + other.compute_infer,
            self.inferences + other.inferences,
            self.executions + other.executions,
            max(self.last, other.last),
            batches,
            self.rows + other.rows,
            self.seconds + other.seconds,
        )

    def observe(self, batch: Batch) -> None:
        """Count a call of predict."""
        self.queue.add(batch.waited, batch.requests)
        self.compute_infer.add(batch.took * batch.requests, batch.requests)
        self.inferences += batch.rows
        self.executions += 1
        self.rows.add(batch.rows)
        self.seconds.add(batch.took / 1e9)
        self.last = time.time_ns() // 1_000_000
        if batch.rows in self.batches or len(self.batches) < MAX_SIZES:
            self.batches.setdefault(batch.rows, Duration()).add(batch.took)
