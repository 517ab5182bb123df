"""Trees of XGBoost, LightGBM, CatBoost and imbalanced-learn as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model_store.plain.pack import NotPacked

from .forms import packed, require_same
from .grown import beside_thresholds, classes, numbers, table

pytestmark = pytest.mark.guests

FEW: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1, "random_state": 1}

XGBOOST: list[dict[str, Any]] = [
    {},
    {"max_depth": 2, "gamma": 0.5, "subsample": 0.6},
    {"num_parallel_tree": 2, "subsample": 0.6},
    {"booster": "dart", "rate_drop": 0.3},
    {"tree_method": "exact"},
]
LIGHTGBM: list[dict[str, Any]] = [
    {"min_child_samples": 4},
    {"boosting_type": "dart", "min_child_samples": 4},
    {"min_child_samples": 1000},  # trees of one leaf
    {"use_missing": False, "min_child_samples": 4},
]
CATBOOST: list[dict[str, Any]] = [{}, {"depth": 3, "nan_mode": "Max"}, {"depth": 9}]


def require_form_of(estimator: Any, X: Any, y: Any, **fit: Any) -> None:
    """That a form of the estimator answers as it does, beside thresholds, with missing values, and
    with numbers that float32 does not hold."""
    estimator.fit(X, y, **fit)
    form, signature = packed(estimator, X, y)
    require_same(estimator, form, signature, beside_thresholds(form))
    require_same(estimator, form, signature, beside_thresholds(form, missing=True, rows=40))
    require_same(estimator, form, signature, np.array([[1e300] * 5, [-1e300] * 5]))


@pytest.mark.parametrize("options", XGBOOST, ids=repr)
def test_xgboost_answers_with_the_same_bits(options: dict[str, Any]) -> None:
    xgboost = pytest.importorskip("xgboost")
    X = table(missing=True)
    for names in ([False, True], [0, 1, 2]):
        y = classes(X, names).astype(int)
        require_form_of(xgboost.XGBClassifier(**FEW, **options), X, y)
    y = numbers(X)
    require_form_of(xgboost.XGBRegressor(**FEW, **options), X, y)
    require_form_of(xgboost.XGBRegressor(**FEW, **options), X, np.stack([y, y**2], axis=1))


@pytest.mark.parametrize(
    "objective", ["count:poisson", "reg:gamma", "reg:tweedie", "reg:absoluteerror"]
)
def test_xgboost_has_the_link_of_its_objective(objective: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    X = table()
    estimator = xgboost.XGBRegressor(objective=objective, **FEW)
    require_form_of(estimator, X, np.exp(0.3 * numbers(X)))


def test_forests_of_xgboost_answer_with_the_same_bits() -> None:
    xgboost = pytest.importorskip("xgboost")
    X = table(missing=True)
    for names in ([0, 1], [0, 1, 2]):
        require_form_of(xgboost.XGBRFClassifier(**FEW), X, classes(X, names))
    require_form_of(xgboost.XGBRFRegressor(**FEW), X, numbers(X))


@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
def test_xgboost_and_lightgbm_stop_where_they_were_best() -> None:
    xgboost = pytest.importorskip("xgboost")
    lightgbm = pytest.importorskip("lightgbm")
    X = table()
    y = classes(X, [0, 1])
    known = {"eval_set": [(X[:40], y[::-1][:40])]}
    estimator = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=2, n_jobs=1)
    require_form_of(estimator, X, y, **known, verbose=False)
    assert estimator.best_iteration < estimator.get_booster().num_boosted_rounds() - 1
    stopping = [lightgbm.early_stopping(2, verbose=False)]
    other = lightgbm.LGBMClassifier(n_estimators=40, n_jobs=1, verbose=-1)
    require_form_of(other, X, y, **known, callbacks=stopping)
    assert 0 < other.best_iteration_ < 40


@pytest.mark.parametrize("options", LIGHTGBM, ids=repr)
def test_lightgbm_answers_as_it_does(options: dict[str, Any]) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    for X in (table(missing=True, rows=120), table(rows=120)):
        for names in (["a", "b"], ["a", "b", "c"]):
            estimator = lightgbm.LGBMClassifier(**FEW, **options, verbose=-1)
            require_form_of(estimator, X, classes(X, names))
        require_form_of(lightgbm.LGBMRegressor(**FEW, **options, verbose=-1), X, numbers(X))


@pytest.mark.parametrize("objective", ["poisson", "gamma", "tweedie", "l1", "huber", "quantile"])
def test_lightgbm_has_the_link_of_its_objective(objective: str) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X = table()
    estimator = lightgbm.LGBMRegressor(objective=objective, **FEW, verbose=-1)
    require_form_of(estimator, X, np.exp(0.3 * numbers(X)))


def test_lightgbm_takes_for_zero_what_is_next_to_it() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X = np.where(np.random.default_rng(3).random((240, 5)) < 0.5, 0.0, table())
    estimator = lightgbm.LGBMRegressor(**FEW, verbose=-1).fit(X, numbers(X))
    form, signature = packed(estimator, X, numbers(X))
    small = float(np.float32(1e-35))
    sizes = [0.0, 5e-324, 1e-36, 1e-35, small, np.nextafter(small, 1), 2e-35, 1.0, np.nan]
    rows = np.random.default_rng(3).choice([*sizes, *(-np.array(sizes))], (400, 5))
    require_same(estimator, form, signature, rows)


def test_lightgbm_has_sets_of_categories() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X = table()
    y = numbers(X) + np.array([2, -3, 1, 4, -1, 0])[X[:, 3].astype(int)]
    estimator = lightgbm.LGBMRegressor(**FEW, verbose=-1, min_data_per_group=5, cat_smooth=1)
    estimator.fit(X, y, categorical_feature=[3])
    form, signature = packed(estimator, X, y)
    rows = beside_thresholds(form)
    cells = [0, 1, 2, 3, 4, 5, 6, 31, 32, 1e6, -1, -0.5, 1.7, -3, np.nan]
    rows[:, 3] = np.random.default_rng(3).choice(cells, len(rows))
    require_same(estimator, form, signature, rows)


@pytest.mark.parametrize("options", CATBOOST, ids=repr)
def test_catboost_of_numbers_answers_as_it_does(options: dict[str, Any]) -> None:
    catboost = pytest.importorskip("catboost")
    always = {"iterations": 8, "thread_count": 1, "verbose": False, "allow_writing_files": False}
    for X in (table(missing=True, rows=120), table(rows=120)):
        for names in (["a", "b"], ["a", "b", "c"], [3, 5]):
            estimator = catboost.CatBoostClassifier(**always, **options)
            require_form_of(estimator, X, classes(X, names))
        require_form_of(catboost.CatBoostRegressor(**always, **options), X, numbers(X))


@pytest.mark.filterwarnings("ignore:Constructing a Categorical with a dtype")
@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "sklearn.ensemble"])
def test_categories_of_pandas_are_counted_as_in_training(kind: str) -> None:
    library, pd = pytest.importorskip(kind), pytest.importorskip("pandas")
    random = np.random.default_rng(3)
    columns = {
        "size": random.normal(size=240),
        "town": pd.Categorical(random.choice(["Bonn", "Rome", "Oslo", "Riga"], 240)),
        "age": random.normal(size=240),
        "grade": pd.Categorical(random.choice([3, 5, 9], 240)),
    }
    frame = pd.DataFrame(columns)
    frame.loc[::9, "size"] = None
    frame.loc[1::9, "town"] = None
    y = frame["age"] + 2.0 * (frame["town"] == "Rome") - (frame["grade"] == 5)
    cells = [
        random.normal(size=200),
        random.choice(np.array(["Bonn", "Rome", "Oslo", "Riga", "Graz", None], dtype=object), 200),
        random.normal(size=200),
        random.choice(np.array([3, 5, 9, 4, None], dtype=object), 200),
    ]
    rows = np.stack([np.asarray(each, dtype=object) for each in cells], axis=1)
    for estimator, target in _estimators_of_categories(library, y):
        estimator.fit(frame, target)
        form, signature = packed(estimator, frame, target)
        assert form.last.last.trees.choices is not None  # type: ignore[attr-defined]
        require_same(estimator, form, signature, rows)


def _estimators_of_categories(library: Any, y: Any) -> list[tuple[Any, Any]]:
    if library.__name__ == "xgboost":
        few = {**FEW, "enable_categorical": True, "max_cat_to_onehot": 1}
        kinds = library.XGBRegressor(**few), library.XGBClassifier(**few)
    elif library.__name__ == "lightgbm":
        few = {**FEW, "verbose": -1, "min_data_per_group": 5, "cat_smooth": 1}
        kinds = library.LGBMRegressor(**few), library.LGBMClassifier(**few)
    else:
        few = {"max_iter": 8, "categorical_features": "from_dtype"}
        kinds = (
            library.HistGradientBoostingRegressor(**few),
            library.HistGradientBoostingClassifier(**few),
        )
    return [(kinds[0], y), (kinds[1], (y > 0).astype(int))]


def test_a_balanced_forest_answers_as_it_does() -> None:
    ensemble = pytest.importorskip("imblearn.ensemble")
    X = table(missing=True)
    require_form_of(ensemble.BalancedRandomForestClassifier(**FEW), X, classes(X, ["a", "b"]))


def test_what_boosters_have_no_node_for_is_not_packed() -> None:
    xgboost = pytest.importorskip("xgboost")
    lightgbm = pytest.importorskip("lightgbm")
    X = table()
    y = np.abs(numbers(X)) + 1
    for estimator in (
        xgboost.XGBRegressor(booster="gblinear", **FEW),
        xgboost.XGBRegressor(missing=0.0, **FEW),
        xgboost.XGBRegressor(objective="reg:logistic", base_score=0.5, **FEW),
        lightgbm.LGBMRegressor(linear_tree=True, **FEW, verbose=-1),
        lightgbm.LGBMRegressor(zero_as_missing=True, **FEW, verbose=-1),
        lightgbm.LGBMRegressor(objective="cross_entropy", **FEW, verbose=-1),
    ):
        estimator.fit(X, y / y.max())
        with pytest.raises(NotPacked):
            packed(estimator, X, y)
