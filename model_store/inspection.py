"""What a fitted pipeline and its training data tell of themselves, before it is published."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from . import frames
from .errors import InvalidPipeline
from .manifest import JSONLabel, Target
from .model import json_labels
from .signature import Matrix, Signature, as_matrix

GOLDEN_ROWS: Final = 8


@dataclass(frozen=True, slots=True)
class Inspection:
    """All of a manifest that can be read off the pipeline and its training data.

    `golden` has the shape (golden rows, columns), evenly spread over the training data.
    """

    task: Literal["classification", "regression"]
    signature: Signature
    classes: list[JSONLabel] | None
    probabilities: bool
    target: Target
    estimator: str
    golden: Matrix

    @classmethod
    def of(
        cls,
        pipeline: Any,
        X: Any,
        y: Any,
        *,
        feature_names: Sequence[str] | None = None,
        target_name: str | None = None,
    ) -> Inspection:
        """Look at a fitted pipeline with the data that it was trained on. Blocks.

        Raises:
            InvalidPipeline: it does not predict that data, or the data is not numeric.
        """
        matrix = as_matrix(X)
        frame = frames.was_fitted_on_frame(pipeline)
        if frame:
            feature_names = _fitted_names(pipeline, feature_names)
        signature = Signature.from_data(X, feature_names, frame=frame)
        _require_fitted(pipeline, X)
        typical = np.array([[column.typical or 0 for column in signature.columns]])
        signature = signature.with_missing(_answered_without(pipeline, typical, signature))
        classes = _classes(pipeline)
        return cls(
            task="regression" if classes is None else "classification",
            signature=signature,
            classes=classes,
            probabilities=classes is not None and hasattr(pipeline, "predict_proba"),
            target=_describe_target(y, len(matrix), target_name, classes),
            estimator=_estimator_name(pipeline),
            golden=_golden_rows(matrix, signature),
        )


def _fitted_names(pipeline: Any, given: Sequence[str] | None) -> list[str]:
    names = [str(name) for name in pipeline.feature_names_in_]
    if given is not None and list(given) != names:
        raise InvalidPipeline(
            "The pipeline was fitted on a DataFrame and knows its columns; leave feature_names out."
        )
    return names


def _require_fitted(pipeline: Any, X: Any) -> None:
    if not callable(getattr(pipeline, "predict", None)):
        raise InvalidPipeline(
            f"A {type(pipeline).__name__} has no predict method; publish a fitted pipeline."
        )
    try:
        labels = np.asarray(pipeline.predict(X[:1]))
    except Exception as error:
        raise InvalidPipeline(
            f"The pipeline does not predict the first row of its training data: {error}"
        ) from error
    if labels.shape != (1,):
        raise InvalidPipeline(
            f"The pipeline answers one row with the shape {labels.shape}; one output is needed, so "
            "fit it on a y of the shape (rows,)."
        )


def _answered_without(pipeline: Any, typical: NDArray[Any], signature: Signature) -> list[bool]:
    """For each column, whether the pipeline answers a typical row that lacks it."""

    def answers(row: NDArray[Any]) -> bool:
        rows = frames.from_matrix(row, signature.names) if framed else row
        try:
            labels = np.asarray(pipeline.predict(rows))
        except Exception:
            return False
        return labels.dtype.kind != "f" or bool(np.isfinite(labels).all())

    framed = signature.container == "frame"
    typical = typical.astype(np.float64)
    if answers(np.full_like(typical, np.nan)):
        return [True] * len(signature.columns)
    allowed = []
    for i in range(len(signature.columns)):
        probe = typical.copy()
        probe[:, i] = np.nan
        allowed.append(answers(probe))
    return allowed


def _classes(pipeline: Any) -> list[JSONLabel] | None:
    classes = getattr(pipeline, "classes_", None)
    if classes is None:
        return None
    if isinstance(classes, list):
        raise InvalidPipeline("The pipeline has several outputs; one output is needed.")
    labels = json_labels(np.asarray(classes))
    odd = [label for label in labels if not _is_plain(label)]
    if odd:
        raise InvalidPipeline(
            f"A class must be a text, a finite number or a boolean, got {odd[0]!r}; convert y "
            "before the pipeline is fitted."
        )
    return labels


def _is_plain(label: object) -> bool:
    return math.isfinite(label) if isinstance(label, float) else isinstance(label, str | int)


def _describe_target(
    y: Any, rows: int, name: str | None, classes: list[JSONLabel] | None
) -> Target:
    target = np.asarray(y)
    if target.shape not in {(rows,), (rows, 1)}:
        raise InvalidPipeline(
            f"There are {rows} rows in X, but y has the shape {tuple(target.shape)}."
        )
    found = name or getattr(y, "name", None)
    label = None if found is None else str(found)
    if classes is None:
        try:
            numbers = target.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidPipeline(
                f"The pipeline has no classes_, so y must be numeric: {error}."
            ) from error
        return Target(name=label, minimum=float(numbers.min()), maximum=float(numbers.max()))
    values, counts = np.unique(target, return_counts=True)
    found_counts = dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))
    return Target(name=label, counts=found_counts)


def _estimator_name(pipeline: Any) -> str:
    steps = getattr(pipeline, "steps", None)
    if steps is None:
        return type(pipeline).__name__
    return " → ".join(type(step).__name__ for _, step in steps)


def _golden_rows(matrix: Matrix, signature: Signature) -> Matrix:
    """Up to GOLDEN_ROWS rows that the signature takes, evenly spread over the data."""
    accepted = np.array([column.missing for column in signature.columns])
    usable = (np.isfinite(matrix) | (np.isnan(matrix) & accepted)).all(axis=1)
    rows = matrix[usable].astype(signature.dtype)
    if len(rows) == 0:
        raise InvalidPipeline(
            "Every row of the training data has a missing or infinite value that the pipeline does "
            "not take; impute it inside the pipeline."
        )
    chosen = np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int))
    golden: Matrix = rows[chosen]
    return golden
