"""What models tell beside classes and numbers: found out at publishing, and answered since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import (
    DBSCAN,
    AffinityPropagation,
    Birch,
    BisectingKMeans,
    FeatureAgglomeration,
    KMeans,
    MeanShift,
    MiniBatchKMeans,
)
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import NMF, PCA, SparsePCA, TruncatedSVD
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge, SGDOneClassSVM
from sklearn.manifold import TSNE
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from model_store import ModelStore
from model_store.errors import GoldenMismatch, InvalidPipeline
from model_store.manifest import Target, read, write
from model_store.model import Model
from model_store.task import MOST_OUTPUTS, classes_of, measures_of, task_of

draw = np.random.default_rng(5)
X = np.concatenate([draw.normal(3 * place, 1, (20, 3)) for place in range(3)])
VALUE = X[:, 0] - X[:, 1] + draw.normal(size=60)
TWO_VALUES = np.column_stack([VALUE, X[:, 2]])
CLASS = np.where(VALUE > 0, "yes", "no")
FRAME = pandas.DataFrame(X, columns=["a", "b", "c"]).assign(
    port=draw.choice(["Cork", "Faro"], 60).astype(object)
)
WORDS = ["the cat sat", "a dog ran", "the dog and the cat"] * 20


def scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


CLUSTERS = {
    "k-means": scaled(KMeans(3, n_init=1, random_state=0)),
    "mini batch": MiniBatchKMeans(3, n_init=1, random_state=0),
    "bisecting": BisectingKMeans(3, random_state=0),
    "mean shift": MeanShift(bandwidth=3),
    "affinity propagation": AffinityPropagation(random_state=0),
    "birch": Birch(n_clusters=3),
    "searched": GridSearchCV(KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3]}, cv=2),
    "mixture": scaled(GaussianMixture(3, random_state=0)),
    "Bayesian mixture": BayesianGaussianMixture(n_components=4, random_state=0),
}
OUTLIERS = {
    "isolation forest": scaled(IsolationForest(n_estimators=10, random_state=0)),
    "outlier factor": LocalOutlierFactor(novelty=True),
    "one class": OneClassSVM(nu=0.1),
    "linear one class": SGDOneClassSVM(random_state=0),
    "envelope": EllipticEnvelope(random_state=0),
}


def published(pipeline: Any, rows: Any, y: Any, tmp_path: Path) -> Model:
    """The model as it comes back from a store."""
    store = ModelStore(tmp_path)
    store.publish("m", pipeline, rows, y)
    return store.load(store.verify("m"))


def as_columns(model: Model, rows: Any) -> dict[str, list[Any]]:
    """Rows of training as a client sends them, by column."""
    names = model.manifest.signature.names
    if isinstance(rows, pandas.DataFrame):
        return {name: rows[name].tolist() for name in names}
    if isinstance(rows, list):
        return {names[0]: rows}
    return {name: column.tolist() for name, column in zip(names, rows.T, strict=True)}


# What a pipeline is for --------------------------------------------------------------


@pytest.mark.parametrize(
    ("pipeline", "task", "classes", "measures"),
    [
        *((CLUSTERS[name], "clustering", None, []) for name in CLUSTERS),
        *((OUTLIERS[name], "anomaly detection", [-1, 1], ["score"]) for name in OUTLIERS),
        (GaussianProcessRegressor(optimizer=None), "regression", None, ["standard_deviation"]),
        (scaled(Ridge()), "regression", None, []),
        (RandomForestClassifier(2), "classification", ["no", "yes"], []),
        (scaled(PCA(2)), "transformation", None, []),
        (FeatureAgglomeration(2), "transformation", None, []),
    ],
)
def test_the_last_estimator_says_what_a_pipeline_is_for(
    pipeline: Any, task: str, classes: Any, measures: list[str]
) -> None:
    pipeline.fit(X, CLASS if task == "classification" else VALUE)
    assert task_of(pipeline) == task
    assert [each.name for each in measures_of(pipeline)] == measures
    if task == "clustering":
        told = {int(label) for label in pipeline.predict(X)}
        assert told <= set(classes_of(pipeline))
    else:
        found = classes_of(pipeline)
        assert found is None if classes is None else list(found) == classes


class Silent(BaseEstimator):  # type: ignore[misc]
    def fit(self, X: Any, y: Any = None) -> Silent:
        return self


@pytest.mark.parametrize(
    ("pipeline", "sentence"),
    [
        (DBSCAN().fit(X), r"^A DBSCAN has no predict method, as it tells the clusters .* KMeans"),
        (LocalOutlierFactor().fit(X), r"^A LocalOutlierFactor knows .* novelty=True"),
        (LabelEncoder().fit(CLASS), r"^A LabelEncoder transforms what a pipeline is to tell"),
        (KernelDensity().fit(X), r"^A KernelDensity has no predict .* fit GaussianMixture\(3\)"),
        (scaled(NearestNeighbors()).fit(X), r"^A NearestNeighbors has .* KNeighborsClassifier"),
        (TSNE().fit(X), r"^A TSNE has no predict method: .* PCA\(2\)\.fit\(X\)"),
        (Silent().fit(X), r"^A Silent has no predict method: let the last step .* make_pipeline"),
        (FRAME, r"^A DataFrame has no predict method; publish a fitted pipeline"),
        (
            HashingVectorizer().fit(WORDS),
            rf"transforms each row to 1048576 columns, and at most {MOST_OUTPUTS} are",
        ),
    ],
)
def test_what_answers_no_rows_is_refused_with_a_way_out(
    pipeline: Any, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidPipeline, match=sentence):
        ModelStore(tmp_path).publish("m", pipeline, WORDS)


# Clusters ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["k-means", "birch", "mixture"])
def test_clusters_are_classes_that_are_counted(name: str, tmp_path: Path) -> None:
    pipeline = CLUSTERS[name].fit(X)
    # As scikit-learn's own fit, publishing passes by what it was not fitted to tell.
    model = published(pipeline, X, CLASS, tmp_path)
    labels = pipeline.predict(X)
    (target,) = model.manifest.targets
    assert model.manifest.task == "clustering"
    assert target.classes == [0, 1, 2]
    assert target.counts == {str(each): int((labels == each).sum()) for each in range(3)}
    answer = model.answer(as_columns(model, X), len(X))
    assert answer.labels.tolist() == labels.tolist()
    if name == "mixture":
        assert answer.probabilities is not None
        assert np.allclose(answer.probabilities[0], pipeline.predict_proba(X), rtol=1e-9)
    else:
        assert answer.probabilities is None


@pytest.mark.parametrize(
    ("pipeline", "dtype"), [(CLUSTERS["mixture"], "int64"), (OUTLIERS["outlier factor"], "int64")]
)
def test_what_was_published_as_a_regression_answers_as_it_did(
    pipeline: Any, dtype: str, tmp_path: Path
) -> None:
    model = published(pipeline.fit(X), X, None, tmp_path)
    before = msgspec.structs.replace(
        model.manifest,
        task="regression",
        targets=(Target(dtype=dtype),),
        measures=(),
        probabilities=False,
        words={},
    )
    sample = msgspec.structs.replace(model.sample, measures=None, probabilities=None)
    manifest = read(write(before))
    assert manifest.task == "regression"
    old = Model(manifest, pipeline, sample)
    old.replay()
    answer = old.answer(as_columns(model, X), len(X))
    assert answer.labels.tolist() == pipeline.predict(X).tolist()
    assert answer.probabilities is None
    assert not answer.measures


# Outliers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", OUTLIERS)
def test_an_outlier_has_its_score_with_the_threshold(name: str, tmp_path: Path) -> None:
    pipeline = OUTLIERS[name].fit(X)
    model = published(pipeline, X, None, tmp_path)
    manifest = model.manifest
    assert manifest.words == {"-1": "unusual", "1": "usual"}
    (score,) = manifest.measures
    assert score.threshold == 0.0
    assert score.offset is not None
    far = np.concatenate([X[:5], [[90.0, -90.0, 90.0]]])
    together = model.answer(as_columns(model, far), len(far))
    assert together.labels.tolist() == pipeline.predict(far).tolist()
    assert np.allclose(together.measures["score"], pipeline.decision_function(far), rtol=1e-9)
    alone = model.answer(as_columns(model, far[-1:]), 1)
    assert alone.measures["score"] == pytest.approx(pipeline.decision_function(far[-1:]))
    assert alone.labels.tolist() == [-1]
    assert alone.measures["score"][0] < score.threshold
    assert model.answer(as_columns(model, far[:0]), 0).measures["score"].shape == (0,)


def test_the_scores_of_golden_rows_are_kept_and_compared(tmp_path: Path) -> None:
    model = published(OUTLIERS["isolation forest"].fit(X), X, None, tmp_path)
    scores = (model.sample.measures or {})["score"]
    assert len(scores) == len(model.sample.rows)
    model.replay()
    for other in ([9.0, *scores[1:]], scores[1:]):
        sample = msgspec.structs.replace(model.sample, measures={"score": other})
        with pytest.raises(GoldenMismatch):
            replace(model, sample=sample).replay()


def test_words_of_a_person_stand_for_usual(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    pipeline = OUTLIERS["envelope"].fit(X)
    store.publish("m", pipeline, X, words={"-1": "broken"})
    assert store.manifest("m").words == {"-1": "broken", "1": "usual"}


# A Gaussian process ----------------------------------------------------------------------


@pytest.mark.parametrize("y", [VALUE, TWO_VALUES])
def test_a_gaussian_process_says_how_sure_it_is(y: Any, tmp_path: Path) -> None:
    pipeline = scaled(GaussianProcessRegressor(RBF() + WhiteKernel(0.1), optimizer=None)).fit(X, y)
    model = published(pipeline, X, y, tmp_path)
    assert model.manifest.task == "regression"
    # Of the two numbers one is near 0, so that rounding of its terms is more than may differ.
    assert model.form is not None or y.ndim == 2, model.manifest.served
    rows = np.concatenate([X[:4], X[:4] + 0.3])
    numbers, deviations = pipeline.predict(rows, return_std=True)
    answer = model.answer(as_columns(model, rows), len(rows))
    assert np.allclose(answer.labels, numbers, rtol=1e-9)
    assert np.allclose(answer.measures["standard_deviation"], deviations, rtol=1e-6)
    assert answer.measures["standard_deviation"].shape == answer.labels.shape


# Transformations ---------------------------------------------------------------------


TRANSFORMERS: dict[str, tuple[Any, Any, list[str]]] = {
    "components": (PCA(2), X, ["pca0", "pca1"]),
    "a lone row of one dimension": (
        SparsePCA(2, random_state=0, max_iter=20), X, ["sparsepca0", "sparsepca1"]
    ),
    "one column": (PCA(1), X, ["pca0"]),
    "of a frame": (
        ColumnTransformer(
            [("n", StandardScaler(), ["a", "b"]), ("p", OneHotEncoder(), ["port"])],
            remainder="drop",
        ),
        FRAME,
        ["n__a", "n__b", "p__port_Cork", "p__port_Faro"],
    ),
    "sparse": (OneHotEncoder(), FRAME[["port"]], ["port_Cork", "port_Faro"]),
    "a frame": (
        StandardScaler().set_output(transform="pandas"), FRAME[["a", "b"]], ["a", "b"]
    ),
    "words": (TfidfVectorizer(), WORDS, ["and", "cat", "dog", "ran", "sat", "the"]),
    "no names": (HashingVectorizer(n_features=4), WORDS, ["y0", "y1", "y2", "y3"]),
    "a pipeline of words": (
        make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0)),
        WORDS,
        ["truncatedsvd0", "truncatedsvd1"],
    ),
}  # fmt: skip


NO_FORM = {"a lone row of one dimension"}
"""Transformers of which there is no node."""


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformed_columns_are_told_by_their_names(name: str, tmp_path: Path) -> None:
    pipeline, rows, names = TRANSFORMERS[name]
    pipeline.fit(rows)
    model = published(pipeline, rows, None, tmp_path)
    assert model.manifest.task == "transformation"
    assert (model.form is None) == (name in NO_FORM), model.manifest.served
    assert [target.name for target in model.manifest.targets] == names
    expected = pipeline.transform(rows)
    expected = np.asarray(expected.toarray() if hasattr(expected, "toarray") else expected)
    found = model.answer(as_columns(model, rows), len(rows)).labels
    assert np.allclose(found.reshape(expected.shape), expected, rtol=1e-9, atol=1e-12)
    lone = model.answer({key: each[:1] for key, each in as_columns(model, rows).items()}, 1).labels
    assert np.allclose(lone.ravel(), expected[0], rtol=1e-9, atol=1e-12)


def test_a_transformation_may_tell_texts(tmp_path: Path) -> None:
    rows = FRAME[["a", "port"]]
    pipeline = SimpleImputer(strategy="most_frequent").fit(rows)
    model = published(pipeline, rows, None, tmp_path)
    assert [target.dtype for target in model.manifest.targets] == [None, "str"]
    assert model.manifest.datatype == "BYTES"
    assert model.form is not None, model.manifest.served
    answer = model.answer({"a": [1.5, 2.5], "port": ["Cork", "Faro"]}, 2)
    assert answer.labels.tolist() == [[1.5, "Cork"], [2.5, "Faro"]]


@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def test_what_begins_at_the_mean_of_its_rows_is_asked_for_each_row_alone(tmp_path: Path) -> None:
    pipeline = make_pipeline(MinMaxScaler(), NMF(2, random_state=0)).fit(X)
    model = published(pipeline, X, None, tmp_path)
    answer = model.answer(as_columns(model, X[:3]), 3)
    alone = [pipeline.transform(X[[row]])[0] for row in range(3)]
    assert np.allclose(answer.labels, alone, rtol=1e-9)


def test_transformed_to_too_many_columns_is_refused_with_a_way_out(tmp_path: Path) -> None:
    many = [f"word{number}" for number in range(MOST_OUTPUTS + 1)]
    pipeline = TfidfVectorizer().fit([" ".join(many)])
    with pytest.raises(InvalidPipeline, match=rf"to {len(many)} columns, and at most .* SelectK"):
        ModelStore(tmp_path).publish("m", pipeline, WORDS)
