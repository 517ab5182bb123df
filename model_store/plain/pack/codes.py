"""Categories that a library itself counts: the number of its place for each, before the trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..node import Array, Transform
from ..nodes.categories import Categories, Encode
from ..nodes.columns import Columns, Part
from .encoders import label_of
from .given import Given


def coded(categories: Mapping[int, Sequence[Any]], given: Given) -> tuple[Transform, Array]:
    """A step that has codes for the categories of these columns, and NaN for others and for what is
    missing; and the place of each column behind it."""
    columns = sorted(categories)
    found = [
        Categories([label_of(value) for value in categories[column]], ["none", "nan", "unknown"])
        for column in columns
    ]
    codes = [[*range(len(each.values)), np.nan, np.nan, np.nan] for each in found]
    step = Encode(columns=found, numbers=np.concatenate(codes)[:, np.newaxis])
    return beside(columns, step, given)


def beside(columns: Sequence[int], step: Transform, given: Given) -> tuple[Transform, Array]:
    """A step for these columns, behind which the others stand as they are; and the place of each
    column behind it."""
    chosen = np.isin(np.arange(given.width), columns)
    first, others = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    narrow = given.of_columns(first.tolist()).narrow
    parts = [Part(columns=first, steps=[step], narrow=narrow)]
    if len(others):
        parts.append(Part(columns=others, steps=[]))
    return Columns(parts=parts), np.argsort(np.concatenate([first, others]))
