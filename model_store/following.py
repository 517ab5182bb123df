"""Labels that follow from probabilities, so that a pipeline need not be asked for both.

Of most classifiers `predict` is the class of the greatest probability. It is not with a threshold,
with votes, or where probabilities are a model of their own, as those of support vectors. So a class
has to be in the table here, and the pipeline has to have answered so when it was published. Where
two probabilities are near each other, rounding decides, and the pipeline is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel
from .labels import plain, side_by_side

MARGIN: Final = 1e-6
"""By which the greatest probability exceeds the others, else the pipeline is asked."""

_PACKAGES: Final = frozenset({"catboost", "imblearn", "lightgbm", "sklearn", "xgboost"})
_GREATEST: Final = frozenset(
    {
        *("AdaBoostClassifier", "BaggingClassifier", "BernoulliNB", "CalibratedClassifierCV"),
        *("CategoricalNB", "ComplementNB", "DecisionTreeClassifier", "ExtraTreeClassifier"),
        *("ExtraTreesClassifier", "GaussianNB", "GradientBoostingClassifier"),
        *("HistGradientBoostingClassifier", "KNeighborsClassifier", "LGBMClassifier"),
        *("LabelPropagation", "LabelSpreading", "LinearDiscriminantAnalysis", "LogisticRegression"),
        *(
            "LogisticRegressionCV",
            "MLPClassifier",
            "MultinomialNB",
            "QuadraticDiscriminantAnalysis",
        ),
        *("RandomForestClassifier", "XGBClassifier"),
    }
)
"""Classifiers that tell the class of the greatest probability."""

_LOSSES: Final = (None, "CrossEntropy", "Logloss", "MultiClass")
_EVEN: Final = (None, 0.5)
"""CatBoost's losses that tell one label, and its thresholds where none was set."""

_INNER: Final[dict[str, Callable[[Any], Sequence[Any]]]] = {
    "FrozenEstimator": lambda it: [it.estimator],
    "GridSearchCV": lambda it: [it.best_estimator_],
    "HalvingGridSearchCV": lambda it: [it.best_estimator_],
    "HalvingRandomSearchCV": lambda it: [it.best_estimator_],
    "MultiOutputClassifier": lambda it: it.estimators_,
    "Pipeline": lambda it: [it.steps[-1][1]],
    "RandomizedSearchCV": lambda it: [it.best_estimator_],
    "SelfTrainingClassifier": lambda it: [it.estimator_],
    "StackingClassifier": lambda it: [it.final_estimator_],
}
"""What answers in the place of others, which then has to be of these classes."""


def may_follow(estimator: Any) -> bool:
    """Whether its labels are those of the greatest probabilities, as far as its class tells."""
    kind = type(estimator)
    if kind.__module__.partition(".")[0] not in _PACKAGES:
        return False
    if kind.__name__ == "VotingClassifier":
        return bool(estimator.voting == "soft")
    if kind.__name__ == "CatBoostClassifier":
        return (
            estimator.get_param("loss_function") in _LOSSES
            and estimator.get_probability_threshold() in _EVEN
        )
    if kind.__name__ in _INNER:
        return all(map(may_follow, _INNER[kind.__name__](estimator)))
    return kind.__name__ in _GREATEST


def labels_of_greatest(
    tables: Sequence[NDArray[np.float64]], classes: Sequence[Sequence[JSONLabel] | None]
) -> NDArray[Any] | None:
    """The labels of the greatest probabilities in a table of each target: of the shape (n,), or of
    several targets (n, targets). None where a row has no greatest one, or a table not its shape."""
    if len(tables) != len(classes):
        return None
    columns = []
    for table, known in zip(tables, classes, strict=True):
        if known is None or len(known) < 2 or table.ndim != 2 or table.shape[1] != len(known):
            return None
        ordered = np.partition(table, len(known) - 2, axis=1)
        # Written so that NaN is no greatest one.
        if not (ordered[:, -1] - ordered[:, -2] > MARGIN).all():
            return None
        labels = plain(np.fromiter(known, dtype=object, count=len(known)))
        columns.append(labels[table.argmax(axis=1)])
    return side_by_side(columns) if len(columns) > 1 else columns[0]
