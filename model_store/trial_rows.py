"""Rows of the training data to try a pipeline with: such that every column is met where it is odd.

A few rows spread over the data would miss the one id, the one missing value or the one extreme that
is lost on the way from a client.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel
from .errors import InvalidPipeline, InvalidRows
from .signature import Matrix, Signature
from .training import Training, missing
from .values import Values

MOST: Final = 300
SPREAD: Final = 64
"""Rows that are drawn from all."""
LACKING: Final = 24
"""Rows of which one column is missing, at most."""
SEEN_CELLS: Final = 2_000_000
"""Of a larger table a share of the rows is looked through for values that are rare."""
SEED: Final = 20260101


def trial_rows(training: Training, y: Any = None) -> list[int]:
    """The positions of up to MOST rows, ascending: of each column the least and the greatest value,
    missing ones and the rarest, of each target the rarest; and some that are drawn."""
    rows = len(training)
    if rows <= MOST:
        return list(range(rows))
    random = np.random.default_rng(SEED)
    drawn = random.choice(rows, SPREAD, replace=False).tolist()
    columns = [feature.values for feature in training.features] + _targets(y, rows)
    share = max(SEEN_CELLS // len(columns), MOST)
    seen = np.arange(rows) if rows <= share else np.sort(random.choice(rows, share, replace=False))
    odd = [_odd_rows(values, seen) for values in columns]
    # The oddest row of each column first, then the next of each.
    in_turn = (row for turn in zip_longest(*odd) for row in turn if row is not None)
    chosen: dict[int, None] = {}
    for row in chain([0, rows - 1], drawn, in_turn):
        chosen[row] = None
        if len(chosen) == MOST:
            break
    return sorted(chosen)


def _targets(y: Any, rows: int) -> list[NDArray[Any]]:
    """The columns of the targets, if they are such."""
    if y is None:
        return []
    try:
        targets = np.asarray(y)
    except ValueError:
        return []
    if targets.ndim not in {1, 2} or len(targets) != rows:
        return []
    return list(targets.reshape(rows, -1).T)


def _odd_rows(values: NDArray[Any], seen: NDArray[np.intp]) -> Iterator[int]:
    """The rows of a column in which it is extreme, missing or rare, the oddest first."""
    null = missing(values)
    present = np.flatnonzero(~null)
    lacking = _spread(np.flatnonzero(null), LACKING)
    yield from lacking[:2]
    # What cannot be put in order, such as texts beside numbers, has no extremes.
    with contextlib.suppress(TypeError):
        if len(present):
            yield int(present[values[present].argmin()])
            yield int(present[values[present].argmax()])
    yield from _rarest(values, seen[~null[seen]])
    yield from lacking[2:]


def _rarest(values: NDArray[Any], rows: NDArray[np.intp]) -> Iterator[int]:
    """One of these rows for each value, the rarest value first."""
    if values.dtype.kind != "O":
        _, first, counts = np.unique(values[rows], return_index=True, return_counts=True)
        yield from rows[first[np.argsort(counts, kind="stable")]].tolist()[:MOST]
        return
    # 1, 1.0 and True are three values to a pipeline.
    keys = [(type(value), value) for value in values[rows].tolist()]
    try:
        counted = Counter(keys)
    except TypeError:  # lists and the like, which no column may hold
        return
    place = dict(zip(reversed(keys), reversed(rows.tolist()), strict=True))
    yield from (place[key] for key, _ in reversed(counted.most_common()))


def _spread(rows: Sequence[int] | NDArray[np.intp], most: int) -> list[int]:
    """Up to so many of these, from the first to the last."""
    if not len(rows):
        return []
    places = np.unique(np.linspace(0, len(rows) - 1, most).astype(int))
    return [int(rows[place]) for place in places]


# As a client would send them -------------------------------------------------------


def usable(signature: Signature, training: Training) -> NDArray[np.bool_]:
    """Which rows of the training data a client could send, of shape (rows,)."""
    found = np.ones(len(training), dtype=bool)
    for column, feature in zip(signature.columns, training.features, strict=True):
        null = missing(feature.values)
        found &= (null & column.missing) | ~null
        if feature.values.dtype.kind == "f":
            found &= ~np.isinf(feature.values)
        if column.kind.closed(column):
            known = set(column.kind.choices(column))
            found &= null | np.array([column.plain(value) in known for value in feature.values])
    return found


def sendable(
    signature: Signature, training: Training, rows: Sequence[int]
) -> tuple[list[int], Matrix]:
    """Those of the rows of the training data that a client could send, and the matrix that they
    become then."""
    could = usable(signature, training)
    rows = [row for row in rows if could[row]]
    checked = signature.check(_plain(signature, training, rows), len(rows))
    if checked.unfit is None:
        return rows, checked.matrix
    return [rows[place] for place in np.flatnonzero(~checked.unfit.mask)], checked.fit


def _plain(
    signature: Signature, training: Training, rows: Sequence[int]
) -> dict[str, list[JSONLabel | None]]:
    return {
        column.name: column.plain_all(feature.values[list(rows)])
        for column, feature in zip(signature.columns, training.features, strict=True)
    }


def as_sent(signature: Signature, training: Training, rows: Sequence[int]) -> Matrix:
    """Rows of the training data as the matrix that they become when a client sends them.

    Raises:
        InvalidPipeline: they do not fit the signature.
    """
    return validated(signature, _plain(signature, training, rows), len(rows))


def validated(signature: Signature, values: Mapping[str, Values], rows: int) -> Matrix:
    """Columns of so many values as the matrix.

    Raises:
        InvalidPipeline: they do not fit the signature.
    """
    try:
        return signature.validate(values, rows)
    except InvalidRows as error:
        raise InvalidPipeline(
            f"Rows of the training data do not fit the signature that they gave: {error}"
        ) from error
