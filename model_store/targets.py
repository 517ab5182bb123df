"""What a pipeline tells: a number or a class, one or several of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel
from .errors import InvalidPipeline
from .manifest import Target
from .model import json_labels
from .training import missing

QUANTILES: Final = 21
"""So many that they stand at each twentieth of the data."""


def targets_of(
    pipeline: Any,
    labels: NDArray[Any],
    y: Any = None,
    *,
    rows: int = 0,
    names: str | Sequence[str] | None = None,
) -> tuple[Target, ...]:
    """The targets of a pipeline that answered with `labels` of shape (n,) or (n, targets).

    `y` of `rows` values, or of shape (rows, targets), is what it was trained to tell, if known.

    Raises:
        InvalidPipeline: the labels have another shape, a class is of no JSON type, or `y` is not
            that of the pipeline.
    """
    if labels.ndim > 2 or (labels.ndim == 2 and labels.shape[1] == 0):
        raise InvalidPipeline(f"The pipeline answers with the shape {labels.shape}.")
    count = labels.shape[1] if labels.ndim == 2 else 1
    classes = _classes(pipeline, labels, count)
    known = _columns(y, rows, count)
    chosen = _names(pipeline, names, y, count, multilabel=_is_multilabel(pipeline, labels))
    return tuple(
        _target(name, each, column)
        for name, each, column in zip(chosen, classes, known, strict=True)
    )


def _is_multilabel(pipeline: Any, labels: NDArray[Any]) -> bool:
    """Whether each class of a flat list is a target of its own, which applies or does not."""
    classes = getattr(pipeline, "classes_", None)
    return labels.ndim == 2 and classes is not None and not isinstance(classes, list)


def _classes(pipeline: Any, labels: NDArray[Any], count: int) -> list[list[JSONLabel] | None]:
    classes = getattr(pipeline, "classes_", None)
    if classes is None:
        return [None] * count
    if _is_multilabel(pipeline, labels):
        return [[0, 1] for _ in range(count)]
    tables = classes if isinstance(classes, list) else [classes]
    if len(tables) != count:
        raise InvalidPipeline(
            f"The pipeline has classes for {len(tables)} outputs and answers with {count}."
        )
    return [_plain(np.asarray(table)) for table in tables]


def _plain(classes: NDArray[Any]) -> list[JSONLabel]:
    labels = json_labels(classes)
    odd = [label for label in labels if not _is_plain(label)]
    if odd:
        raise InvalidPipeline(
            f"A class must be a text, a finite number or a boolean, got {odd[0]!r}; convert y "
            "before the pipeline is fitted."
        )
    return labels


def _is_plain(label: object) -> bool:
    return math.isfinite(label) if isinstance(label, float) else isinstance(label, str | int)


def _columns(y: Any, rows: int, count: int) -> list[NDArray[Any] | None]:
    if y is None:
        return [None] * count
    target = np.asarray(y)
    if count == 1 and target.shape in {(rows,), (rows, 1)}:
        return [target.reshape(rows)]
    if target.shape == (rows, count):
        return list(target.T)
    outputs = f" and {count} outputs" if count > 1 else ""
    raise InvalidPipeline(
        f"There are {rows} rows in X{outputs}, but y has the shape {tuple(target.shape)}."
    )


def _names(
    pipeline: Any, given: str | Sequence[str] | None, y: Any, count: int, *, multilabel: bool
) -> list[str | None]:
    if given is None:
        columns = getattr(y, "columns", None)
        given = getattr(y, "name", None) if columns is None else list(columns)
    if given is None and multilabel:
        given = [str(label) for label in json_labels(np.asarray(pipeline.classes_))]
    if given is None:
        return [None] if count == 1 else [f"y{i}" for i in range(count)]
    names = (
        [str(given)]
        if isinstance(given, str) or (count == 1 and not isinstance(given, list | tuple))
        else [str(name) for name in given]
    )
    if len(names) != count or len(set(names)) != count:
        raise InvalidPipeline(
            f"The pipeline has {count} outputs, which need as many names that differ, "
            f"got {', '.join(names)}."
        )
    return list(names)


def _target(
    name: str | None, classes: list[JSONLabel] | None, known: NDArray[Any] | None
) -> Target:
    if known is not None:
        known = known[~missing(known)]
    if known is None or not len(known):
        return Target(name=name, classes=classes)
    if classes is None:
        try:
            numbers = known.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidPipeline(
                f"The pipeline has no classes_, so y must be numeric: {error}."
            ) from error
        return Target(
            name=name,
            minimum=float(numbers.min()),
            maximum=float(numbers.max()),
            quantiles=_quantiles(numbers),
        )
    values, counts = np.unique(known, return_counts=True)
    found = dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))
    return Target(name=name, classes=classes, counts=found)


def _quantiles(numbers: NDArray[np.float64]) -> tuple[float, ...] | None:
    if not np.isfinite(numbers).all():
        return None
    return tuple(np.quantile(numbers, np.linspace(0, 1, QUANTILES)).tolist())
