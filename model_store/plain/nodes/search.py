"""The search for the rows of training that are nearest.

Which are candidates is told by distances of a matrix product, which are quick and not exact; of the
candidates the distances are computed feature by feature, as scikit-learn's trees do it. Where the
last of the nearest is as far as the next, a k-d tree is asked which of them scikit-learn takes;
what it takes without a tree or by a ball tree is not known.
"""

from __future__ import annotations

import math
import sys
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np

from ..node import Array, Rows, as_floats, finite, require, require_floats
from .blocks import NUMBERS
from .kd_tree import KDTree

Metric = Literal["euclidean", "manhattan", "chebyshev", "minkowski"]
Found = tuple[Array, Array]
"""Distances, and the places of the rows of training that are so far."""

BLOCK: Final = NUMBERS // 2
"""Distances that are looked at together: with more of them a processor's cache is too small."""


class Search(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """Looks for the `count` nearest of `rows`, of shape (training rows, features). `power` is that
    of the metric minkowski. `tree` is that of the pipeline, if it has one that is known."""

    rows: Array
    count: int
    metric: Metric = "euclidean"
    power: float = 2.0
    tree: KDTree | None = None

    def check(self, width: int) -> None:
        require_floats(self.rows, -1, width)
        require(0 < self.count <= len(self.rows), "as many neighbours as there are rows, or fewer")
        require(1 <= self.power < math.inf, "a power of 1 or more")
        if self.tree is not None:
            self.tree.check(len(self.rows), width)

    def nearest(self, rows: Rows) -> Found:
        """The nearest ones of each row, of shape (rows, count), and the nearest of them first.

        Raises:
            Refused: a value is not finite.
        """
        array = finite(as_floats(rows)).astype(np.float64, copy=False)
        size = max(1, BLOCK // len(self.rows))
        if len(array) <= size:
            return self._nearest(array)
        blocks = [
            self._nearest(array[start : start + size]) for start in range(0, len(array), size)
        ]
        return np.concatenate([far for far, _ in blocks]), np.concatenate([at for _, at in blocks])

    def _nearest(self, array: Array) -> Found:
        owners, places, far = self._candidates(array)
        if len(array) == 1:
            return self._nearest_to_one(array, places, far)
        order = np.lexsort((far, owners))
        starts = np.searchsorted(owners, np.arange(len(array)))
        chosen = order[starts[:, np.newaxis] + np.arange(self.count)]
        found, at = far[chosen], places[chosen]
        last = found[:, -1]
        after = order[np.minimum(starts + self.count, len(order) - 1)]
        tied = (far[after] == last) & (owners[after] == np.arange(len(array)))
        unclear = np.flatnonzero(tied | np.isinf(last))
        if len(unclear):
            at[unclear] = self._taken(array[unclear], found[unclear], at[unclear])
        return self._distances(found), at

    def _nearest_to_one(self, array: Array, places: Array, far: Array) -> Found:
        """The same of a lone row, with less ado."""
        order = far.argsort(kind="stable")[np.newaxis, : self.count + 1]
        chosen = order[:, : self.count]
        found, at = far[chosen], places[chosen]
        last, after = float(found[0, -1]), float(far[order[0, -1]])
        if last == math.inf or (last == after and order.shape[1] > self.count):
            at = self._taken(array, found, at)
        return self._distances(found), at

    def _taken(self, array: Array, far: Array, places: Array) -> Array:
        """The places that scikit-learn takes where some are equally far."""
        if self.tree is None:
            return np.where(np.isinf(far), 0, places)
        known = {"euclidean": 2.0, "manhattan": 1.0, "chebyshev": math.inf}
        power = known.get(self.metric, self.power)
        pairs = zip(array, self._far(array, self._ordered), strict=True)
        return np.array([self.tree.nearest(*pair, self.count, power) for pair in pairs])

    @cached_property
    def _ordered(self) -> Array:
        """The features of the rows in the order of the tree."""
        return self._columns if self.tree is None else self._columns[:, self.tree.order]

    def _candidates(self, array: Array) -> tuple[Array, Array, Array]:
        """Of each row `count` rows of training or more, the nearest among them: the places of
        both, and how far they are as `_summed` has it."""
        if self.metric != "euclidean":
            about = np.full((len(array), self._length), np.inf)
            about[:, : len(self.rows)] = self._far(array, self._columns)
            owners, places = self._lowest(about, 0.0)
            return owners, places, about[owners, places]
        centred = array - self._centre
        about = np.concatenate([centred, np.ones((len(array), 1))], axis=1) @ self._product
        size = np.sqrt((centred * centred).sum(axis=1, keepdims=True)) + self._size
        owners, places = self._lowest(about, self._rounding * size * size)
        return owners, places, self._far_of(array, owners, places)

    def _lowest(self, about: Array, rounding: Array | float) -> tuple[Array, Array]:
        """Places in a table of numbers that may be off by `rounding`: all that may be among the
        `count` lowest of their row.

        As many groups as there are have a number that is as low as the lowest of the last of them,
        so none of the lowest is above that.
        """
        groups = about.reshape(len(about), -1, self._groups).min(axis=1)
        highest = np.partition(groups, self.count - 1, axis=1)[:, self.count - 1 : self.count]
        highest = highest + rounding
        if not np.isfinite(highest).all():  # of rows so far away that products are infinite
            return np.divmod(np.arange(len(about) * len(self.rows)), len(self.rows))
        chosen = np.flatnonzero(about <= highest)
        if len(about) == 1:
            return np.zeros(len(chosen), dtype=np.intp), chosen
        return np.divmod(chosen, self._length)

    @cached_property
    def _groups(self) -> int:
        """Groups of rows of training, every so many-th row in one."""
        return -(-len(self.rows) // max(1, len(self.rows) // max(64, 8 * self.count)))

    @cached_property
    def _length(self) -> int:
        """The number of rows of training with as many more as make all groups alike."""
        return -(-len(self.rows) // self._groups) * self._groups

    @cached_property
    def _columns(self) -> Array:
        return np.ascontiguousarray(self.rows.T, dtype=np.float64)

    @cached_property
    def _centre(self) -> Array:
        """Around which distances are small, and so exact."""
        return np.asarray(self.rows.mean(axis=0, dtype=np.float64))

    @cached_property
    def _product(self) -> Array:
        """What times a row, less the centre and with a 1 behind it, is the square of its distance
        from each row of training, less its own square. What fills the last group is infinite."""
        found = np.zeros((self.rows.shape[1] + 1, self._length))
        centred = self._columns - self._centre[:, np.newaxis]
        found[:-1, : len(self.rows)] = -2.0 * centred
        found[-1] = np.inf
        found[-1, : len(self.rows)] = (centred * centred).sum(axis=0)
        return found

    @cached_property
    def _size(self) -> float:
        """How far from the centre rows of training are at most."""
        return math.sqrt(float(self._product[-1, : len(self.rows)].max()))

    @cached_property
    def _rounding(self) -> float:
        """How far off the distances of the product are at most, in squares of what they are of."""
        return 8.0 * (int(self.rows.shape[1]) + 8) * sys.float_info.epsilon

    def _far(self, array: Array, columns: Array) -> Array:
        """How far each row is from each of training, whose features are the columns."""
        across = array.T[:, :, np.newaxis]
        found = np.zeros((len(array), len(self.rows)))
        for feature, column in zip(across, columns, strict=True):
            self._add(found, feature - column)
        return found

    def _far_of(self, array: Array, owners: Array, places: Array) -> Array:
        """How far rows are from rows of training, pair by pair."""
        size = max(1, BLOCK // array.shape[1])
        if len(places) > size:
            parts = range(0, len(places), size)
            ends = [slice(start, start + size) for start in parts]
            return np.concatenate([self._far_of(array, owners[at], places[at]) for at in ends])
        away = array.T if len(array) == 1 else array.T[:, owners]
        away = away - self._columns[:, places]
        return np.asarray((away * away).sum(axis=0))

    def _add(self, found: Array, away: Array) -> None:
        """Adds what one feature adds to a distance."""
        if self.metric == "euclidean":
            found += np.multiply(away, away, out=away)
        elif self.metric == "manhattan":
            found += np.abs(away, out=away)
        elif self.metric == "chebyshev":
            np.maximum(found, np.abs(away, out=away), out=found)
        else:
            found += np.abs(away, out=away) ** self.power

    def _distances(self, far: Array) -> Array:
        if self.metric == "euclidean":
            return np.sqrt(far)
        return np.asarray(far ** (1.0 / self.power)) if self.metric == "minkowski" else far
