"""What holds one fitted estimator and answers as that does: searches, frozen estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .given import NotPacked
from .known import require_known


@dataclass(frozen=True, slots=True)
class Holder:
    """In which attribute the estimator is held, and the parameters that are known."""

    attribute: str
    parameters: frozenset[str]

    @classmethod
    def of(cls, attribute: str, *parameters: str) -> Holder:
        """With the names of all parameters, in texts with spaces between them."""
        return cls(attribute, frozenset(" ".join(parameters).split()))


_SEARCH: Final = (
    "cv error_score estimator n_jobs pre_dispatch refit return_train_score scoring verbose"
)
_HALVING: Final = (
    "aggressive_elimination cv error_score estimator factor max_resources min_resources n_jobs"
    " random_state refit resource return_train_score scoring verbose"
)

HOLDERS: Final = {
    "sklearn.GridSearchCV": Holder.of("best_estimator_", _SEARCH, "param_grid"),
    "sklearn.RandomizedSearchCV": Holder.of(
        "best_estimator_", _SEARCH, "n_iter param_distributions random_state"
    ),
    "sklearn.HalvingGridSearchCV": Holder.of("best_estimator_", _HALVING, "param_grid"),
    "sklearn.HalvingRandomSearchCV": Holder.of(
        "best_estimator_", _HALVING, "n_candidates param_distributions"
    ),
    "sklearn.FrozenEstimator": Holder.of("estimator", "estimator"),
    "sklearn.SelfTrainingClassifier": Holder.of(
        "estimator_", "base_estimator criterion estimator k_best max_iter threshold verbose"
    ),
}


def held(step: Any, key: str) -> Any:
    """The estimator in one of HOLDERS, whose key this is.

    Raises:
        NotPacked: a parameter is not known, or it holds none.
    """
    holder = HOLDERS[key]
    require_known(step, key, holder.parameters)
    found = getattr(step, holder.attribute, None)
    if found is None:
        raise NotPacked(f"a {type(step).__name__} without {holder.attribute} is not known")
    return found
