"""Pipelines that were fitted on a DataFrame."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from model_store import Column, ModelStore, Signature, frames
from model_store.errors import InvalidPipeline, LoadFailed

from .conftest import LABELS, X, classifier


def frame(columns: tuple[Any, ...] = ("height", "width"), **extra: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({**dict(zip(columns, X.T, strict=True)), **extra})


def by_name() -> Any:
    """A pipeline that looks a column up by its name, as only a DataFrame has."""
    columns = ColumnTransformer([("scaled", StandardScaler(), ["width"])])
    return Pipeline([("columns", columns), ("classifier", LogisticRegression())])


def test_a_pipeline_remembers_that_it_was_fitted_on_a_frame() -> None:
    assert not frames.was_fitted_on_frame(classifier())
    assert frames.was_fitted_on_frame(LogisticRegression().fit(frame(), LABELS))


PAIR = Signature(columns=(Column(name="a", type="number"), Column(name="b", type="number")))


def test_a_frame_has_the_values_and_the_names() -> None:
    made = frames.from_matrix(X, PAIR)
    assert list(made.columns) == ["a", "b"]
    assert np.array_equal(made.to_numpy(), X)


def test_a_pipeline_fitted_on_a_frame_answers_as_it_did(empty: ModelStore) -> None:
    data = frame()
    pipeline = by_name().fit(data, LABELS)
    manifest = empty.publish("framed", pipeline, data, LABELS)
    assert manifest.signature.container == "frame"
    assert manifest.signature.names == ("height", "width")
    model = empty.load(empty.verify("framed"))
    model.replay()
    matrix = model.manifest.signature.validate({"width": X[:, 1], "height": X[:, 0]}, len(X))
    answer = model.predict(matrix)
    assert answer.labels.tolist() == pipeline.predict(data).tolist()
    assert answer.probabilities is not None
    assert np.array_equal(answer.probabilities[0], pipeline.predict_proba(data))


def test_the_names_of_a_frame_are_those_of_the_fit_where_the_data_has_none(
    empty: ModelStore,
) -> None:
    pipeline = LogisticRegression().fit(frame(), LABELS)
    manifest = empty.publish("framed", pipeline, X, LABELS)
    assert manifest.signature.names == ("height", "width")
    empty.load(empty.verify("framed")).replay()


def test_a_frame_of_another_order_is_brought_to_that_of_the_fit(empty: ModelStore) -> None:
    data = frame()
    pipeline = LogisticRegression().fit(data, LABELS)
    manifest = empty.publish("framed", pipeline, data[["width", "height"]], LABELS)
    assert manifest.signature.names == ("height", "width")
    assert manifest.signature.columns[0].maximum == X[:, 0].max()


def test_a_frame_that_lacks_a_column_is_refused(empty: ModelStore) -> None:
    data = frame()
    pipeline = LogisticRegression().fit(data, LABELS)
    with pytest.raises(InvalidPipeline, match=r"^The training data lacks the columns width\.$"):
        empty.publish("framed", pipeline, data[["height"]], LABELS)


def test_integer_columns_of_a_frame_are_integers_beside_others_that_are_not(
    empty: ModelStore,
) -> None:
    data = frame(age=np.arange(len(X)))
    pipeline = LogisticRegression().fit(data, LABELS)
    signature = empty.publish("framed", pipeline, data, LABELS).signature
    assert [column.type for column in signature.columns] == ["number", "number", "integer"]
    assert signature.dtype == "float64"
    empty.load(empty.verify("framed")).replay()


def test_a_frame_without_text_for_names_is_a_matrix(empty: ModelStore) -> None:
    data = frame(columns=(0, 1))
    pipeline = LogisticRegression().fit(data, LABELS)
    signature = empty.publish("framed", pipeline, data, LABELS).signature
    assert (signature.names, signature.container) == (("0", "1"), "matrix")


def test_without_pandas_a_frame_is_refused_with_the_way_out(
    empty: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = frame()
    empty.publish("framed", by_name().fit(data, LABELS), data, LABELS)
    model = empty.load(empty.verify("framed"))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(LoadFailed, match=r"pip install 'quart-app\[pandas\]', or fit the pipeline"):
        frames.from_matrix(X, PAIR)
    with pytest.raises(LoadFailed, match=r"pip install 'quart-app\[pandas\]'"):
        model.replay()
