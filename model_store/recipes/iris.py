"""Three kinds of iris, told apart by four lengths of their flower."""

from __future__ import annotations

from typing import Any

from .recipe import SEED, Dataset, Recipe


def _data() -> Dataset:
    from sklearn.datasets import load_iris

    iris = load_iris()
    return Dataset(
        iris.data,
        iris.target_names[iris.target],
        tuple(iris.feature_names),
        "species",
        source="the iris data of R. A. Fisher, as scikit-learn brings it",
    )


def _pipeline() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return Pipeline(
        [
            ("scaler", StandardScaler()),
            ("classifier", LogisticRegression(max_iter=1000, random_state=SEED)),
        ]
    )


RECIPE = Recipe(
    name="iris",
    title="Iris",
    description="Which of three kinds an iris is, from the size of its sepals and petals.",
    data=_data,
    pipeline=_pipeline,
    scores={"accuracy": "accuracy"},
    words={"setosa": "Setosa", "versicolor": "Versicolor", "virginica": "Virginica"},
)
