"""What a pipeline tells: a number or a class, one or several of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel
from .errors import InvalidPipeline
from .labels import Classes, Labels, json_labels, labels_of, numbers, texts, why_no_class
from .manifest import TEXTS, Target
from .signature import Signature
from .task import classes_of, predicts, require_columns
from .training import missing

QUANTILES: Final = 21
"""So many that they stand at each twentieth of the data."""
MOST_QUANTILES: Final = 100
"""Of more targets each has its range alone, so that a manifest stays small."""


def targets_of(
    pipeline: Any,
    labels: Labels,
    y: Any = None,
    *,
    rows: int = 0,
    names: str | Sequence[str] | None = None,
) -> tuple[Target, ...]:
    """The targets of a pipeline that answered with `labels` of shape (n,) or (n, targets).

    `y` of `rows` values, or of shape (rows, targets), is what it was trained to tell, if known.

    Raises:
        InvalidPipeline: the labels have another shape or are neither classes nor numbers, a class
            is nothing that JSON has, or `y` is not that of the pipeline.
    """
    if labels.ndim not in {1, 2} or (labels.ndim == 2 and labels.shape[1] == 0):
        raise InvalidPipeline(f"The pipeline answers with the shape {labels.shape}.")
    count = labels.shape[1] if labels.ndim == 2 else 1
    classes = _classes(pipeline, labels, count)
    known = _columns(y, rows, count)
    chosen = _names(pipeline, names, y, count, multilabel=_is_multilabel(pipeline, labels))
    return tuple(
        _number(name, told, column, quantiles=count <= MOST_QUANTILES)
        if each is None
        else _class(name, each, column)
        for name, each, told, column in zip(
            chosen, classes, told_of(labels, classes, pipeline), known, strict=True
        )
    )


def output_count(pipeline: Any) -> int | None:
    """How many columns a pipeline says that it transforms its rows to; None where it says none."""
    names = _told_names(pipeline, None) if not predicts(pipeline) else None
    return None if names is None else len(names)


def require_width(pipeline: Any) -> None:
    """Raises InvalidPipeline where it transforms its rows to more columns than can be answered."""
    count = output_count(pipeline)
    if count is not None:
        require_columns(count)


def column_names(pipeline: Any, signature: Signature, labels: Labels) -> list[str] | None:
    """The names of the columns that rows are transformed to, which became `labels`; None where the
    pipeline does not tell them, or not so that they can be told apart."""
    names = _told_names(pipeline, signature.names)
    count = labels.shape[1] if labels.ndim == 2 else 1
    return names if names is not None and len(names) == count else None


def _told_names(pipeline: Any, given: Sequence[str] | None) -> list[str] | None:
    """What get_feature_names_out says, of the names of the columns where it takes them."""
    for inputs in (given, None):
        try:
            names = [str(name) for name in pipeline.get_feature_names_out(inputs)]
        # It may have no such method, or a step of it: whatever it raises, there are no names.
        except Exception:
            continue
        return names if len(set(names)) == len(names) else None
    return None


def told_of(
    labels: Labels, classes: Sequence[list[JSONLabel] | None], pipeline: Any = None
) -> list[Labels]:
    """What labels of shape (n,) or (n, targets) tell of each target: one of its classes, in the
    type that it has, or a number where it has none.

    Raises:
        InvalidPipeline: a label is neither.
    """
    columns = list(labels.T) if labels.ndim == 2 else [labels]
    if pipeline is not None and not predicts(pipeline):
        return list(map(_transformed, columns))
    return list(map(_told, columns, Classes.of_targets(classes)))


def _transformed(column: Labels) -> Labels:
    """A column that rows were transformed to.

    Raises:
        InvalidPipeline: it has neither numbers alone nor texts alone.
    """
    found = texts(column) if column.dtype.kind in "OU" else None
    found = numbers(column) if found is None else found
    if found is None:
        raise InvalidPipeline(
            f"The pipeline transforms a column to {column.tolist()!r:.60}; expected numbers or "
            "texts in each column, without a missing value: let a step of it fill or encode them."
        )
    return found


def _told(column: Labels, classes: Classes | None) -> Labels:
    told = numbers(column) if classes is None else classes.told(column)
    if told is not None:
        return told
    if classes is None:
        odd = next(each for each in column.tolist() if not isinstance(each, int | float))
        raise InvalidPipeline(
            f"The pipeline answers with {odd!r:.60} and has no classes_: a regression tells "
            "numbers, and what tells classes says in classes_ which ones."
        )
    raise InvalidPipeline(
        "The pipeline answers a row of its training data with "
        f"{classes.first_other(column)!r:.60}, which is none of its classes_."
    )


def require_shares(tables: Sequence[NDArray[np.float64]] | None, targets: Sequence[Target]) -> None:
    """Raises InvalidPipeline where these are not the probabilities of each class of the targets."""
    if tables is None:
        return
    found = [table.shape[1:] for table in tables]
    expected = [(len(target.classes or ()),) for target in targets]
    if found != expected:
        raise InvalidPipeline(
            f"predict_proba tells {_counted(found)} probabilities of a row, and classes_ has "
            f"{_counted(expected)} classes."
        )


def _counted(shapes: Sequence[tuple[int, ...]]) -> str:
    """How many there are of each target."""
    return " and ".join(" x ".join(map(str, shape)) or "no" for shape in shapes)


def _is_multilabel(pipeline: Any, labels: Labels) -> bool:
    """Whether each class of a flat list is a target of its own, which applies or does not."""
    classes = classes_of(pipeline)
    return labels.ndim == 2 and classes is not None and not isinstance(classes, list)


def _classes(pipeline: Any, labels: Labels, count: int) -> list[list[JSONLabel] | None]:
    classes = classes_of(pipeline)
    if classes is None:
        return [None] * count
    if _is_multilabel(pipeline, labels):
        return [[0, 1] for _ in range(count)]
    tables = classes if isinstance(classes, list) and not is_flat(classes) else [classes]
    if len(tables) != count:
        raise InvalidPipeline(
            f"The pipeline has classes for {len(tables)} outputs and answers with {count}."
        )
    return [_plain(table) for table in tables]


def is_flat(classes: list[Any]) -> bool:
    """Whether a list holds the classes of one output, and not a list of them for each."""
    return not any(isinstance(each, list | tuple) or np.ndim(each) for each in classes)


def _plain(table: Any) -> list[JSONLabel]:
    """The classes of one output, each of them told apart by its value and by its text.

    Raises:
        InvalidPipeline
    """
    classes = labels_of(table)
    if classes.ndim != 1:
        raise InvalidPipeline(
            f"The classes_ of an output have the shape {classes.shape}; expected a list of labels."
        )
    labels = json_labels(classes)
    for label in labels:
        why = why_no_class(label)
        if why is not None:
            raise InvalidPipeline(
                f"A class must be a text, a finite number of 64 bits, a boolean or a date; "
                f"{label!r:.60} {why}; convert y before the pipeline is fitted."
            )
    _require_told_apart(labels)
    return labels


def _require_told_apart(labels: Sequence[JSONLabel]) -> None:
    known: dict[str, JSONLabel] = {}
    values: dict[JSONLabel, JSONLabel] = {}
    for label in labels:
        other = known.get(str(label), values.get(label))
        if other is not None:
            raise InvalidPipeline(
                f"The classes {other!r:.60} and {label!r:.60} cannot be told apart once they are "
                "written; rename one of them in y before the pipeline is fitted."
            )
        known[str(label)] = values[label] = label


def _columns(y: Any, rows: int, count: int) -> list[Labels | None]:
    if y is None:
        return [None] * count
    target = labels_of(y)
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
        given = [str(label) for label in json_labels(labels_of(pipeline.classes_))]
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


def _class(name: str | None, classes: list[JSONLabel], known: Labels | None) -> Target:
    if known is None:
        return Target(name=name, classes=classes)
    class_of = {label: label for label in classes}
    found = Counter(str(class_of.get(label, label)) for label in json_labels(known))
    counts = {text: found[text] for text in map(str, classes) if found[text]}
    return Target(name=name, classes=classes, counts=counts)


def _number(
    name: str | None, told: Labels, known: Labels | None, *, quantiles: bool = True
) -> Target:
    if texts(told) is not None:
        return Target(name=name, dtype=TEXTS)
    if not np.isfinite(told.astype(np.float64)).all():
        raise InvalidPipeline(
            "The pipeline answers a row of its training data with what is no finite number; "
            "impute what is missing inside the pipeline."
        )
    dtype = told.dtype.name if told.dtype.kind in "biu" else None
    if known is not None:
        known = known[~missing(known)]
    if known is None or not len(known):
        return Target(name=name, dtype=dtype)
    try:
        values = known.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidPipeline(
            f"The pipeline has no classes_, so y must be numeric: {error}."
        ) from error
    return Target(
        name=name,
        dtype=dtype,
        minimum=float(values.min()),
        maximum=float(values.max()),
        quantiles=_quantiles(values) if quantiles else None,
    )


def _quantiles(numbers: NDArray[np.float64]) -> tuple[float, ...] | None:
    if not np.isfinite(numbers).all():
        return None
    return tuple(np.quantile(numbers, np.linspace(0, 1, QUANTILES)).tolist())
