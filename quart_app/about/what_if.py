"""What if one value were another: the answer as each column alone moves over its training range.

All columns are asked in one request, beside the row that was entered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from model_store import Column, InvalidRows
from model_store.column_facts import JSONLabel
from model_store.errors import PredictionFailed, Unanswerable
from model_store.labels import json_labels
from model_store.manifest import Target
from model_store.task import SCORE

from ..inference import DeadlineExceeded, InferenceRequest, InferenceResponse
from ..serving.batcher import QueueFull
from ..serving.servable import Servable

POINTS: Final = 21
MOST_CATEGORIES: Final = 20
"""Of a column with more, no category is asked: a choice of them would say little."""
MOST_COLUMNS: Final = 20
MOST_ROWS: Final = 500
MOST_TRANSFORMED: Final = 4
"""Of more columns that come out, the charts would fill many screens."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The answers as one column alone takes other values, which stand in order.

    `answers` are numbers: of a regression its own, of classes the probability of the one that was
    answered to the entered row, of outliers the score; None where there is none of these. `labels`
    are the predictions. `entered` is the place of the entered value among the values, or None where
    it was missing.
    """

    column: Column
    values: Sequence[JSONLabel]
    answers: Sequence[float] | None
    labels: Sequence[JSONLabel]
    entered: int | None


@dataclass(frozen=True, slots=True)
class TargetEffects:
    """The effects on one target, of which `prediction` was answered to the entered row. With
    `scored` its answers are scores, and no probabilities."""

    target: Target
    prediction: JSONLabel
    effects: Sequence[Effect]
    scored: bool = False


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The effects on each target; or none, and the reason in a sentence."""

    targets: Sequence[TargetEffects]
    reason: str | None = None


async def what_if(
    servable: Servable, asked: InferenceRequest, *, until: float | None = None
) -> WhatIf:
    """Ask what would be answered to the one row of a request if one of its values were another.

    Dates and texts are left as they are. Too many columns or points, or a model that does not
    answer them, is a reason and no error. Cancelling it leaves a batch that already runs alone.

    Raises:
        InvalidRequest, InvalidRows: the row itself does not fit the model.
    """
    signature = servable.manifest.signature
    columns = signature.columns
    if len(columns) > MOST_COLUMNS:
        return _nothing(f"The model has more than {MOST_COLUMNS} columns.")
    manifest = servable.manifest
    if manifest.task == "transformation" and len(manifest.targets) > MOST_TRANSFORMED:
        return _nothing(f"The model transforms a row to more than {MOST_TRANSFORMED} columns.")
    (row,) = signature.values(signature.validate(asked.named(signature.names), 1, asked.rules))
    moved = {column.name: _values(column, row[column.name]) for column in columns}
    moved = {name: values for name, values in moved.items() if len(values) > 1}
    if not moved:
        return _nothing("No column has values in the training data to try.")
    rows = 1 + sum(map(len, moved.values()))
    if rows > MOST_ROWS:
        return _nothing(f"It would take more than {MOST_ROWS} predictions.")
    try:
        response = await servable.infer(_request(row, moved, rows), until=until)
    except (InvalidRows, Unanswerable, PredictionFailed):
        return _nothing("The model does not answer all values of its training range.")
    except (QueueFull, DeadlineExceeded):
        return _nothing("The server is too busy.")
    known = {column.name: column for column in columns}
    return WhatIf(
        [
            _of_target(target, place, response, row, {known[name]: moved[name] for name in moved})
            for place, target in enumerate(servable.manifest.targets)
        ]
    )


def _nothing(reason: str) -> WhatIf:
    return WhatIf((), reason)


# The rows ------------------------------------------------------------------------


def _values(column: Column, entered: JSONLabel | None) -> list[JSONLabel]:
    """What a column is to be, with what was entered, in order; nothing where that is unknown."""
    values: list[Any] = column.kind.spread(column, POINTS)
    if not values:
        return []
    if entered is not None and entered not in values:
        values.append(entered)
    if column.kind.measured:
        return sorted(values)
    return values if len(values) <= MOST_CATEGORIES else []


def _request(
    row: Mapping[str, JSONLabel | None], moved: Mapping[str, Sequence[JSONLabel]], rows: int
) -> InferenceRequest:
    """The entered row, and below it a row for each value of each column."""
    table: dict[str, list[JSONLabel | None]] = {name: [row[name]] * rows for name in row}
    place = 1
    for name, values in moved.items():
        table[name][place : place + len(values)] = values
        place += len(values)
    return InferenceRequest(columns=table, rows=rows, many=True)


# The answers ---------------------------------------------------------------------


def _of_target(
    target: Target,
    place: int,
    response: InferenceResponse,
    row: Mapping[str, JSONLabel | None],
    moved: Mapping[Column, Sequence[JSONLabel]],
) -> TargetEffects:
    column_of = response.labels if response.labels.ndim == 1 else response.labels[:, place]
    labels = json_labels(column_of)
    answers = _answers(target, place, response, labels)
    effects, begin = [], 1
    for column, values in moved.items():
        end = begin + len(values)
        entered = row[column.name]
        effects.append(
            Effect(
                column=column,
                values=values,
                answers=None if answers is None else answers[begin:end],
                labels=labels[begin:end],
                entered=None if entered is None else list(values).index(entered),
            )
        )
        begin = end
    scored = target.classes is not None and SCORE in response.measures
    return TargetEffects(target, labels[0], effects, scored)


def _answers(
    target: Target, place: int, response: InferenceResponse, labels: Sequence[JSONLabel]
) -> list[float] | None:
    """The number of each row that a curve is drawn of."""
    if target.numeric:
        return [float(label) for label in labels]
    if target.classes is None:
        return None
    if SCORE in response.measures:
        scores: list[float] = response.measures[SCORE].tolist()
        return scores
    if response.probabilities is None:
        return None
    shares: list[float] = response.probabilities[place][:, target.classes.index(labels[0])].tolist()
    return shares
