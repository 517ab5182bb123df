"""Rows to train on and to ask, for pipelines that become forms."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline

from model_store.plain import Malformed, read, write
from model_store.plain.pack import pack

from .forms import packed, require_same


def drawn(rows: int = 120) -> tuple[NDArray[Any], NDArray[Any]]:
    """Four features of several sizes, and a number that they tell with some noise."""
    random = np.random.default_rng(7)
    X = random.normal(size=(rows, 4)) * [1, 10, 0.1, 1] + [0, 30, 5, -1]
    return X, X @ [1.0, 0.1, 10.0, -0.5] + random.normal(scale=0.3, size=rows)


def classed(number: NDArray[Any], classes: list[Any]) -> NDArray[Any]:
    """Classes by the size of a number, each of a share of the rows of its own."""
    shares = np.linspace(0, 1, len(classes) + 1)[1:-1] ** 0.8
    places = np.digitize(number, np.quantile(number, shares))
    found: NDArray[Any] = np.array(classes).take(places)
    return found


def wider(X: NDArray[Any], rows: int = 150) -> NDArray[Any]:
    """Rows in and beyond the range of training."""
    random = np.random.default_rng(8)
    drawn = random.normal(size=(rows, X.shape[1]))
    found: NDArray[Any] = X.mean(axis=0) + drawn * X.std(axis=0) * 3
    return found


def fitted(estimator: Any, X: Any, y: Any, *before: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what does not converge on so few rows
        return make_pipeline(*before, estimator).fit(X, y)


def require_answers(pipeline: Any, X: NDArray[Any], y: Any, rows: NDArray[Any]) -> None:
    """That the form of a pipeline answers these rows as the pipeline does, and refuses the same
    when a value is missing."""
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, rows)
    missing = rows[:3].copy()
    missing[1, 0] = np.nan
    require_same(pipeline, form, signature, missing)


def require_malformed(pipeline: Any, X: Any, y: Any, before: bytes, after: bytes) -> None:
    """That a form is refused in whose header something was replaced."""
    _, signature = packed(pipeline, X, y)
    header, data = write(pack(pipeline, signature))
    assert before in header, header
    with pytest.raises(Malformed):
        read(header.replace(before, after, 1), data)
