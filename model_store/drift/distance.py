"""How far two samples are from each other, one number each: of rows, and of counts of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def wasserstein(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The Wasserstein distance of order 1 of two samples of numbers, each of shape (rows,): the
    area between their distribution functions."""
    first, second = np.sort(first), np.sort(second)
    places = np.sort(np.concatenate([first, second]))
    below = np.searchsorted(first, places[:-1], side="right") / len(first)
    other = np.searchsorted(second, places[:-1], side="right") / len(second)
    return float(np.sum(np.abs(below - other) * np.diff(places)))


def binned_wasserstein(edges: Floats, first: Floats, second: Floats) -> float:
    """The same of counts: `first` and `second` have the shape (2, bins) and hold how many numbers
    of the sample are in each bin, and the sum of these. The bins are up to the first of the
    ascending `edges`, from each to the next with the greater one, and beyond the last.

    The area between the distribution functions in a bin follows from its count and its sum, but for
    bins in which they cross. So this is at most the distance of the samples, and nearly that.
    """
    areas = _areas(edges, *first / first[0].sum()) - _areas(edges, *second / second[0].sum())
    return float(np.abs(areas).sum())


def _areas(edges: Floats, shares: Floats, sums: Floats) -> Floats:
    """The area below a distribution function in each bin; of the last one, that above it."""
    below = np.cumsum(shares[:-1])
    areas = np.empty(len(shares))
    areas[:-1] = edges * shares[:-1] - sums[:-1]
    areas[1:-1] += below[:-1] * np.diff(edges)
    areas[-1] = sums[-1] - edges[-1] * shares[-1]
    return areas


def jensen_shannon(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """The Jensen-Shannon distance of counts along the last axis, with natural logarithms: from 0 to
    √ln 2, which is 0.83."""
    one, other = np.broadcast_arrays(
        first / first.sum(axis=-1, keepdims=True), second / second.sum(axis=-1, keepdims=True)
    )
    middle = (one + other) / 2
    divergence = (_relative(one, middle) + _relative(other, middle)).sum(axis=-1) / 2
    found: Floats = np.sqrt(np.maximum(divergence, 0.0))
    return found


def _relative(shares: Floats, middle: Floats) -> Floats:
    """What each share adds to the relative entropy; a share of 0 adds nothing."""
    there = shares > 0
    ratio = np.divide(shares, middle, out=np.ones_like(shares), where=there)
    found: Floats = shares * np.log(ratio)
    return found
