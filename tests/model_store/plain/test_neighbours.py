"""Nearest neighbours as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    NearestNeighbors,
)
from sklearn.preprocessing import StandardScaler

from model_store.plain import Malformed
from model_store.plain.nodes.kd_tree import KDTree
from model_store.plain.nodes.search import Search
from model_store.plain.pack import NotPacked
from model_store.plain.pack.neighbours import search

from .forms import packed, require_same
from .trained import classed, drawn, fitted, require_answers, require_malformed, wider

PARAMETERS: list[dict[str, Any]] = [
    {},
    {"n_neighbors": 1},
    {"n_neighbors": 120},
    {"n_neighbors": 9, "weights": "distance"},
    {"algorithm": "brute"},
    {"algorithm": "ball_tree", "weights": "distance"},
    {"metric": "manhattan", "weights": "distance"},
    {"metric": "chebyshev"},
    {"p": 1},
    {"p": 3, "weights": "distance"},
]


@pytest.mark.parametrize("classes", [["no", "yes"], [3, 5, 9]], ids=str)
@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_neighbours_of_classes_answer_as_the_pipeline_does(
    parameters: dict[str, Any], classes: list[Any]
) -> None:
    X, number = drawn()
    y = classed(number, classes)
    pipeline = fitted(KNeighborsClassifier(**parameters), X, y, StandardScaler())
    require_answers(pipeline, X, y, np.concatenate([wider(X), X[:20]]))


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_neighbours_of_numbers_answer_as_the_pipeline_does(
    parameters: dict[str, Any], targets: int
) -> None:
    X, number = drawn()
    y = np.stack([number, -X[:, 0]], axis=1) if targets > 1 else number
    pipeline = fitted(KNeighborsRegressor(**parameters), X, y, StandardScaler())
    require_answers(pipeline, X, y, np.concatenate([wider(X), X[:20]]))


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_of_several_targets_answer_as_the_pipeline_does(weights: str) -> None:
    X, number = drawn()
    y = np.stack([classed(number, [1, 2]), classed(X[:, 0], [4, 5, 6])], axis=1)
    pipeline = fitted(KNeighborsClassifier(weights=weights), X, y, StandardScaler())
    require_answers(pipeline, X, y, wider(X))


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8", "bool", "float32"])
@pytest.mark.parametrize("parameters", [{}, *PARAMETERS[6:]], ids=str)
def test_neighbours_of_columns_of_any_dtype_answer_as_the_pipeline_does(
    parameters: dict[str, Any], dtype: str
) -> None:
    X, number = drawn()
    X = (X > 0 if dtype == "bool" else np.abs(X) * 2).astype(dtype)
    pipeline = fitted(KNeighborsClassifier(**parameters), X, number > number.mean())
    form, signature = packed(pipeline, X, number > number.mean())
    rows = np.concatenate([X[:40], X[::-1][:40]])
    require_same(pipeline, form, signature, rows)


@pytest.mark.parametrize("algorithm", ["brute", "ball_tree"])
@pytest.mark.parametrize("highest", [5, 60])
def test_neighbours_as_far_as_others_are_not_packed_without_a_tree_that_is_known(
    algorithm: Any, highest: int
) -> None:
    """Which of them the pipeline takes is told by the order in which it happens to look."""
    random = np.random.default_rng(3)
    X = random.integers(0, highest, (600, 3)).astype(float)
    y = random.integers(0, 2, 600)
    with pytest.raises(NotPacked, match="is not known where neighbours are as far"):
        packed(KNeighborsClassifier(algorithm=algorithm).fit(X, y), X, y)
    pipeline = KNeighborsClassifier(algorithm="kd_tree").fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, random.integers(0, highest, (500, 3)).astype(float))


@pytest.mark.parametrize("count", [3, 20])
def test_the_local_outlier_factor_answers_as_its_pipeline_does(count: int) -> None:
    X, _ = drawn()
    pipeline = fitted(LocalOutlierFactor(count, novelty=True), X, None, StandardScaler())
    require_answers(pipeline, X, pipeline.predict(X), wider(X))


@pytest.mark.parametrize(
    "parameters",
    [{"weights": np.sqrt}, {"metric": "cosine"}, {"metric_params": {"w": [1, 2, 3, 4]}}],
    ids=str,
)
def test_what_is_no_distance_that_is_known_is_not_packed(parameters: dict[str, Any]) -> None:
    X, y = drawn()
    with pytest.raises(NotPacked, match="is not known"):
        packed(KNeighborsRegressor(**parameters).fit(X, y), X, y)


def test_neighbours_in_a_sparse_matrix_are_not_packed() -> None:
    X, y = drawn()
    with pytest.raises(NotPacked, match="is not known"):
        packed(KNeighborsRegressor().fit(csr_matrix(X), y), csr_matrix(X), y)


@given(
    seed=st.integers(0, 1 << 30),
    count=st.integers(1, 900),
    width=st.integers(1, 12),
    wanted=st.integers(1, 20),
    far=st.sampled_from([0.0, 1.0, 1e6]),
    metric=st.sampled_from(["euclidean", "manhattan", "chebyshev", "minkowski"]),
)
@settings(max_examples=60, deadline=None)
def test_the_nearest_are_those_of_all_distances(
    seed: int, count: int, width: int, wanted: int, far: float, metric: Any
) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, width)) + far
    rows[: count // 10] *= 1e4  # some so far away that they make products inexact
    asked = random.normal(size=(30, width)) + far
    search = Search(rows=rows, count=min(wanted, count), metric=metric, power=3.0)
    orders = {"euclidean": 2.0, "manhattan": 1.0, "chebyshev": np.inf, "minkowski": 3.0}
    away = np.linalg.norm(asked[:, np.newaxis] - rows, ord=orders[metric], axis=2)
    expected = np.sort(away, axis=1)[:, : search.count]
    distances, places = search.nearest(asked)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    np.testing.assert_allclose(np.take_along_axis(away, places, axis=1), expected, rtol=1e-12)


@given(
    seed=st.integers(0, 1 << 30),
    count=st.integers(1, 400),
    width=st.integers(1, 6),
    wanted=st.integers(1, 12),
    values=st.sampled_from([2, 4, 9]),
    leaf=st.sampled_from([1, 7, 30]),
    metric=st.sampled_from(["euclidean", "manhattan", "chebyshev", "minkowski"]),
)
@settings(max_examples=60, deadline=None)
def test_of_rows_that_are_equally_far_the_same_are_taken_as_by_a_tree(
    seed: int, count: int, width: int, wanted: int, values: int, leaf: int, metric: Any
) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(0, values, size=(count, width)).astype(np.float64)
    asked = random.integers(-1, values + 1, size=(20, width)).astype(np.float64)
    asked[0, 0] = 1e300  # which is equally far from all, and by its square infinitely
    power = 3.0 if metric == "minkowski" else 2.0
    fitted = NearestNeighbors(
        n_neighbors=min(wanted, count), algorithm="kd_tree", leaf_size=leaf, metric=metric, p=power
    ).fit(rows)
    expected_distances, expected = fitted.kneighbors(asked)
    with np.errstate(over="ignore"):  # as a form does
        distances, places = search(fitted).nearest(asked)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)
    np.testing.assert_array_equal(np.sort(places, axis=1), np.sort(expected, axis=1))


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
def test_what_is_infinitely_far_is_the_first_row(algorithm: Any) -> None:
    X, y = drawn()
    pipeline = fitted(KNeighborsRegressor(algorithm=algorithm), X, y)
    rows = X[:2].copy()
    rows[0, 1] = -1e300
    require_answers(pipeline, X, y, rows)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"count":5', b'"count":0'),
        (b'"count":5', b'"count":121'),
        (b'"shape":[120,4]', b'"shape":[60,8]'),
        (b'"shape":[120,1]', b'"shape":[60,2]'),
        (b'"classes":[[1,2]]', b'"classes":[[1]]'),
        (b'"classes":[[1,2]]', b'"classes":[]'),
        (b'"metric":"minkowski"', b'"metric":"cosine"'),
        (b'"power":3.0', b'"power":0.5'),
        (b'"order":{"dtype":"int64"', b'"order":{"dtype":"float64"'),
        (b'"starts":{"dtype":"int64"', b'"starts":{"dtype":"int8"'),
        (b'"leaves":{"dtype":"uint8","shape":[3]', b'"leaves":{"dtype":"uint8","shape":[2]'),
        (b'"lows":{"dtype":"float64","shape":[3,4]', b'"lows":{"dtype":"float64","shape":[4,3]'),
    ],
)
def test_a_forged_search_is_malformed(before: bytes, after: bytes) -> None:
    X, number = drawn()
    y = classed(number, [1, 2])
    require_malformed(fitted(KNeighborsClassifier(p=3), X, y), X, y, before, after)


@pytest.mark.parametrize(
    "changes",
    [
        {"leaves": [0, 1, 0]},  # halves that are not there
        {"leaves": [1, 1, 1]},  # rows in several leaves
        {"leaves": [0, 1, 2]},
        {"order": [0, 1, 2, 4]},
        {"ends": [4, 2, 5]},
        {"starts": [0, 0, 5]},
    ],
    ids=str,
)
def test_a_tree_that_does_not_fit_its_rows_is_malformed(changes: dict[str, list[int]]) -> None:
    parts = {"order": [3, 1, 2, 0], "starts": [0, 0, 2], "ends": [4, 2, 4], "leaves": [0, 1, 1]}
    bounds = {"lows": np.zeros((3, 1)), "highs": np.ones((3, 1))}
    KDTree(**{name: np.array(value) for name, value in parts.items()}, **bounds).check(4, 1)
    forged = {name: np.array(value) for name, value in (parts | changes).items()}
    with pytest.raises(Malformed):
        KDTree(**forged, **bounds).check(4, 1)
