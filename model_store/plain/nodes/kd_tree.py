"""The k-d tree of scikit-learn, asked as it is there.

Which rows are nearest needs no tree: but of rows that are equally far scikit-learn takes those that
its tree comes to first, and its heap keeps. So of these rows, and of them alone, it is walked.
"""

from __future__ import annotations

import math
from functools import cached_property

import msgspec
import numpy as np

from ..node import Array, require, require_floats, require_places


class KDTree(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """Parts of the rows of training. The part i is halved into 2i + 1 and 2i + 2, or is one of the
    `leaves`; it has the rows `order[starts[i]:ends[i]]`, which lie between `lows` and `highs`, of
    shape (parts, features)."""

    order: Array
    starts: Array
    ends: Array
    leaves: Array
    lows: Array
    highs: Array

    def check(self, rows: int, width: int) -> None:
        require_places(self.order, rows, rows)
        require_places(self.starts, rows + 1, -1)
        parts = len(self.starts)
        require(parts > 0, "a part")
        require_places(self.ends, rows + 1, parts)
        require_places(self.leaves, 2, parts)
        require_floats(self.lows, parts, width)
        require_floats(self.highs, parts, width)
        halved = np.flatnonzero(self.leaves == 0)
        require(not len(halved) or 2 * int(halved[-1]) + 2 < parts, "two halves of a part")
        sizes = self.ends.astype(np.int64) - self.starts.astype(np.int64)
        require(bool((sizes >= 0).all()), "ends behind starts")
        require(int(sizes[self.leaves == 1].sum()) <= rows, "each row in one leaf")

    @cached_property
    def _lists(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """The order, the starts, the ends and the leaves."""
        arrays = (self.order, self.starts, self.ends, self.leaves)
        order, starts, ends, leaves = (array.tolist() for array in arrays)
        return order, starts, ends, leaves

    @cached_property
    def _bounds(self) -> tuple[Array, Array]:
        """The lowest and the highest values of parts, of shape (features, parts)."""
        return np.ascontiguousarray(self.lows.T), np.ascontiguousarray(self.highs.T)

    def nearest(self, row: Array, far: Array, count: int, power: float) -> list[int]:
        """The places of the nearest rows of training, the nearest first. `far` says how far each
        is, in the tree's order and as a sum of powers. Of what is infinitely far none is taken: 0
        stands for it."""
        heap = _Heap(count)
        order, starts, ends, leaves = self._lists
        least = self._least(row, power).tolist()
        rest = [0]
        while rest:
            part = rest.pop()
            if least[part] > heap.distances[0]:
                continue
            if leaves[part]:
                start, end = starts[part], ends[part]
                heap.offer(far[start:end].tolist(), order[start:end])
                continue
            first, second = 2 * part + 1, 2 * part + 2
            rest += (second, first) if least[first] <= least[second] else (first, second)
        pairs = sorted(zip(heap.distances, heap.places, strict=True), key=_distance)
        return [place for _, place in pairs]

    def _least(self, row: Array, power: float) -> Array:
        """How far each part is at least, as a sum of powers."""
        lows, highs = self._bounds
        column = row[:, np.newaxis]
        beyond = np.maximum(np.maximum(lows - column, column - highs), 0.0)
        if power == math.inf:
            return np.asarray(beyond.max(axis=0))
        return np.asarray((beyond * beyond if power == 2 else beyond**power).sum(axis=0))


def _distance(pair: tuple[float, int]) -> float:
    return pair[0]


class _Heap:
    """The nearest so far, the farthest of them first, in the order of scikit-learn's heap."""

    def __init__(self, count: int) -> None:
        self.distances = [math.inf] * count
        self.places = [0] * count

    def offer(self, distances: list[float], places: list[int]) -> None:
        """Takes what is nearer than the farthest, one after another."""
        farthest = self.distances[0]
        for distance, place in zip(distances, places, strict=True):
            if distance < farthest:
                self._replace(distance, place)
                farthest = self.distances[0]

    def _replace(self, distance: float, place: int) -> None:
        """Puts another in the place of the farthest."""
        distances, places = self.distances, self.places
        at, count = 0, len(distances)
        while (child := 2 * at + 1) < count:
            if child + 1 < count and distances[child] < distances[child + 1]:
                child += 1
            if distances[child] <= distance:
                break
            distances[at], places[at] = distances[child], places[child]
            at = child
        distances[at], places[at] = distance, place
