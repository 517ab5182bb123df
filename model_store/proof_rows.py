"""The rows that a pipeline and its form are both asked, drawn alike in both processes.

They are rows of the kind of training's, with and without missing values, rows with one value that
is odd, and rows on both sides of where trees part their values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from .columns import Column
from .plain import Answer
from .plain.node import Rows, Splits, as_floats, dense
from .plain.nodes.columns import Pipeline
from .signature import Matrix, Signature

ROWS: Final = 2000
LEAST_ROWS: Final = 200
CELLS: Final = 1_000_000
"""Where so many rows have more cells than this, there are fewer, but not less than the least."""
LONE_ROWS: Final = 8
ODD_ROWS: Final = 300
SPLITS: Final = 2000
SPLIT_CELLS: Final = 20_000_000
"""Of wide rows beside thresholds there are no more cells than these."""
NEIGHBOURS: Final = 6
"""Rows beside a threshold."""
FIRST: Final = 8
SHARE_MISSING: Final = 0.1
SEED: Final = 20260101

_ODD_NUMBERS: Final = (0, -1, 2**31, 2**60, 1e300, -1e300, 1e-320)
_ODD_TEXTS: Final = ("", "no such text", "Ångström ½ İ\u00a0x")


class Computed(Protocol):
    """What answers in the place of a pipeline, and its last step, which may part values."""

    @property
    def last(self) -> Last: ...

    def features(self, matrix: Matrix) -> Rows:
        """What the last step is given: the matrix itself where it is the only one."""


class Last(Protocol):
    """A last step, which is asked alone as well."""

    def answer(self, rows: Rows) -> Answer: ...

    def splits(self) -> Iterator[Splits]: ...


class Question(NamedTuple):
    """Rows to ask: what the pipeline takes, or with `of_last` what its last step is given. The form
    is asked all of them together, or each `alone`, as a client may ask it. Of `odd` ones some lack
    values or have others than training had."""

    rows: Matrix
    of_last: bool = False
    alone: bool = False
    odd: bool = False


def questions(
    asked: Computed, signature: Signature, golden: Matrix, outputs: int
) -> Iterator[Question]:
    """All rows to ask, what tells the most first. Each is answered with so many values.

    Raises:
        InvalidRows: no rows can be drawn from the ranges of the signature.
    """
    random = np.random.default_rng(SEED)
    yield Question(golden)
    rows = min(ROWS, max(CELLS // max(len(signature.columns), outputs), LEAST_ROWS))
    drawn = draw(signature, golden, rows, random, missing=0.0)
    yield Question(drawn)
    if drawn.dtype != golden.dtype and golden.dtype.kind in "iuf":
        whole = _without_fractions(drawn, signature)
        if len(whole):
            yield Question(whole.astype(golden.dtype))
    yield Question(drawn[:LONE_ROWS], alone=True)
    yield from _beside_splits(asked, signature, drawn, random)
    if any(column.missing for column in signature.columns):
        gaps = draw(signature, golden, rows, random, missing=SHARE_MISSING)
        yield Question(gaps, odd=True)
    odd, count = _odd_rows(signature, golden)
    if count:
        yield Question(signature.validate(odd, count), alone=True, odd=True)


def draw(
    signature: Signature,
    golden: Matrix,
    count: int,
    random: np.random.Generator,
    *,
    missing: float,
) -> Matrix:
    """Rows within the ranges of training, with this share of missing values in the columns that
    take them. Texts and dates are those of the golden rows.

    Raises:
        InvalidRows: the ranges do not fit the signature.
    """
    values = {}
    for place, column in enumerate(signature.columns):
        known = [value for value in column.plain_all(golden[:, place]) if value is not None]
        found = column.kind.draw(column, known, count, random)
        if column.missing and missing:
            gaps = random.random(count) < missing
            found = [None if gap else value for value, gap in zip(found, gaps, strict=True)]
        values[column.name] = found
    return signature.validate(values, count)


def _without_fractions(rows: Matrix, signature: Signature) -> Matrix:
    """Those without a fraction in a column of integers, beside which a matrix of narrow floats is
    one of objects."""
    kept = np.ones(len(rows), dtype=bool)
    for place, column in enumerate(signature.columns):
        if column.discrete is not None:
            kept &= np.array(
                [cell is None or cell == int(cell) for cell in rows[:, place].tolist()]
            )
    return rows[kept]


def _odd_rows(signature: Signature, golden: Matrix) -> tuple[dict[str, list[Any]], int]:
    """The first golden row with one value that is odd, each that a column takes, for as many
    columns as there are rows to ask; by column, and how many rows there are."""
    each = max(ODD_ROWS // len(signature.columns), 1)
    odd = [
        (column, value)
        for column in signature.columns[:ODD_ROWS]
        for value in _odd_values(column)[:each]
        if _takes(signature, column, value)
    ]
    (usual,) = signature.values(golden[:1])
    found = {name: [value] * len(odd) for name, value in usual.items()}
    for row, (column, value) in enumerate(odd):
        found[column.name][row] = value
    return found, len(odd)


def _takes(signature: Signature, column: Column, value: Any) -> bool:
    """Whether a column takes a value, whatever stands in the others."""
    alone = msgspec.structs.replace(signature, columns=(column,))
    return alone.check({column.name: [value]}, 1).unfit is None


def _odd_values(column: Column) -> Sequence[Any]:
    """Values that a client may send, whether the column takes them or not."""
    if column.categories is not None or not column.kind.numeric(column):
        unseen = column.kind.unseen(column)
        return (None, *(() if unseen is None else (unseen,)), *_ODD_TEXTS)
    return (None, *_ODD_NUMBERS)


def _beside_splits(
    asked: Computed, signature: Signature, drawn: Matrix, random: np.random.Generator
) -> Iterator[Question]:
    """Rows on thresholds and on both sides of them. These part what the steps before made of the
    columns, so the last step is asked alone."""
    found = list(asked.last.splits())
    if not found:
        return
    places = np.concatenate([each[0] for each in found])
    thresholds = np.concatenate([each[1] for each in found])
    made = asked.features(drawn)
    alone = made is not drawn
    features = dense(made).astype(np.float64) if alone else drawn
    places = _before(asked.last, features)[places]
    kept = places >= 0
    if not alone:
        # A column of whole numbers alone cannot hold what lies beside a threshold.
        floats = [
            column.dtype == "float64" or (column.open and column.kind.measured)
            for column in signature.columns
        ]
        kept &= np.array(floats)[places]
        features = features.astype(np.float64) if features.dtype.kind in "iu" else features
    places, thresholds = places[kept], thresholds[kept]
    most = min(SPLITS, SPLIT_CELLS // (NEIGHBOURS * features.shape[1]))
    if len(places) > most:
        chosen = random.choice(len(places), most, replace=False)
        places, thresholds = places[chosen], thresholds[chosen]
    if len(places):
        yield Question(beside(places, thresholds, features), of_last=alone)


def _before(last: Last, features: Matrix) -> NDArray[np.intp]:
    """Of what the trees of a last step are given, which of its features each is as it stands; -1
    of what it makes of them, such as codes of categories."""
    width = features.shape[1]
    if not isinstance(last, Pipeline):
        return np.arange(width)
    made = as_floats(last.features(features))
    found = np.full(made.shape[1], -1)
    filled = ~np.isnan(made).all(axis=0)
    for place in range(width):
        column = features[:, place]
        if column.dtype.kind == "O" and not all(isinstance(cell, float) for cell in column):
            continue
        cells = column.astype(np.float64)[:, np.newaxis]
        # The first rows leave few that may be the same.
        same = np.flatnonzero(_same(made[:FIRST], cells[:FIRST]) & filled)
        found[same[_same(made[:, same], cells)]] = place
    return found


def _same(made: NDArray[Any], column: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of what was made is a column as it stands, where it is not missing."""
    return np.asarray(((made == column) | np.isnan(made)).all(axis=0))


def beside(
    places: NDArray[Any], thresholds: NDArray[Any], features: NDArray[Any]
) -> NDArray[np.float64]:
    """Rows of `features`, each with one value at a threshold or next to it, as float64 and as the
    float32 that trees compare."""
    pairs = zip(places.tolist(), thresholds.tolist(), strict=True)
    edges = [(place, value) for place, at in pairs for value in neighbours(at)]
    rows: NDArray[np.float64] = features[np.arange(len(edges)) % len(features)]
    for row, (place, value) in zip(rows, edges, strict=True):
        row[place] = value
    return rows


def neighbours(at: float) -> list[float]:
    """A threshold, and what lies on both sides of it in float64 and in float32."""
    narrow = np.float32(at)
    found = [at, float(narrow)]
    for end in (-np.inf, np.inf):
        found.append(float(np.nextafter(at, end)))
        found.append(float(np.nextafter(narrow, np.float32(end))))
    return [each for each in found if np.isfinite(each)]
