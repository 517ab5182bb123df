"""What a manifest says of one column."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

JSONLabel = str | int | float | bool
Null = Literal["nan", "none", "na"]
"""A missing value: NaN, None, or that of pandas."""
NULLS: Final[Mapping[Null, str]] = {"nan": "NaN", "none": "None", "na": "pandas's NA"}
"""How each is called in a sentence."""

Narrow = type[np.float16] | type[np.float32]
_NARROW: Final[dict[str, Narrow]] = {"float16": np.float16, "float32": np.float32}
DIGITS: Final[Mapping[Narrow, int]] = {np.float16: 5, np.float32: 9}
"""So many tell each narrow float from all others."""
_LOOKED_AT: Final = 1000
"""About so many numbers tell what they were learned of."""


class ColumnFacts(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One column of the training data.

    `type` is the name of a column type. `minimum`, `maximum` and `typical` (the median, or the most
    frequent) are those of the training data, and bound nothing: they fill the form and the
    documentation. A date is ISO 8601 text there. Of numbers `quartiles` are the lower, the median
    and the upper one, which are values of the data as well, and `step` is the data's own
    resolution, such as 0.1, or None of finer data.
    `categories` are the values that are known. With `open` the pipeline answers others as well, and
    of a column of integers fractions.
    `missing` says that null is an answerable value here, and `null` which one the pipeline knows.
    `dtype` is what the column had in training: numpy's or pandas's name, or of dates that are
    objects of Python `date` or `datetime`. `ordered` says that pandas's categories are in order.
    """

    name: str
    type: str
    label: str | None = None
    unit: str | None = None
    description: str | None = None
    minimum: float | int | str | None = None
    maximum: float | int | str | None = None
    typical: JSONLabel | None = None
    quartiles: tuple[float | int, float | int, float | int] | None = None
    step: float | int | None = None
    categories: tuple[JSONLabel, ...] | None = None
    open: bool = False
    missing: bool = False
    null: Null = "nan"
    dtype: str = "float64"
    ordered: bool = False

    @cached_property
    def known(self) -> dict[JSONLabel, JSONLabel]:
        """The categories by value: 1.0 finds the category 1."""
        return {category: category for category in self.categories or ()}

    @cached_property
    def usual(self) -> bool:
        """Whether what equals a category is that category: of truths and narrow floats it is not
        always."""
        return self.narrow is None and not any(isinstance(each, bool) for each in self.known)

    @cached_property
    def narrow(self) -> Narrow | None:
        """The floats of fewer than 64 bits that the column had in training, if it had such."""
        return narrow_of(self.dtype)

    def shown(self, number: float) -> float:
        """A number as the shortest decimal that the floats of the column round to it: 0.1, and not
        0.10000000149011612."""
        return number if self.narrow is None else shortest(self.narrow(number))


def narrow_of(dtype: str) -> Narrow | None:
    """The floats of fewer than 64 bits that a dtype of numpy or pandas has, if it has such."""
    return _NARROW.get(dtype.lower())


def narrow_learned(numbers: NDArray[Any]) -> str | None:
    """The dtype of the narrow floats that numbers were learned of: their own; or else that whose
    few bits many of them have, or means of two, though it takes more than DIGITS to write them, as
    in 0.10000000149011612. None where one is written shortly and has more bits, as 0.1 has."""
    if numbers.dtype.kind != "f" or numbers.dtype.name in _NARROW:
        return numbers.dtype.name if numbers.dtype.name in _NARROW else None
    distinct = np.unique(numbers[np.isfinite(numbers)])
    distinct = distinct[:: len(distinct) // _LOOKED_AT + 1]
    mantissas, _ = np.frexp(distinct)
    long = np.array([float(f"{number:.{DIGITS[np.float32]}g}") != number for number in distinct])
    for name, narrow in _NARROW.items():
        few = np.ldexp(mantissas, np.finfo(narrow).nmant + 2) % 1 == 0
        if long.any() and not (~few & ~long).any() and 3 * few[long].sum() >= long.sum():
            return name
    return None


def plain_label(value: Any, dtype: str = "object") -> Any:
    """A category of a column of this dtype as Python's own: of narrow floats the shortest
    decimal."""
    narrow = narrow_of(dtype)
    if isinstance(value, float | np.floating) and narrow is not None:
        return shortest(narrow(value))
    if isinstance(value, np.float16 | np.float32):
        return shortest(value)
    return value.item() if isinstance(value, np.generic) else value


def null_of(objects: NDArray[Any]) -> Null | None:
    """The missing value that objects have most of; None where there is none."""
    counts: dict[Null, int] = {}
    for value in objects.tolist():
        if value is None:
            kind: Null = "none"
        elif type(value).__name__ == "NAType":
            kind = "na"
        elif isinstance(value, float | np.floating) and value != value:
            kind = "nan"
        else:
            continue
        counts[kind] = counts.get(kind, 0) + 1
    return max(counts, key=lambda kind: counts[kind], default=None)


def shortest(number: np.floating[Any]) -> float:
    """The shortest decimal that rounds to a float of its width."""
    return float(str(number))
