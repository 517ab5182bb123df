"""How good predictions were, from pairs of answer and truth: each score with a 95 % interval.

The scores are scikit-learn's, by its names. The interval says what the score of endless rows like
these may be; which one it is stands beside it, and docs/drift.md has the formulas. Nothing is drawn
at random, so the same pairs have the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel

NORMAL: Final = 1.959963984540054
"""The standard normal is within it with a probability of 95 %."""

Name = Literal[
    "accuracy",
    "balanced_accuracy",
    "log_loss",
    "roc_auc",
    "mean_absolute_error",
    "root_mean_squared_error",
    "bias",
    "r2",
]
Interval = Literal["Wilson", "Wilson of each class", "DeLong", "Student", "delta"]
"""Wilson's score interval of a share; that of each class, combined as Zou and Donner do (MOVER);
Wilson's for the number of rows that has DeLong's variance; Student's of a mean; and the delta
method on the logarithm of a ratio of means."""

Floats = NDArray[np.float64]


class LiveScore(msgspec.Struct, frozen=True):
    """One score of so many rows, and the ends of its interval, None of a single row."""

    name: Name
    value: float
    low: float | None
    high: float | None
    interval: Interval
    rows: int


def class_scores(
    classes: Sequence[JSONLabel],
    truth: Sequence[JSONLabel],
    answers: Sequence[JSONLabel],
    probabilities: NDArray[Any] | None = None,
) -> list[LiveScore]:
    """The scores of a classifier. `probabilities` have the shape (rows, classes).

    Balanced accuracy is the mean over classes that came true. The area below the ROC curve is that
    of the second of two classes; of more it is the mean of each against the rest, and is left out
    as long as one of them never came true.

    Raises:
        KeyError: a truth or an answer is none of the classes.
    """
    places = {label: place for place, label in enumerate(classes)}
    true = np.array([places[label] for label in truth], dtype=np.intp)
    told = np.array([places[label] for label in answers], dtype=np.intp)
    if not len(true):
        return []
    rows, right = len(true), true == told
    counts = np.bincount(true, minlength=len(classes))
    hits = np.bincount(true[right], minlength=len(classes))
    found = [
        LiveScore("accuracy", *_of_share(float(right.mean()), rows), "Wilson", rows),
        _balanced(hits[counts > 0], counts[counts > 0], rows),
    ]
    if probabilities is not None:
        shares = np.asarray(probabilities, dtype=np.float64)
        found.append(_log_loss(true, shares))
        if counts.all() and len(classes) > 1:
            found.append(_roc_auc(true, shares, counts))
    return found


def number_scores(
    truth: Sequence[float] | NDArray[Any], answers: Sequence[float] | NDArray[Any]
) -> list[LiveScore]:
    """The scores of a regression. `bias` is the mean of answer less truth; R² is left out where the
    truth never differs."""
    true = np.asarray(truth, dtype=np.float64)
    errors = np.asarray(answers, dtype=np.float64) - true
    rows = len(errors)
    if not rows:
        return []
    found = [
        LiveScore("mean_absolute_error", *_of_mean(np.abs(errors), least=0.0), "Student", rows),
        _root_mean_squared(errors),
        LiveScore("bias", *_of_mean(errors), "Student", rows),
    ]
    deviations = (true - true.mean()) ** 2
    if deviations.any():
        found.append(_r2(errors**2, deviations))
    return found


def wilson(share: float, rows: float) -> tuple[float, float]:
    """Wilson's score interval of a share of so many rows, which need not be a whole number."""
    square = NORMAL**2 / rows
    middle = (share + square / 2) / (1 + square)
    half = NORMAL * math.sqrt(share * (1 - share) / rows + square / (4 * rows)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


# Classes -------------------------------------------------------------------------


def _of_share(share: float, rows: float) -> tuple[float, float, float]:
    return share, *wilson(share, rows)


def _balanced(hits: NDArray[np.intp], counts: NDArray[np.intp], rows: int) -> LiveScore:
    recalls = hits / counts
    ends = [wilson(share, count) for share, count in zip(recalls, counts, strict=True)]
    below = math.hypot(*(share - low for share, (low, _) in zip(recalls, ends, strict=True)))
    above = math.hypot(*(high - share for share, (_, high) in zip(recalls, ends, strict=True)))
    value, size = float(recalls.mean()), len(recalls)
    low, high = max(0.0, value - below / size), min(1.0, value + above / size)
    return LiveScore("balanced_accuracy", value, low, high, "Wilson of each class", rows)


def _log_loss(true: NDArray[np.intp], shares: Floats) -> LiveScore:
    least = np.finfo(np.float64).eps  # scikit-learn's, so that what was called impossible counts
    chosen = np.clip(shares[np.arange(len(true)), true], least, 1 - least)
    return LiveScore("log_loss", *_of_mean(-np.log(chosen), least=0.0), "Student", len(true))


def _roc_auc(true: NDArray[np.intp], shares: Floats, counts: NDArray[np.intp]) -> LiveScore:
    rows = len(true)
    places = [1] if shares.shape[1] == 2 else range(shares.shape[1])
    areas, influences = zip(*_areas(true, shares, places), strict=True)
    value = float(np.mean(areas))
    variance = float(np.mean(np.mean(influences, axis=0) ** 2)) / rows
    effective = float(counts.min())
    if variance > 0 and 0 < value < 1:
        effective = min(value * (1 - value) / variance, float(rows))
    return LiveScore("roc_auc", *_of_share(value, effective), "DeLong", rows)


def _areas(
    true: NDArray[np.intp], shares: Floats, places: Iterable[int]
) -> Iterator[tuple[float, Floats]]:
    """For each class the area of it against the rest, and what each row adds to that beyond the
    mean: the share of the other side that it stands on the right side of."""
    for place in places:
        scores, positive = shares[:, place], true == place
        ranks = _ranks(scores)
        sides = np.empty(len(scores))
        for side in (positive, ~positive):
            others = len(scores) - side.sum()
            sides[side] = (ranks[side] - _ranks(scores[side])) / others
        sides[~positive] = 1 - sides[~positive]
        area = float(sides[positive].mean())
        weights = np.where(positive, 1 / positive.mean(), 1 / (1 - positive.mean()))
        yield area, (sides - area) * weights


def _ranks(scores: Floats) -> Floats:
    """From 1, those that are equal having the mean of theirs."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: Floats = (ends - (counts - 1) / 2)[places]
    return found


# Numbers -------------------------------------------------------------------------


def _of_mean(
    values: Floats, *, least: float = -math.inf
) -> tuple[float, float | None, float | None]:
    """A mean with Student's interval."""
    mean, rows = float(values.mean()), len(values)
    if rows < 2:
        return mean, None, None
    half = student(rows - 1) * float(values.std(ddof=1)) / math.sqrt(rows)
    return mean, max(least, mean - half), mean + half


def student(freedom: int) -> float:
    """Within which Student's t is with a probability of 95 %: exact for 1 and 2 degrees of freedom,
    and Fisher and Cornish's expansion for more."""
    if freedom < 3:
        return (12.706204736432095, 4.302652729911275)[freedom - 1]
    z, n = NORMAL, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )


def _root_mean_squared(errors: Floats) -> LiveScore:
    squares, rows = errors**2, len(errors)
    mean = float(squares.mean())
    factor = 1.0
    if rows > 1 and mean > 0:
        factor = math.exp(_half_of_logarithm(squares / mean) / 2)
    value = math.sqrt(mean)
    low, high = (value / factor, value * factor) if rows > 1 else (None, None)
    return LiveScore("root_mean_squared_error", value, low, high, "delta", rows)


def _r2(squares: Floats, deviations: Floats) -> LiveScore:
    rows = len(squares)
    ratio = float(squares.sum() / deviations.sum())
    factor = 1.0
    if ratio > 0:
        shares = squares / squares.mean() - deviations / deviations.mean()
        factor = math.exp(_half_of_logarithm(shares))
    return LiveScore("r2", 1 - ratio, 1 - ratio * factor, 1 - ratio / factor, "delta", rows)


def _half_of_logarithm(influences: Floats) -> float:
    """Half the interval of a logarithm to which each row adds so much beyond the mean."""
    rows = len(influences)
    return student(rows - 1) * float(influences.std(ddof=1)) / math.sqrt(rows)
