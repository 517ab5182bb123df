"""Contributions of pipelines of every family are those of full enumeration, and add up."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from model_store.errors import Unexplained
from model_store.reasons.clock import Clock
from model_store.reasons.coalitions import weights
from model_store.reasons.scales import scales_of
from model_store.reasons.way import Way
from tests.model_store.plain.pipelines import CASES

from .explained import Explained, all_shares, enumerated, explained

WITHIN: Final = 1e-12
SINGLE_PRECISION: Final = {"float32": 1e-6}
"""What these answer is rounded to single precision, which contributions are not."""

PLAIN: Final = [name for name, case in CASES.items() if case.by == "plain"]
# Those with all other tests have missing and unseen values, categories, texts, several targets.
USUAL: Final = {
    "people logistic",
    "people categories",
    "people boosting",
    "people knn",
    "gaps forest",
    "texts svd",
    "texts bayes",
    "several forest",
    "several regressors",
    "measure: isolation",
    "measure: poisson",
    "classify: ada",
    "classify: voting soft",
    "classify: svc",
    "float32",
}
NAMES: Final = [
    pytest.param(name, marks=[] if name in USUAL else [pytest.mark.forms]) for name in PLAIN
]


def require_exact(found: Explained, within: float = WITHIN) -> None:
    """That on every scale contributions are those of enumeration, and add up to the answer."""
    for outputs in [None, *scales_of(found.manifest, found.form.root)]:
        by = found.explainer(None if outputs is None else outputs.scale)
        assert by.method_name == "exact"
        shares = all_shares(by, found.rows)
        for row, told in zip(found.rows, shares, strict=True):
            expected = enumerated(found.form, by.outputs, row, found.background)
            size = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(told, expected, rtol=0, atol=within * size)
        answers = by.said(found.rows)
        size = max(1.0, np.abs(answers).max())
        np.testing.assert_allclose(
            by.base + shares.sum(axis=2), answers, rtol=0, atol=within * size
        )


@pytest.mark.parametrize("name", NAMES)
def test_contributions_are_those_of_enumeration(name: str) -> None:
    case = CASES[name]
    found = explained(case.make(), case.X, case.y)
    if not scales_of(found.manifest, found.form.root):
        with pytest.raises(Unexplained, match="neither a probability nor a score"):
            found.explainer()
        return
    require_exact(found, SINGLE_PRECISION.get(name, WITHIN))


X10, Y10 = make_classification(300, 10, n_informative=6, random_state=0)


@pytest.mark.forms
@pytest.mark.parametrize(
    ("make", "way"),
    [
        (lambda: GradientBoostingClassifier(n_estimators=10, random_state=0), "Trees"),
        (lambda: GradientBoostingClassifier(n_estimators=10, loss="exponential"), "Trees"),
        (lambda: RandomForestClassifier(5, random_state=0), "Trees"),
        (lambda: AdaBoostClassifier(n_estimators=5), "Combined"),
        (lambda: HistGradientBoostingClassifier(max_iter=5), "Trees"),
        (lambda: BaggingClassifier(LogisticRegression(), 3, max_features=0.5), "Combined"),
        (
            lambda: VotingClassifier(
                [("a", DecisionTreeClassifier(max_depth=3)), ("b", LogisticRegression())],
                voting="soft",
            ),
            "Combined",
        ),
        (lambda: make_pipeline(StandardScaler(), PCA(4), LogisticRegression()), "Linked"),
    ],
    ids=["boosting", "exponential", "forest", "ada", "histogram", "bagging", "voting", "pca"],
)
def test_ten_columns_are_explained_without_asking_for_mixtures(make: Any, way: str) -> None:
    found = explained(make(), X10, Y10, background=4, rows=1)
    by = found.explainer()
    assert type(by.method).__name__ == way
    expected = enumerated(found.form, by.outputs, found.rows[0], found.background)
    np.testing.assert_allclose(all_shares(by, found.rows)[0], expected, rtol=0, atol=WITHIN)


def test_a_forest_of_many_columns_is_explained_as_one_of_few() -> None:
    """Beyond 64 columns bits stand for other columns in each leaf: what they say is the same."""
    X, y = make_regression(200, 90, n_informative=80, random_state=1)
    found = explained(ExtraTreesRegressor(8, random_state=0, max_features=1), X, y, rows=2)
    by = found.explainer()
    shares = all_shares(by, found.rows)
    np.testing.assert_allclose(
        by.base + shares.sum(axis=2), by.said(found.rows), rtol=1e-9, atol=1e-9
    )
    assert (np.abs(shares) > 0).sum(axis=2).min() > 64
    boxes = by.method._boxes[0]  # type: ignore[attr-defined]
    assert boxes._bits.places is not None


def test_linear_models_of_many_columns_are_exact_in_log_odds() -> None:
    X, y = make_classification(200, 40, random_state=0)
    found = explained(make_pipeline(StandardScaler(), LogisticRegression()), X, y)
    by = found.explainer()
    assert (by.scale, by.method_name) == ("log-odds", "exact")
    shares = all_shares(by, found.rows)
    np.testing.assert_allclose(by.base + shares.sum(axis=2), by.said(found.rows), atol=1e-12)
    with pytest.raises(Unexplained, match="more than 10 of its columns"):
        found.explainer("probability")


def test_estimates_have_a_standard_error_and_add_up() -> None:
    X, y = make_classification(200, 12, random_state=0)
    found = explained(make_pipeline(StandardScaler(), LogisticRegression()), X, y, rows=1)
    with pytest.raises(Unexplained, match="EXPLAIN_SAMPLING"):
        found.explainer("probability")
    by = found.explainer("probability", sampling=True)
    outputs = np.array([[1]])
    told = by.shares(found.rows, outputs, Clock())
    assert by.method_name == "sampling"
    assert told.errors is not None
    np.testing.assert_allclose(
        by.base[1] + told.contributions.sum(), by.said(found.rows)[0, 1], atol=1e-12
    )
    expected = enumerated(found.form, by.outputs, found.rows[0], found.background)[1]
    off = np.abs(told.contributions[0, 0] - expected)
    assert (off <= 5 * told.errors[0, 0] + 1e-12).all()
    assert off.max() < 0.02


def test_time_that_is_over_is_said() -> None:
    found = explained(CASES["people knn"].make(), CASES["people knn"].X, CASES["people knn"].y)
    with pytest.raises(Unexplained, match="longer than the 0 seconds"):
        found.explainer().shares(found.rows, np.zeros((3, 1), dtype=int), Clock(0))


@given(st.integers(1, 7), st.data())
def test_the_weights_of_coalitions_share_all_that_is_gained(
    players: int, data: st.DataObject
) -> None:
    values = np.array(
        data.draw(st.lists(st.integers(-9, 9), min_size=1 << players, max_size=1 << players))
    )
    shares = values @ weights(players)
    assert shares.sum() == pytest.approx(values[-1] - values[0])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_any_tree_is_explained_as_by_enumeration(
    seed: int, columns: int, depth: int, gaps: bool
) -> None:
    random = np.random.default_rng(seed)
    X = random.integers(0, 4, (40, columns)).astype(float)
    if gaps:
        X[random.random(X.shape) < 0.2] = np.nan
    y = random.normal(size=40)
    tree = DecisionTreeRegressor(max_depth=depth, random_state=seed)
    require_exact(explained(tree, X, y, background=5, rows=2))


def test_a_feature_knows_its_column_through_the_steps() -> None:
    case = CASES["people logistic"]
    found = explained(case.make(), case.X, case.y)
    way = Way.of(found.form.columns)
    root: Any = found.form.root
    for step in root.steps:
        way = way.behind(step)
    features: NDArray[Any] = np.asarray(way.features(found.rows))
    for column in range(found.form.columns):
        other = found.rows.copy()
        other[:, column] = found.background[:3, column]
        changed = (np.asarray(way.features(other)) != features).any(axis=0)
        assert set(way.owners[changed]) <= {column}
    assert set(way.owners) == set(range(found.form.columns))


@pytest.mark.parametrize(
    "make", [lambda: LinearRegression(), lambda: GradientBoostingRegressor(n_estimators=20)]
)
def test_shap_says_the_same_of_what_it_knows(make: Any) -> None:
    shap = pytest.importorskip("shap")
    X, y = make_regression(200, 8, n_informative=6, random_state=0)
    X = X.astype(np.float32).astype(float)  # in which trees compare
    pipeline = make().fit(X, y)
    found = explained(pipeline, X, y, background=20)
    background = X[:20]
    by = Explained(found.form, found.manifest, background, X[30:34]).explainer()
    masker = shap.maskers.Independent(background, max_samples=20)
    if isinstance(pipeline, LinearRegression):
        theirs = shap.LinearExplainer(pipeline, masker).shap_values(X[30:34])
    else:
        theirs = shap.TreeExplainer(
            pipeline, data=background, feature_perturbation="interventional"
        ).shap_values(X[30:34], check_additivity=False)
    ours = all_shares(by, X[30:34])[:, 0]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8 * max(1.0, np.abs(y).max()))


def test_counts_by_a_link_are_explained_as_numbers() -> None:
    X, y = make_regression(100, 3, random_state=0)
    found = explained(PoissonRegressor(), X / 10, np.exp(y / 200))
    assert found.explainer().scale == "number"
    require_exact(found)


@pytest.mark.guests
@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_boosters_are_explained_as_by_enumeration(library: str) -> None:
    """XGBoost adds up in single precision what contributions add up in double."""
    module = pytest.importorskip(library)
    X = np.where(np.random.default_rng(3).random((200, 5)) < 0.1, np.nan, X10[:200, :5])
    quiet: dict[str, dict[str, Any]] = {
        "lightgbm": {"verbose": -1},
        "catboost": {"verbose": False, "allow_writing_files": False},
    }
    made = {
        "xgboost": ("XGBClassifier", "XGBRegressor"),
        "lightgbm": ("LGBMClassifier", "LGBMRegressor"),
        "catboost": ("CatBoostClassifier", "CatBoostRegressor"),
    }[library]
    for name, y in zip(made, (Y10[:200], X10[:200, 7]), strict=True):
        booster = getattr(module, name)(n_estimators=10, **quiet.get(library, {}))
        require_exact(explained(booster, X, y), 1e-6 if library == "xgboost" else WITHIN)
