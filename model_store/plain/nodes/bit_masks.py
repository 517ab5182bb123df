"""Which leaves a value leaves over, as bits, for all trees at once.

The leaves of a tree are numbered from left to right, a bit each. For a feature there is a row of
bits for each gap between the thresholds of all trees: those leaves are cleared that a number in the
gap cannot reach, being in the left branch of a node where it goes right. The rows of all features
together leave over of each tree the leaf that is reached, as the first that is not cleared. It is
what QuickScorer does (Lucchese et al., SIGIR 2015), in a few operations on whole arrays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from .codes import codes

if TYPE_CHECKING:
    from .tree_table import Table

Array = NDArray[Any]

MAX_BYTES: Final = 64 << 20
"""Of the masks of a forest."""

_WORD: Final = 64
_BELOW: Final = np.array([(1 << bits) - 1 for bits in range(_WORD + 1)], dtype=np.uint64)
"""Words in which so many of the first bits are set."""

_FEW_WORDS: Final = 8
"""Of a tree, that are gone through one by one."""
_BYTE: Final = 256
"""Places that are counted in one."""


class Column(NamedTuple):
    """A feature, and where its rows of masks are.

    Of numbers there is one for each gap between `thresholds`, which end with an infinity, and one
    for a missing one. Of categories, where there are no thresholds, one for each of `categories`,
    one for other numbers, and one for a missing one.
    """

    feature: int
    start: int
    thresholds: Array | None
    categories: int = 0

    def rows(self, numbers: Array) -> Array:
        """The rows of masks for these numbers."""
        if self.thresholds is None:
            return codes(numbers, self.categories) + self.start
        # NaN stands behind infinity.
        return np.searchsorted(self.thresholds, numbers) + self.start

    def row(self, number: float) -> int:
        """The row of masks for one number."""
        if self.thresholds is None:
            return int(self.rows(np.array([number]))[0])
        if number != number:
            return self.start + len(self.thresholds)
        return self.start + bisect_left(self.thresholds.data, number)


class BitMasks(msgspec.Struct, frozen=True, dict=True):
    """The masks of a table: `masks` of shape (rows of all columns, words, trees). `starts` are the
    first leaf of each tree in `values`, which has them from left to right."""

    columns: tuple[Column, ...]
    masks: Array
    starts: Array
    values: Array

    @classmethod
    def of(cls, table: Table) -> BitMasks | None:
        """None where they would take too much memory."""
        return _build(table)

    @property
    def words(self) -> int:
        return int(self.masks.shape[1])

    @cached_property
    def _flat(self) -> Array:
        return self.masks.reshape(len(self.masks), -1)

    def leaves(self, numbers: Array) -> Array:
        """The place of each leaf in `values`, of shape (trees, rows)."""
        if not self.columns:
            return np.repeat(self.starts[:, np.newaxis], len(numbers), axis=1)
        return self._first(
            self._of_row(numbers[0]) if len(numbers) == 1 else self._of_rows(numbers)
        )

    def _of_row(self, numbers: Array) -> Array:
        row = numbers.tolist()
        rows = [column.row(row[column.feature]) for column in self.columns]
        found: Array = np.bitwise_and.reduce(self._flat.take(rows, axis=0), axis=0)
        return found

    def _of_rows(self, numbers: Array) -> Array:
        found = other = None
        for column in self.columns:
            rows = column.rows(numbers[:, column.feature])
            if found is None or other is None:
                found = self._flat.take(rows, axis=0)
                other = np.empty_like(found)
            else:
                # The mode does not matter, but only with this one nothing is copied once more.
                self._flat.take(rows, axis=0, out=other, mode="clip")
                found &= other
        assert found is not None
        return found

    def _first(self, left: Array) -> Array:
        """The first bits that are set, of shape (trees, rows), as places in `values`. What is left
        over is written over."""
        words = left.reshape(-1, *self.masks.shape[1:])
        bits = 8 * words.itemsize
        if self.words > _FEW_WORDS:
            which = (words != 0).argmax(axis=1)
            one = np.take_along_axis(words, which[:, np.newaxis], axis=1)[:, 0]
            places: Array = which * bits + _trailing(one) + self.starts
            return places.T
        zeros = _trailing(words)
        found = zeros[:, -1]
        if self.words * bits > _BYTE:
            found = found.astype(np.uint16)
        for word in range(self.words - 2, -1, -1):
            # All of it is passed where none is set, else what comes behind does not count.
            found = found * (zeros[:, word] >> (bits.bit_length() - 1))
            found += zeros[:, word]
        return (found + self.starts).T


def _trailing(words: Array) -> Array:
    """How many bits stand below the lowest of each that is set; all bits where none is. The words
    are written over."""
    below = words - 1
    np.invert(words, out=words)
    below &= words
    return _count(below)


def _count_bits(words: Array) -> Array:
    """How many bits are set, if these are the lowest ones."""
    upper = (words >> 1) + (words & 1)  # what is exact as a float: half, rounded up
    return np.frexp(upper.astype(np.float64))[1].astype(np.uint8)


_count: Final[Callable[[Array], Array]] = getattr(np, "bitwise_count", _count_bits)


# How they are built ---------------------------------------------------------------


class _Cleared(NamedTuple):
    """A column, and which rows of masks first lose what is left of which nodes. Numbers lose it in
    the rows behind as well, but for that of the missing ones."""

    column: Column
    rows: Array
    nodes: Array

    @property
    def end(self) -> int:
        thresholds, categories = self.column.thresholds, self.column.categories
        return self.column.start + (categories + 2 if thresholds is None else len(thresholds) + 1)


def _build(table: Table) -> BitMasks | None:
    most = int(table.sizes.max() + 1) // 2
    words, dtype = -(-most // _WORD), _dtype(most)
    room = MAX_BYTES // (table.trees * words * dtype.itemsize)
    if len(np.unique(table.thresholds[: 2 * room])) > room:  # of leaves all are NaN
        return None
    cleared = _cleared(table)
    end = cleared[-1].end if cleared else 0
    if end > room:
        return None
    leaves = _Leaves.of(table)
    masks = np.full((end, words, table.trees), np.iinfo(dtype).max, dtype=dtype)
    by_tree = masks.swapaxes(1, 2)
    if cleared:
        rows, nodes = (np.concatenate([each[part] for each in cleared]) for part in (1, 2))
        trees = np.searchsorted(table.starts, nodes, "right") - 1
        np.bitwise_and.at(by_tree, (rows, trees), _kept(table, leaves, nodes, words, dtype))
    for column, _, _ in cleared:
        if column.thresholds is not None:
            gaps = masks[column.start : column.start + len(column.thresholds)]
            np.bitwise_and.accumulate(gaps, axis=0, out=gaps)
    starts = (table.starts - np.arange(table.trees)) // 2 + np.arange(table.trees)
    return BitMasks(
        tuple(each.column for each in cleared),
        masks,
        starts.astype(np.intp),
        _values(table, leaves, starts),
    )


def _dtype(bits: int) -> np.dtype[Any]:
    """The narrowest words that hold so many bits, or the widest there are."""
    size = next((size for size in (8, 16, 32) if bits <= size), _WORD)
    return np.dtype(f"uint{size}")


def _cleared(table: Table) -> list[_Cleared]:
    found: list[_Cleared] = []
    for nodes in _by_feature(table, table.parting):
        found.append(_of_numbers(table, nodes, found[-1].end if found else 0))
    if table.choices is not None:
        for nodes in _by_feature(table, table.choices.nodes):
            sets = table.choices.sets[np.searchsorted(table.choices.nodes, nodes)]
            found.append(_of_categories(table, nodes, sets, found[-1].end if found else 0))
    return found


def _by_feature(table: Table, nodes: Array) -> list[Array]:
    """These nodes, those of each feature apart."""
    features = table.features[nodes]
    order = np.argsort(features, kind="stable")
    ends = np.flatnonzero(np.diff(features[order])) + 1
    return np.split(nodes[order], ends) if len(nodes) else []


def _of_numbers(table: Table, nodes: Array, start: int) -> _Cleared:
    thresholds, places = np.unique(table.thresholds[nodes], return_inverse=True)
    infinity = np.array([np.inf], dtype=thresholds.dtype)
    column = Column(int(table.features[nodes[0]]), start, np.concatenate([thresholds, infinity]))
    missing = _right_if_missing(table, nodes)
    rows = np.full(len(missing), start + len(thresholds) + 1)
    return _Cleared(
        column, np.concatenate([places + start + 1, rows]), np.concatenate([nodes, missing])
    )


def _of_categories(table: Table, nodes: Array, sets: Array, start: int) -> _Cleared:
    column = Column(int(table.features[nodes[0]]), start, None, sets.shape[1] - 1)
    places, categories = np.nonzero(sets == 0)
    missing = _right_if_missing(table, nodes)
    rows = np.full(len(missing), start + sets.shape[1])
    return _Cleared(
        column,
        np.concatenate([categories + start, rows]),
        np.concatenate([nodes[places], missing]),
    )


def _right_if_missing(table: Table, nodes: Array) -> Array:
    return nodes[:0] if table.missing_right is None else nodes[table.missing_right[nodes] > 0]


class _Leaves(NamedTuple):
    """How many leaves are below each node, and which is the first of them, from left to right in
    its tree."""

    counts: Array
    first: Array

    @classmethod
    def of(cls, table: Table) -> _Leaves:
        levels, nodes = [], table.starts
        while len(nodes):
            nodes = nodes[table.inner.take(nodes)]
            children = table.children.take(nodes)
            levels.append((nodes, children))
            nodes = np.concatenate([children, children + 1])
        counts = np.ones(len(table.features), dtype=np.int64)
        for nodes, children in reversed(levels):
            counts[nodes] = counts[children] + counts[children + 1]
        first = np.zeros(len(table.features), dtype=np.int64)
        for nodes, children in levels:
            first[children] = first[nodes]
            first[children + 1] = first[nodes] + counts[children]
        return cls(counts, first)


def _kept(table: Table, leaves: _Leaves, nodes: Array, words: int, dtype: np.dtype[Any]) -> Array:
    """For each of the nodes the bits of all leaves but those in its left branch, of shape (nodes,
    words)."""
    left = table.children[nodes]
    begins = leaves.first[left][:, np.newaxis]
    ends = begins + leaves.counts[left][:, np.newaxis]
    firsts = _WORD * np.arange(words)
    below = [_BELOW[np.clip(bits - firsts, 0, _WORD)] for bits in (begins, ends)]
    return (~(below[0] ^ below[1])).astype(dtype)


def _values(table: Table, leaves: _Leaves, starts: Array) -> Array:
    """The values of the leaves, those of each tree from left to right."""
    nodes = np.flatnonzero(~table.inner)
    trees = np.searchsorted(table.starts, nodes, "right") - 1
    found = np.empty_like(table.values)
    found[starts[trees] + leaves.first[nodes]] = table.values
    return found
