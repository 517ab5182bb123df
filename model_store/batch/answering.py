"""A table in memory through a model: each row with its answer, or with a sentence why it has none.

The sentence is the one that a request of that row alone would get. A batch that the model has no
answer to is halved until the rows are found that have none, so that no other row goes without.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..answer_columns import added_values
from ..arrow import ArrowArray, is_arrow, of_numbers, of_texts, taken
from ..errors import Fault, InvalidRows, PredictionFailed, Unanswerable
from ..labels import json_labels
from ..model import Model, Prediction, joined
from ..reasons.explanation import Explanation
from ..reasons.explanation import joined as joined_explanations
from ..signature import MAX_FAULTS, Matrix
from ..text_rules import TextRules
from ..values import Positions, Repeated, Values

BLAMING: Final = 10.0
"""Seconds that may be spent on which columns keep rows from an answer."""

EXPLAINED_ROWS: Final = 1000
"""Rows that are explained at once, each against a hundred others."""

Columns = Mapping[str, Values | ArrowArray]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of n rows: of those at the ascending `positions` a prediction, perhaps
    explained, of the others a sentence in `errors`."""

    rows: int
    positions: Positions
    prediction: Prediction | None
    errors: dict[int, str] = field(default_factory=dict)
    explanation: Explanation | None = None

    def arrays(self, fields: list[Any]) -> list[Any]:
        """The added columns as Arrow arrays, each of the type of its field; the error is the last.
        Rows without an answer are null there."""
        import pyarrow

        errors = [None] * self.rows if self.errors else None
        if errors is None:
            told = pyarrow.nulls(self.rows, pyarrow.string())
        else:
            texts: list[str | None] = [*errors]
            for row, error in self.errors.items():
                texts[row] = error
            told = pyarrow.array(texts, pyarrow.string())
        if self.prediction is None:
            return [*(pyarrow.nulls(self.rows, each.type) for each in fields[:-1]), told]
        values = added_values(self.prediction, self.explanation)
        found = [_array(each, one.type) for each, one in zip(values, fields, strict=False)]
        if len(self.positions) < self.rows:
            places = self._places()
            found = [each.take(places) for each in found]
        return [*found, told]

    def among(self, rows: int, positions: Positions, errors: dict[int, str]) -> Answers:
        """The same rows, which stand at these positions among `rows` others, with the errors of
        those."""
        here = {int(positions[row]): error for row, error in self.errors.items()}
        return replace(self, rows=rows, positions=positions[self.positions], errors=here | errors)

    def _places(self) -> Any:
        """For each row where its answer stands among the answers, null where there is none."""
        import pyarrow

        places = np.zeros(self.rows, dtype=np.int64)
        missing = np.ones(self.rows, dtype=bool)
        places[self.positions] = np.arange(len(self.positions))
        missing[self.positions] = False
        return pyarrow.array(places, mask=missing)


def _array(values: NDArray[Any], kind: Any) -> Any:
    import pyarrow

    if pyarrow.types.is_string(kind):
        labels = json_labels(values)
        return of_texts(labels if set(map(type, labels)) == {str} else list(map(str, labels)))
    if values.dtype.kind == "O":
        return pyarrow.array(values.tolist(), kind)
    if values.dtype.kind in "iuf":
        found = of_numbers(values)
        return found if found.type == kind else found.cast(kind)
    return pyarrow.array(values, kind)


class Answerer:
    """Answers tables with one model, perhaps each answer `explained`. No more than so long is spent
    in all on which columns keep rows from an answer."""

    def __init__(self, model: Model, *, explained: bool = False) -> None:
        self.model = model
        self._explained = explained
        self._blaming = BLAMING

    def answer(self, columns: Columns, rows: int, rules: TextRules) -> Answers:
        """The answers to `rows` rows that are given by column, as `Model.answer` takes them.
        Blocks.

        Raises:
            InvalidColumns: an Arrow array is of a type that no column has.
        """
        if not rows:
            return Answers(0, np.empty(0, dtype=np.intp), None)
        checked = self.model.manifest.signature.check(columns, rows, rules)
        if checked.unfit is None:
            positions: Positions = np.arange(rows)
            errors: dict[int, str] = {}
        else:
            positions = np.flatnonzero(~checked.unfit.mask)
            errors = self._sentences(columns, np.flatnonzero(checked.unfit.mask), rules)
        if not len(positions):
            return Answers(rows, positions, None, errors)
        found = self._predicted(checked.fit)
        errors |= {int(positions[row]): sentence for row, sentence in found.errors.items()}
        explanation = self._explain(checked.fit, found)
        return Answers(rows, positions[found.positions], found.prediction, errors, explanation)

    def _explain(self, matrix: Matrix, found: Answers) -> Explanation | None:
        """Why the rows with an answer have that one."""
        if not self._explained or found.prediction is None:
            return None
        parts = []
        for start in range(0, len(found.positions), EXPLAINED_ROWS):
            some = slice(start, start + EXPLAINED_ROWS)
            rows = matrix[found.positions[some]]
            parts.append(self.model.explain(rows, prediction=found.prediction[some]))
        return joined_explanations(parts)

    def answer_sound(
        self, columns: Columns, rows: int, faults: Mapping[int, Fault], rules: TextRules
    ) -> Answers:
        """As `answer`, of rows of which some are known to be faulty."""
        if not faults:
            return self.answer(columns, rows, rules)
        sound = np.array([row for row in range(rows) if row not in faults], dtype=np.intp)
        given = {name: _taken(values, sound) for name, values in columns.items()}
        errors = {row: str(fault) for row, fault in faults.items()}
        return self.answer(given, len(sound), rules).among(rows, sound, errors)

    def _sentences(self, columns: Columns, unfit: Positions, rules: TextRules) -> dict[int, str]:
        """What is wrong with each of these rows. They are checked again, few enough at a time for
        all of their faults to be told."""
        signature = self.model.manifest.signature
        step = max(1, MAX_FAULTS // max(len(columns), len(signature.columns)))
        errors: dict[int, str] = {}
        for start in range(0, len(unfit), step):
            some = unfit[start : start + step]
            few = {name: _taken(values, some) for name, values in columns.items()}
            found = signature.check(few, len(some), rules).unfit
            assert found is not None
            by_row: dict[int, list[Fault]] = {}
            for fault in found.faults:
                by_row.setdefault(int(some[fault.row]), []).append(fault)
            total = found.total if len(some) == 1 else None
            errors |= {
                row: str(InvalidRows(each, rows=1, total=total)) for row, each in by_row.items()
            }
        return errors

    def _predicted(self, matrix: Matrix) -> Answers:
        """The answers to rows that fit, by their positions in the matrix."""
        errors: dict[int, str] = {}
        predictions: list[Prediction] = []
        parts: list[Positions] = []
        waiting = [np.arange(len(matrix))]
        while waiting:
            rows = waiting.pop()
            try:
                predictions.append(self._said(matrix[rows[0] : rows[-1] + 1]))
                parts.append(rows)
            except PredictionFailed as error:
                if len(rows) == 1:
                    errors[int(rows[0])] = _sentence(error)
                else:
                    middle = len(rows) // 2
                    waiting += rows[middle:], rows[:middle]
        if not parts:
            return Answers(len(matrix), np.empty(0, dtype=np.intp), None, errors)
        whole = predictions[0] if len(parts) == 1 else joined(predictions, parts)
        return Answers(len(matrix), np.concatenate(parts), whole, errors)

    def _said(self, matrix: Matrix) -> Prediction:
        if len(matrix) > 1 or self._blaming <= 0:
            return self.model.said(matrix)
        begun = time.monotonic()
        try:
            return self.model.predict(matrix)
        finally:
            self._blaming -= time.monotonic() - begun


def _sentence(error: PredictionFailed) -> str:
    """What is told of a row without an answer: to whoever runs the model, who sees its data."""
    return str(error) if isinstance(error, Unanswerable) else error.told


def _taken(values: Values | ArrowArray, rows: Positions) -> Any:
    """The values in these places."""
    if is_arrow(values):
        return taken(values, rows)
    if isinstance(values, np.ndarray):
        return values[rows]
    if isinstance(values, Repeated):
        return Repeated(values.distinct, values.places[rows])
    return [values[row] for row in rows.tolist()]
