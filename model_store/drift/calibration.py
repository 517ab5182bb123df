"""How often a model is right, estimated from how sure it is: confidence-based performance
estimation (CBPE, as NannyML calls it).

A probability is no frequency: a forest is unsure of what it gets right, naive Bayes sure of what it
gets wrong. So how often answers were right is learned from rows that the pipeline was not fitted
on, as a function that only rises with the probability of the class that was answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..column_facts import JSONLabel
from ..live_scores import wilson
from .distance import Floats

WIDEST: Final = 0.04
"""Rows that tell the accuracy itself no better than within so much are too few to learn it from."""
GROUPS: Final = 50
"""At most so many groups of rows, alike in confidence, are its points."""

ASSUMES: Final = (
    "an estimate: it assumes that how often the model is right when it is so sure has stayed as it "
    "was in rows that it was not trained on"
)
"""To be said beside each estimate."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Learned from `rows` rows, of which a share was answered right that is their `accuracy`: at
    each of these `confidences`, which ascend, the share of answers that were right. Between them it
    goes straight."""

    rows: int
    accuracy: float
    confidences: tuple[float, ...]
    accuracies: tuple[float, ...]

    @classmethod
    def of(cls, confidences: NDArray[Any], right: NDArray[Any]) -> Calibration:
        """Learn it from the probabilities of the classes that were answered, and whether each was
        right, both of shape (rows,); there are some rows."""
        # Rows that are as sure are one point, wherever a group of equal size would end.
        distinct, places = np.unique(confidences, return_inverse=True)
        sizes = np.bincount(places)
        groups = (np.cumsum(sizes) - sizes) * GROUPS // len(places)
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        weights = np.add.reduceat(sizes, starts)
        sure = np.add.reduceat(distinct * sizes, starts) / weights
        share = np.add.reduceat(np.bincount(places, right), starts) / weights
        points = _rising(sure, share, weights.astype(np.float64))
        return cls(
            rows=len(places),
            accuracy=float(np.mean(right)),
            confidences=tuple(round(point, 6) for point in points[0].tolist()),
            accuracies=tuple(round(point, 6) for point in points[1].tolist()),
        )

    @classmethod
    def of_held_out(cls, pipeline: Any, X: Any, y: Any) -> Calibration:
        """Learn it from rows that a fitted pipeline was not fitted on, and their truth.

        Raises:
            ValueError: it gives no probabilities of the classes of one target.
        """
        classes = getattr(pipeline, "classes_", None)
        if not hasattr(pipeline, "predict_proba") or not isinstance(classes, np.ndarray):
            raise ValueError("A calibration needs a classifier of one target with predict_proba.")
        answers, truth = np.asarray(pipeline.predict(X)), np.asarray(y)
        shares = np.asarray(pipeline.predict_proba(X), dtype=np.float64)
        return cls.of(confidences_of(classes.tolist(), answers.tolist(), shares), answers == truth)

    @property
    def uncertainty(self) -> float:
        """Within how much of the truth the rows tell the accuracy itself, in 95 %."""
        low, high = wilson(self.accuracy, self.rows)
        return (high - low) / 2

    def expected(self, confidences: NDArray[Any]) -> Floats:
        """How likely each answer is right, by the probability of the class that was answered. Their
        mean is the expected accuracy."""
        found: Floats = np.interp(confidences, self.confidences, self.accuracies)
        return found


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a pipeline answered to rows that it was not fitted on, as labels of shape (rows,) or
    (rows, targets), and what was learned from their truth, where that can be."""

    answers: Any
    calibration: Calibration | None = None

    @classmethod
    def of(cls, pipeline: Any, X: Any, y: Any) -> HeldOut:
        """Ask a fitted pipeline for such rows, whose truth is `y`."""
        classes = getattr(pipeline, "classes_", None)
        if hasattr(pipeline, "predict_proba") and isinstance(classes, np.ndarray):
            calibration = Calibration.of_held_out(pipeline, X, y)
            return cls(pipeline.predict(X), calibration)
        return cls(pipeline.predict(X))


def confidences_of(
    classes: Sequence[JSONLabel], answers: Sequence[JSONLabel], probabilities: NDArray[Any]
) -> Floats:
    """The probability of the class that was answered in each row, of a table of the shape (rows,
    classes).

    Raises:
        KeyError: an answer is none of the classes.
    """
    places = {label: place for place, label in enumerate(classes)}
    chosen = np.array([places[answer] for answer in answers], dtype=np.intp)
    found: Floats = np.asarray(probabilities, dtype=np.float64)[np.arange(len(chosen)), chosen]
    return found


def _rising(sure: Floats, share: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Isotonic regression by pooling adjacent violators: neighbours whose shares fall become one,
    until none do. Their means, and the shares there."""
    pools: list[tuple[float, float, float]] = []
    for point in zip(sure.tolist(), share.tolist(), weights.tolist(), strict=True):
        pool = point
        while pools and pools[-1][1] >= pool[1]:
            last = pools.pop()
            weight = last[2] + pool[2]
            pool = (
                (last[0] * last[2] + pool[0] * pool[2]) / weight,
                (last[1] * last[2] + pool[1] * pool[2]) / weight,
                weight,
            )
        pools.append(pool)
    points = np.array(pools)
    return points[:, 0], points[:, 1]
