"""A reference, made of rows of the training data when a version is published."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from ..column_facts import JSONLabel
from ..column_types.base import Reading
from ..errors import InvalidPipeline, PredictionFailed
from ..inspection import Inspection
from ..labels import Labels, json_labels, labels_of
from ..manifest import Manifest
from ..model import Model
from ..signature import Matrix
from .calibration import WIDEST, Calibration, HeldOut
from .counts import Counts
from .redraws import category_thresholds, number_thresholds
from .reference import (
    FREQUENT,
    LEAST_ROWS,
    SHARES,
    CategoryReference,
    ColumnReference,
    NumberReference,
    Reference,
    text_of,
)

ANSWERED: Final = 1_000
"""Rows whose answers are counted."""
ALONE: Final = 200
"""The same of a pipeline that is asked each row by itself."""
MOST_HELD_OUT: Final = 10_000
"""The same of those that were held out."""
PREDICTION: Final = "prediction"
"""What the answers of a target without a name are called."""
MOST_TARGETS: Final = 20
"""Of a transformation there may be thousands."""
SAMPLE: Final = 50
SAMPLE_DIGITS: Final = 6
SUM_DIGITS: Final = 10
MOST_OTHERS: Final = 500
MOST_CHARACTERS: Final = 10_000
"""Of the categories of one column that are kept."""
MOST_LENGTH: Final = 200
"""A text that is longer is no category."""


def learn(
    model: Model, inspection: Inspection, held_out: HeldOut | None = None
) -> Reference | None:
    """What the training data of a model is like, and what it answers to that; None without data.

    A pipeline may know its own rows by heart, so that its answers to others have another mix: those
    that were `held_out` are taken where they are enough. Values are kept, beyond quantiles and
    categories, only where rows are kept to explain against.

    Raises:
        InvalidPipeline: what was held out is of other targets, or there is a calibration of
            probabilities that it does not give.
    """
    found, matrix = model.manifest, inspection.learned
    calibration = None if held_out is None else held_out.calibration
    told = None if held_out is None else _held_out(found, held_out)
    uncalibrated = _uncalibrated(found, calibration)
    if matrix is None:
        return None
    sample = inspection.drawn is not None
    columns = [
        Cells(column.name, column.plain_all(matrix[:, place]), column.kind.reading)
        for place, column in enumerate(found.signature.columns)
    ]
    answers = _answers(found, told if told is not None else _labels(model, matrix))
    learned = learn_columns([*columns, *answers], sample=sample)
    return Reference(
        rows=len(matrix),
        columns=tuple(learned[: len(columns)]),
        answers=tuple(learned[len(columns) :]),
        calibration=None if uncalibrated else calibration,
        uncalibrated=uncalibrated,
    )


def _uncalibrated(found: Manifest, calibration: Calibration | None) -> str | None:
    """Why no accuracy can be expected of it, as a clause; None where one can be."""
    if found.task != "classification":
        reason = f"accuracy is of classifiers, and its task is {found.task}"
    elif found.several:
        reason = "it has several targets"
    elif not found.probabilities:
        reason = "the pipeline gives no probabilities"
    elif calibration is None:
        return "it was published without answers to rows that it was not trained on"
    elif calibration.uncertainty > WIDEST:
        return (
            f"{calibration.rows} rows that it was not trained on tell its accuracy only within "
            f"{calibration.uncertainty:.2f}, and {WIDEST} is needed"
        )
    else:
        return None
    if calibration is not None:
        raise InvalidPipeline(f"There can be no calibration of this pipeline: {reason}.")
    return reason


class Cells(NamedTuple):
    """The values of one column as JSON has them. `reading` is None of categories."""

    name: str
    values: Sequence[Any]
    reading: Reading | None


def learn_columns(columns: Iterable[Cells], *, sample: bool = True) -> list[ColumnReference]:
    """What columns are like; with a `sample` some of their values as they are."""
    learned = [_column(each, sample) for each in columns]
    return _with_thresholds(learned)


_Learned = tuple[ColumnReference, np.ndarray[Any, Any]]
"""A column, and of numbers all of them as they are scaled."""

_NOTHING: Final = np.empty(0)


def _column(cells: Cells, sample: bool) -> _Learned:
    name, values, reading = cells
    if reading is None or (reading == "length" and _repeats(values)):
        return _categories(name, values), _NOTHING
    return _numbers(name, values, reading, sample)


def _repeats(texts: Sequence[Any]) -> bool:
    """Whether texts are mostly the same few ones, which then are categories."""
    present = [text for text in texts if text is not None]
    frequent = Counter(present).most_common(FREQUENT)
    return (
        2 * sum(count for _, count in frequent) > len(present)
        and len(frequent) < len(present)
        and all(len(text) <= MOST_LENGTH for text, _ in frequent)
    )


def _answers(found: Manifest, labels: Labels | None) -> list[Cells]:
    """Answers by target."""
    if labels is None:
        return []
    columns = labels if labels.ndim > 1 else labels[:, np.newaxis]
    return [
        Cells(target.name or PREDICTION, json_labels(column), "number" if target.numeric else None)
        for target, column in zip(found.targets[:MOST_TARGETS], columns.T, strict=False)
    ]


def _held_out(found: Manifest, held_out: HeldOut) -> Labels | None:
    """The answers that were held out; None of too few."""
    labels = labels_of(held_out.answers)
    if not found.several and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape[1:] != ((len(found.targets),) if found.several else ()):
        raise InvalidPipeline(
            f"The answers that were held out have the shape {labels.shape}, and there should be "
            f"one of each of {len(found.targets)} targets in a row."
        )
    return labels[:MOST_HELD_OUT] if len(labels) >= LEAST_ROWS else None


def _labels(model: Model, matrix: Matrix) -> Labels | None:
    """The answers to rows; None where the pipeline has no answer to one of them."""
    try:
        with warnings.catch_warnings():
            # What a pipeline says of its training data is nobody's concern.
            warnings.simplefilter("ignore")
            if model.manifest.varies is None:
                return model.said(matrix[:ANSWERED]).labels
            alone = range(min(len(matrix), ALONE))
            return np.concatenate([model.said(matrix[at : at + 1]).labels for at in alone])
    except PredictionFailed:
        return None


def _numbers(name: str, cells: Sequence[Any], reading: Reading, sample: bool) -> _Learned:
    empty = NumberReference(
        name=name, reading=reading, center=0.0, spread=0.0, quantiles=(), seen=Counts(counts=(0,))
    )
    numbers, _ = empty.numbers(cells)
    if not len(numbers):
        return msgspec.structs.replace(empty, seen=empty.count(cells)), _NOTHING
    with np.errstate(over="ignore"):
        center, spread = float(np.mean(numbers)), float(np.std(numbers))
    if not np.isfinite(center) or not np.isfinite(spread):
        # Numbers so large that their squares are none.
        return msgspec.structs.replace(empty, seen=empty.count(cells)), _NOTHING
    if numbers.min() == numbers.max():
        center, spread = float(numbers[0]), 0.0
    quantiles = np.quantile(numbers, SHARES, method="inverted_cdf")
    reference = msgspec.structs.replace(
        empty,
        center=center,
        spread=spread,
        quantiles=tuple(quantiles.tolist()),
        sample=tuple(_rounded(numbers[:SAMPLE].tolist(), SAMPLE_DIGITS)) if sample else (),
    )
    seen = reference.count(cells)
    seen = msgspec.structs.replace(seen, sums=tuple(_rounded(seen.sums, SUM_DIGITS)))
    return msgspec.structs.replace(reference, seen=seen), reference.scaled(numbers)


def _categories(name: str, cells: Sequence[Any]) -> ColumnReference:
    present = [cell for cell in cells if cell is not None and cell == cell]
    texts = [text_of(cell) for cell in present]
    labels: dict[str, JSONLabel] = dict(zip(texts, present, strict=True))
    counted = Counter(texts)
    ordered = sorted(counted, key=lambda text: (-counted[text], text))
    # Long ones, as texts may be, are counted with those that are not frequent.
    frequent = [text for text in ordered[:FREQUENT] if len(text) <= MOST_LENGTH]
    kept = set(frequent)
    rest = [text for text in ordered if text not in kept]
    few = len(rest) <= MOST_OTHERS and sum(map(len, rest)) <= MOST_CHARACTERS
    reference = CategoryReference(
        name=name,
        labels=tuple(labels[text] for text in frequent),
        seen=Counts(counts=(0,) * (len(frequent) + 1)),
        others=tuple(labels[text] for text in rest) if few else None,
        rare=sum(count == 1 for count in counted.values()),
    )
    return msgspec.structs.replace(reference, seen=reference.count(cells))


def _with_thresholds(learned: Sequence[_Learned]) -> list[ColumnReference]:
    """The columns with thresholds, where there are values enough."""
    numbers = [each for _, each in learned if len(each) >= LEAST_ROWS]
    of_numbers = iter(number_thresholds(numbers))
    found: list[ColumnReference] = []
    for reference, scaled in learned:
        thresholds: tuple[float, ...] = ()
        if isinstance(reference, NumberReference) and len(scaled) >= LEAST_ROWS:
            thresholds = next(of_numbers)
        elif isinstance(reference, CategoryReference) and reference.seen.present >= LEAST_ROWS:
            thresholds = category_thresholds(reference.seen.counts)
        found.append(msgspec.structs.replace(reference, thresholds=thresholds))
    return found


def _rounded(numbers: Iterable[float], digits: int) -> list[float]:
    return [float(f"{number:.{digits}g}") for number in numbers]
