"""How well answers agree with what a sample says the pipeline should tell.

Of rows that a pipeline was trained on, agreement is no score. But it tells one reading of the rows
from another, and it tells that something is wrong: fitting never leaves a pipeline that is worse on
its own rows than one answer to all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel
from .drift.calibration import Calibration, HeldOut, confidences_of
from .labels import json_labels
from .literals import told_category
from .manifest import Target
from .model import Prediction
from .training import missing

CLEARLY: Final = 2.0
"""So many standard deviations off is the count of rows of which one reading is told better: one of
forty, if both were equally good."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """In how many of `rows` the pipeline says what the sample's target says; None for numbers,
    where `error` is the mean absolute difference."""

    target: str
    rows: int
    equal: int | None = None
    error: float | None = None

    def __str__(self) -> str:
        if self.error is None:
            return f"as the sample says in {self.equal} of {self.rows} rows"
        return f"off by {self.error:.6g} on average over {self.rows} rows"


@dataclass(frozen=True, slots=True)
class Truth:
    """What a sample says the pipeline should tell: for each target an array of labels, None where
    there is none, or of numbers, NaN where there is none. `classes` are None for numbers."""

    columns: tuple[NDArray[Any], ...]
    classes: tuple[Sequence[JSONLabel] | None, ...]

    @property
    def y(self) -> NDArray[Any]:
        """The targets as scikit-learn has them: of shape (rows,), or (rows, targets) of several."""
        return self.columns[0] if len(self.columns) == 1 else np.stack(self.columns, axis=1)

    @property
    def known(self) -> NDArray[np.bool_]:
        """The rows of which all targets are known."""
        found: NDArray[np.bool_] = ~np.any([missing(each) for each in self.columns], axis=0)
        return found

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Truth:
        """These rows of it."""
        return Truth(tuple(each[rows] for each in self.columns), self.classes)

    def losses(self, prediction: Prediction) -> NDArray[np.float64]:
        """How far off each answer is: a wrong label by 1, and what is lacking of the probability of
        the right one; a number by the difference, in standard deviations."""
        labels = prediction.labels.reshape(len(prediction), -1)
        total = np.zeros(len(prediction))
        for i, (truth, classes) in enumerate(zip(self.columns, self.classes, strict=True)):
            if classes is None:
                total += _differences(labels[:, i], truth) / (np.std(truth.astype(float)) or 1.0)
                continue
            total += _wrong(labels[:, i], truth)
            if prediction.probabilities is not None:
                total += 1 - _shares(prediction.probabilities[i], truth, classes)
        return total

    def agreement(self, prediction: Prediction) -> Agreement:
        """Of the first target, which stands for all of them in a sentence."""
        labels = prediction.labels.reshape(len(prediction), -1)[:, 0]
        return _agreement("", labels, self.columns[0], self.classes[0])


def clearly_better(losses: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether answers are nearer to the truth than others, on the whole and in so many rows more
    that it is no accident."""
    if not losses.mean() < others.mean():
        return False
    nearer, farther = int((losses < others).sum()), int((losses > others).sum())
    return nearer - farther >= CLEARLY * math.sqrt(nearer + farther)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a pipeline says of the sample's rows for one target, and what the sample says. `shares`
    are the probabilities of the classes, where it knows them."""

    target: Target
    answers: NDArray[Any]
    truth: NDArray[Any]
    shares: NDArray[np.float64] | None = None

    @property
    def agreement(self) -> Agreement:
        """Of training rows it is no score."""
        return _agreement(
            self.target.name or "target", self.answers, self.truth, self.target.classes
        )

    @property
    def metrics(self) -> dict[str, float]:
        """The score of finite answers, by the name that says what it was measured on."""
        found = self.agreement
        if found.equal is not None:
            return {"accuracy_on_the_rows_given": found.equal / found.rows}
        error = found.error
        assert error is not None
        return {"mean_absolute_error_on_the_rows_given": error} if math.isfinite(error) else {}

    @property
    def held_out(self) -> HeldOut:
        """What is learned from these answers, if it was not trained on these rows."""
        if self.target.classes is None or self.shares is None:
            return HeldOut(self.answers)
        confidences = confidences_of(self.target.classes, json_labels(self.answers), self.shares)
        right = 1 - _wrong(self.answers, self.truth)
        return HeldOut(self.answers, Calibration.of(confidences, right))

    @property
    def doubt(self) -> str | None:
        """A sentence where the answers agree no better than one answer to all rows would."""
        if self.target.classes is None:
            return self._doubt_of_numbers()
        counts = Counter(json_labels(self.truth))
        (label, most), *others = counts.most_common()
        equal = self.agreement.equal
        if not others or equal is None or equal > most:
            return None
        return (
            f"{self._name}: the pipeline says what the sample says in {equal} of "
            f"{len(self.truth)} rows; always answering {told_category(label)} would in {most}."
        )

    def _doubt_of_numbers(self) -> str | None:
        """No better is what neither is nearer on average nor has the smaller squares: fitting by
        either leaves a pipeline that beats the median, or the mean."""
        truth, answers = self.truth.astype(float), self.answers.astype(float)
        errors, spread = np.abs(answers - truth), np.abs(truth - np.median(truth))
        squares = (errors**2).mean() - np.var(truth)
        if not spread.any() or errors.mean() < spread.mean() or squares < 0:
            return None
        return (
            f"{self._name}: the pipeline is off by {errors.mean():.6g} on average over "
            f"{len(truth)} rows; always answering {np.median(truth):.6g} would be by "
            f"{spread.mean():.6g}."
        )

    @property
    def _name(self) -> str:
        return self.target.name or "target"


def _agreement(
    name: str, answers: NDArray[Any], truth: NDArray[Any], classes: Sequence[JSONLabel] | None
) -> Agreement:
    rows = len(truth)
    if classes is None:
        return Agreement(target=name, rows=rows, error=float(_differences(answers, truth).mean()))
    return Agreement(target=name, rows=rows, equal=rows - int(_wrong(answers, truth).sum()))


def _differences(answers: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.abs(answers.astype(float) - truth.astype(float))
    return found


def _wrong(answers: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    pairs = zip(json_labels(answers), json_labels(truth), strict=True)
    return np.array([float(now != then) for now, then in pairs])


def _shares(
    probabilities: NDArray[np.float64], truth: NDArray[Any], classes: Sequence[JSONLabel]
) -> NDArray[np.float64]:
    """The probability of the right label in each row."""
    positions = {label: position for position, label in enumerate(classes)}
    right = [positions[label] for label in json_labels(truth)]
    found: NDArray[np.float64] = probabilities[np.arange(len(right)), right]
    return found
