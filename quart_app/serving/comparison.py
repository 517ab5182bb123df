"""A challenger and the champion, compared: requests, errors, latency, how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store import Manifest, Prediction
from model_store.head import Gates

RATIO: Final = 1.05
"""Each bin of a distribution reaches this many times as far as the one before, so a quantile is
off by at most so much."""

LEAST: Final = 1e-12
"""What is smaller counts as zero."""

SHARE_OF_RANGE: Final = 0.01
"""Numbers are different that are further apart than this share of the range of training."""

NEAR: Final = 1e-6
"""The same of their size, where no range is known."""

MILLISECONDS: Final = 1e-6
"""In nanoseconds."""


class Distribution(msgspec.Struct):
    """Values from zero on, of which no more is kept than how many there are of about each size."""

    counts: dict[int, int] = msgspec.field(default_factory=dict)
    total: float = 0.0
    number: int = 0
    least: float = math.inf
    greatest: float = 0.0

    def add(self, value: float) -> None:
        place = _bin(value)
        self.counts[place] = self.counts.get(place, 0) + 1
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)
        self.total += value
        self.number += 1

    def __add__(self, other: Distribution) -> Distribution:
        counts = dict(self.counts)
        for place, number in other.counts.items():
            counts[place] = counts.get(place, 0) + number
        return Distribution(
            counts,
            self.total + other.total,
            self.number + other.number,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )

    def add_all(self, values: NDArray[np.float64]) -> None:
        for value in values.tolist():
            self.add(value)

    @property
    def mean(self) -> float | None:
        return self.total / self.number if self.number else None

    def quantile(self, share: float) -> float | None:
        """The value below which this share lies; None of no values."""
        wanted, seen = share * self.number, 0
        for place in sorted(self.counts):
            seen += self.counts[place]
            if seen >= wanted:
                return min(max(_middle(place), self.least), self.greatest)
        return None


_ZERO: Final = -10_000


def _bin(value: float) -> int:
    return math.floor(math.log(value, RATIO)) if value > LEAST else _ZERO


def _middle(place: int) -> float:
    return 0.0 if place == _ZERO else RATIO ** (place + 0.5)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one of both did. `p50_ms` and `p99_ms` are, beside a canary, of the requests that it
    answered; beside a shadow, of calls of predict in one thread for the same rows."""

    version: int
    requests: int
    errors: int
    error_share: float | None
    p50_ms: float | None
    p99_ms: float | None


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """How far apart numbers of both are."""

    mean: float
    p95: float


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Both to the same rows. `different` counts rows with another label, or with a number that is
    further away than 1 % of the range of training."""

    requests: int
    rows: int
    different: int
    different_share: float | None
    numbers: Apart | None
    probabilities: Apart | None


class Tally(msgspec.Struct):
    """The requests that one of both was asked."""

    requests: int = 0
    errors: int = 0
    nanoseconds: Distribution = msgspec.field(default_factory=Distribution)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.requests + other.requests,
            self.errors + other.errors,
            self.nanoseconds + other.nanoseconds,
        )

    def answer(self, nanoseconds: int | None) -> None:
        """Count an answer, and how long it took where that was measured."""
        self.requests += 1
        if nanoseconds is not None:
            self.nanoseconds.add(nanoseconds)

    def fail(self) -> None:
        self.requests += 1
        self.errors += 1

    @property
    def error_share(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    def told(self, version: int) -> Side:
        p50, p99 = (self.nanoseconds.quantile(share) for share in (0.5, 0.99))
        return Side(
            version=version,
            requests=self.requests,
            errors=self.errors,
            error_share=self.error_share,
            p50_ms=None if p50 is None else p50 * MILLISECONDS,
            p99_ms=None if p99 is None else p99 * MILLISECONDS,
        )


class Difference(msgspec.Struct):
    """How far apart both are, of the rows of one request."""

    rows: int
    different: int
    numbers: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None


class Comparison(msgspec.Struct):
    """All of it, since a challenger began. `dropped` counts copies that were not asked."""

    champion: Tally = msgspec.field(default_factory=Tally)
    challenger: Tally = msgspec.field(default_factory=Tally)
    requests: int = 0
    rows: int = 0
    different: int = 0
    numbers: Distribution = msgspec.field(default_factory=Distribution)
    probabilities: Distribution = msgspec.field(default_factory=Distribution)
    dropped: int = 0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.champion + other.champion,
            self.challenger + other.challenger,
            self.requests + other.requests,
            self.rows + other.rows,
            self.different + other.different,
            self.numbers + other.numbers,
            self.probabilities + other.probabilities,
            self.dropped + other.dropped,
        )

    def add(self, difference: Difference) -> None:
        """Count what both said to the rows of a request."""
        self.requests += 1
        self.rows += difference.rows
        self.different += difference.different
        if difference.numbers is not None:
            self.numbers.add_all(difference.numbers)
        if difference.probabilities is not None:
            self.probabilities.add_all(difference.probabilities)

    @property
    def different_share(self) -> float | None:
        return self.different / self.rows if self.rows else None

    def told(self) -> Compared:
        return Compared(
            requests=self.requests,
            rows=self.rows,
            different=self.different,
            different_share=self.different_share,
            numbers=_apart(self.numbers),
            probabilities=_apart(self.probabilities),
        )

    def broken(self, gates: Gates) -> str | None:
        """Which gate the challenger broke, in a sentence; None where none counts yet or all
        hold."""
        if self.challenger.requests < gates.after:
            return None
        share, allowed = self.challenger.error_share, gates.max_errors
        if allowed is not None and share is not None and share > allowed:
            return f"{_percent(share)} of its requests failed, above {_percent(allowed)}."
        share, allowed = self.different_share, gates.max_different
        if (
            allowed is not None
            and share is not None
            and self.requests >= gates.after
            and share > allowed
        ):
            return f"{_percent(share)} of its rows were different, above {_percent(allowed)}."
        slower = self.times_slower
        if gates.max_slower is not None and slower is not None and slower > gates.max_slower:
            return (
                f"Its median was {slower:.3g} times the champion's, above {gates.max_slower:g} "
                "times."
            )
        return None

    def is_proven(self, gates: Gates) -> bool:
        """Whether it was asked as often as it must be to be promoted; whether the gates hold is
        said by `broken`."""
        wanted = gates.promote_after
        if wanted is None or self.challenger.requests < max(wanted, gates.after):
            return False
        # What was not compared yet could break a gate.
        return gates.max_different is None or self.requests >= gates.after

    @property
    def times_slower(self) -> float | None:
        """The challenger's median by the champion's."""
        mine, other = (each.nanoseconds.quantile(0.5) for each in (self.challenger, self.champion))
        return mine / other if mine and other else None


def difference(
    manifest: Manifest,
    labels: NDArray[Any],
    probabilities: Sequence[NDArray[np.float64]] | None,
    classes: Sequence[Sequence[object]],
    other: Prediction,
    other_manifest: Manifest,
) -> Difference:
    """How far a prediction is from what the model of `manifest` said to the same rows."""
    rows = len(labels)
    if labels.shape != other.labels.shape or manifest.exact != other_manifest.exact:
        return Difference(rows, rows)
    if not manifest.exact and labels.dtype.kind in "biuf" and other.labels.dtype.kind in "biuf":
        return _of_numbers(manifest, labels, other.labels)
    unequal = np.asarray(labels.astype(object) != other.labels.astype(object))
    different = int(np.count_nonzero(unequal.any(axis=1) if unequal.ndim == 2 else unequal))
    shares = None
    if probabilities is not None and other.probabilities is not None:
        others = [target.classes or () for target in other_manifest.targets]
        shares = np.max(
            [
                _farthest(mine, names, theirs, other_names)
                for mine, names, theirs, other_names in zip(
                    probabilities, classes, other.probabilities, others, strict=True
                )
            ],
            axis=0,
        )
    return Difference(rows, different, probabilities=shares)


def _of_numbers(manifest: Manifest, labels: NDArray[Any], others: NDArray[Any]) -> Difference:
    mine, theirs = labels.astype(np.float64), others.astype(np.float64)
    apart = np.abs(mine - theirs)
    near = NEAR * np.maximum(np.abs(mine), np.abs(theirs))
    ranges = np.array(
        [
            math.nan
            if target.minimum is None or target.maximum is None
            else SHARE_OF_RANGE * (target.maximum - target.minimum)
            for target in manifest.targets
        ]
    )
    allowed = np.fmax(near, ranges if labels.ndim == 2 else ranges[0])
    unequal = apart > allowed
    rows = unequal.any(axis=1) if unequal.ndim == 2 else unequal
    return Difference(len(labels), int(np.count_nonzero(rows)), numbers=apart.reshape(-1))


def _farthest(
    mine: NDArray[np.float64],
    names: Sequence[object],
    theirs: NDArray[np.float64],
    other_names: Sequence[object],
) -> NDArray[np.float64]:
    """Of each row the greatest difference of a class's probability; of a class that only one of
    both knows the other says 0."""
    if list(names) == list(other_names):
        found: NDArray[np.float64] = np.abs(mine - theirs).max(axis=1)
        return found
    columns = {name: mine[:, i] for i, name in enumerate(names)}
    other = {name: theirs[:, i] for i, name in enumerate(other_names)}
    nothing = np.zeros(len(mine))
    apart = [
        np.abs(columns.get(name, nothing) - other.get(name, nothing))
        for name in {**columns, **other}
    ]
    greatest: NDArray[np.float64] = np.max(apart, axis=0)
    return greatest


def _apart(found: Distribution) -> Apart | None:
    mean, p95 = found.mean, found.quantile(0.95)
    return None if mean is None or p95 is None else Apart(mean=mean, p95=p95)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
