from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import (
    CountVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from model_store import ModelStore, comparison
from model_store.backend import UNCOMPARED, Served, served_here
from model_store.comparison import beside, compare, draw, neighbours
from model_store.model import ask
from model_store.recipes import RECIPES
from model_store.shortcuts import NotCovered, Shortcut, build
from model_store.shortcuts.trees import FEW_ROWS, Forest, Stage

FEATURES = 5
RANDOM = np.random.default_rng(11)
X = RANDOM.normal(3, 2, (240, FEATURES))
Y = X @ RANDOM.normal(size=FEATURES) + np.sin(X[:, 0]) + RANDOM.normal(0, 0.3, len(X))
THREE = np.digitize(Y, np.quantile(Y, [0.3, 0.7]))
MANY = np.random.default_rng(12).normal(3, 3, (1000, FEATURES))

LABELS: dict[str, NDArray[Any]] = {
    "two texts": np.array(["no", "yes"])[(np.median(Y) < Y).astype(int)],
    "two booleans": np.median(Y) < Y,
    "three integers": THREE * 10 - 10,
    "three texts": np.array(["low", "middle", "high"], dtype=object)[THREE],
}
SCALERS = [StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler(), "passthrough"]
SCALERS += [StandardScaler(with_mean=False), StandardScaler(with_std=False)]
CLASSIFIERS = [
    LogisticRegression(max_iter=500),
    LogisticRegression(max_iter=500, fit_intercept=False),
    SGDClassifier(random_state=0),
    RidgeClassifier(),
    LinearSVC(random_state=0),
    DecisionTreeClassifier(max_depth=6, random_state=0),
    RandomForestClassifier(30, random_state=0),
    RandomForestClassifier(8, max_depth=2, random_state=0),
    RandomForestClassifier(3, random_state=0),
    ExtraTreesClassifier(30, random_state=0),
    GradientBoostingClassifier(n_estimators=8, random_state=0),
    GradientBoostingClassifier(n_estimators=3, init="zero", random_state=0),
    HistGradientBoostingClassifier(max_iter=6, random_state=0),
]
REGRESSORS = [
    LinearRegression(),
    LinearRegression(fit_intercept=False),
    Ridge(),
    Lasso(alpha=0.01),
    ElasticNet(alpha=0.01),
    BayesianRidge(),
    HuberRegressor(max_iter=1000),
    SGDRegressor(random_state=0),
    DecisionTreeRegressor(random_state=0),
    RandomForestRegressor(30, random_state=0),
    ExtraTreesRegressor(30, max_depth=3, random_state=0),
    GradientBoostingRegressor(n_estimators=8, random_state=0),
    GradientBoostingRegressor(n_estimators=8, loss="quantile", random_state=0),
    HistGradientBoostingRegressor(max_iter=6, random_state=0),
    HistGradientBoostingRegressor(max_iter=6, loss="poisson", random_state=0),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads that spin for work take seconds of each other on a busy machine."""
    with threadpool_limits(1):
        yield


def shortcut_of(pipeline: Any) -> Shortcut:
    found = build(pipeline)
    assert found is not None
    return found


def require_equal(
    pipeline: Any, rows: NDArray[Any], frame: Callable[[Any], Any] = np.asarray
) -> None:
    """Bit for bit, alone and together."""
    shortcut = shortcut_of(pipeline)
    for batch in (rows, rows[:1], rows[7:8], rows[:2]):
        labels, shares = shortcut.predict(batch)
        expected = pipeline.predict(frame(batch))
        assert labels.dtype == expected.dtype
        np.testing.assert_array_equal(labels, expected)
        assert (shares is not None) == hasattr(pipeline, "predict_proba")
        if shares is not None:
            np.testing.assert_array_equal(shares, pipeline.predict_proba(frame(batch)))


# Equal ---------------------------------------------------------------------------


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=str)
def test_a_classifier_behind_a_scaler_is_answered_with_the_same_bits(
    classifier: Any, labels: str
) -> None:
    pipeline = make_pipeline(StandardScaler(), clone(classifier)).fit(X, LABELS[labels])
    require_equal(pipeline, MANY)


@pytest.mark.parametrize("regressor", REGRESSORS, ids=str)
def test_a_regressor_alone_is_answered_with_the_same_bits(regressor: Any) -> None:
    scaled = regressor.__class__.__name__ == "SGDRegressor"
    rows, many = (X / 10, MANY / 10) if scaled else (X, MANY)
    require_equal(clone(regressor).fit(rows, Y - Y.min() + 1), many)


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
@pytest.mark.parametrize("last", [LogisticRegression(), Ridge(), DecisionTreeRegressor()], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "object"])
def test_a_scaler_is_followed_in_each_dtype_of_a_matrix(scaler: Any, last: Any, dtype: str) -> None:
    y = LABELS["three texts"] if isinstance(last, LogisticRegression) else Y
    step = scaler if isinstance(scaler, str) else clone(scaler)
    pipeline = Pipeline([("scaler", step), ("last", clone(last))])
    pipeline.fit(X.astype(dtype), y)
    require_equal(pipeline, MANY.astype(dtype))


def test_pipelines_within_pipelines_are_taken_apart() -> None:
    inner = make_pipeline(StandardScaler(), "passthrough", RobustScaler())
    pipeline = make_pipeline(inner, None, make_pipeline(MinMaxScaler(), Ridge())).fit(X, Y)
    require_equal(pipeline, MANY)


def test_several_targets_of_a_linear_regression_are_told_together() -> None:
    require_equal(make_pipeline(StandardScaler(), Ridge()).fit(X, np.stack([Y, -Y], axis=1)), MANY)


@given(arrays(np.float64, (3, FEATURES), elements=st.floats(-1e300, 1e300)))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("number", range(3))
def test_any_finite_row_is_answered_as_by_the_pipeline_or_left_to_it(
    number: int, rows: NDArray[np.float64]
) -> None:
    pipeline = FITTED[number]
    shortcut = shortcut_of(pipeline)
    try:
        labels, shares = shortcut.predict(rows)
    except NotCovered:
        return
    with np.errstate(all="ignore"):
        expected = ask(pipeline, rows, probabilities=shares is not None)
    np.testing.assert_array_equal(labels, expected.labels)
    if shares is not None and expected.probabilities is not None:
        np.testing.assert_array_equal(shares, expected.probabilities[0])


FITTED = [
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS["three texts"]),
    RandomForestClassifier(25, max_depth=5, random_state=0).fit(X, LABELS["two booleans"]),
    make_pipeline(MinMaxScaler(), GradientBoostingRegressor(n_estimators=4)).fit(X, Y),
]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_on_a_threshold_and_beside_it_a_forest_goes_the_way_of_its_trees(picks: list[int]) -> None:
    forest = FITTED[1]
    shortcut = shortcut_of(forest)
    splits = list(zip(*shortcut.final.splits(), strict=True))  # type: ignore[attr-defined]
    rows = beside([splits[pick % len(splits)] for pick in picks], X)
    assert compare(forest, shortcut, rows) is None
    alone = np.concatenate([shortcut.predict(rows[i : i + 1])[0] for i in range(len(rows))])
    np.testing.assert_array_equal(alone, shortcut.predict(rows)[0])


# Missing values and categories ---------------------------------------------------


def people(rows: int, seed: int = 3) -> NDArray[Any]:
    """An age and a fare, some missing; a port, some missing; a class; siblings."""
    random = np.random.default_rng(seed)
    table = np.empty((rows, 5), dtype=object)
    table[:, 0] = random.uniform(1, 80, rows).tolist()
    table[:, 1] = random.choice(["C", "Q", "S"], rows).tolist()
    table[:, 2] = random.uniform(1, 500, rows).tolist()
    table[:, 3] = random.integers(1, 4, rows).tolist()
    table[:, 4] = random.integers(0, 5, rows).tolist()
    table[random.random(rows) < 0.2, 0] = np.nan
    table[random.random(rows) < 0.2, 1] = np.nan
    return table


PEOPLE = people(200)
LIVED = np.array([f"{row[1]}" != "S" or row[4] > 3 for row in PEOPLE])
NAMES = ["age", "port", "fare", "class", "siblings"]


def mixed(last: Any, names: list[str] | None = None, **encoding: Any) -> Any:
    def at(*places: int) -> list[Any]:
        return [names[place] if names else place for place in places]

    filled = SimpleImputer(strategy="most_frequent")
    columns = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                at(0, 2),
            ),
            ("port", make_pipeline(filled, OneHotEncoder(**encoding)), at(1)),
            ("class", OneHotEncoder(**encoding), at(3)),
        ],
        remainder="passthrough",
    )
    return make_pipeline(columns, last)


@pytest.mark.parametrize(
    "encoding",
    [
        {},
        {"drop": "first"},
        {"drop": "if_binary"},
        {"handle_unknown": "ignore"},
        {"sparse_output": False},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "last", [LogisticRegression(max_iter=3000), RandomForestClassifier(10, random_state=0)], ids=str
)
def test_columns_of_several_kinds_are_answered_with_the_same_bits(
    last: Any, encoding: dict[str, Any]
) -> None:
    require_equal(mixed(clone(last), **encoding).fit(PEOPLE, LIVED), people(400, seed=4))


def test_columns_of_a_frame_are_found_by_name() -> None:
    def frame(table: NDArray[Any]) -> pd.DataFrame:
        found = pd.DataFrame(table, columns=NAMES)
        return found.astype({"age": float, "fare": float, "class": int, "siblings": int})

    pipeline = mixed(LogisticRegression(max_iter=3000), NAMES).fit(frame(PEOPLE), LIVED)
    require_equal(pipeline, people(100, seed=5), frame)


def test_the_recipe_of_the_titanic_has_a_shortcut() -> None:
    data = RECIPES["titanic"].data()
    require_equal(RECIPES["titanic"].pipeline().fit(data.X, data.y), data.X)


@pytest.mark.parametrize("unknown", ["X", None, 7])
def test_a_category_that_the_pipeline_refuses_is_left_to_it(unknown: Any) -> None:
    pipeline = mixed(LogisticRegression(max_iter=3000)).fit(PEOPLE, LIVED)
    rows = people(3)
    rows[1, 1] = unknown
    with pytest.raises(NotCovered):
        shortcut_of(pipeline).predict(rows)


def test_a_category_that_the_pipeline_ignores_is_ignored() -> None:
    pipeline = mixed(LogisticRegression(max_iter=3000), handle_unknown="ignore")
    rows = people(9)
    rows[4, 1], rows[7, 3] = "X", 9
    require_equal(pipeline.fit(PEOPLE, LIVED), rows)


def test_a_missing_category_that_was_trained_on_is_one_like_others() -> None:
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression())
    pipeline.fit(PEOPLE[:, [1]], LIVED)
    shortcut = shortcut_of(pipeline)
    assert compare(pipeline, shortcut, PEOPLE[:, [1]]) is None


@pytest.mark.parametrize(
    "last",
    [
        RandomForestClassifier(10, random_state=0),
        DecisionTreeRegressor(random_state=0),
        HistGradientBoostingRegressor(max_iter=5),
        make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)),
        make_pipeline(SimpleImputer(), Ridge()),
    ],
    ids=str,
)
def test_rows_with_missing_values_go_the_way_that_the_pipeline_knows(last: Any) -> None:
    gaps = np.where(np.random.default_rng(5).random(X.shape) < 0.2, np.nan, X)
    kind = getattr(last, "_estimator_type", None) or type(last).__name__
    y = THREE if "lassifier" in f"{kind}{last}" else Y
    require_equal(clone(last).fit(gaps, y), gaps)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e308])
@pytest.mark.parametrize(
    "last",
    [LogisticRegression(), Ridge(), LinearSVC(), GradientBoostingRegressor(n_estimators=2)],
    ids=str,
)
def test_what_the_pipeline_refuses_is_left_to_it(last: Any, odd: float) -> None:
    pipeline = make_pipeline(StandardScaler(), clone(last)).fit(X / 1e3, Y > 0)
    rows = X[:4].copy()
    rows[2, 1] = odd
    refused = False
    with np.errstate(all="ignore"):
        try:
            pipeline.predict(rows)
        except ValueError:
            refused = True
    assert refused
    with pytest.raises(NotCovered):
        shortcut_of(pipeline).predict(rows)


def test_a_matrix_of_another_width_is_left_to_the_pipeline() -> None:
    with pytest.raises(NotCovered):
        shortcut_of(FITTED[1]).predict(X[:, :4])


# Neighbours ----------------------------------------------------------------------

NEAREST: dict[str, Any] = {
    "neighbours in a tree": KNeighborsClassifier(),
    "an even number of neighbours": KNeighborsClassifier(8, algorithm="ball_tree"),
    "those that are nearer count more": KNeighborsClassifier(weights="distance"),
    "another distance": KNeighborsClassifier(9, metric="manhattan", weights="distance"),
    "a search through all": KNeighborsClassifier(algorithm="brute"),
    "a regression": KNeighborsRegressor(9),
    "a regression by distance": KNeighborsRegressor(weights="distance"),
}


@pytest.mark.parametrize("name", NEAREST)
def test_neighbours_are_found_once_and_answer_with_the_same_bits(name: str) -> None:
    classifies = isinstance(NEAREST[name], KNeighborsClassifier)
    for scale in (StandardScaler(), "passthrough"):
        pipeline = make_pipeline(scale, clone(NEAREST[name]))
        pipeline.fit(X, LABELS["three texts"] if classifies else Y)
        require_equal(pipeline, MANY)
        require_equal(pipeline, X)  # of a row that was trained on the distance is 0


def test_neighbours_of_whole_numbers_that_are_equally_far_are_told_apart_alike() -> None:
    grid = np.rint(X)
    for weights in ("uniform", "distance"):
        pipeline = KNeighborsClassifier(4, weights=weights).fit(grid, THREE)
        require_equal(pipeline, np.rint(MANY))


def test_several_targets_of_neighbours_are_told_together() -> None:
    for weights in ("uniform", "distance"):
        pipeline = KNeighborsRegressor(weights=weights).fit(X, np.stack([Y, -Y], axis=1))
        require_equal(pipeline, MANY)


# Texts ---------------------------------------------------------------------------

WORDS = ["good", "bad", "film", "I", "a", "don't", "naïve", "e-mail", "12", "3d", "café", "GREAT"]
WORDS += ["the", "of"]
PICKS = np.random.default_rng(13)
TEXTS = [" ".join(PICKS.choice(WORDS, PICKS.integers(1, 12))) for _ in range(120)]
MOODS = np.array(["sad", "so-so", "glad"])[PICKS.integers(0, 3, len(TEXTS))]
ODD_TEXTS = ["", "?!", "nothing known", "Good, GOOD\tgood\nCAFÉ", "cafe\u0301 naive", "a I", "雪"]
VECTORIZERS: dict[str, Any] = {
    "weighed words": [TfidfVectorizer()],
    "pairs of words": [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)],
    "words that stand there": [CountVectorizer(binary=True, stop_words="english")],
    "letters": [TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), strip_accents="unicode")],
    "shares of words": [TfidfVectorizer(norm="l1", use_idf=False)],
    "weighed in a step": [CountVectorizer(), TfidfTransformer(norm=None)],
    "narrow floats": [TfidfVectorizer(dtype=np.float32)],
}


@pytest.mark.parametrize("name", VECTORIZERS)
@pytest.mark.parametrize(
    ("last", "answers"),
    [
        (LogisticRegression(), MOODS),
        (LogisticRegression(), MOODS == "glad"),
        (LinearSVC(random_state=0), MOODS),
        (Ridge(), Y[: len(TEXTS)]),
    ],
    ids=["three classes", "two classes", "scores", "numbers"],
)
def test_texts_are_counted_and_answered_with_the_same_bits(
    name: str, last: Any, answers: Any
) -> None:
    pipeline = make_pipeline(*map(clone, VECTORIZERS[name]), clone(last)).fit(TEXTS, answers)
    rows = np.array([*TEXTS, *ODD_TEXTS], dtype=object)[:, np.newaxis]
    require_equal(pipeline, rows, lambda batch: batch[:, 0])


def test_naive_bayes_of_words_is_answered_with_the_same_bits() -> None:
    pipeline = make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, MOODS)
    rows = np.array([*TEXTS, *ODD_TEXTS], dtype=object)[:, np.newaxis]
    require_equal(pipeline, rows, lambda batch: batch[:, 0])


def test_naive_bayes_of_large_counts_is_answered_with_the_same_bits() -> None:
    # Their logarithms are so large that each rounding of them shows in the probabilities.
    counts = np.random.default_rng(14).integers(0, 100_000, (300, 6)).astype(float)
    rows = np.concatenate([counts, np.zeros((1, 6))])
    require_equal(MultinomialNB().fit(counts, np.arange(300) % 3), rows)


def test_a_text_that_is_missing_is_left_to_the_pipeline() -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, MOODS)
    with pytest.raises(NotCovered):
        shortcut_of(pipeline).predict(np.array([["good"], [None]], dtype=object))


# Not known -----------------------------------------------------------------------


class Louder(LogisticRegression):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:
        return 2 - super().predict(X)


class Parametrized(StandardScaler):  # type: ignore[misc]
    pass


def with_own_method() -> Any:
    found = Ridge().fit(X, Y)
    found.predict = lambda rows: np.zeros(len(rows))
    return found


def with_another_parameter() -> Any:
    found = StandardScaler()
    found.get_params = lambda deep=True: {"copy": True, "fast": True}
    return make_pipeline(found, Ridge()).fit(X, Y)


class OtherTree(DecisionTreeRegressor):  # type: ignore[misc]
    pass


def with_another_tree() -> Any:
    found = RandomForestRegressor(3).fit(X, Y)
    found.estimators_[1] = OtherTree().fit(X, Y)
    return found


UNKNOWN: dict[str, Callable[[], Any]] = {
    "a subclass": lambda: Louder().fit(X, THREE),
    "a scaler's subclass": lambda: make_pipeline(Parametrized(), Ridge()).fit(X, Y),
    "a method of its own": with_own_method,
    "a parameter of its own": with_another_parameter,
    "an output container": lambda: (
        make_pipeline(StandardScaler(), Ridge()).set_output(transform="pandas").fit(X, Y)
    ),
    "a scaler that clips": lambda: make_pipeline(MinMaxScaler(clip=True), Ridge()).fit(X, Y),
    "a function": lambda: make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(X**2, Y),
    "support vectors": lambda: SVC().fit(X, THREE),
    "neighbours that count by a function": lambda: KNeighborsClassifier(weights=np.exp).fit(
        X, THREE
    ),
    "a regression over all neighbours": lambda: KNeighborsRegressor(algorithm="brute").fit(X, Y),
    "several classes of neighbours": lambda: KNeighborsClassifier().fit(
        X, np.stack([THREE, THREE], axis=1)
    ),
    "a text for a forest": lambda: make_pipeline(TfidfVectorizer(), RandomForestClassifier(2)).fit(
        TEXTS, MOODS
    ),
    "words that are scaled": lambda: make_pipeline(
        CountVectorizer(), StandardScaler(with_mean=False), LogisticRegression()
    ).fit(TEXTS, MOODS),
    "texts in files": lambda: (
        make_pipeline(CountVectorizer(), LogisticRegression())
        .fit(TEXTS, MOODS)
        .set_params(countvectorizer__input="filename")
    ),
    "several targets of a forest": lambda: RandomForestRegressor(3).fit(X, np.stack([Y, Y], 1)),
    "a first guess by another estimator": lambda: GradientBoostingRegressor(
        n_estimators=2, init=Ridge()
    ).fit(X, Y),
    "a loss with other probabilities": lambda: SGDClassifier(loss="modified_huber").fit(X, THREE),
    "an indicator of missing values": lambda: make_pipeline(
        SimpleImputer(add_indicator=True), Ridge()
    ).fit(X, Y),
    "another missing value": lambda: make_pipeline(SimpleImputer(missing_values=0), Ridge()).fit(
        X, Y
    ),
    "rare categories as one": lambda: mixed(LogisticRegression(max_iter=3000), min_frequency=5).fit(
        PEOPLE, LIVED
    ),
    "categories of its own": lambda: HistGradientBoostingRegressor(
        max_iter=2, categorical_features=[0]
    ).fit(np.rint(abs(X)), Y),
    "weights of transformers": lambda: make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0])], transformer_weights={"a": 2.0}), Ridge()
    ).fit(X, Y),
    "what is not fitted": lambda: make_pipeline(StandardScaler(), Ridge()),
    "a tree of another class": with_another_tree,
    "no estimator": lambda: "Ridge",
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_known_exactly_has_no_shortcut(what: str) -> None:
    assert build(UNKNOWN[what]()) is None


# Compared ------------------------------------------------------------------------


def test_answers_that_agree_are_no_difference() -> None:
    for pipeline in FITTED:
        assert compare(pipeline, shortcut_of(pipeline), MANY) is None


@pytest.mark.parametrize("number", range(3))
def test_answers_of_another_fit_are_found_to_differ(number: int) -> None:
    pipeline = FITTED[number]
    y = THREE if hasattr(pipeline, "classes_") else Y
    other = clone(pipeline).fit(
        X[:80],
        LABELS["three texts" if number == 0 else "two booleans"][:80] if number < 2 else y[:80],
    )
    assert compare(pipeline, shortcut_of(other), MANY) is not None


def tampered_threshold(shortcut: Shortcut) -> Shortcut:
    """Of the first tree's root, moved to the next value, where few rows go."""
    final = shortcut.final
    assert isinstance(final, Forest)
    assert final.stages is not None
    stages = final.stages.stages.copy()
    for place, stage in enumerate(stages[0]):
        kind, arguments, state = stage.tree_.__reduce__()
        nodes = state["nodes"].copy()
        nodes["threshold"][0] = np.nextafter(np.float32(nodes["threshold"][0]), np.float32(-np.inf))
        moved = kind(*arguments)
        moved.__setstate__(state | {"nodes": nodes})
        stages[0, place] = Stage(moved)
    tampered = dataclasses.replace(final.stages, stages=stages)
    return dataclasses.replace(shortcut, final=dataclasses.replace(final, stages=tampered))


def test_a_threshold_that_was_moved_to_the_next_float_is_found() -> None:
    forest = FITTED[1]
    wrong = tampered_threshold(shortcut_of(forest))
    root = forest.estimators_[0].tree_
    rows = beside([(int(root.feature[0]), float(root.threshold[0]))], X)
    found = [compare(forest, wrong, rows[i : i + 1]) for i in range(len(rows))]
    assert any(found)


def test_few_rows_and_many_are_answered_with_the_same_bits() -> None:
    final = shortcut_of(FITTED[1]).final
    assert isinstance(final, Forest)
    assert final.stages is not None
    rows = MANY[:FEW_ROWS]
    one_by_one = dataclasses.replace(final, stages=None)
    for few in (rows, rows[:1]):
        for found, expected in zip(final(few), one_by_one(few), strict=True):
            assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_a_difference_in_the_twelfth_place_is_found_and_one_in_the_fourteenth_is_not() -> None:
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    shortcut = shortcut_of(pipeline)
    for factor, differs in ((1 + 1e-11, True), (1 + 1e-14, False)):
        final = dataclasses.replace(
            shortcut.final,  # type: ignore[type-var]
            coefficients=shortcut.final.coefficients * factor,  # type: ignore[attr-defined]
            intercept=shortcut.final.intercept * factor,  # type: ignore[attr-defined]
        )
        other = dataclasses.replace(shortcut, final=final)
        assert (compare(pipeline, other, X) is not None) is differs


def test_the_neighbours_of_a_threshold_lie_on_both_sides_of_it_in_both_widths() -> None:
    at = 0.1
    narrow = np.float32(at)
    found = neighbours(at)
    assert {float(np.nextafter(at, 1)), float(np.nextafter(at, 0))} <= set(found)
    assert {float(np.nextafter(narrow, np.float32(end))) for end in (0, 1)} <= set(found)
    assert at in found


# Published -----------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


@pytest.mark.parametrize("number", range(3))
def test_a_published_model_is_served_by_its_shortcut_and_answers_like_its_pipeline(
    number: int, store: ModelStore
) -> None:
    pipeline = FITTED[number]
    manifest = store.publish("m", pipeline, X, Y if number == 2 else pipeline.predict(X))
    assert manifest.served is not None
    assert manifest.served.by == "shortcut", manifest.served.reason
    model = store.load(store.verify("m"))
    model.replay()
    assert model.shortcut is not None
    alone = dataclasses.replace(model, shortcut=None)
    for rows in (MANY, MANY[:1]):
        by_shortcut, by_pipeline = model.predict(rows), alone.predict(rows)
        np.testing.assert_array_equal(by_shortcut.labels, by_pipeline.labels)
        for ours, theirs in zip(
            by_shortcut.probabilities or (), by_pipeline.probabilities or (), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_a_mixed_table_is_served_by_its_shortcut_with_its_missing_values(store: ModelStore) -> None:
    pipeline = mixed(LogisticRegression(max_iter=3000)).fit(PEOPLE, LIVED)
    manifest = store.publish("m", pipeline, PEOPLE, LIVED, feature_names=NAMES)
    assert manifest.served is not None
    assert manifest.served.by == "shortcut", manifest.served.reason


def test_a_model_of_texts_is_served_by_its_shortcut(store: ModelStore) -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, MOODS)
    manifest = store.publish("m", pipeline, TEXTS, MOODS)
    assert manifest.served is not None
    assert manifest.served.by == "shortcut", manifest.served.reason
    model = store.load(store.verify("m"))
    model.replay()
    rows = np.array(TEXTS, dtype=object)[:, np.newaxis]
    np.testing.assert_array_equal(model.predict(rows).labels, pipeline.predict(TEXTS))


def test_a_pipeline_without_a_shortcut_answers_itself_and_says_why(store: ModelStore) -> None:
    manifest = store.publish("m", Louder().fit(X, THREE), X, THREE)
    assert manifest.served is not None
    assert manifest.served.by == "pipeline"
    assert "no exact shortcut" in manifest.served.reason
    assert store.load(store.verify("m")).shortcut is None


def served(store: ModelStore, **changes: Any) -> tuple[Served, Shortcut | None]:
    """The model `m` with another verdict in its manifest: what holds here, and what is loaded."""
    verified = store.verify("m")
    verdict = verified.manifest.served
    assert verdict is not None
    other = msgspec.structs.replace(verdict, **changes) if changes else None
    manifest = msgspec.structs.replace(verified.manifest, served=other)
    model = store.load(dataclasses.replace(verified, manifest=manifest))
    return served_here(manifest.served), model.shortcut


def test_a_version_of_before_is_answered_by_its_pipeline(store: ModelStore) -> None:
    store.publish("m", FITTED[0], X, LABELS["three texts"])
    verdict, shortcut = served(store)
    assert (verdict.by, verdict.reason, shortcut) == ("pipeline", UNCOMPARED, None)


@pytest.mark.parametrize("library", ["scikit_learn", "numpy"])
def test_with_other_libraries_than_it_was_compared_with_the_pipeline_answers(
    store: ModelStore, library: str
) -> None:
    store.publish("m", FITTED[0], X, LABELS["three texts"])
    verdict, shortcut = served(store, **{library: "0.1.2"})
    assert verdict.by == "pipeline"
    assert "0.1.2" in verdict.reason
    assert shortcut is None


def test_what_the_shortcut_does_not_take_is_answered_by_the_pipeline(store: ModelStore) -> None:
    gaps = np.where(np.random.default_rng(5).random(X.shape) < 0.2, np.nan, X)
    filled = make_pipeline(SimpleImputer(), StandardScaler(), Ridge()).fit(gaps, Y)
    store.publish("m", filled, gaps, Y)
    model = store.load(store.verify("m"))
    assert model.shortcut is not None
    rows = gaps[:3].astype(np.float64)
    np.testing.assert_array_equal(model.predict(rows).labels, filled.predict(rows))


def test_a_pipeline_that_differs_from_its_shortcut_answers_itself(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = shortcut_of(Ridge().fit(X, Y + 1e-9))
    monkeypatch.setattr(comparison, "build", lambda pipeline: wrong)
    verdict = store.publish("m", Ridge().fit(X, Y), X, Y).served
    assert verdict is not None
    assert verdict.by == "pipeline"
    assert verdict.reason.startswith("its shortcut says ")


def test_a_slow_pipeline_is_not_compared(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "SLOW", 0.0)
    verdict = store.publish("m", FITTED[1], X, LABELS["two booleans"]).served
    assert verdict is not None
    assert verdict.by == "pipeline"
    assert "takes too long" in verdict.reason


def test_a_pipeline_of_a_frame_needs_no_frame(store: ModelStore) -> None:
    frame = pd.DataFrame(PEOPLE, columns=NAMES)
    frame = frame.astype({"age": float, "fare": float, "class": int, "siblings": int})
    pipeline = mixed(LogisticRegression(max_iter=3000), NAMES).fit(frame, LIVED)
    manifest = store.publish("m", pipeline, frame, LIVED)
    assert manifest.served is not None
    assert manifest.served.by == "shortcut", manifest.served.reason
    model = store.load(store.verify("m"))
    model.replay()
    rows = model.golden_rows()
    alone = dataclasses.replace(model, shortcut=None)
    np.testing.assert_array_equal(model.predict(rows).labels, alone.predict(rows).labels)


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize(
    "kind", [DecisionTreeRegressor, HistGradientBoostingRegressor, Ridge, KNeighborsRegressor]
)
def test_fractions_among_integers_are_compared_and_answered_as_by_the_pipeline(
    kind: Any, framed: bool, store: ModelStore
) -> None:
    random = np.random.default_rng(2)
    counts: Any = random.integers(0, 40, (60, 3))
    if framed:
        counts = pd.DataFrame(counts, columns=["x0", "x1", "x2"])
    pipeline = kind().fit(counts, random.normal(size=60))
    store.publish("m", pipeline, counts)
    model = store.load(store.verify("m"))
    signature = model.manifest.signature
    assert model.shortcut is not None
    assert all(column.open for column in signature.columns)
    drawn = draw(signature, model.golden_rows(), 300, random, missing=0).astype(float)
    assert ((drawn % 1 > 0).mean(axis=0) > 0.4).all()
    assert ((drawn % 1 == 0).mean(axis=0) > 0.4).all()
    for rows in (drawn, *drawn[:20, None], np.array([[0.5, 3, 7], [1, 2, 39.5]])):
        sent: Any = pd.DataFrame(rows, columns=counts.columns) if framed else rows
        found = model.answer(dict(zip(signature.names, rows.T, strict=True)), len(rows))
        np.testing.assert_allclose(found.labels, pipeline.predict(sent), rtol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_rows_are_drawn_within_the_ranges_of_training(store: ModelStore, missing: float) -> None:
    store.publish("m", mixed(LogisticRegression()).fit(PEOPLE, LIVED), PEOPLE, LIVED)
    model = store.load(store.verify("m"))
    rows = draw(
        model.manifest.signature,
        model.golden_rows(),
        300,
        np.random.default_rng(1),
        missing=missing,
    )
    ages = rows[:, 0].astype(float)
    assert bool(np.isnan(ages).any()) is (missing > 0)
    assert 0 < np.nanmin(ages) < 10
    assert 70 < np.nanmax(ages) <= 80
    assert set(rows[:, 3]) == {1, 2, 3}
    assert {"C", "Q", "S"} <= set(rows[:, 1])
