"""A module of an operator's own, which the drawn pipelines name: steps that look at more than the
values, as the steps that people write do."""

from __future__ import annotations

import operator
import zlib
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

EPOCH = pd.Timestamp("2024-01-01")


def cells(X: Any) -> list[list[Any]]:
    """The values one by one, each as its container holds it."""
    if isinstance(X, pd.DataFrame):
        columns = [X.iloc[:, place].tolist() for place in range(X.shape[1])]
        return [list(row) for row in zip(*columns, strict=True)]
    return [list(row) for row in X]


def each(X: Any, number_of: Any) -> Any:
    return np.array([[float(number_of(value)) for value in row] for row in cells(X)])


def written(X: Any) -> Any:
    """What stands there when a value is written, which tells 3 from 3.0 and None from nan."""
    return each(X, lambda value: zlib.crc32(str(value).encode()) % 1000)


def kinds(X: Any) -> Any:
    """The kind of each column's dtype, which tells integers, floats, truths and objects."""
    dtypes = X.dtypes if isinstance(X, pd.DataFrame) else [X.dtype] * X.shape[1]
    row = [float(zlib.crc32(str(dtype.kind).encode()) % 100) for dtype in dtypes]
    return np.array([row] * len(X))


def missing(X: Any) -> Any:
    """Where a value is missing."""
    return pd.isna(pd.DataFrame(X)).to_numpy(dtype=float)


def markers(X: Any) -> Any:
    """What stands for a missing value: None, pd.NA, NaT or NaN."""
    known = {"NoneType": 1, "NAType": 2, "NaTType": 3}
    return each(X, lambda value: known.get(type(value).__name__, 4 if value != value else 0))


def last_digits(X: Any) -> Any:
    """The end of each integer, which a rounded one has lost."""
    return each(X, lambda value: -1 if pd.isna(value) else int(value) % 1000)


def bits(X: Any) -> Any:
    """The last bits of each integer, which no fraction has."""
    return each(X, lambda value: -1 if pd.isna(value) else operator.index(value) & 7)


def prefixes(X: Any) -> Any:
    """The first two characters, as of zip codes."""
    return each(X, lambda value: zlib.crc32(str(value)[:2].encode()) % 100)


def hours(X: Any) -> Any:
    """The hour by the clock of the column's zone."""
    return each(X, lambda value: -1 if pd.isna(value) else pd.Timestamp(value).hour)


def days(X: Any) -> Any:
    """Days since the beginning of 2024, by that clock."""
    frame = pd.DataFrame(X).apply(pd.to_datetime)
    return frame.apply(lambda column: (column.dt.tz_localize(None) - EPOCH).dt.days).to_numpy(float)


def read_days(X: Any) -> Any:
    """Texts as days of the year; whatever pandas reads, one by one, as it guesses of several."""
    return each(
        X, lambda value: pd.to_datetime(value).day_of_year if isinstance(value, str) else -1
    )


class Named(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Squares columns that it finds by name. It takes an array as well, and finds nothing there."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def fit(self, X: Any, y: Any = None) -> Any:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        frame = pd.DataFrame(X).copy()
        for name in self.names:
            if name in frame:
                frame[name] = frame[name] ** 2 + 1
        return frame.to_numpy(dtype=float)


class Needed(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Takes columns out by name, and cannot do without a DataFrame."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def fit(self, X: Any, y: Any = None) -> Any:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return X[list(self.names)].to_numpy(dtype=float)


class Known(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers the values that it has seen, as encoders of other libraries do; others are -1. It
    keeps nothing by a name that is scikit-learn's."""

    def fit(self, X: Any, y: Any = None) -> Any:
        values = [value for row in cells(X) for value in row]
        self.codes_ = {value: place for place, value in enumerate(dict.fromkeys(values))}
        return self

    def transform(self, X: Any) -> Any:
        return each(X, lambda value: self.codes_.get(value, -1))
