"""True or false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..column_facts import ColumnFacts, JSONLabel
from ..text_rules import TextRules
from ..values import Cells
from .base import ColumnType, Control, Datatype, Schema, Unfit
from .category import most_frequent

_TRUTHS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1", True, 1), True),
    **dict.fromkeys(("false", "no", "off", "0", False, 0), False),
}


_WRITTEN: Final = {str(truth): truth for truth in (True, False)}


class BooleanType(ColumnType):
    """A truth; 1 and 0 are truths too."""

    name = "boolean"

    def parse(self, column: ColumnFacts, value: object, dtype: np.dtype[Any]) -> bool:
        if isinstance(value, int | float) and value in _TRUTHS:
            return _TRUTHS[value]
        raise Unfit

    def fill(self, column: ColumnFacts, target: Cells, values: Sequence[object]) -> bool:
        if not set(map(type, values)) <= {bool}:
            return False
        target[:] = values
        return True

    def plain(self, cell: Any) -> bool:
        truth: bool = cell
        return truth

    def expected(self, column: ColumnFacts) -> str:
        return "true or false"

    def schema(self, column: ColumnFacts) -> Schema:
        return {"type": "boolean"}

    def control(self, column: ColumnFacts) -> Control:
        return "choice"

    def datatype(self, column: ColumnFacts) -> Datatype:
        return "BOOL"

    def recognizes(self, values: Cells) -> bool:
        if values.dtype.kind != "O":
            return values.dtype.kind == "b"
        kinds = set(map(type, values.tolist()))
        return bool(kinds) and kinds <= {bool, np.bool_}

    def learn(
        self, values: Cells, dtype: str, known: tuple[JSONLabel, ...] | None
    ) -> dict[str, Any]:
        return {"typical": most_frequent(values)}

    def choices(self, column: ColumnFacts) -> tuple[JSONLabel, ...]:
        return (True, False)

    def closed(self, column: ColumnFacts) -> bool:
        return True

    def spread(self, column: ColumnFacts, points: int) -> list[JSONLabel]:
        return [False, True]

    def read(self, column: ColumnFacts, text: str, rules: TextRules) -> object:
        found = super().read(column, text, rules)
        if not isinstance(found, str):
            return found
        # A tensor of texts has what Python writes.
        truth = _TRUTHS.get(found.lower()) if rules.numerals else _WRITTEN.get(found)
        if truth is None:
            raise Unfit
        return truth
