"""The encoders and imputers of category_encoders and feature_engine as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from .forms import packed, require_same

pytestmark = pytest.mark.guests

NAN = float("nan")
ROWS = 150


def table(*, gaps: bool) -> pd.DataFrame:
    random = np.random.default_rng(50)
    colour = random.choice(np.array(["red", "green", "blue", "grey"], dtype=object), ROWS)
    size = random.choice(np.array(["small", "large"], dtype=object), ROWS)
    price = random.gamma(2.0, size=ROWS)
    if gaps:
        colour[::9], price[::7] = NAN, NAN
    return pd.DataFrame(
        {"colour": colour, "price": price, "size": size, "grade": random.integers(1, 5, ROWS)}
    )


ODD_ROWS = np.array(
    [
        [colour, price, size, grade]
        for colour in ("red", "grey", "pink", NAN)
        for price in (0.01, 9.0, 300.0, NAN)
        for size, grade in (("small", 1), ("huge", 2), (NAN, 9))
    ],
    dtype=object,
)


def answered(step: Any, X: pd.DataFrame, *after: Any) -> None:
    y = np.random.default_rng(51).integers(0, 2, len(X))
    pipeline = make_pipeline(step, *after, SimpleImputer(), LogisticRegression(max_iter=1000))
    pipeline.fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, ODD_ROWS)


CATEGORY_ENCODERS: list[tuple[str, dict[str, Any]]] = [
    ("OrdinalEncoder", {}),
    ("OrdinalEncoder", {"handle_unknown": "return_nan", "handle_missing": "return_nan"}),
    ("OneHotEncoder", {}),
    ("OneHotEncoder", {"handle_unknown": "error", "cols": ["colour", "size", "grade"]}),
    ("OneHotEncoder", {"handle_unknown": "indicator", "handle_missing": "indicator"}),
    ("BinaryEncoder", {}),
    ("TargetEncoder", {"smoothing": 3.0}),
    ("WOEEncoder", {"handle_unknown": "return_nan"}),
    ("CountEncoder", {"normalize": True}),
    ("JamesSteinEncoder", {}),
    ("LeaveOneOutEncoder", {}),
    ("CatBoostEncoder", {}),
    ("MEstimateEncoder", {"handle_missing": "error", "handle_unknown": "error"}),
]


@pytest.mark.parametrize(("name", "parameters"), CATEGORY_ENCODERS, ids=str)
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.filterwarnings("ignore")
def test_an_encoder_of_category_encoders_answers_as_its_pipeline_does(
    name: str, parameters: dict[str, Any], gaps: bool
) -> None:
    library = pytest.importorskip("category_encoders")
    if gaps and parameters.get("handle_missing") == "error":
        pytest.skip("it cannot be fitted")
    answered(getattr(library, name)(**parameters), table(gaps=gaps))


FEATURE_ENGINE: list[tuple[str, str, dict[str, Any]]] = [
    ("encoding", "OneHotEncoder", {}),
    ("encoding", "OneHotEncoder", {"drop_last": True}),
    ("encoding", "OneHotEncoder", {"top_categories": 2}),
    ("encoding", "OrdinalEncoder", {"encoding_method": "arbitrary"}),
    ("encoding", "OrdinalEncoder", {"unseen": "raise"}),
    ("encoding", "OrdinalEncoder", {"unseen": "encode", "missing_values": "ignore"}),
    ("encoding", "CountFrequencyEncoder", {"unseen": "encode"}),
    ("encoding", "MeanEncoder", {"smoothing": "auto"}),
    ("encoding", "WoEEncoder", {}),
    ("selection", "DropFeatures", {"features_to_drop": ["colour", "size"]}),
]


@pytest.mark.parametrize(("module", "name", "parameters"), FEATURE_ENGINE, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_an_encoder_of_feature_engine_answers_as_its_pipeline_does(
    module: str, name: str, parameters: dict[str, Any]
) -> None:
    library = pytest.importorskip(f"feature_engine.{module}")
    answered(getattr(library, name)(**parameters), table(gaps=False))


BEFORE_ENCODERS: list[tuple[str, str, dict[str, Any]]] = [
    ("imputation", "MeanMedianImputer", {"variables": ["price"]}),
    ("imputation", "ArbitraryNumberImputer", {"variables": ["price"]}),
    ("imputation", "EndTailImputer", {"variables": ["price"]}),
    ("imputation", "CategoricalImputer", {"variables": ["colour"]}),
    ("imputation", "CategoricalImputer", {"variables": ["size"], "imputation_method": "frequent"}),
    ("imputation", "AddMissingIndicator", {}),
    ("encoding", "RareLabelEncoder", {"n_categories": 2, "tol": 0.25, "missing_values": "ignore"}),
    ("outliers", "Winsorizer", {"variables": ["price"], "missing_values": "ignore"}),
    ("selection", "DropConstantFeatures", {"missing_values": "ignore", "tol": 0.99}),
]


@pytest.mark.parametrize(("module", "name", "parameters"), BEFORE_ENCODERS, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_what_fills_and_renames_stands_before_an_encoder(
    module: str, name: str, parameters: dict[str, Any]
) -> None:
    library = pytest.importorskip(f"feature_engine.{module}")
    encoder = OneHotEncoder(handle_unknown="ignore")
    answered(getattr(library, name)(**parameters), table(gaps=True), encoder)


@pytest.mark.filterwarnings("ignore")
def test_numbers_are_capped_and_transformed() -> None:
    outliers = pytest.importorskip("feature_engine.outliers")
    transformation = pytest.importorskip("feature_engine.transformation")
    X = table(gaps=False)[["price", "grade"]]
    y = np.random.default_rng(51).integers(0, 2, len(X))
    for step in (
        outliers.Winsorizer(tail="both", capping_method="iqr"),
        transformation.YeoJohnsonTransformer(),
    ):
        pipeline = make_pipeline(step, LogisticRegression()).fit(X, y)
        form, signature = packed(pipeline, X, y)
        require_same(pipeline, form, signature, ODD_ROWS[:, [1, 3]].astype(float))
