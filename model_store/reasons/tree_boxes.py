"""Sums of trees behind steps that make each feature of one column: each leaf is a box.

A row is in the box of a leaf where it passes all conditions on the way there. Of a row x and a row
z of the background a coalition of columns, taken from x with the others from z, is in the box just
where each column is that fails its conditions in z, and none that fails them in x. So nothing needs
to be known of a pair but two sets of columns, as bits, and the Shapley values of "all of A and none
of B" are known: (a-1)! b! / (a+b)! for each of A, and -a! (b-1)! / (a+b)! for each of B.

Of the background, rows with the same bits in a leaf are looked at once.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from ..plain.node import SEVERAL, Array
from ..plain.nodes.codes import codes
from ..plain.nodes.tree_table import Table
from .clock import Clock
from .method import ROUNDING, SINGLE, Shares
from .way import Way

MOST_BITS: Final = 64
"""Columns on the way to one leaf."""
MOST_ADDED: Final = 12
"""Up to so many columns, numbers are first added up by their bits."""
MOST_CONDITIONS: Final = 2_000_000
"""Of all leaves: a row is held against all of them."""


class _Conditions(NamedTuple):
    """What leaves ask of the features, leaf by leaf: a number above `low` and up to `high`, or with
    a `choice` from 0 on a category that is in this row of `sets`; `gaps` says whether a missing
    value passes."""

    leaves: Array
    features: Array
    low: Array
    high: Array
    gaps: Array
    choices: Array
    sets: Array

    def taken(self, places: Array) -> _Conditions:
        """Some of them."""
        leaves, features, low, high, gaps, choices = (part[places] for part in self[:-1])
        return _Conditions(leaves, features, low, high, gaps, choices, self.sets)


class Boxes:
    """The leaves of some trees of a table, by their numbers. `players` are the columns of its
    features, `background` is of shape (rows, features). What is contributed is to the sums of the
    values of the leaves that rows are in. `fits` says whether no leaf has too many columns on its
    way."""

    def __init__(self, table: Table, trees: Array, players: Array, background: Array) -> None:
        found = _conditions(table, trees)
        owners = players[found.features]
        order = np.lexsort((owners, found.leaves))
        found = found.taken(order)
        owners = owners[order]
        self._found = found
        leaves, self._starts = np.unique(found.leaves, return_index=True)
        bits = _Bits.of(found.leaves, owners, self._starts)
        self.fits = bits is not None
        self.conditions = len(owners)
        if bits is None or not len(owners):
            return
        self._bits = bits
        self._at_categories = np.flatnonzero(found.choices >= 0)
        self._categories = found.sets.shape[1] - 2
        self._keep_background(background, table.values[leaves].astype(np.float64))

    def _keep_background(self, background: Array, values: Array) -> None:
        """Keep for each leaf the different bits of the background rows, with their numbers."""
        failed = np.stack([self._failed(row) for row in background])
        failed.sort(axis=0)
        new = np.ones(failed.shape, dtype=bool)
        new[1:] = failed[1:] != failed[:-1]
        leaves, places = np.nonzero(new.T)
        ends = np.append(places[1:], 0)
        ends[np.append(leaves[1:] != leaves[:-1], True)] = len(background)
        self._repeats = np.bincount(leaves, minlength=len(self._starts))
        self._leaves = leaves if self._bits.places is not None else None
        self._pairs = failed.T[leaves, places]
        self._counts = _popcount(self._pairs).astype(np.intp) * (MOST_BITS + 1)
        shares = (ends - places) / len(background)
        self._values = np.ascontiguousarray((values[leaves] * shares[:, np.newaxis]).T)

    def _failed(self, row: Array) -> Array:
        """Of each leaf the columns, as bits, by which a row is not in its box."""
        found = self._found
        numbers = row.take(found.features)
        failed = (numbers <= found.low) | (numbers > found.high)
        if len(self._at_categories):
            at = self._at_categories
            chosen = codes(numbers[at], self._categories)
            failed[at] = found.sets[found.choices[at], chosen] == 0
        missing = np.isnan(numbers)
        if missing.any():
            failed[missing] = ~found.gaps[missing]
        bits: Array = np.bitwise_or.reduceat(failed * self._bits.bits, self._starts)
        return bits

    def contributions(self, row: Array, outputs: Array) -> Array:
        """Of all columns to these outputs for one row of numbers, of shape (outputs, columns)."""
        if not self.conditions:
            return np.zeros((len(outputs), 0))
        failed = self._failed(row).repeat(self._repeats)
        live = np.flatnonzero((failed & self._pairs) == 0)
        failed, pairs = failed.take(live), self._pairs.take(live)
        counts = self._counts.take(live) + _popcount(failed)
        gain, loss = (weights.take(counts) for weights in _weights())
        leaves = None if self._leaves is None else self._leaves.take(live)
        found = np.empty((len(outputs), self._bits.columns))
        for place, output in enumerate(outputs.tolist()):
            values = self._values[output].take(live)
            found[place] = self._bits.added(pairs, failed, values * gain, values * loss, leaves)
        return found


class _Bits(NamedTuple):
    """Which column each bit stands for: the same in all leaves, or, where there are too many, one
    of those of the leaf by `places` of shape (leaves, bits). `bits` has that of each condition,
    `players` are all columns that there are conditions of."""

    bits: Array
    players: Array
    places: Array | None
    columns: int

    @classmethod
    def of(cls, leaves: Array, owners: Array, starts: Array) -> _Bits | None:
        """None where a leaf has too many columns on its way."""
        columns = int(owners.max(initial=-1)) + 1
        players = np.unique(owners)
        if len(players) <= MOST_BITS:
            places = np.searchsorted(players, owners)
            return cls(_as_bits(places, len(players)), players, None, columns)
        new = np.ones(len(owners), dtype=bool)
        new[1:] = (owners[1:] != owners[:-1]) | (leaves[1:] != leaves[:-1])
        ranks = np.cumsum(new) - 1
        lengths = np.diff(np.append(starts, len(owners)))
        ranks -= np.repeat(ranks[starts], lengths)
        most = int(ranks.max()) + 1
        if most > MOST_BITS:
            return None
        table = np.zeros((len(starts), most), dtype=np.intp)
        table[np.repeat(np.arange(len(starts)), lengths), ranks] = owners
        return cls(_as_bits(ranks, most), players, table, columns)

    def added(
        self, pairs: Array, failed: Array, gained: Array, lost: Array, leaves: Array | None
    ) -> Array:
        """What columns gain whose bits are in `pairs`, less what those lose whose bits are in
        `failed`, for all columns up to the last that has conditions."""
        found = np.zeros(self.columns)
        if leaves is None or self.places is None:
            found[self.players] = self._by_players(pairs, failed, gained, lost)
            return found
        for bit in range(self.places.shape[1]):
            columns = self.places[leaves, bit]
            moved = gained * _has(pairs, bit) - lost * _has(failed, bit)
            found += np.bincount(columns, moved, self.columns)
        return found

    def _by_players(self, pairs: Array, failed: Array, gained: Array, lost: Array) -> Array:
        count = len(self.players)
        if count > MOST_ADDED:
            bits = range(count)
            return np.array([_has(pairs, b) @ gained - _has(failed, b) @ lost for b in bits])
        size = 1 << count
        total = np.bincount(pairs, gained, size) - np.bincount(failed, lost, size)
        found: Array = total @ _bit_table(count)
        return found


def _has(words: Array, bit: int) -> Array:
    """1.0 for the words in which a bit is set."""
    one = words.dtype.type(1)
    found: Array = ((words >> words.dtype.type(bit)) & one).astype(np.float64)
    return found


@cache
def _bit_table(count: int) -> Array:
    return ((np.arange(1 << count)[:, np.newaxis] >> np.arange(count)) & 1).astype(np.float64)


def _as_bits(places: Array, count: int) -> Array:
    size = next(size for size in (8, 16, 32, 64) if count <= size)
    dtype: Any = np.dtype(f"uint{size}").type
    found: Array = np.left_shift(dtype(1), places.astype(dtype))
    return found


def _popcount(words: Array) -> Array:
    """How many bits of each are set."""
    if hasattr(np, "bitwise_count"):
        found: Array = np.bitwise_count(words)
        return found
    each = np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1)
    found = _OF_BYTES[each].sum(axis=1)
    return found


_OF_BYTES: Final = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint8)


@cache
def _weights() -> tuple[Array, Array]:
    """What each of a columns gains and each of b loses, at the place a * (MOST_BITS + 1) + b."""
    numbers = np.arange(MOST_BITS + 1, dtype=np.float64)
    gain = np.zeros((MOST_BITS + 1, MOST_BITS + 1))
    gain[1:, 0] = 1 / numbers[1:]
    for b in range(1, MOST_BITS + 1):
        gain[1:, b] = gain[1:, b - 1] * b / (numbers[1:] + b)
    # What one side gains is what the other loses with the numbers exchanged.
    return gain.ravel(), np.ascontiguousarray(gain.T).ravel()


# The conditions --------------------------------------------------------------------


class _Passed(NamedTuple):
    """The leaves that passed a node on their way up, by their numbers, the nodes, and whether they
    came from its left child."""

    leaves: Array
    nodes: Array
    left: Array


def _conditions(table: Table, trees: Array) -> _Conditions:
    passed = _ways_up(table, trees)
    choices = table.choices
    chosen = np.zeros(len(passed.nodes), dtype=bool)
    if choices is not None:
        places = np.searchsorted(choices.nodes, passed.nodes)
        chosen = choices.nodes.take(places, mode="clip") == passed.nodes
    numbers = _of_numbers(table, _Passed(*(part[~chosen] for part in passed)))
    if choices is None or not chosen.any():
        return numbers
    return _joined(numbers, _of_choices(table, _Passed(*(part[chosen] for part in passed))))


def _ways_up(table: Table, trees: Array) -> _Passed:
    """From each leaf of some trees to the root, a node of all of them a turn."""
    ends = np.append(table.starts[1:], len(table.features))
    parents = np.full(len(table.features), -1)
    inner = np.flatnonzero(table.inner)
    parents[table.children[inner]] = inner
    parents[table.children[inner] + 1] = inner
    nodes = np.concatenate([np.arange(table.starts[tree], ends[tree]) for tree in trees])
    nodes = nodes[~table.inner[nodes]]
    leaves = nodes - table.before[nodes]
    turns = []
    while True:
        above = parents[nodes]
        on = np.flatnonzero(above >= 0)
        if not len(on):
            break
        nodes, leaves, above = nodes[on], leaves[on], above[on]
        turns.append(_Passed(leaves, above, table.children[above] == nodes))
        nodes = above
    if not turns:
        none = np.empty(0, dtype=np.intp)
        return _Passed(none, none, none.astype(bool))
    return _Passed(*(np.concatenate(parts) for parts in zip(*turns, strict=True)))


def _grouped(table: Table, passed: _Passed) -> tuple[_Passed, Array]:
    """The same by leaf and feature, and where each pair of those begins."""
    features = table.features[passed.nodes]
    order = np.lexsort((features, passed.leaves))
    leaves, features = passed.leaves[order], features[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (leaves[1:] != leaves[:-1]) | (features[1:] != features[:-1])
    return _Passed(leaves, passed.nodes[order], passed.left[order]), np.flatnonzero(new)


def _gaps(table: Table, passed: _Passed, starts: Array) -> Array:
    """Whether missing values go the whole way to each leaf."""
    if table.missing_right is None:
        return np.zeros(len(starts), dtype=bool)
    along = (table.missing_right[passed.nodes] == 0) == passed.left
    found: Array = np.logical_and.reduceat(along, starts)
    return found


def _of_numbers(table: Table, passed: _Passed) -> _Conditions:
    dtype, none = table.thresholds.dtype, np.empty((0, 2), dtype=np.int8)
    if not len(passed.nodes):
        empty = np.empty(0, dtype=np.intp)
        numbers = np.empty(0, dtype=dtype)
        return _Conditions(empty, empty, numbers, numbers, empty.astype(bool), empty, none)
    passed, starts = _grouped(table, passed)
    thresholds = table.thresholds[passed.nodes]
    infinity = dtype.type(np.inf)
    low = np.maximum.reduceat(np.where(passed.left, -infinity, thresholds), starts)
    high = np.minimum.reduceat(np.where(passed.left, thresholds, infinity), starts)
    # Without a lower bound an infinity passes as well, as nothing is at most NaN.
    bounded = np.logical_or.reduceat(~passed.left, starts)
    return _Conditions(
        passed.leaves[starts],
        table.features[passed.nodes[starts]].astype(np.intp),
        np.where(bounded, low, dtype.type(np.nan)),
        high,
        _gaps(table, passed, starts),
        np.full(len(starts), -1),
        none,
    )


def _of_choices(table: Table, passed: _Passed) -> _Conditions:
    assert table.choices is not None
    passed, starts = _grouped(table, passed)
    rows = table.choices.sets[np.searchsorted(table.choices.nodes, passed.nodes)] > 0
    sets = np.logical_and.reduceat(rows == passed.left[:, np.newaxis], starts, axis=0)
    sets = np.concatenate([sets, np.zeros((len(sets), 1), dtype=bool)], axis=1)
    numbers = np.full(len(starts), np.nan, dtype=table.thresholds.dtype)
    return _Conditions(
        passed.leaves[starts],
        table.features[passed.nodes[starts]].astype(np.intp),
        numbers,
        numbers,
        _gaps(table, passed, starts),
        np.arange(len(starts)),
        sets.astype(np.int8),
    )


def _joined(one: _Conditions, other: _Conditions) -> _Conditions:
    leaves, features, low, high, gaps, choices = (
        np.concatenate(parts) for parts in zip(one[:-1], other[:-1], strict=True)
    )
    return _Conditions(leaves, features, low, high, gaps, choices, other.sets)


# All trees -------------------------------------------------------------------------


class Trees:
    """Contributions to the sums of a table's trees, times `factor`; with `every` of n, output k is
    that of each n-th tree from the k-th on, else the k-th value of a leaf. With `opposite` there is
    one sum, of which output 1 is that, and output 0 its opposite."""

    exact = True

    def __init__(
        self,
        table: Table,
        way: Way,
        background: Array,
        *,
        factor: float = 1.0,
        every: int = 1,
        opposite: bool = False,
    ) -> None:
        self._table, self._way, self._factor, self._every = table, way, factor, every
        self._columns, self._opposite = way.columns, opposite
        players = way.owners if table.columns is None else way.owners[table.columns]
        numbers = table.numbers(way.features(background))
        self._boxes = [
            Boxes(table, np.arange(turn, table.trees, every), players, numbers)
            for turn in range(every)
        ]
        single = table.values.dtype == np.float32
        self.rounding = SINGLE if single else ROUNDING

    @classmethod
    def possible(cls, table: Table, way: Way) -> bool:
        """Whether each feature that is tested is made of one column, and there are not too many
        conditions."""
        owners = way.owners if table.columns is None else way.owners[table.columns]
        tested = np.unique(table.features[table.inner])
        return not (owners[tested] == SEVERAL).any() and _size(table) <= MOST_CONDITIONS

    @property
    def fits(self) -> bool:
        """Whether no leaf has too many columns on its way."""
        return all(boxes.fits for boxes in self._boxes)

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        numbers = self._table.numbers(self._way.features(matrix))
        found = np.zeros((*outputs.shape, self._columns))
        for row, (own, wanted) in enumerate(zip(numbers, outputs, strict=True)):
            clock.require()
            found[row] = self._of_row(own, wanted)
        return Shares(found * self._factor)

    def _of_row(self, row: Array, outputs: Array) -> Array:
        found = np.zeros((len(outputs), self._columns))
        if self._opposite:
            part = self._boxes[0].contributions(row, np.zeros(1, dtype=np.intp))
            signs = np.where(outputs == 1, 1.0, -1.0)
            found[:, : part.shape[1]] = signs[:, np.newaxis] * part
            return found
        if self._every == 1:
            part = self._boxes[0].contributions(row, outputs)
            found[:, : part.shape[1]] = part
            return found
        for place, output in enumerate(outputs.tolist()):
            part = self._boxes[output].contributions(row, np.zeros(1, dtype=np.intp))
            found[place, : part.shape[1]] = part[0]
        return found


def _size(table: Table) -> int:
    """At most so many conditions have the leaves together, by their depths."""
    total, nodes = 0, table.starts
    depth = 0
    while len(nodes):
        total += depth * int((~table.inner[nodes]).sum())
        inner = nodes[table.inner[nodes]]
        children = table.children[inner]
        nodes = np.concatenate([children, children + 1])
        depth += 1
    return total
