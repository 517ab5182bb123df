"""What holds one fitted estimator and answers what that answers: searches, frozen estimators."""

from __future__ import annotations

from typing import Any, Final

from ..node import Predictor, Transform
from .given import Given, NotPacked
from .known import Inner, Known

_SEARCH: Final = (
    "cv error_score estimator n_jobs pre_dispatch refit return_train_score scoring verbose"
)
_HALVING: Final = (
    "aggressive_elimination cv error_score estimator factor max_resources min_resources n_jobs"
    " random_state refit resource return_train_score scoring verbose"
)


def _best(step: Any) -> Any:
    found = getattr(step, "best_estimator_", None)
    if found is None:
        raise NotPacked(f"a {type(step).__name__} without a best estimator is not known")
    return found


def search(step: Any, given: Given, inner: Inner) -> Predictor:
    return inner.predictor(_best(step), given)


def search_transform(step: Any, given: Given, inner: Inner) -> Transform:
    return inner.transform(_best(step), given)


def frozen(step: Any, given: Given, inner: Inner) -> Predictor:
    return inner.predictor(step.estimator, given)


def frozen_transform(step: Any, given: Given, inner: Inner) -> Transform:
    return inner.transform(step.estimator, given)


def self_training(step: Any, given: Given, inner: Inner) -> Predictor:
    """The estimator that was fitted last, on arrays."""
    return inner.predictor(step.estimator_, given.as_array())


_SEARCHES: Final = {
    "sklearn.GridSearchCV": _SEARCH + " param_grid",
    "sklearn.RandomizedSearchCV": _SEARCH + " n_iter param_distributions random_state",
    "sklearn.HalvingGridSearchCV": _HALVING + " param_grid",
    "sklearn.HalvingRandomSearchCV": _HALVING + " n_candidates param_distributions",
}

PREDICTORS: Final[dict[str, Known[Predictor]]] = {
    **{key: Known.of(search, parameters) for key, parameters in _SEARCHES.items()},
    "sklearn.FrozenEstimator": Known.of(frozen, "estimator"),
    "sklearn.SelfTrainingClassifier": Known.of(
        self_training, "base_estimator criterion estimator k_best max_iter threshold verbose"
    ),
}

TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    **{key: Known.of(search_transform, parameters) for key, parameters in _SEARCHES.items()},
    "sklearn.FrozenEstimator": Known.of(frozen_transform, "estimator"),
}
