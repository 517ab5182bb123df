"""How far diabetes has progressed after one year, from ten measurements at its start."""

from __future__ import annotations

from typing import Any

from .recipe import SEED, Dataset, Recipe


def _data() -> Dataset:
    from sklearn.datasets import load_diabetes

    # Unscaled, so that a person can enter an age in years; the pipeline does the scaling.
    diabetes = load_diabetes(scaled=False)
    names = tuple(diabetes.feature_names)
    return Dataset(
        diabetes.data,
        diabetes.target,
        names,
        "disease progression",
        source="the diabetes data of B. Efron and others, as scikit-learn brings it",
    )


def _pipeline() -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return Pipeline([("scaler", StandardScaler()), ("regressor", Ridge(random_state=SEED))])


RECIPE = Recipe(
    name="diabetes",
    title="Diabetes",
    description="A measure of how far the disease has progressed one year after the baseline.",
    data=_data,
    pipeline=_pipeline,
    # As scikit-learn's description of the data has them.
    labels={
        "age": "Age",
        "sex": "Sex",
        "bmi": "Body mass index",
        "bp": "Average blood pressure",
        "s1": "Total serum cholesterol",
        "s2": "Low-density lipoproteins",
        "s3": "High-density lipoproteins",
        "s4": "Total cholesterol by HDL",
        "s5": "Log of serum triglycerides",
        "s6": "Blood sugar",
    },
    units={"age": "years"},
    scores={"r2": "r2", "mean_absolute_error": "neg_mean_absolute_error"},
)
