"""Pipelines that were fitted on a DataFrame."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from model_store import Column, ModelStore, Signature, frames
from model_store.errors import InvalidPipeline, LoadFailed
from model_store.structure import Structure
from model_store.training import Training

from .conftest import LABELS, X, classifier

NAN = float("nan")


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
    model = empty.load(empty.verify("framed", pickles="always"))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(LoadFailed, match=r"pip install 'quart-app\[pandas\]', or fit the pipeline"):
        frames.from_matrix(X, PAIR)
    with pytest.raises(LoadFailed, match=r"pip install 'quart-app\[pandas\]'"):
        model.replay()


# The dtypes of training ----------------------------------------------------------


def series(dtype: str, *values: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.Series(list(values), dtype=dtype)


def served(trained: Any, *sent: object) -> Any:
    """What a pipeline that was fitted on a frame of this column gets of these values."""
    training = Training.of(trained.to_frame("x"))
    columns = tuple(replace(each, missing=True, open=True) for each in training.columns([]))
    signature = Signature(columns=columns, dtype=training.dtype, container="frame")
    if signature.dtype == "int64":
        signature = replace(signature, dtype="float64")
    matrix = signature.validate({"x": list(sent)}, len(sent))
    return frames.as_fitted(matrix, signature)["x"]


LARGE = 2**60 + 1

HELD: dict[str, tuple[Any, Any, Any]] = {
    "a narrow integer": (("int8", 1, 2), (3,), ("int8", 3)),
    "one that does not fit": (("int8", 1, 2), (130,), ("int64", 130)),
    "one below those without a sign": (("uint8", 1, 2), (-3,), ("int64", -3)),
    "one missing": (("int8", 1, 2), (None,), ("float64", NAN)),
    "one missing beside another": (("int64", 1, 2), (5, None), ("float64", 5.0, NAN)),
    "one of 61 bits": (("int64", 1, 2), (LARGE,), ("int64", LARGE)),
    "one of 61 bits beside one missing": (("int64", 1, 2), (LARGE, None), ("object", LARGE, NAN)),
    "64 bits without a sign": (("uint64", 1, 2), (2**64 - 1,), ("uint64", 2**64 - 1)),
    "both ends of 64 bits": (("uint64", 1, 2), (2**64 - 1, -1), ("object", 2**64 - 1, -1)),
    "a float of 32 bits": (("float32", 0.5, 1), (0.1,), ("float32", float(np.float32(0.1)))),
    "a float of 16 bits": (("float16", 0.5, 1), (0.1,), ("float16", float(np.float16(0.1)))),
    "a truth": (("bool", True, False), (True,), ("bool", True)),
    "a truth missing": (("bool", True, False), (True, None), ("object", True, NAN)),
    "integers of pandas": (("Int64", 1, None), (LARGE, None), ("Int64", LARGE, None)),
    "one too large for them": (("Int8", 1, None), (130,), ("int64", 130)),
    "and beside one missing": (("Int8", 1, None), (130, None), ("Int64", 130, None)),
    "a fraction": (("int8", 1, 2), (2.5,), ("float64", 2.5)),
    "a fraction beside an integer": (("uint16", 1, 2), (2.5, 3), ("float64", 2.5, 3.0)),
    "a fraction of pandas": (("Int8", 1, 2), (2.5,), ("Float64", 2.5)),
    "and beside one missing, too": (("UInt8", 1, None), (2.5, None), ("Float64", 2.5, None)),
    "a fraction among objects": (("object", 1, 2), (2.5, 3), ("object", 2.5, 3)),
    "truths of pandas": (("boolean", True, None), (False, None), ("boolean", False, None)),
    "texts of pandas": (("string", "a", None), ("b", None), ("string", "b", None)),
    "None among texts": (("object", "a", None), ("b", None), ("object", "b", "None")),
    "NaN among texts": (("object", "a", NAN), ("b", None), ("object", "b", "nan")),
    "integers that are objects": (("object", 1, 2), (LARGE,), ("object", LARGE)),
    "moments of a unit": (("datetime64[s]", "2024-01-01"), ("2024-02-03",), ("datetime64[s]",)),
    "moments with a zone": (
        ("datetime64[ns, Europe/Berlin]", "2024-01-01T00:00:00+01:00"),
        ("2024-07-01T08:00:00+02:00",),
        ("datetime64[ns, Europe/Berlin]",),
    ),
    "days that are texts": (("object", "2024-01-01"), ("2024-01-02",), ("object", "2024-01-02")),
}


@pytest.mark.parametrize("kind", HELD)
def test_a_column_has_the_dtype_of_training_or_what_pandas_widens_it_to(kind: str) -> None:
    trained, sent, (dtype, *values) = HELD[kind]
    found = served(series(*trained), *sent)
    assert str(found.dtype) == dtype
    if not values:
        return
    cells = [None if repr(cell) == "<NA>" else cell for cell in found.tolist()]
    if "None" in values or "nan" in values:
        cells = [cell if isinstance(cell, str) else str(cell) for cell in cells]
    assert list(map(repr, cells)) == list(map(repr, values))


def test_the_missing_value_of_pandas_stays_that_among_objects() -> None:
    pandas = pytest.importorskip("pandas")
    found = served(series("object", "a", pandas.NA), "b", None)
    assert found.tolist()[1] is pandas.NA


def test_ordered_categories_keep_their_order() -> None:
    pandas = pytest.importorskip("pandas")
    sizes = pandas.CategoricalDtype(["low", "mid", "high"], ordered=True)
    found = served(pandas.Series(["low", "high"], dtype=sizes), "mid", None)
    assert found.dtype == sizes
    assert found.cat.codes.tolist() == [1, -1]


@pytest.mark.parametrize("sent", [0.1, float(np.float32(0.1)), "0.1"])
def test_a_category_of_narrow_floats_is_taken_as_it_is_shown(sent: object) -> None:
    trained = np.array([[0.1], [0.7]], dtype=np.float32)
    hints = Structure.of(OneHotEncoder().fit(trained)).hints
    signature = Signature(columns=Training.of(trained).columns(hints), dtype="float32")
    assert signature.columns[0].categories == (0.1, 0.7)
    assert signature.validate({"x0": [sent]}, 1).tolist() == [[float(np.float32(0.1))]]


WRITES = """
import numpy as np

def written(X):
    cells = np.asarray(X, dtype=object)
    return np.vectorize(lambda cell: len(str(cell)) + (cell if cell == cell else 0.0))(cells)

def kinds(X):
    return X.fillna(0).to_numpy(dtype=float) + [kind.itemsize for kind in X.dtypes]

def codes(X):
    values = np.asarray(X["n"])
    return np.array([[len(str(value)) + values.dtype.itemsize] for value in values])
"""


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module with steps that look at the dtypes of their columns."""
    path = tmp_path / "dtype_steps.py"
    path.write_text(WRITES)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    ("function", "array"), [("written", False), ("written", True), ("kinds", False)]
)
def test_a_row_that_widens_a_column_changes_no_answer_of_others(
    empty: ModelStore, step: Path, function: str, array: bool
) -> None:
    module = import_module(step.stem)
    data: Any = frame()[["height"]].assign(n=np.arange(len(X))).astype("int8")
    data = data.to_numpy() if array else data
    step_ = FunctionTransformer(getattr(module, function))
    pipeline = make_pipeline(step_, LinearRegression()).fit(data, np.arange(len(data)) % 4)
    empty.publish("dtypes", pipeline, data, code=step)
    model = empty.load(empty.verify("dtypes"))
    assert model.manifest.signature.apart
    names = model.manifest.signature.names
    rows = [(1, 2), (1, 300), (1, None), (3, 4), (None, 4)]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    together = model.answer(columns, len(rows)).labels.tolist()
    alone = [
        model.answer({name: [values[i]] for name, values in columns.items()}, 1).labels[0]
        for i in range(len(rows))
    ]
    assert together == alone
    assert together[1:3] != [together[0], together[0]]


@pytest.mark.parametrize("lacking", [0, 3])
@pytest.mark.parametrize("categories", [[1, 20], [True, False]], ids=str)
def test_a_row_that_lacks_a_category_changes_no_answer_of_others(
    empty: ModelStore, step: Path, categories: list[Any], lacking: int
) -> None:
    pandas = pytest.importorskip("pandas")
    values: list[Any] = [categories[row % 2] for row in range(len(X))]
    values[:lacking] = [None] * lacking
    data = frame()[["height"]].assign(n=pandas.Categorical(values, categories=categories))
    first = FunctionTransformer(import_module(step.stem).codes)
    pipeline = make_pipeline(first, LinearRegression()).fit(data, np.arange(len(data)) % 4)
    empty.publish("codes", pipeline, data, code=step)
    model = empty.load(empty.verify("codes"))
    assert model.manifest.signature.apart
    columns = {"height": [1.5] * 3, "n": [categories[0], None, categories[1]]}
    together = model.answer(columns, 3).labels.tolist()
    alone = [
        model.answer({name: [values[row]] for name, values in columns.items()}, 1).labels[0]
        for row in range(3)
    ]
    assert together == alone
