"""Rows as a client may send them, drawn at random from what a model knows of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model_store import Column, Manifest

Row = dict[str, Any]


def drawn_rows(manifest: Manifest, seed: int, count: int) -> list[Row]:
    """Rows within the ranges of the training data, some with missing values where they may be."""
    random = np.random.default_rng(seed)
    columns = manifest.signature.columns
    return [{column.name: _drawn(column, random) for column in columns} for _ in range(count)]


def _drawn(column: Column, random: Generator) -> Any:
    if column.missing and random.random() < 0.1:
        return None
    if column.categories is not None:
        return column.categories[random.integers(len(column.categories))]
    if column.type == "boolean":
        return bool(random.integers(2))
    if column.type in ("number", "integer"):
        low, high = float(column.minimum or 0), float(column.maximum or 0)
        drawn = random.uniform(low, high)
        return round(drawn) if column.type == "integer" else drawn
    return column.typical


def as_trained(manifest: Manifest, rows: list[Row]) -> NDArray[Any]:
    """The rows as the array that a model without a DataFrame was trained on."""
    table = [[np.nan if value is None else value for value in row.values()] for row in rows]
    return np.array(table, dtype=object if manifest.signature.dtype == "object" else np.float64)
