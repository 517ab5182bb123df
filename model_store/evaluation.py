"""What a pipeline answered to rows whose truth is known, kept so that it can be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel
from .labels import json_labels
from .manifest import Confusion, Evaluation

MOST_CLASSES: Final = 100
"""The table of more classes is not kept: it would hold little but zeros."""
MOST_POINTS: Final = 200
SEED: Final = 20

GIVEN: Final = "measured on the rows given, which may be those it was trained on"
"""What `validation` says of a pipeline that came fitted."""
HELD_OUT: Final = "measured on the rows given, which it was not trained on"
"""The same where whoever gave them says so."""


def evaluate(
    truth: NDArray[Any],
    answers: NDArray[Any],
    *,
    classes: Sequence[JSONLabel] | None = None,
    target: str | None = None,
) -> Evaluation:
    """Put answers beside the truth, both of shape (rows,). `classes` are None for numbers.

    Labels that are none of the classes are an error of the caller.
    """
    rows = len(truth)
    if classes is None:
        return Evaluation(rows=rows, target=target, points=_points(truth, answers))
    confusion = _confusion(truth, answers, classes) if len(classes) <= MOST_CLASSES else None
    return Evaluation(rows=rows, target=target, confusion=confusion)


def _confusion(
    truth: NDArray[Any], answers: NDArray[Any], classes: Sequence[JSONLabel]
) -> Confusion:
    position = {label: i for i, label in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for true, answered in zip(json_labels(truth), json_labels(answers), strict=True):
        counts[position[true], position[answered]] += 1
    return Confusion(labels=list(classes), counts=counts.tolist())


def _points(truth: NDArray[Any], answers: NDArray[Any]) -> list[tuple[float, float]]:
    pairs = np.stack([truth.astype(np.float64), answers.astype(np.float64)], axis=1)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) > MOST_POINTS:
        chosen = np.random.default_rng(SEED).choice(len(pairs), MOST_POINTS, replace=False)
        pairs = pairs[np.sort(chosen)]
    return [(true, answered) for true, answered in pairs.tolist()]
