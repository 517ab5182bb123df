"""The types that a column may have: one class each, one instance each, and the table of them.

A new type is a module with a class, and a line in `TYPES`. The type checker refuses a class that
lacks a part, and so does Python itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .base import ColumnType, Control, Datatype, Unfit
from .boolean import BooleanType
from .category import CategoryType, datatype_of
from .date import DateType
from .numbers import IntegerType, NumberType
from .text import TextType

BOOLEAN: Final = BooleanType()
INTEGER: Final = IntegerType()
NUMBER: Final = NumberType()
DATE: Final = DateType()
CATEGORY: Final = CategoryType()
TEXT: Final = TextType()

TYPES: Final[Mapping[str, ColumnType]] = {
    each.name: each for each in (BOOLEAN, INTEGER, NUMBER, DATE, CATEGORY, TEXT)
}
"""By name; in this order training data is looked at."""

__all__ = [
    "BOOLEAN",
    "CATEGORY",
    "DATE",
    "INTEGER",
    "NUMBER",
    "TEXT",
    "TYPES",
    "ColumnType",
    "Control",
    "Datatype",
    "Unfit",
    "datatype_of",
]
