"""Imputers of scikit-learn."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..node import Label, Transform
from ..nodes.missing import Donors, Fill, Flags, Guess, Guesses, Missing, Replace
from .encoders import label_of
from .given import Given, NotPacked
from .known import Inner, Known, require_set


def missing_of(step: Any) -> Missing:
    """What a step takes for missing. That of pandas is NaN in the rows of a form."""
    value = step.missing_values
    if value is None:
        return "none"
    if type(value).__name__ == "NAType" or value != value:
        return "nan"
    return (label_of(value),)


def _flagged(step: Any) -> NDArray[Any] | None:
    """The columns that have an indicator."""
    return np.asarray(step.indicator_.features_) if step.add_indicator else None


def simple(step: Any, given: Given, inner: Inner) -> Transform:
    return _simple(step, _flagged(step))


def _simple(step: Any, flagged: NDArray[Any] | None) -> Fill | Replace:
    values = np.asarray(step.statistics_).tolist()
    missing = missing_of(step)
    # A column that was empty in training has no statistic, and goes.
    gone = [value != value for value in values]
    kept = None if step.keep_empty_features or not any(gone) else np.flatnonzero(~np.array(gone))
    if step._fit_dtype.kind == "O":
        fillers = [_filler(value) for value in values]
        return Replace(missing=missing, kept=kept, flagged=flagged, values=fillers)
    if isinstance(missing, tuple) and isinstance(missing[0], str):
        raise NotPacked("a SimpleImputer of numbers that are missing where a text stands")
    numbers = np.array(values, dtype=np.float64)
    if kept is not None:
        numbers[gone] = 0.0
    return Fill(missing=missing, kept=kept, flagged=flagged, numbers=numbers)


def _filler(value: Any) -> Label | None:
    """What is filled in; a None stays one, and a NaN is that of a column that goes."""
    return None if value is None or value != value else label_of(value)


def indicator(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, sparse=("auto", False))
    strict = bool(step.error_on_new) and step.features == "missing-only"
    return Flags(columns=np.asarray(step.features_), missing=missing_of(step), strict=strict)


def iterative(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, sample_posterior=False)
    if not step.n_iter_:
        return _simple(step.initial_imputer_, _flagged(step))
    first = _simple(step.initial_imputer_, None)
    empty = _empty(step)
    kept = None if step.keep_empty_features or not empty.any() else np.flatnonzero(~empty)
    return Guesses(
        missing=first.missing,
        kept=kept,
        flagged=_flagged(step),
        first=first,
        guesses=[_guess(each, inner) for each in step.imputation_sequence_],
        low=np.asarray(step._min_value, dtype=np.float64),
        high=np.asarray(step._max_value, dtype=np.float64),
        empty=np.flatnonzero(empty) if step.keep_empty_features else None,
    )


def _empty(step: Any) -> NDArray[Any]:
    """Which columns of an IterativeImputer were empty in training."""
    if not hasattr(step, "_is_empty_feature") and not step.keep_empty_features:
        # Before scikit-learn 1.6.
        return np.asarray(np.isnan(step.initial_imputer_.statistics_))
    return np.asarray(step._is_empty_feature)


def _guess(triplet: Any, inner: Inner) -> Guess:
    others = np.asarray(triplet.neighbor_feat_idx)
    model = inner.predictor(triplet.estimator, Given(len(others)))
    return Guess(column=int(triplet.feat_idx), others=others, model=model)


def neighbours(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, weights=("uniform", "distance"), metric="nan_euclidean")
    rows = np.array(step._fit_X)
    if rows.dtype != np.float64 or given.narrow is not None:
        raise NotPacked("a KNNImputer of narrow floats is not known")
    rows[np.asarray(step._mask_fit_X)] = np.nan
    valid = np.asarray(step._valid_mask)
    kept = None if step.keep_empty_features or valid.all() else np.flatnonzero(valid)
    return Donors(
        missing=missing_of(step),
        kept=kept,
        flagged=_flagged(step),
        rows=rows,
        count=int(step.n_neighbors),
        weighed=step.weights == "distance",
    )


TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "sklearn.SimpleImputer": Known.of(
        simple, "add_indicator copy fill_value keep_empty_features missing_values strategy"
    ),
    "sklearn.MissingIndicator": Known.of(indicator, "error_on_new features missing_values sparse"),
    "sklearn.IterativeImputer": Known.of(
        iterative,
        "add_indicator estimator fill_value imputation_order initial_strategy",
        "keep_empty_features max_iter max_value min_value missing_values n_nearest_features",
        "random_state sample_posterior skip_complete tol verbose",
    ),
    "sklearn.KNNImputer": Known.of(
        neighbours,
        "add_indicator copy keep_empty_features metric missing_values n_neighbors weights",
    ),
}
