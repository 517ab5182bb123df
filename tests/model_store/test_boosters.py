"""Models of other libraries by import: the columns of a CSV file are read with the categories that
the booster knows, and what comes in answers as the estimator did."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from model_store import ModelStore
from model_store.boosters import categories_of
from model_store.importer import ImportRequest, import_files

pytestmark = [pytest.mark.guests, pytest.mark.filterwarnings("ignore")]

GRADES = [3, 4, 5]
CITIES = ["Bern", "Chur", "Zug"]
CODES = ["01067", "20095", "True"]
CATEGORIES = ("city", "grade", "code")
FEW: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1, "random_state": 1}
LIGHT: dict[str, Any] = {**FEW, "verbose": -1, "min_data_per_group": 5}


def table(rows: int = 160) -> Any:
    import pandas as pd

    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "size": random.normal(size=rows),
            "city": random.choice(CITIES, rows),
            "grade": random.choice(GRADES, rows),
            "code": random.choice(CODES, rows),
        }
    )


def truth(X: Any) -> Any:
    return X["size"] + X["grade"] * (X["city"] == "Chur") + 3 * (X["code"] == "01067")


def as_categories(X: Any) -> Any:
    return X.astype(dict.fromkeys(CATEGORIES, "category"))


def made(kind: str) -> tuple[Any, Any, Any]:
    """An estimator fitted on categories, its rows, and what it was to tell."""
    name, _, how = kind.partition(" ")
    library = importlib.import_module(name)
    X = table()
    y = truth(X) if how == "numbers" else (truth(X) > truth(X).median()).astype(int)
    if name == "catboost":
        options = {"iterations": 8, "verbose": False, "allow_writing_files": False}
        estimator = library.CatBoostRegressor if how == "numbers" else library.CatBoostClassifier
        return estimator(**options, cat_features=list(CATEGORIES)).fit(X, y), X, y
    C = as_categories(X)
    if name == "lightgbm":
        regression = library.LGBMRegressor if how == "numbers" else library.LGBMClassifier
        return regression(**LIGHT).fit(C, y), C, y
    options = {**FEW, "enable_categorical": True, "max_depth": 3}
    if how == "numbers":
        return library.XGBRegressor(**options).fit(C, y), C, y
    options |= {"n_estimators": 60, "early_stopping_rounds": 1} if how == "stopped" else {}
    seen = {"eval_set": [(C[:50], y[::-1][:50])], "verbose": 0} if how == "stopped" else {}
    return library.XGBClassifier(**options).fit(C, y, **seen), C, y


KINDS = [
    *("xgboost classes", "xgboost numbers", "xgboost stopped", "lightgbm classes"),
    *("lightgbm numbers", "catboost classes", "catboost numbers"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_csv_file_is_read_with_the_categories_of_the_booster(kind: str, tmp_path: Path) -> None:
    estimator, rows, y = made(kind)
    file, sample = tmp_path / "model.joblib", tmp_path / "rows.csv"
    joblib.dump(estimator, file)
    table().assign(told=np.asarray(y)).to_csv(sample, index=False)
    order = ImportRequest(
        name="model",
        files=(str(file),),
        sample=str(sample),
        target=("told",),
        trust=kind.startswith("catboost"),
    )
    _, draft = import_files(order)
    assert draft is not None
    assert bool(draft.manifest.allowed) == kind.startswith("catboost")
    store = ModelStore(tmp_path / "store")
    store.add(draft)
    model = store.load(store.verify("model"))
    told = model.answer({name: table()[name].tolist() for name in table()}, len(rows))
    found: Any = told.labels if told.probabilities is None else told.probabilities
    expected = getattr(estimator, "predict_proba", estimator.predict)(rows)
    assert np.array_equal(np.reshape(found, expected.shape), expected)


@pytest.mark.parametrize("kind", ["xgboost classes", "xgboost stopped", "lightgbm numbers"])
def test_a_booster_knows_its_categories_by_their_places(kind: str) -> None:
    estimator, _, _ = made(kind)
    expected = {1: CITIES, 2: GRADES, 3: CODES}
    assert {place: list(known) for place, known in categories_of(estimator).items()} == expected


@pytest.mark.parametrize("way", ["import", "publish"])
def test_spaces_in_names_are_no_others_to_lightgbm_which_writes_underscores(
    way: str, tmp_path: Path
) -> None:
    library = importlib.import_module("lightgbm")
    X = table()[["size"]].rename(columns={"size": "size in cm"}).assign(age=range(160))
    y = (X["size in cm"] > 0).astype(int)
    model = library.LGBMClassifier(**LIGHT).fit(X, y)
    store = ModelStore(tmp_path / "store")
    if way == "publish":
        store.publish("m", model, X, y)
    else:
        path, sample = tmp_path / "m.joblib", tmp_path / "rows.csv"
        joblib.dump(model, path)
        X.assign(y=y).to_csv(sample, index=False)
        order = ImportRequest(name="m", files=(str(path),), sample=str(sample), target=("y",))
        _, draft = import_files(order)
        assert draft is not None
        store.add(draft)
    loaded = store.load(store.verify("m"))
    matrix = X.to_numpy(float)
    assert loaded.predict(matrix).labels.tolist() == model.predict(X).tolist()


def test_integers_of_xgboost_are_read_as_integers_without_being_told(tmp_path: Path) -> None:
    library = importlib.import_module("xgboost")
    X = table()[["size", "grade"]]
    y = (X["size"] + X["grade"] > 4).astype(int)
    path = tmp_path / "m.joblib"
    joblib.dump(library.XGBClassifier(**FEW).fit(X, y), path)
    sample = tmp_path / "rows.csv"
    X.assign(y=y).to_csv(sample, index=False)
    order = ImportRequest(name="m", files=(str(path),), sample=str(sample), target=("y",))
    report, _ = import_files(order)
    assert report.signature is not None
    assert [column.type for column in report.signature.columns] == ["number", "integer"]


def test_categories_are_known_where_training_told_lightgbm_of_none() -> None:
    """As a model that came as a text, whose columns alone are told."""
    estimator, _, _ = made("lightgbm classes")
    estimator.booster_.params = {}
    assert {place: list(known) for place, known in categories_of(estimator).items()} == {
        1: CITIES,
        2: GRADES,
        3: CODES,
    }


def test_where_there_are_no_categories_none_are_known() -> None:
    xgboost, lightgbm = map(importlib.import_module, ("xgboost", "lightgbm"))
    X, y = table()[["size", "grade"]], truth(table())
    for estimator in (xgboost.XGBRegressor(**FEW), lightgbm.LGBMRegressor(**LIGHT)):
        assert not categories_of(estimator.fit(X, y))


def _steps(kind: str) -> list[Any]:
    columns = make_column_transformer(
        (SimpleImputer(), ["size", "grade"]),
        (OneHotEncoder(handle_unknown="ignore"), ["city", "code"]),
    )
    encoders = importlib.import_module("category_encoders")
    features = importlib.import_module("feature_engine.encoding")
    sampler = importlib.import_module("imblearn.over_sampling").RandomOverSampler(random_state=1)
    return {
        "columns": [columns],
        "columns and samples": [columns, sampler],
        "targets": [encoders.TargetEncoder()],
        "counts": [features.CountFrequencyEncoder()],
    }[kind]


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        ("columns", "xgboost.XGBClassifier"),
        ("columns", "lightgbm.LGBMClassifier"),
        ("columns", "catboost.CatBoostClassifier"),
        ("columns and samples", "xgboost.XGBClassifier"),
        ("targets", "lightgbm.LGBMClassifier"),
        ("counts", "xgboost.XGBClassifier"),
    ],
)
def test_behind_steps_with_nodes_a_booster_is_plain_data_with_its_own_bits(
    steps: str, last: str, tmp_path: Path
) -> None:
    X = table()
    y = (truth(X) > truth(X).median()).astype(int)
    library, _, name = last.partition(".")
    quiet = {"catboost": {"iterations": 5, "verbose": False, "allow_writing_files": False}}
    options = quiet.get(library, LIGHT if library == "lightgbm" else FEW)
    estimator = getattr(importlib.import_module(library), name)(**options)
    join = importlib.import_module("imblearn.pipeline").make_pipeline
    pipeline = join(*_steps(steps), estimator).fit(X, y)
    store = ModelStore(tmp_path)
    told = store.publish("boosted", pipeline, X, y)
    assert told.served is not None
    assert told.served.by == "plain", told.served
    assert bool(told.allowed) == (library == "catboost")
    model = store.load(store.verify("boosted", pickles="never"))
    found = model.answer({each: X[each].tolist() for each in X}, len(X)).probabilities
    assert found is not None
    # CatBoost takes exp of the C library, and numpy's differs in the last bit on some processors.
    last_bit = 2**-53 if library == "catboost" else 0.0
    assert np.abs(found[0] - pipeline.predict_proba(X)).max() <= last_bit
