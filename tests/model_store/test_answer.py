"""Rows by column, whatever holds them, have the pipeline's own answers; and others are told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from model_store import InvalidRows, Model, ModelStore, Prediction
from model_store.errors import InvalidColumns
from model_store.recipes import RECIPES
from model_store.signature import MAX_FAULTS
from model_store.text_rules import CSV

from ..kinds import PUBLISHED, ROWS, fare, objects, passengers, survived
from .conftest import X, publish_small

ROOT = Path(__file__).parent.parent.parent


def loaded(store: ModelStore, name: str) -> Model:
    return store.load(store.verify(name))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("answer"))
    for name in ("mixed", "objects", "several", "numbers"):
        PUBLISHED[name](store)
    for name in ("iris", "titanic"):
        RECIPES[name].train(store)
    return store


@pytest.fixture
def small_model(small: ModelStore) -> Model:
    return loaded(small, "small")


def same(found: Prediction, expected: Prediction) -> bool:
    shares = zip(found.probabilities or (), expected.probabilities or (), strict=True)
    return bool(
        found.labels.dtype == expected.labels.dtype
        and (found.labels == expected.labels).all()
        and all((mine == theirs).all() for mine, theirs in shares)
    )


def columns_of(model: Model, rows: int) -> dict[str, list[Any]]:
    """The golden rows again and again, as columns."""
    sample = model.sample.rows
    chosen = [sample[row % len(sample)] for row in range(rows)]
    return {name: [row[name] for row in chosen] for name in model.manifest.signature.names}


def arrays(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {name: np.array(values, dtype=object) for name, values in columns.items()}


def arrow(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """A table of Arrow's, as a Parquet file gives it: chunked."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    return dict(zip(table.column_names, table.columns, strict=True))


NAMES = ["mixed", "objects", "several", "numbers", "iris", "titanic"]


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("name", NAMES)
def test_whatever_holds_the_rows_they_have_one_answer(
    kinds: ModelStore, name: str, rows: int
) -> None:
    model = loaded(kinds, name)
    columns = columns_of(model, rows)
    expected = model.predict(model.manifest.signature.validate(columns, rows))
    for held in (columns, arrays(columns), arrow(columns)):
        found = model.answer(held, rows)
        assert found.unfit is None
        assert same(found, expected)


def test_a_frame_by_its_columns_has_the_answers_of_the_pipeline(kinds: ModelStore) -> None:
    frame = passengers()
    model = loaded(kinds, "mixed")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    found = model.answer(dict(zip(table.column_names, table.columns, strict=True)), ROWS)
    assert found.labels.tolist() == model.pipeline.predict(frame).tolist()
    assert found.probabilities is not None
    assert np.allclose(found.probabilities[0], model.pipeline.predict_proba(frame), rtol=1e-12)
    assert found.labels.mean() > survived(frame).mean() / 2


def test_a_matrix_by_its_columns_has_the_answers_of_the_pipeline(kinds: ModelStore) -> None:
    frame = passengers()
    model = loaded(kinds, "objects")
    matrix = objects(frame)
    columns = {name: matrix[:, i] for i, name in enumerate(frame.columns)}
    found = model.answer(columns, ROWS)
    assert np.allclose(found.labels, model.pipeline.predict(matrix), rtol=1e-12)
    assert np.allclose(found.labels, fare(frame), rtol=0.1)


def test_texts_are_read_by_the_rules(kinds: ModelStore) -> None:
    model = loaded(kinds, "titanic")
    columns = columns_of(model, 20) | {"age": ["NA", " 40 "] * 10}
    texts = {name: [str(value) for value in values] for name, values in columns.items()}
    found = model.answer(texts, 20, CSV)
    numbers = columns | {"age": [None, 40] * 10}
    assert found.unfit is None
    assert same(found, model.answer(numbers, 20))


@pytest.mark.parametrize("holder", [dict, arrays, arrow])
def test_rows_that_do_not_fit_are_told_and_the_others_answered(
    kinds: ModelStore, holder: Any
) -> None:
    model = loaded(kinds, "titanic")
    columns = columns_of(model, 60)
    sex: list[Any] = list(columns["sex"])
    sex[7], sex[30] = "neither", None
    fare: list[Any] = [float(value or 0) for value in columns["fare"]]
    fare[30], fare[59] = float("inf"), float("-inf")
    wrong = columns | {"sex": sex, "fare": fare}
    with pytest.raises(InvalidRows) as refused:
        model.manifest.signature.validate(wrong, 60)
    found = model.answer(holder(wrong), 60)
    assert found.unfit is not None
    assert np.flatnonzero(found.unfit.mask).tolist() == [7, 30, 59]
    assert found.unfit.faults == refused.value.faults
    assert found.unfit.total == refused.value.total == 4
    fit = [row for row in range(60) if row not in {7, 30, 59}]
    alone = {name: [values[row] for row in fit] for name, values in wrong.items()}
    assert same(found, model.answer(alone, 57))
    assert len(found) == 57


def test_all_faults_are_counted_and_the_first_are_told(small_model: Model) -> None:
    rows = 3 * MAX_FAULTS
    values = np.where(np.arange(rows) % 2, np.inf, 1.0)
    found = small_model.answer({"x0": values, "x1": np.zeros(rows)}, rows)
    assert found.unfit is not None
    assert found.unfit.mask.sum() == found.unfit.total == rows // 2
    assert [fault.row for fault in found.unfit.faults] == list(range(1, 2 * MAX_FAULTS, 2))
    assert len(found) == rows // 2


def test_a_column_that_nobody_gave_is_a_fault_of_each_row(small_model: Model) -> None:
    found = small_model.answer({"x0": pa.array([1.0, 2.0])}, 2)
    assert found.unfit is not None
    assert found.unfit.mask.tolist() == [True, True]
    assert [str(fault) for fault in found.unfit.faults] == [
        "x1: expected a number, got nothing"
    ] * 2
    assert len(found) == 0


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_have_an_answer_of_the_same_kind(kinds: ModelStore, name: str) -> None:
    model = loaded(kinds, name)
    some = model.answer(columns_of(model, 2), 2)
    none = model.answer(dict.fromkeys(model.manifest.signature.names, ()), 0)
    assert none.unfit is None
    assert none.labels.shape == (0, *some.labels.shape[1:])
    assert none.labels.dtype.kind == some.labels.dtype.kind
    assert [shares.shape for shares in none.probabilities or ()] == [
        (0, *shares.shape[1:]) for shares in some.probabilities or ()
    ]
    odd = dict.fromkeys(model.manifest.signature.names, (b"", b""))
    assert len(model.answer(odd, 2)) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], r"^The column x0 has 1 values; expected 2\.$"),
        (pa.array([1.0]), r"^The column x0 has 1 values; expected 2\.$"),
        ("12", r"^The column x0 is a str; expected a list, a numpy array of the shape \(2,\) or"),
        (7, r"^The column x0 is a int; expected a list"),
        (pd.Series([1.0, 2.0]), r"^The column x0 is a Series; expected a list"),
        (np.zeros((2, 2)), r"^The column x0 is a ndarray of the shape \(2, 2\); expected a list"),
        (np.float64(1), r"^The column x0 is a float64; expected a list"),
        (pa.array([[1.0], [2.0]]), r"^The column x0 is an Arrow array of list<item: double>"),
    ],
)
def test_what_is_no_column_is_refused_in_words(
    small_model: Model, values: Any, message: str
) -> None:
    with pytest.raises(InvalidColumns, match=message):
        small_model.answer({"x0": values, "x1": [1.0, 2.0]}, 2)


@pytest.mark.process
def test_lists_and_numpy_arrays_need_no_pyarrow(tmp_path: Path) -> None:
    publish_small(ModelStore(tmp_path))
    script = (
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"  # to import it is an error
        "from model_store import ModelStore\n"
        "import numpy as np\n"
        f"store = ModelStore({str(tmp_path)!r})\n"
        "model = store.load(store.verify('small'))\n"
        "print(model.answer({'x0': [1.0, 'b'], 'x1': np.zeros(2)}, 2).unfit.mask)\n"
        "model.answer({'x0': {}, 'x1': np.zeros(0)}, 0)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == "[False  True]\n"
    assert "InvalidColumns: The column x0 is a dict; expected a list" in found.stderr


def test_a_slice_of_a_prediction_says_nothing_of_rows_that_do_not_fit(small_model: Model) -> None:
    found = small_model.answer({"x0": [1.0, None, 3.0], "x1": X[:3, 1]}, 3)
    assert found.unfit is not None
    assert found[:1].unfit is None
