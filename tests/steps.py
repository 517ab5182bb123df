"""A module of an operator's own, for pipelines that name classes and functions in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
from sklearn.base import BaseEstimator, TransformerMixin

EPOCH = pandas.Timestamp("2024-01-01")


def days(dates: Any) -> Any:
    """Columns of dates as days since the beginning of 2024."""
    return dates.apply(lambda column: (column.dt.tz_localize(None) - EPOCH).dt.days)


def lengths(texts: Any) -> Any:
    """Columns as the length of what each value is as text, which tells 3 from 3.0."""
    return texts.astype(str).apply(lambda column: column.str.len())


class Ratio(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The first column in terms of the second."""

    def fit(self, X: Any, y: Any = None) -> Ratio:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return np.asarray(X)[:, [0]] / np.asarray(X)[:, [1]]
