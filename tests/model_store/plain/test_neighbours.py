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
)
from sklearn.preprocessing import StandardScaler

from model_store.plain.nodes.neighbours import Search
from model_store.plain.pack import NotPacked

from .forms import packed
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
    ],
)
def test_a_forged_search_is_malformed(before: bytes, after: bytes) -> None:
    X, number = drawn()
    y = classed(number, [1, 2])
    require_malformed(fitted(KNeighborsClassifier(p=3), X, y), X, y, before, after)
