"""Rows on their way down the trees, a level of all of them a turn.

For forests whose bit masks would be too large. The arrays of the table are used where they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .codes import codes

if TYPE_CHECKING:
    from .tree_table import Table

Array = NDArray[Any]

PAIRS: Final = 1 << 14
"""Of a row and a tree, that go at once."""

LEVELS: Final = 4
"""After so many, those who have arrived are left behind."""


def leaves(table: Table, numbers: Array) -> Array:
    """The place of each leaf among the leaves, of shape (trees, rows)."""
    missing = table.missing_right is not None and bool(np.isnan(numbers).any())
    if len(numbers) == 1 and not missing and table.choices is None:
        found = _of_row(table, numbers[0])[:, np.newaxis]
    else:
        found = _of_rows(table, numbers, missing=missing)
    return found - table.before.take(found)


def _of_row(table: Table, row: Array) -> Array:
    """The leaves where one row of known numbers ends. From a leaf, nothing leads on."""
    features, thresholds = table.features.take, table.thresholds.take
    children, numbers = table.children.take, row.take
    nodes = table.starts
    for _ in range(table.depth):
        nodes = children(nodes) + (numbers(features(nodes)) > thresholds(nodes))
    return nodes


def _of_rows(table: Table, numbers: Array, *, missing: bool) -> Array:
    rows, width = numbers.shape
    offsets = np.arange(rows) * width
    found = np.empty((table.trees, rows), dtype=np.intp)
    step = max(1, PAIRS // max(1, rows))
    for start in range(0, table.trees, step):
        roots = table.starts[start : start + step]
        walk = _Walk(table, numbers.ravel(), missing=missing)
        nodes = walk.ends(roots.repeat(rows), np.tile(offsets, len(roots)))
        found[start : start + step] = nodes.reshape(-1, rows)
    return found


class _Walk(msgspec.Struct, frozen=True):
    """Pairs of rows and trees on their way. The numbers of a row start at its offset; `missing`
    says whether one of them is NaN."""

    table: Table
    numbers: Array
    missing: bool

    def ends(self, nodes: Array, offsets: Array) -> Array:
        """The leaves at which those end that start at these nodes."""
        table, found, places = self.table, nodes, None
        for level in range(1, table.depth + 1):
            nodes = table.children.take(nodes) + self._right(nodes, offsets)
            if level % LEVELS or len(nodes) < PAIRS // LEVELS:
                continue
            under_way = np.flatnonzero(table.inner.take(nodes))
            if 2 * len(under_way) < len(nodes):
                found, places = _left_behind(found, places, nodes), _of(places, under_way)
                nodes, offsets = nodes[under_way], offsets[under_way]
        return _left_behind(found, places, nodes)

    def _right(self, nodes: Array, offsets: Array) -> Array:
        """Who goes right. At a leaf none does."""
        table = self.table
        found = self.numbers.take(table.features.take(nodes) + offsets)
        right: Array = found > table.thresholds.take(nodes)
        if table.choices is not None:
            places = np.searchsorted(table.choices.nodes, nodes)
            here = np.flatnonzero(table.choices.nodes.take(places, mode="clip") == nodes)
            last = table.choices.categories
            known = np.minimum(codes(found[here], last), last)  # of missing ones below
            right[here] = table.choices.sets[places[here], known] == 0
        if self.missing and table.missing_right is not None:
            missing = np.flatnonzero(found != found)
            right[missing] = table.missing_right.take(nodes[missing])
        return right


def _left_behind(found: Array, places: Array | None, nodes: Array) -> Array:
    if places is None:
        return nodes
    found[places] = nodes
    return found


def _of(places: Array | None, chosen: Array) -> Array:
    return chosen if places is None else places[chosen]
