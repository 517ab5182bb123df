"""Free text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..column_facts import ColumnFacts, JSONLabel
from ..text_rules import TextRules
from ..values import NOWHERE, Cells, Positions
from .base import ColumnType, Control, Datatype, Reading, Schema, Unfit
from .category import all_texts

TEXT_SHOWN: Final = 200


class TextType(ColumnType):
    """Any text, spaces around it included."""

    name = "text"

    def parse(self, column: ColumnFacts, value: object, dtype: np.dtype[Any]) -> str:
        if not isinstance(value, str):
            raise Unfit
        return value

    def fill(self, column: ColumnFacts, target: Cells, values: Sequence[object]) -> bool:
        if not set(map(type, values)) <= {str}:
            return False
        target[:] = values
        return True

    def plain(self, cell: Any) -> str:
        text: str = cell
        return text

    def expected(self, column: ColumnFacts) -> str:
        return "a text"

    def schema(self, column: ColumnFacts) -> Schema:
        return {"type": "string"}

    def control(self, column: ColumnFacts) -> Control:
        return "paragraph"

    def datatype(self, column: ColumnFacts) -> Datatype:
        return "BYTES"

    @property
    def reading(self) -> Reading | None:
        return "length"

    def recognizes(self, values: Cells) -> bool:
        return all_texts(values)

    def learn(
        self, values: Cells, dtype: str, known: tuple[JSONLabel, ...] | None
    ) -> dict[str, Any]:
        texts = sorted((text for text in values.tolist() if text.strip()), key=len)
        return {"typical": texts[(len(texts) - 1) // 2][:TEXT_SHOWN] if texts else None}

    def read(self, column: ColumnFacts, text: str, rules: TextRules) -> object:
        if rules.blanks and not text.strip():
            return None
        return text.replace("\r\n", "\n") if rules.crlf else text

    def fill_texts(
        self, column: ColumnFacts, target: Cells, texts: Sequence[str], rules: TextRules
    ) -> Positions | None:
        if rules.crlf or (rules.blanks and not all(map(str.strip, texts))):
            return None
        target[:] = texts
        return NOWHERE
