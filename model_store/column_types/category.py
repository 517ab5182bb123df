"""Categories: texts or numbers, of which the pipeline knows some by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from ..column_facts import ColumnFacts, JSONLabel
from ..literals import NAMES_SHOWN, shown_category, told_category
from ..text_rules import TextRules
from ..values import NOWHERE, Cells, Positions
from .base import ColumnType, Control, Datatype, Schema, Unfit, require_exact, require_floats
from .numbers import as_number, read_number

MOST_CATEGORIES: Final = 20
"""Where no encoder tells, a column of more distinct texts is free text."""
UNSEEN: Final = "a category that was never seen"


class CategoryType(ColumnType):
    """One of the categories; any text or number where the column is open."""

    name = "category"

    def parse(self, column: ColumnFacts, value: object, dtype: np.dtype[Any]) -> JSONLabel:
        if not isinstance(value, str | int | float):
            raise Unfit
        if self.numeric(column):
            value = _finite(column, value)
        elif isinstance(value, int | float) and not _is_known(column, value):
            if not isinstance(value, int) or isinstance(value, bool):
                raise Unfit
            value = str(value)
        if _is_known(column, value):
            value = column.known[value]
        elif not column.open:
            raise Unfit
        if isinstance(value, str):
            return value
        require_exact(value, dtype)
        if column.narrow is None:
            if isinstance(value, float) and not value.is_integer():
                require_floats(column, dtype)
            return value
        with np.errstate(over="ignore"):
            narrow = float(column.narrow(value))
        if not math.isfinite(narrow):
            raise Unfit("a finite number")
        return narrow

    def fill(self, column: ColumnFacts, target: Cells, values: Sequence[object]) -> bool:
        if not column.usual or not set(map(type, values)) <= {str, int, float}:
            return False
        known: dict[Any, JSONLabel] = column.known
        try:
            target[:] = [known[value] for value in values]
        except KeyError:
            return False
        return True

    def plain(self, cell: Any) -> JSONLabel:
        label: JSONLabel = cell
        return label

    def expected(self, column: ColumnFacts) -> str:
        known = column.categories or ()
        if column.open:
            return "a number" if self.numeric(column) else "a text"
        shown = ", ".join(map(told_category, known[:NAMES_SHOWN]))
        more = len(known) - NAMES_SHOWN
        return f"one of {shown}" + (f" and {more} more" if more > 0 else "")

    def schema(self, column: ColumnFacts) -> Schema:
        schema: Schema = {"type": "number" if self.numeric(column) else "string"}
        if column.categories:
            schema["examples" if column.open else "enum"] = list(column.categories)
        return schema

    def control(self, column: ColumnFacts) -> Control:
        return "suggestions" if column.open else "choice"

    def datatype(self, column: ColumnFacts) -> Datatype:
        return datatype_of(column.categories or ()) if self.numeric(column) else "BYTES"

    def recognizes(self, values: Cells) -> bool:
        if not all_texts(values):
            return False
        texts = set(values.tolist())
        return len(texts) <= MOST_CATEGORIES and (len(texts) < len(values) or len(texts) == 1)

    def learn(
        self, values: Cells, dtype: str, known: tuple[JSONLabel, ...] | None
    ) -> dict[str, Any]:
        categories = tuple(sorted(set(values.tolist()))) if known is None else known
        return {"categories": categories, "typical": most_frequent(values)}

    def numeric(self, column: ColumnFacts) -> bool:
        return not any(isinstance(value, str) for value in column.categories or ())

    def choices(self, column: ColumnFacts) -> tuple[JSONLabel, ...]:
        return column.categories or ()

    def closed(self, column: ColumnFacts) -> bool:
        return not column.open

    def unseen(self, column: ColumnFacts) -> JSONLabel | None:
        if not self.numeric(column):
            return UNSEEN
        numbers = [value for value in column.categories or () if not isinstance(value, str)]
        return max(numbers, default=0) + 1

    def read(self, column: ColumnFacts, text: str, rules: TextRules) -> object:
        if text in column.known:
            return text
        found = super().read(column, text, rules)
        if isinstance(found, str) and rules.numerals and found not in column.known:
            for category in column.categories or ():
                if not isinstance(category, str) and _is_written(category, found):
                    return category
        if isinstance(found, str) and self.numeric(column):
            return read_number(found, rules)
        # With spaces around it a text is another one, of which an open column has an answer; but
        # people who fill in a form or a table do not see them.
        return found if found is None or (rules.blanks and not column.open) else text

    def fill_texts(
        self, column: ColumnFacts, target: Cells, texts: Sequence[str], rules: TextRules
    ) -> Positions | None:
        return NOWHERE if self.fill(column, target, texts) else None


def _finite(column: ColumnFacts, value: object) -> JSONLabel:
    """A value of a column of numbers or truths; of narrow floats the shortest decimal."""
    if isinstance(value, bool) and _is_known(column, value):
        return value
    number = as_number(value)
    if isinstance(number, int) and column.dtype.lower() == "float64":
        # Among the floats of training an id of 19 digits was rounded as well.
        try:
            number = float(number)
        except OverflowError:
            raise Unfit("a finite number") from None
    if not math.isfinite(number):
        raise Unfit
    return number if number in column.known else column.shown(number)


def _is_known(column: ColumnFacts, value: JSONLabel) -> bool:
    """Whether it is a category. A truth is no number, whatever Python says."""
    found = column.known.get(value)
    return found is not None and isinstance(found, bool) == isinstance(value, bool)


def _is_written(category: float | bool, text: str) -> bool:
    """Whether a text says a category that is none: in the case of any of its letters."""
    if isinstance(category, bool):
        return text.lower() == str(category).lower()
    return text == shown_category(category)


def all_texts(values: Cells) -> bool:
    """Whether an array holds texts alone, and some."""
    return len(values) > 0 and all(isinstance(value, str) for value in values.tolist())


def most_frequent(values: Cells) -> Any:
    """The value that an array holds most often, the first of several; None of no values."""
    counts = Counter(values.tolist()).most_common(1)
    if not counts:
        return None
    value = counts[0][0]
    return value.item() if isinstance(value, np.generic) else value


def datatype_of(labels: Iterable[object]) -> Datatype:
    """What holds each of these labels in a tensor, exactly; a number where there are none."""
    known = list(labels)
    kinds = set(map(type, known))
    if kinds == {bool}:
        return "BOOL"
    if not kinds <= {float, int}:
        return "BYTES"
    integers = [label for label in known if isinstance(label, int)]
    if float not in kinds and integers:
        return _of_integers(min(integers), max(integers))
    return "FP64" if all(float(label) == label for label in integers) else "BYTES"


def _of_integers(least: int, most: int) -> Datatype:
    if _INT64.min <= least and most <= _INT64.max:
        return "INT64"
    return "UINT64" if least >= 0 and most <= _UINT64.max else "BYTES"


_INT64: Final = np.iinfo(np.int64)
_UINT64: Final = np.iinfo(np.uint64)
