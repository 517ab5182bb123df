"""Data that trees grow on, and rows that are hard for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.plain import Form

Array = NDArray[Any]


def table(*, missing: bool = False, rows: int = 240, seed: int = 7) -> Array:
    """Numbers in five columns, with zeros and whole numbers among them."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, 5))
    X[random.random(X.shape) < 0.1] = 0.0
    X[:, 3] = random.integers(0, 6, rows)
    if missing:
        X[random.random(X.shape) < 0.1] = np.nan
    return X


def numbers(X: Array) -> Array:
    """What a regression learns of such a table."""
    known = np.nan_to_num(X, nan=0.5)
    found: Array = known[:, 0] + known[:, 1] * known[:, 2] + 0.3 * known[:, 3]
    return found


def classes(X: Array, names: list[Any]) -> Array:
    """Classes of the same size by these numbers."""
    found = numbers(X)
    ends = np.quantile(found, np.linspace(0, 1, len(names) + 1)[1:-1])
    return np.array(names)[np.digitize(found, ends)]


def beside_thresholds(form: Form, *, missing: bool = False, rows: int = 300) -> Array:
    """Rows whose numbers are thresholds of the form's trees, or the next ones to them in float32 or
    float64; others in and beyond the range of training; and with `missing` some that are NaN."""
    random = np.random.default_rng(11)
    found = random.normal(size=(rows, form.columns), scale=3)
    for features, thresholds in form.root.splits():
        for column in np.unique(features):
            known = random.choice(thresholds[features == column], rows)
            ways = random.choice([-np.inf, 0.0, np.inf], rows)
            ways = np.where(ways == 0, known, ways)
            narrow, wide = np.nextafter(known, ways.astype(known.dtype)), np.nextafter(known, ways)
            beside = np.where(random.random(rows) < 0.5, narrow, wide)
            found[:, column] = np.where(random.random(rows) < 0.6, beside, found[:, column])
    if missing:
        found[random.random(found.shape) < 0.1] = np.nan
    return found
