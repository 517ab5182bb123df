"""Estimators of other libraries come back from their pickles without a flag, and do the same."""

from __future__ import annotations

import importlib
import pickle
from typing import Any, Final

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store import pickles
from model_store.errors import LoadFailed, Unsound, Untrusted
from model_store.pickles import Global
from model_store.reconstruct.row import find
from model_store.soundness.check import require_sound
from model_store.soundness.guests import AGGREGATES, BOOSTERS, GUESTS
from model_store.trust import Trust

pytestmark = [pytest.mark.guests, pytest.mark.filterwarnings("ignore")]

DEFAULT: Final = Trust()

BINS: Final = {"size": [0, 4, 6, 9]}
PLACES: Final = {"lat1": "size", "lon1": "age", "lat2": "age", "lon2": "size"}
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "ArbitraryDiscretiser": {"binning_dict": BINS},
    "ArbitraryOutlierCapper": {"max_capping_dict": {"size": 6}},
    "ArcsinTransformer": {"variables": ["share"]},
    "DatetimeSubtraction": {"variables": ["day"], "reference": ["day"]},
    "DecisionTreeDiscretiser": {"regression": False},
    "DecisionTreeEncoder": {"regression": False},
    "DecisionTreeFeatures": {"regression": False, "variables": ["size", "age"]},
    "DropFeatures": {"features_to_drop": ["size"]},
    "GeoDistanceFeatures": PLACES,
    "MathFeatures": {"variables": ["size", "age"], "func": ["sum", "mean"]},
    "RelativeFeatures": {"variables": ["size"], "reference": ["age"], "func": ["div"]},
    "SMOTENC": {"categorical_features": [0]},
    "SklearnTransformerWrapper": {"transformer": StandardScaler()},
    "TextFeatures": {"variables": ["city"]},
}
STEPS: Final = [("scale", StandardScaler()), ("last", LogisticRegression())]


def table(rows: int = 120) -> Any:
    import pandas as pd

    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.normal(size=rows) + 5,
            "age": random.normal(size=rows) ** 2 + 1,
            "share": random.random(rows),
            "city": random.choice(["Bern", "Chur", "Zug"], rows),
            "day": pd.to_datetime("2024-01-01")
            + pd.to_timedelta(random.integers(0, 300, rows), "D"),
        }
    )


def made(full: str) -> Any:
    module, _, name = full.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    options: dict[str, Any] = OPTIONS.get(name, {})
    if name == "Pipeline":
        options = {"steps": STEPS}
    if name == "PolynomialWrapper":
        encoders = importlib.import_module("category_encoders")
        options = {"feature_encoder": encoders.TargetEncoder()}
    try:
        return kind(**options)
    except TypeError:
        return kind(LogisticRegression(), **options)


def fitted(full: str) -> tuple[Any, Any]:
    """The estimator, and rows that it takes; samplers, which pipelines hold, take none."""
    estimator, X = made(full), table()
    y = np.arange(len(X)) % 2
    if hasattr(estimator, "fit_resample"):
        return estimator, None
    missing = X[["size", "age", "city"]].copy()
    missing.loc[::7, "size"] = np.nan
    missing.loc[::9, "city"] = None
    whole = [X[["size", "age", "city"]], X[["size", "age"]], X[["city"]], missing, X[["day"]]]
    for rows in (*whole, X):
        try:
            return made(full).fit(rows, y if "Regressor" not in full else y * 1.5 + X["age"]), rows
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    raise AssertionError(f"{full} is fitted on none of these rows")


def loaded(data: bytes) -> Any:
    DEFAULT.require("the file", pickles.listing(data).globals)
    found = pickles.load(data, DEFAULT)
    require_sound(found, DEFAULT)
    return found


OF_PYTHON: Final = sorted(
    each
    for each in GUESTS
    if each.split(".")[0] in ("imblearn", "category_encoders", "feature_engine")
)


@pytest.mark.parametrize("package", ["imblearn", "category_encoders", "feature_engine"])
def test_each_class_comes_back_and_does_the_same(package: str) -> None:
    for full in OF_PYTHON:
        if full.startswith(package):
            estimator, rows = fitted(full)
            found = loaded(pickle.dumps(estimator))
            for method in ("transform", "predict", "predict_proba"):
                if rows is not None and hasattr(estimator, method):
                    expected = _answers(estimator, method, rows)
                    assert _answers(found, method, rows) == expected, full


def _answers(estimator: Any, method: str, rows: Any) -> str:
    """Some draw, from the generator that numpy has for all."""
    np.random.seed(0)
    answers = getattr(estimator, method)(rows)
    to_dict = getattr(answers, "to_dict", None)
    return repr(np.asarray(answers).tolist() if to_dict is None else to_dict())


def test_a_pipeline_with_samplers_and_encoders_comes_back() -> None:
    imblearn = importlib.import_module("imblearn.pipeline")
    over = importlib.import_module("imblearn.over_sampling")
    encoders = importlib.import_module("category_encoders")
    X, y = table()[["size", "city"]], np.arange(120) % 3 == 0
    steps = (encoders.TargetEncoder(), StandardScaler(), over.SMOTE(random_state=1))
    pipeline = imblearn.make_pipeline(*steps, LogisticRegression()).fit(X, y)
    found = loaded(pickle.dumps(pipeline))
    assert np.array_equal(found.predict_proba(X), pipeline.predict_proba(X))


def test_each_name_of_the_list_is_a_class_of_the_extra_that_is_made_empty() -> None:
    for full in sorted(GUESTS - BOOSTERS):
        module, _, name = full.rpartition(".")
        kind = find(module, name)
        assert f"{kind.__module__}.{kind.__qualname__}" == full
        assert DEFAULT.resolve(module, name) is kind


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("catboost.core", "CatBoostClassifier"),
        ("category_encoders.hashing", "HashingEncoder"),
        ("feature_engine.timeseries.forecasting.window_features", "WindowFeatures"),
        ("imblearn.utils.testing", "all_estimators"),
        ("lightgbm.basic", "Dataset"),
        ("lightgbm.sklearn", "np"),
        ("xgboost", "XGBClassifier"),
        ("xgboost.core", "DMatrix"),
        ("xgboost.sklearn", "os.system"),
        ("xgboost.tracker", "RabitTracker"),
    ],
)
def test_nothing_else_of_these_libraries_is_taken(module: str, name: str) -> None:
    assert DEFAULT.refused([Global(module, name)])
    with pytest.raises(Untrusted):
        DEFAULT.resolve(module, name)


def test_what_catboost_needs_is_said_with_all_that_is_to_be_typed() -> None:
    names = [Global("catboost.core", "CatBoostClassifier"), Global("os", "system")]
    with pytest.raises(
        Untrusted,
        match=r"CatBoost .*with --trusted catboost\.core\.CatBoostClassifier "
        r"--trusted os\.system, or all that it names with --trust\.$",
    ):
        DEFAULT.require("a.pkl", names)
    with pytest.raises(
        Untrusted, match=r"allow it with --trust, which allows all that it names\.$"
    ):
        DEFAULT.require("a.pkl", [Global("os", f"call{number}") for number in range(7)])


@pytest.mark.parametrize("func", ["to_clipboard", "to_pickle", ["sum", "to_csv"]])
def test_pandas_is_not_asked_for_a_method_that_the_file_names(func: Any) -> None:
    features = importlib.import_module("feature_engine.creation")
    X = table()[["size", "age"]]
    step = features.MathFeatures(variables=["size", "age"], func="sum").fit(X)
    for each in AGGREGATES:
        step.func = each
        loaded(pickle.dumps(step))
    step.func = func
    with pytest.raises(Unsound, match="MathFeatures is not what it should be: it calls 'to_"):
        loaded(pickle.dumps(step))


def test_a_step_that_hides_a_method_of_its_class_is_refused() -> None:
    encoders = importlib.import_module("category_encoders")
    X = table()[["city"]]
    encoder = encoders.OrdinalEncoder().fit(X)
    encoder.transform = np.mean
    with pytest.raises(Unsound, match="its transform stands in place of that of its class"):
        loaded(pickle.dumps(make_pipeline(encoder)))


def test_a_forest_of_balanced_rows_is_checked_as_others_are() -> None:
    ensembles = importlib.import_module("imblearn.ensemble")
    X, y = table()[["size", "age"]].to_numpy(), np.arange(120) % 2
    forest = ensembles.BalancedRandomForestClassifier(n_estimators=3, random_state=1).fit(X, y)
    forest.n_features_in_ = 1
    with pytest.raises(Unsound, match="the columns of tree 0"):
        loaded(pickle.dumps(forest))


def test_a_library_that_is_not_installed_is_told_with_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xgboost.sklearn", None)
    with pytest.raises(LoadFailed, match=r"pip install 'quart-app\[guests\]'"):
        DEFAULT.resolve("xgboost.sklearn", "XGBClassifier")
