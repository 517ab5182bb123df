"""Trees of scikit-learn as plain data."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from model_store.plain import Form, Malformed, Refused, read, write
from model_store.plain.nodes import bit_masks, tree_walk
from model_store.plain.nodes.tree_table import Choices, Table
from model_store.plain.nodes.trees import BoostedRegression, Forest
from model_store.plain.pack import NotPacked
from model_store.plain.sparse import of_dense

from .forms import packed, require_same
from .grown import beside_thresholds, classes, numbers, table

TREES = {"random_state": 1}
FEW: dict[str, Any] = {"n_estimators": 8, "random_state": 1}

CLASSIFIERS = [
    DecisionTreeClassifier(**TREES),
    DecisionTreeClassifier(max_depth=3, **TREES),
    ExtraTreeClassifier(**TREES),
    RandomForestClassifier(**FEW),
    ExtraTreesClassifier(max_depth=4, **FEW),
    BaggingClassifier(max_features=0.6, **FEW),
    BaggingClassifier(max_samples=4, **FEW),  # in which not every tree sees all classes
    AdaBoostClassifier(**FEW),
    AdaBoostClassifier(DecisionTreeClassifier(max_depth=3), **FEW),
    GradientBoostingClassifier(**FEW),
    GradientBoostingClassifier(init="zero", **FEW),
    HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=5),
]
REGRESSORS = [
    DecisionTreeRegressor(**TREES),
    ExtraTreeRegressor(max_leaf_nodes=20, **TREES),
    RandomForestRegressor(**FEW),
    ExtraTreesRegressor(**FEW),
    BaggingRegressor(max_features=0.6, **FEW),
    AdaBoostRegressor(**FEW),
    GradientBoostingRegressor(loss="huber", **FEW),
    GradientBoostingRegressor(init="zero", **FEW),
    HistGradientBoostingRegressor(max_iter=8, min_samples_leaf=5),
    HistGradientBoostingRegressor(loss="absolute_error", max_iter=8),
]
TAKE_MISSING = [
    DecisionTreeClassifier(**TREES),
    RandomForestClassifier(**FEW),
    BaggingClassifier(**FEW),
    HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=5),
]


def require_form_of(estimator: Any, X: Any, y: Any) -> Form:
    """That a form of the estimator answers as it does, beside thresholds, with missing values, and
    with numbers that float32 does not hold."""
    estimator.fit(X, y)
    form, signature = packed(estimator, X, y)
    require_same(estimator, form, signature, beside_thresholds(form))
    require_same(estimator, form, signature, beside_thresholds(form, missing=True, rows=5))
    require_same(estimator, form, signature, np.array([[1e300] * 5, [-1e300] * 5]))
    return form


@pytest.mark.parametrize("names", [["no", "yes"], [3, 5, 9]], ids=str)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_trees_that_classify_answer_as_their_estimator_does(
    estimator: Any, names: list[Any]
) -> None:
    X = table()
    require_form_of(estimator, X, classes(X, names))


@pytest.mark.parametrize("estimator", REGRESSORS, ids=repr)
def test_trees_that_tell_numbers_answer_as_their_estimator_does(estimator: Any) -> None:
    X = table()
    require_form_of(estimator, X, numbers(X))


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_a_boosting_with_a_logarithmic_link_answers_as_it_does(loss: str) -> None:
    X = table()
    require_form_of(
        HistGradientBoostingRegressor(loss=loss, max_iter=8), X, np.exp(0.3 * numbers(X))
    )


def test_a_boosting_with_exponential_loss_answers_as_it_does() -> None:
    X = table()
    require_form_of(
        GradientBoostingClassifier(loss="exponential", **FEW), X, classes(X, ["no", "yes"])
    )


@pytest.mark.parametrize("estimator", TAKE_MISSING, ids=repr)
def test_trees_that_were_grown_with_missing_values_send_them_their_way(estimator: Any) -> None:
    X = table(missing=True)
    require_form_of(estimator, X, classes(X, ["a", "b", "c"]))


def test_trees_of_several_targets_answer_each() -> None:
    X = table()
    kinds = np.stack([classes(X, ["a", "b"]), classes(X, ["x", "y", "z"])], axis=1)
    for estimator in (DecisionTreeClassifier(**TREES), RandomForestClassifier(**FEW)):
        require_form_of(estimator, X, kinds)
    amounts = np.stack([numbers(X), -(numbers(X) ** 2)], axis=1)
    for estimator in (DecisionTreeRegressor(**TREES), ExtraTreesRegressor(**FEW)):
        require_form_of(estimator, X, amounts)


def test_an_isolation_forest_tells_outliers_whatever_is_missing_or_infinite() -> None:
    X = table()
    for estimator in (
        IsolationForest(**FEW),
        IsolationForest(max_features=0.6, contamination=0.2, **FEW),
    ):
        form = require_form_of(estimator, X, estimator.fit(X).predict(X))
        assert form.decides


def test_float32_columns_and_whole_numbers_are_compared_as_the_estimator_does() -> None:
    X = table().astype(np.float32)
    for estimator in (RandomForestRegressor(**FEW), HistGradientBoostingRegressor(max_iter=8)):
        estimator.fit(X, numbers(X))
        form, signature = packed(estimator, X, numbers(X))
        require_same(
            estimator, form, signature, beside_thresholds(form, rows=60).astype(np.float32)
        )
    whole = np.random.default_rng(3).integers(2**60, 2**61, size=(60, 5))
    forest = RandomForestRegressor(**FEW).fit(whole, whole[:, 0])
    form, _ = packed(forest, whole.astype(np.float64), whole[:, 0])
    np.testing.assert_array_equal(form.predict(whole).labels, forest.predict(whole))


def test_a_forest_takes_sparse_rows_and_only_the_features_that_it_uses() -> None:
    X = np.zeros((120, 600))
    X[:, ::100] = np.random.default_rng(3).normal(size=(120, 6)).clip(0)
    y = X[:, 100] > X[:, 200]
    forest = RandomForestClassifier(**FEW, max_depth=3).fit(X, y)
    form, _ = packed(forest, X, y)
    assert isinstance(form.root, Forest)
    used = form.root.trees.columns
    assert used is not None
    assert set(used) <= set(range(0, 600, 100))
    shares = forest.predict_proba(X)
    np.testing.assert_array_equal(form.predict(X).shares, shares)
    np.testing.assert_array_equal(form.root.answer(of_dense(X)).shares, shares)
    assert {feature for features, _ in form.root.splits() for feature in features} <= set(used)


@pytest.mark.parametrize("estimator", [*CLASSIFIERS[3:5], *CLASSIFIERS[-1:]], ids=repr)
def test_rows_that_walk_come_to_the_leaves_that_the_masks_say(
    estimator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = table(missing=True)
    y = classes(X, ["a", "b", "c"])
    form, signature = packed(estimator.fit(X, y), X, y)
    rows = beside_thresholds(form, missing=True)
    by_masks = form.predict(rows)
    monkeypatch.setattr(bit_masks, "MAX_BYTES", 0)
    monkeypatch.setattr(tree_walk, "PAIRS", 64)
    walking, _ = packed(estimator, X, y)
    require_same(estimator, walking, signature, rows)
    np.testing.assert_array_equal(walking.predict(rows).shares, by_masks.shares)


@pytest.mark.parametrize("leaves", [2, 8, 30, 64, 150, 256, 300, 700])
def test_trees_of_so_many_leaves_come_to_those_that_scikit_learn_does(leaves: int) -> None:
    random = np.random.default_rng(leaves)
    X = random.normal(size=(2 * leaves + 50, 3))
    forest = RandomForestRegressor(3, max_leaf_nodes=leaves, random_state=0)
    forest.fit(X, random.normal(size=len(X)))
    form, _ = packed(forest, X, X[:, 0])
    rows = random.normal(size=(600, 3))
    for some in (rows, rows[:1]):
        np.testing.assert_array_equal(form.predict(some).labels, forest.predict(some))


def test_bits_are_counted_alike_with_and_without_the_operation_of_numpy() -> None:
    for size in (8, 16, 32, 64):
        words = np.array([(1 << bits) - 1 for bits in range(size + 1)], dtype=f"uint{size}")
        assert bit_masks._count_bits(words).tolist() == list(range(size + 1))


@pytest.mark.parametrize(
    "estimator",
    [
        AdaBoostRegressor(LinearRegression()),
        GradientBoostingRegressor(init=LinearRegression()),
    ],
    ids=repr,
)
def test_what_is_not_of_trees_is_not_packed(estimator: Any) -> None:
    X = table()
    with pytest.raises(NotPacked):
        packed(estimator.fit(X, numbers(X)), X, numbers(X))


def test_trees_behind_a_step_are_asked_beside_their_thresholds() -> None:
    X = table()
    pipeline = make_pipeline(StandardScaler(), DecisionTreeRegressor(**TREES)).fit(X, numbers(X))
    form, _ = packed(pipeline, X, numbers(X))
    ((features, thresholds),) = form.root.splits()
    tree = pipeline[-1].tree_
    inner = tree.feature >= 0
    assert sorted(features) == sorted(tree.feature[inner])
    np.testing.assert_allclose(sorted(thresholds), sorted(tree.threshold[inner]), rtol=1e-6)


# What is forged --------------------------------------------------------------------


def small(**changes: Any) -> tuple[bytes, bytes]:
    """The files of a form of one tree, which has two inner nodes, one of them of categories."""
    nan = np.nan
    fields: dict[str, Any] = {
        "roots": np.array([0], dtype=np.int32),
        "features": np.array([0, -1, 1, -1, -1], dtype=np.int32),
        "thresholds": np.array([0.5, nan, 0.0, nan, nan]),
        "values": np.array([[1.0], [2.0], [3.0]]),
        "missing_right": np.array([0, 0, 1, 0, 0], dtype=np.uint8),
        "choices": Choices(nodes=np.array([2]), sets=np.array([[1, 0, 0]], dtype=np.uint8)),
    }
    root = BoostedRegression(trees=Table(**{**fields, **changes}))
    return write(Form(format=1, columns=2, root=root))


def test_a_tree_as_data_is_read() -> None:
    form = read(*small())
    rows = np.array([[0.5, 9], [0.6, 0], [0.6, 1], [0.6, 7], [0.6, -2], [0.6, np.nan]])
    assert form.predict(rows).labels.tolist() == [1, 2, 3, 3, 3, 3]


FORGED: list[dict[str, Any]] = [
    {"roots": np.array([], dtype=np.int32)},
    {"roots": np.array([1])},
    {"roots": np.array([0, 0])},
    {"roots": np.array([0, 3], dtype=np.uint64)},
    {"roots": np.array(0)},
    {"features": np.array(0)},
    {"roots": np.array([0, 3])},
    {"roots": np.array([0, 5])},
    {"features": np.array([0, -1, 2, -1, -1])},
    {"features": np.array([0, -1, -2, -1, -1])},
    {"features": np.array([-1, -1, 0, 1, -1])},  # the children of the last would be it itself
    {"features": np.array([0, 1, 1, -1, -1])},
    {"features": np.array([0.0, -1, 1, -1, -1])},
    {"thresholds": np.array([0.5, np.nan, 0.0, np.nan])},
    {"thresholds": np.array([np.nan] * 5)},
    {"thresholds": np.array([0.5, 0.5, 0.0, np.nan, np.nan])},
    {"values": np.array([[1.0], [2.0]])},
    {"values": np.array([[1.0], [2.0], [np.inf]])},
    {"values": np.empty((3, 0))},
    {"values": np.array([[1.0, 2], [2, 3], [3, 4]])},
    {"missing_right": np.array([0, 0, 2, 0, 0], dtype=np.uint8)},
    {"missing_right": np.array([0, 1, 0, 0, 0], dtype=np.uint8)},
    {"choices": Choices(nodes=np.array([1]), sets=np.ones((1, 2), dtype=np.uint8))},
    {"choices": Choices(nodes=np.array([2, 0], dtype="u8"), sets=np.ones((2, 2), dtype=np.uint8))},
    {"choices": Choices(nodes=np.array([5]), sets=np.ones((1, 2), dtype=np.uint8))},
    {"choices": Choices(nodes=np.array([2, 2]), sets=np.ones((2, 2), dtype=np.uint8))},
    {"choices": Choices(nodes=np.array([2]), sets=np.ones((2, 2), dtype=np.uint8))},
    {"choices": Choices(nodes=np.array([2]), sets=np.ones((1, 1), dtype=np.uint8))},
    {"choices": Choices(nodes=np.array([2]), sets=np.full((1, 2), 3, dtype=np.uint8))},
    {"columns": np.array([1])},
    {"columns": np.array([1, 0])},
    {"columns": np.array([1, 0], dtype=np.uint64)},
    {"columns": np.array([0, 2])},
]


@pytest.mark.parametrize("changes", FORGED, ids=repr)
def test_a_forged_tree_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(*small(**changes))


def test_trees_that_take_turns_come_in_whole_rounds() -> None:
    header, data = small()
    fields = json.loads(header)
    for targets in (2, 0, -1):
        fields["root"]["targets"] = targets
        with pytest.raises(Malformed):
            read(json.dumps(fields).encode(), data)


def test_a_tree_of_too_many_levels_is_malformed() -> None:
    levels = 5000
    features = np.append(np.tile([0, -1], levels), -1)
    chain = small(
        features=features,
        thresholds=np.where(features < 0, np.nan, 0.5),
        values=np.zeros((levels + 1, 1)),
        missing_right=None,
        choices=None,
    )
    with pytest.raises(Malformed, match="levels"):
        read(*chain)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_form_whose_bytes_are_changed_answers_or_is_malformed(data: st.DataObject) -> None:
    header, contents = small()
    forged = bytearray(contents)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(forged) - 1))
        forged[place] = data.draw(st.integers(0, 255))
    rows = np.array([[0.4, 1.0], [0.6, np.nan], [0.6, 9.0]])
    try:
        form = read(header, bytes(forged))
    except Malformed:
        return
    for each in (rows, rows[:1]):
        try:
            assert form.predict(each).labels.shape == (len(each),)
        except Refused:
            continue
