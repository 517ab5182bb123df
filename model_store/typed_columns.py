"""A column of a file with types: it was what the file says, but for what is missing among objects.

Of texts and of whatever else pandas held as objects, a file keeps that a value is missing, and not
whether it was NaN, None or pandas's NA. Of such a column there is a reading for each of these,
unless an encoder or a person says which it was; `reading_choice.py` asks the pipeline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from .column_facts import NULLS, Null
from .column_types import TEXT, TYPES, ColumnType
from .readings import of_null
from .structure import Hint
from .training import Feature, missing

_OF_OBJECTS: Final = frozenset({"object", "text"})
"""The dtypes of objects, whatever was missing among them."""
_OF_TEXTS: Final = "str"
"""The dtype of pandas whose missing value is NaN, where nobody knows better."""
_NULLABLE: Final = re.compile(r"[A-Z]|string|boolean|.*\[pyarrow\]")
"""The dtypes whose missing value is pandas's NA, by their names."""


@dataclass(frozen=True, slots=True)
class TypedReading:
    """A column as a file has it, with a missing value that it may have had.

    `type` is how `--type` calls it, or the dtype of a column that can only be read so. `categories`
    are those that its dtype has, perhaps `ordered`.
    """

    type: str
    dtype: str
    null: Null
    categories: tuple[Any, ...] | None = None
    ordered: bool = False

    last: ClassVar[bool] = False
    kind: ClassVar[ColumnType | None] = None

    @property
    def of_objects(self) -> bool:
        """Whether it may have had another missing value than its dtype has."""
        return self.dtype in _OF_OBJECTS or self.dtype == _OF_TEXTS

    @property
    def in_arrays(self) -> bool:
        """Whether an array of numpy holds the column: one of a dtype of pandas with NaN."""
        return self.null != "na" or not self.of_objects

    def missing(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of the values are missing."""
        return missing(values)

    def lacks(self, values: NDArray[Any]) -> bool:
        """Whether some of the values are missing."""
        return bool(missing(values).any())

    def feature(self, name: str, values: NDArray[Any]) -> Feature:
        """The column, of these values of it."""
        odd, dtype, null = missing(values), self.dtype, self.null
        if self.of_objects and odd.any():
            values = values.copy()
            values[odd] = None if null == "none" else np.nan
            dtype = dtype if null == "nan" else "object"
        return Feature(
            name, values, dtype, self.categories, self.ordered, null if odd.any() else None
        )


def typed_readings(feature: Feature, hint: Hint, null: Null | None = None) -> list[TypedReading]:
    """How a column of a file may be read, as the file gives it first; `null` is the missing value
    that it is said to have had.

    Raises:
        InvalidPipeline: no value is missing, or the column cannot have had that missing value.
    """
    values, dtype = feature.values, feature.dtype
    known = null or hint.missing
    doubtful = dtype in _OF_OBJECTS or (dtype == _OF_TEXTS and known is not None)
    if not doubtful or not missing(values).any():
        own: Null = "na" if _NULLABLE.match(dtype) else "nan"
        found = [TypedReading(dtype, dtype, own, feature.categories, feature.ordered)]
    else:
        first = feature.null or "nan"
        nulls = [hint.missing] if hint.missing else sorted(NULLS, key=lambda each: each != first)
        found = [TypedReading(_type_of(values), dtype, each) for each in nulls]
    return found if null is None else of_null(feature.name, values, found, null)


def _type_of(values: NDArray[Any]) -> str:
    """What `--type` calls such objects."""
    present = values[~missing(values)]
    if any(isinstance(value, str) for value in present):
        return TEXT.name
    found = (each.name for each in TYPES.values() if each.recognizes(present))
    return next(found, TEXT.name)
