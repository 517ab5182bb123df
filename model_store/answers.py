"""What a pipeline answers before it is published, and when two answers to a row are one.

Numbers count as one where they differ by no more than 1e-9 of the size of the answers: many
estimators add the same numbers up in another order when there are more rows, or when the rows lie
otherwise in memory, and so differ in the last bits. Where large terms cancel out, last bits of the
terms are far more of what is left: then a change of the row's own last bits tells how far they go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import frames
from .labels import json_labels
from .last_step import LastStep
from .model import Prediction, ask, joined
from .signature import Matrix, Signature
from .task import DEVIATION, classes_of, measures_of

SAME: Final = 1e-9
"""How far numbers may differ, as a share of their size and of that of all answers together: what
is left where large terms cancel out has the last bits of these."""
SAME_SINGLE: Final = 1e-5
"""The same of what is computed in single precision."""
ROUNDING: Final = 100.0
"""How many times as far as by the last bits of its own values an answer may move by rounding."""


def answers_of(pipeline: Any, signature: Signature, matrix: Matrix) -> Prediction:
    """What the pipeline says of the rows of a matrix when it is served by this signature; whatever
    it raises passes."""
    parts = frames.parts(matrix, signature)
    if parts is not None:
        found = [answers_of(pipeline, signature, matrix[rows]) for rows in parts]
        return joined(found, parts)
    return answers_to(pipeline, frames.as_fitted(matrix, signature))


def answers_to(pipeline: Any, rows: Any) -> Prediction:
    """What the pipeline says of rows as it takes them, with probabilities where it knows some;
    whatever it raises passes."""
    return ask(
        LastStep(pipeline, rows),
        probabilities=_tells_probabilities(pipeline),
        several=None,
        measures=measures_of(pipeline),
    )


def _tells_probabilities(pipeline: Any) -> bool:
    return hasattr(pipeline, "predict_proba") and classes_of(pipeline) is not None


def differing(
    one: Prediction, other: Prediction, among: Prediction | None = None
) -> NDArray[np.bool_]:
    """Which rows have another answer, of shape (n,): another label, a number that is not the same,
    or a probability. `among` are the answers whose size counts, else these."""
    among = among or one
    if _shapes(one) != _shapes(other):
        return np.ones(len(one), dtype=bool)
    differ = _differing_labels(one.labels, other.labels, among.labels)
    tables = zip(_tables(one), _tables(other), _tables(among), strict=True)
    for shares, others, all_shares in tables:
        differ |= _by_row(_far(shares, others, all_shares))
    return differ


def answers_at(one: Prediction, other: Prediction, row: int) -> tuple[Any, Any]:
    """Two answers to a row that differ: labels, or where these are one, probabilities."""
    pairs = [(one.labels, other.labels), *zip(_tables(one), _tables(other), strict=False)]
    for found, others in pairs:
        if found.shape != others.shape:
            return json_labels(found), json_labels(others)
        answers = json_labels(found[row : row + 1])[0], json_labels(others[row : row + 1])[0]
        if answers[0] != answers[1]:
            return answers
    return answers


def rounded(
    ask: Callable[[Matrix], Prediction], matrix: Matrix, one: Prediction, other: Prediction
) -> NDArray[np.bool_]:
    """Of which rows of a matrix two answers differ by no more than rounding does, of shape (n,):
    where the row's own values, changed in the last bit, move the answer about as far. Where that
    moves nothing it is the last bit of single precision, to which some estimators round."""
    if _shapes(one) != _shapes(other):
        return np.zeros(len(one), dtype=bool)
    moves = _moves(ask, matrix, single=False)
    if not all(moved.all() for moved in moves):
        singles = _moves(ask, matrix, single=True)
        moves = [
            np.where(moved == 0, single, moved)
            for moved, single in zip(moves, singles, strict=True)
        ]
    found = _without_labels(one, other)
    for *pair, moved in zip(_numbers(one), _numbers(other), moves, strict=True):
        found &= _distance(*pair) <= ROUNDING * moved
    return found


def _moves(
    ask: Callable[[Matrix], Prediction], matrix: Matrix, *, single: bool
) -> list[NDArray[np.float64]]:
    """How far each kind of numbers moves in each row by the last bits of its values."""
    here = _numbers(ask(matrix))
    beside = [_numbers(ask(_nudged(matrix, towards, single))) for towards in (-np.inf, np.inf)]
    return [
        np.maximum(_distance(below, at), _distance(above, at))
        for at, below, above in zip(here, *beside, strict=True)
    ]


def _without_labels(one: Prediction, other: Prediction) -> NDArray[np.bool_]:
    """Where what differs are numbers: a label is not rounded."""
    if one.labels.dtype.kind == other.labels.dtype.kind == "f":
        return np.ones(len(one), dtype=bool)
    return np.logical_not(_differing_labels(one.labels, other.labels, one.labels))


def _numbers(answers: Prediction) -> list[NDArray[np.float64]]:
    labels = [answers.labels] if answers.labels.dtype.kind == "f" else []
    return [each.astype(np.float64) for each in (*labels, *_tables(answers))]


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest difference of each row."""
    return np.asarray(np.abs(one - other).reshape(len(one), -1).max(axis=1))


def _nudged(matrix: Matrix, towards: float, single: bool) -> Matrix:
    """A matrix with each of its floats at the next one in this direction, or at the next one that
    single precision has."""
    if matrix.dtype.kind == "f":
        return _next(matrix, towards, single)
    cells = matrix.copy()
    if matrix.dtype.kind == "O":
        for place, cell in np.ndenumerate(matrix):
            if isinstance(cell, float):
                cells[place] = float(_next(np.array(cell), towards, single))
    return cells


def _next(floats: NDArray[Any], towards: float, single: bool) -> NDArray[Any]:
    if not single:
        return np.asarray(np.nextafter(floats, floats.dtype.type(towards)))
    with np.errstate(over="ignore"):
        found = np.nextafter(floats.astype(np.float32), np.float32(towards)).astype(floats.dtype)
    return np.where(np.isfinite(found), found, floats)


def _tables(answers: Prediction) -> tuple[NDArray[np.float64], ...]:
    """All numbers beside the labels. Of a deviation it is the variance: the root of one that is
    near 0 makes its rounding as large as itself."""
    beside = [
        each**2 if name == DEVIATION else each for name, each in sorted(answers.measures.items())
    ]
    return (*(answers.probabilities or ()), *beside)


def _shapes(answers: Prediction) -> list[tuple[int, ...]]:
    return [answers.labels.shape, *(shares.shape for shares in _tables(answers))]


def _differing_labels(
    one: NDArray[Any], other: NDArray[Any], among: NDArray[Any]
) -> NDArray[np.bool_]:
    kinds = one.dtype.kind + other.dtype.kind
    if "f" in kinds and set(kinds) <= set("fiub"):
        return _by_row(_far(one, other, among))
    pairs = zip(json_labels(one.ravel()), json_labels(other.ravel()), strict=True)
    return _by_row(np.array([not _same(*pair) for pair in pairs]).reshape(one.shape))


def _same(one: Any, other: Any) -> bool:
    """Whether two labels are one: a text is never a number, and NaN is NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=SAME, atol=0, equal_nan=True))
    return one is other or (isinstance(one, str) == isinstance(other, str) and bool(one == other))


def _far(one: NDArray[Any], other: NDArray[Any], among: NDArray[Any]) -> NDArray[np.bool_]:
    one, other, among = (each.astype(np.float64) for each in (one, other, among))
    tolerance = SAME_SINGLE if _is_single(one) and _is_single(other) else SAME
    size = float(np.abs(among[np.isfinite(among)]).max(initial=0.0))
    near = np.isclose(one, other, rtol=tolerance, atol=tolerance * size, equal_nan=True)
    return np.asarray(np.logical_not(near))


def _is_single(numbers: NDArray[np.float64]) -> bool:
    """Whether all of them are numbers of single precision, as if they were computed in it."""
    with np.errstate(all="ignore"):
        return bool(np.array_equal(numbers, numbers.astype(np.float32), equal_nan=True))


def _by_row(cells: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(cells.reshape(len(cells), -1).any(axis=1))
