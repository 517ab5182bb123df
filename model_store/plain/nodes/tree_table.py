"""The nodes of many trees in one table, whatever library grew them.

The two children of a node stand side by side, and those of a tree's nodes one pair after another in
the order of their parents. So where a node leads to need not be written: it follows from which
nodes are leaves, and a table that could lead astray cannot be written either.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

import msgspec
import numpy as np

from ..node import (
    MAX_DENSE,
    Array,
    Refused,
    Rows,
    Splits,
    as_floats,
    require,
    require_floats,
    require_places,
)
from ..sparse import Sparse
from . import tree_walk
from .bit_masks import BitMasks

MAX_NODES: Final = 1 << 30
MAX_DEPTH: Final = 1 << 12
"""Nodes that a row may pass in one tree."""

BLOCK: Final = 256
"""Rows that are answered at once: what they need fits into the caches of a processor."""
CELLS: Final = 1 << 21
"""Values and words of all trees for the rows that are answered at once."""
FEW: Final = 8
"""Sums that are added up otherwise."""


def _ascend(places: Array) -> bool:
    return bool((places[1:] > places[:-1]).all())


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """The nodes at these ascending places have a category for a feature: 1 in their row of `sets`
    says that it goes left, and in the last column that all numbers do which are no category."""

    nodes: Array
    sets: Array

    @property
    def categories(self) -> int:
        return int(self.sets.shape[1]) - 1

    def check(self, inner: Array) -> None:
        require_places(self.nodes, len(inner), -1)
        require_places(self.sets, 2, len(self.nodes), -1)
        require(len(self.nodes) > 0 and self.categories > 0, "a category or more")
        require(_ascend(self.nodes), "ascending nodes")
        require(bool(inner.take(self.nodes).all()), "no sets of leaves")


class Table(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    dict=True,
    eq=False,
):
    """Trees one after another, the first node of each at its place in `roots`.

    A row goes left where its feature is at most the threshold. A leaf has the feature -1 and the
    threshold NaN. `values` of shape (leaves, k) are those of the leaves, in the order of the nodes.

    `missing_right` says of each node whether rows without the value go right (1); where it is None,
    such rows are refused.

    Rows are compared in the type of the thresholds. An infinity is refused unless `infinite`; a
    value that sparse rows leave out is 0, or where `absent` is set a missing one. `columns` are the
    features that `features` counts, where it does not count all.
    """

    roots: Array
    features: Array
    thresholds: Array
    values: Array
    missing_right: Array | None = None
    choices: Choices | None = None
    columns: Array | None = None
    infinite: bool = False
    absent: bool = False

    def check(self, width: int) -> None:
        """
        Raises:
            Malformed: the data do not fit each other, or this many features.
        """
        if self.columns is None:
            require(width <= MAX_DENSE, f"at most {MAX_DENSE} features")
        else:
            require_places(self.columns, width, -1)
            require(len(self.columns) > 0 and _ascend(self.columns), "ascending columns")
            width = len(self.columns)
        require_places(self.features, width, -1, start=-1)
        count = len(self.features)
        require(count <= MAX_NODES, f"at most {MAX_NODES} nodes")
        require_floats(self.thresholds, count)
        require(
            bool((np.isnan(self.thresholds) != self.inner).all()), "a threshold a node, no more"
        )
        self._check_shape(count)
        require_floats(self.values, self.leaves, -1)
        require(self.values.shape[1] > 0, "a value or more a leaf")
        require(bool(np.isfinite(self.values).all()), "finite values")
        if self.missing_right is not None:
            require_places(self.missing_right, 2, count)
            require(not (self.missing_right > self.inner).any(), "no way out of a leaf")
        if self.choices is not None:
            self.choices.check(self.inner)

    def _check_shape(self, count: int) -> None:
        """Whether the nodes are trees: as many as the inner ones need, each behind its parent."""
        require_places(self.roots, count, -1)
        require(len(self.roots) > 0 and self.roots[0] == 0, "a first tree")
        require(bool((self.sizes > 0).all()), "ascending roots")
        inner = self.before[self._ends] - self.before[self.starts]
        require(bool((self.sizes == 2 * inner + 1).all()), "two children a node")
        require(bool(((self.children > np.arange(count)) == self.inner).all()), "children behind")
        require(self.depth <= MAX_DEPTH, f"trees of {MAX_DEPTH} levels at most")

    @property
    def trees(self) -> int:
        return len(self.roots)

    @property
    def leaves(self) -> int:
        return len(self.features) - int(self.before[-1])

    @cached_property
    def inner(self) -> Array:
        """Which nodes are no leaves."""
        found: Array = self.features >= 0
        return found

    @property
    def parting(self) -> Array:
        """The nodes that part numbers."""
        found = self.inner.copy()
        if self.choices is not None:
            found[self.choices.nodes] = False
        return np.flatnonzero(found)

    @cached_property
    def before(self) -> Array:
        """How many inner nodes stand before each node, and at last how many there are."""
        found = np.zeros(len(self.features) + 1, dtype=np.int32)
        np.cumsum(self.inner, out=found[1:])
        return found

    @cached_property
    def starts(self) -> Array:
        """The first node of each tree."""
        return self.roots.astype(np.intp)

    @cached_property
    def _ends(self) -> Array:
        return np.append(self.starts[1:], len(self.features))

    @cached_property
    def sizes(self) -> Array:
        """How many nodes each tree has."""
        found: Array = self._ends - self.starts
        return found

    @cached_property
    def children(self) -> Array:
        """The left child of each node, after which the right one stands; of a leaf itself."""
        found = self.before[:-1].astype(np.intp)
        found *= 2
        found += np.repeat(np.arange(1, self.trees + 1), self.sizes)
        return np.where(self.inner, found, np.arange(len(found)))

    @cached_property
    def depth(self) -> int:
        """How many nodes a row may pass before it comes to a leaf; one more than the limit where it
        is above."""
        starts, before = self.starts, self.before[self.starts]
        for depth in range(MAX_DEPTH + 1):
            following = self.starts + 1 + 2 * (self.before[starts] - before)
            if (following == self._ends).all():
                return depth
            starts = following
        return MAX_DEPTH + 1

    @cached_property
    def _masks(self) -> BitMasks | None:
        return BitMasks.of(self)

    def told(self, rows: Rows) -> Iterator[Array]:
        """What each tree says of the rows, of shape (trees, rows, k) for some of them after others.

        Raises:
            Refused: a value is missing, or too large.
        """
        numbers = self.numbers(rows)
        for start in range(0, max(1, len(numbers)), self._block):
            yield self._told(numbers[start : start + self._block])

    @cached_property
    def _block(self) -> int:
        """How many rows are answered at once."""
        words = 1 if self._masks is None else self._masks.words
        cells = self.trees * max(words, self.values.shape[1])
        return max(1, min(BLOCK, int(CELLS // cells)))

    def _told(self, numbers: Array) -> Array:
        masks = self._masks
        if masks is None:
            values, places = self.values, tree_walk.leaves(self, numbers)
        else:
            values, places = masks.values, masks.leaves(numbers)
        if values.shape[1] > 1:
            return values.take(places, axis=0)
        found: Array = values.ravel().take(places)[:, :, np.newaxis]
        return found

    def sums(self, rows: Rows, every: int = 1) -> Array:
        """The values of all trees, added one after another, of shape (rows, every * k): with
        `every` of n those of each n-th tree apart.

        Raises:
            Refused: a value is missing, or too large.
        """
        found = [_added(told, every) for told in self.told(rows)]
        total: Array = found[0] if len(found) == 1 else np.concatenate(found)
        return total

    def numbers(self, rows: Rows) -> Array:
        """The features that the table counts, in the type of its thresholds.

        Raises:
            Refused: a value is missing, or too large.
        """
        array = self._dense(rows)
        if array.dtype.kind not in "fiu":
            array = as_floats(array)
        numbers = np.ascontiguousarray(array, dtype=self.thresholds.dtype)
        if not np.isfinite(numbers).all():
            self._require_known(numbers)
        return numbers

    def _dense(self, rows: Rows) -> Array:
        if not isinstance(rows, Sparse):
            return rows if self.columns is None else rows[:, self.columns]
        columns = np.arange(rows.width) if self.columns is None else self.columns
        return rows.chosen(columns, np.nan if self.absent else 0.0)

    def _require_known(self, numbers: Array) -> None:
        missing = self.missing_right is None and bool(np.isnan(numbers).any())
        if missing or (not self.infinite and bool(np.isinf(numbers).any())):
            raise Refused("a value is missing" if missing else "a number is too large")

    def splits(self) -> Iterator[Splits]:
        """The features, and the thresholds at which the trees part their numbers. The largest one
        parts only what is missing from what is not."""
        parting = self.parting
        largest = np.finfo(self.thresholds.dtype).max
        parting = parting[np.abs(self.thresholds[parting]) < largest]
        features = self.features[parting]
        if self.columns is not None:
            features = self.columns[features]
        yield features, self.thresholds[parting]


def _added(told: Array, every: int) -> Array:
    trees, rows, width = told.shape
    parts = told.reshape(trees // every, every * rows * width)
    # A single column numpy would add up in pairs; of a few this is quicker.
    few = parts.shape[1] <= FEW
    total = np.add.accumulate(parts)[-1] if few else np.add.reduce(parts)
    found: Array = total.reshape(every, rows, width)
    return found[0] if every == 1 else found.swapaxes(0, 1).reshape(rows, every * width)
