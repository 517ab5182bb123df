"""Training and live data side by side: the same categories, or the same ranges of numbers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from model_store.drift import CategoryReference, Counts, NumberReference
from model_store.drift.reference import SHARES, text_of

from ..about.charts import number_text, ticks
from ..figures import Part

MOST_VALUES: Final = 12
"""So many distinct numbers stand each for itself."""
MOST_RANGES: Final = 10
ENDS: Final = (0.01, 0.99)
"""Shares of the training data between which ranges are even."""
OTHERS: Final = "others"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parts_of(reference: NumberReference | CategoryReference, now: Counts) -> list[Part]:
    """The shares of values that are present; none where there are none of either."""
    if not reference.seen.present or not now.present:
        return []
    if isinstance(reference, CategoryReference):
        return _categories(reference, now)
    return _numbers(reference, now)


def _categories(reference: CategoryReference, now: Counts) -> list[Part]:
    labels = [*map(text_of, reference.labels), OTHERS]
    parts = _parts(labels, reference.seen.counts, now.counts)
    return parts if parts[-1].training or parts[-1].now else parts[:-1]


def _numbers(reference: NumberReference, now: Counts) -> list[Part]:
    values = np.unique(reference.quantiles).tolist()
    if len(values) <= MOST_VALUES:
        bounds = values
        labels = [_text(reference, value) for value in values]
    else:
        low, high = np.interp(ENDS, SHARES, reference.quantiles)
        bounds = ticks(float(low), float(high), MOST_RANGES)
        texts = [_text(reference, bound) for bound in bounds]
        ranges = [f"{first} to {last}" for first, last in itertools.pairwise(texts)]
        labels = [f"up to {texts[0]}", *ranges]
    labels.append(f"above {_text(reference, bounds[-1])}")
    sides = (_in_ranges(reference, each, bounds) for each in (reference.seen, now))
    return _parts(labels, *sides, empty=False)


def _text(reference: NumberReference, number: float) -> str:
    """A number as what it was read of: a date, or the length of a text."""
    if reference.reading == "date":
        return (EPOCH + timedelta(seconds=number)).date().isoformat()
    text = number_text(number)
    return f"{text} characters" if reference.reading == "length" else text


def _in_ranges(
    reference: NumberReference, counts: Counts, bounds: Sequence[float]
) -> Sequence[float]:
    """The values of each bin, all at their mean, in ranges that end at these bounds."""
    found = np.asarray(counts.counts, np.float64)
    there = found > 0
    means = np.asarray(counts.sums, np.float64)[there] / found[there]
    means = means * (reference.spread or 1.0) + reference.center
    # A mean that is a bound but for its last digits belongs to what ends there.
    places = np.searchsorted(np.asarray(bounds) + 1e-9 * reference.spread, means, "left")
    ranges: list[float] = np.bincount(places, found[there], len(bounds) + 1).tolist()
    return ranges


def _parts(
    labels: Sequence[str],
    training: Sequence[float],
    now: Sequence[float],
    *,
    empty: bool = True,
) -> list[Part]:
    """Shares by label; without `empty` ends in which neither has anything are left out."""
    before, after = sum(training), sum(now)
    found = [
        Part(label=label, training=first / before, now=second / after)
        for label, first, second in zip(labels, training, now, strict=True)
    ]
    there = [at for at, part in enumerate(found) if part.training or part.now]
    return found if empty else found[there[0] : there[-1] + 1]
