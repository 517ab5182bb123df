"""What a manifest says of one column."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import msgspec

JSONLabel = str | int | float | bool


class ColumnFacts(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One column of the training data.

    `type` is the name of a column type. `minimum`, `maximum` and `typical` (the median, or the most
    frequent) are those of the training data, and bound nothing: they fill the form and the
    documentation. A date is ISO 8601 text there. Of numbers `quartiles` are the lower, the median
    and the upper one, which are values of the data as well, and `step` is the data's own
    resolution, such as 0.1, or None of finer data.
    `categories` are the values that are known; with `open` the pipeline answers others as well.
    `missing` says that null is an answerable value here, and `null` which one the pipeline knows.
    `dtype` is what the column had in training: numpy's or pandas's name, or of dates in a matrix of
    objects `str`, `date` or `datetime`.
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
    null: Literal["nan", "none"] = "nan"
    dtype: str = "float64"

    @cached_property
    def known(self) -> dict[JSONLabel, JSONLabel]:
        """The categories by value: 1.0 finds the category 1."""
        return {category: category for category in self.categories or ()}
