"""Thresholds: how far samples of the training data itself are from it, by chance alone.

The reference and a sample are redrawn with replacement, and the mean of their distances and some
standard deviations are what chance hardly reaches. A redraw is counts, so none is sorted: numbers
are put into groups of equal ranks, and all columns share the redraws of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from .distance import Floats, jensen_shannon
from .reference import SIZES
from .verdict import CATEGORY_SIGMAS, FLOOR, SIGMAS

REDRAWS: Final = 300
SEED: Final = 20261203
"""Of 60 seeds the one with which thresholds for 100 and 500 rows are nearest to those of 20,000
redraws, within 2 %: all columns share the luck of the draw."""

_FINEST: Final = 1e-4
"""The share of the rows that the outermost groups hold, where single rows matter."""
_COARSEST: Final = 1 / 400
_GROWTH: Final = 1.1
_OUTERMOST: Final = 20


def number_thresholds(columns: Sequence[Floats]) -> list[tuple[float, ...]]:
    """The thresholds for `SIZES` rows of columns of numbers, each of shape (rows,) and scaled as
    its reference has them."""
    if not columns:
        return []
    shares = _shares()
    widths = np.stack([np.diff(_grouped(np.sort(column), shares)) for column in columns])
    rows = np.array([len(column) for column in columns])
    found = np.empty((len(columns), len(SIZES)))
    random = np.random.default_rng(SEED)
    # Columns that lack values have fewer rows. Redraws of nearly as many are scaled to theirs.
    nearly = 2.0 ** np.floor(np.log2(rows / rows.max()) + 1e-9)
    for fraction in np.unique(nearly).tolist():
        chosen = np.flatnonzero(nearly == fraction)
        drawn = round(fraction * int(rows.max()))
        references = _excess(random, drawn)
        scales = np.sqrt(drawn / rows[chosen])
        for scale in np.unique(scales).tolist():
            alike = chosen[scales == scale]
            for place, sample in enumerate(_samples()):
                gaps = np.abs(sample - scale * references)
                found[alike, place] = _beyond_chance(widths[alike] @ gaps.T, SIGMAS)
    return [tuple(each) for each in found.tolist()]


def category_thresholds(counts: Sequence[int]) -> tuple[float, ...]:
    """The same of a column of categories that was seen so often in each bin."""
    seen = np.array(counts, dtype=np.int64)
    random, shares = np.random.default_rng(SEED), seen / seen.sum()
    reference = random.multinomial(seen.sum(), shares, REDRAWS)
    samples = random.multinomial(np.array(SIZES)[:, np.newaxis], shares, (len(SIZES), REDRAWS))
    distances = jensen_shannon(reference, samples)
    found: list[float] = _beyond_chance(distances, CATEGORY_SIGMAS).tolist()
    return tuple(found)


def _beyond_chance(distances: Floats, sigmas: float) -> Floats:
    """The threshold for distances of redraws along the last axis."""
    found = distances.mean(axis=-1) + sigmas * distances.std(axis=-1)
    rounded: Floats = np.round(np.maximum(found, FLOOR), 6)
    return rounded


@cache
def _samples() -> tuple[Floats, ...]:
    """The redraws of a sample for each of the `SIZES`, which are the same for all columns."""
    random = np.random.default_rng(SEED + 1)
    return tuple(_excess(random, size) for size in SIZES)


def _excess(random: np.random.Generator, rows: int) -> Floats:
    """How far the distribution functions of redraws of so many rows are above that of the data, at
    the end of each group but the last, of shape (REDRAWS, groups - 1)."""
    drawn = random.multinomial(rows, _shares(), REDRAWS)
    found: Floats = np.cumsum(drawn[:, :-1], axis=1) / rows - np.cumsum(_shares())[:-1]
    return found


@cache
def _shares() -> Floats:
    """How much of the rows each group of ranks holds, from the lowest to the highest: little at
    both ends, where few rows of a heavy tail make much of a distance."""
    steps = [_FINEST] * _OUTERMOST
    while steps[-1] < _COARSEST:
        steps.append(min(steps[-1] * _GROWTH, _COARSEST))
    middle = 1 - 2 * sum(steps)
    count = math.ceil(middle / _COARSEST)
    shares = np.array([*steps, *[middle / count] * count, *reversed(steps)], dtype=np.float64)
    return shares / float(shares.sum())


def _grouped(ordered: Floats, shares: Floats) -> Floats:
    """The mean of each group of ranks of ascending numbers; a number may be in two groups."""
    ends = np.concatenate([[0.0], np.cumsum(shares)]) * len(ordered)
    sums = np.interp(ends, np.arange(len(ordered) + 1), np.concatenate([[0.0], np.cumsum(ordered)]))
    means: Floats = np.diff(sums) / np.diff(ends)
    return np.maximum.accumulate(means)
