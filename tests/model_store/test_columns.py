"""What is brought to its type a column at once gets what each value gets alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from model_store.column_types import Unfit
from model_store.columns import Column
from model_store.text_rules import CSV, FORM, JSON, TENSOR, TYPED, TextRules
from model_store.values import Inexact

COLUMNS = {
    "number": (Column(name="x", type="number"), "float64"),
    "narrow": (Column(name="x", type="number", dtype="float32"), "float32"),
    "narrow object": (Column(name="x", type="number", dtype="float32"), "object"),
    "missing": (Column(name="x", type="number", missing=True), "float64"),
    "missing object": (Column(name="x", type="number", missing=True), "object"),
    "none": (Column(name="x", type="number", missing=True, null="none"), "object"),
    "integer": (Column(name="x", type="integer", dtype="int64"), "int64"),
    "integer object": (Column(name="x", type="integer", dtype="int64", missing=True), "object"),
    "integer float": (Column(name="x", type="integer", missing=True), "float64"),
    "fraction": (Column(name="x", type="integer", dtype="int64", open=True), "int64"),
    "fraction object": (
        Column(name="x", type="integer", dtype="uint64", open=True, missing=True),
        "object",
    ),
    "fraction float": (Column(name="x", type="integer", open=True, missing=True), "float64"),
    "fraction single": (Column(name="x", type="integer", dtype="int8", open=True), "float32"),
    "classes": (Column(name="x", type="category", categories=(1, 2, 3)), "object"),
    "ports": (Column(name="x", type="category", categories=("1", " a", "NA", "")), "object"),
    "open": (Column(name="x", type="category", categories=("a",), open=True), "object"),
    "maybe": (Column(name="x", type="category", categories=("a",), missing=True), "object"),
    "truth": (Column(name="x", type="boolean", dtype="bool"), "bool"),
    "truth object": (Column(name="x", type="boolean", missing=True), "object"),
    "date": (Column(name="x", type="date", dtype="datetime64[ns]"), "datetime64[us]"),
    "date seconds": (
        Column(name="x", type="date", dtype="datetime64[s]", missing=True),
        "object",
    ),
    "date object": (Column(name="x", type="date", dtype="datetime", missing=True), "object"),
    "date text": (Column(name="x", type="date", dtype="str", missing=True), "object"),
    "text": (Column(name="x", type="text", dtype="object"), "object"),
    "text missing": (Column(name="x", type="text", missing=True, null="none"), "object"),
}
WIRES = {"csv": CSV, "form": FORM, "json": JSON, "tensor": TENSOR, "typed": TYPED}

written = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**45), 10**45).map(str),
    st.text("0123456789+-.eE _", max_size=8),
    st.sampled_from(["", " ", "0", "-0", "-0.0", "+1", " 2 ", "1_0", "3.0", "1e400", "inf", "٣"]),
    st.sampled_from(["nan", "NA", " NA ", "NaT", "1", "2", "3", "a", " a", "b", "true", "No"]),
    st.sampled_from(["2024-12-31", "2024-12-31T10:00", "16777217", "1" * 41, "0" * 50 + "7"]),
    st.sampled_from(["9223372036854775807", "9223372036854775808"]),
)


def one_by_one(
    column: Column, values: Sequence[object] | NDArray[Any], dtype: str, rules: TextRules
) -> tuple[list[int], list[object]]:
    """Which of the values do not fit, and what each of the others alone becomes; an object, where
    a cell of the dtype does not hold one of them."""
    unfit, cells = [], []
    for row, value in enumerate(values):
        cell = np.empty(1, dtype=dtype)
        try:
            cell[0] = column.cell(value, cell.dtype, rules)
        except Inexact:
            return one_by_one(column, values, "object", rules)
        except Unfit:
            unfit.append(row)
        else:
            cells.extend(shown(cell))
    return unfit, cells


def at_once(
    column: Column, values: Sequence[object] | NDArray[Any], dtype: str, rules: TextRules
) -> tuple[list[int], list[object]] | None:
    """The same, as the whole column tells it."""
    target = np.empty(len(values), dtype=dtype)
    try:
        unfit = column.fill(target, values, rules)
    except Inexact:
        return at_once(column, values, "object", rules)
    return None if unfit is None else (unfit.tolist(), shown(np.delete(target, unfit)))


def shown(cells: NDArray[Any]) -> list[object]:
    """Cells told apart by type and sign too."""
    return [(type(cell), repr(cell)) for cell in cells.tolist()]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("text", ["a ", " a", "  "])
def test_an_open_column_is_asked_for_a_text_with_its_spaces(text: str, wire: str) -> None:
    column, dtype = COLUMNS["open"]
    rules = WIRES[wire]
    blank = rules.blanks and not text.strip()
    expected = ([0], []) if blank else ([], [(str, repr(text))])
    assert one_by_one(column, [text], dtype, rules) == expected


@pytest.mark.parametrize("wire", WIRES)
def test_a_known_category_is_told_with_spaces_where_people_write_alone(wire: str) -> None:
    column, dtype = COLUMNS["maybe"]
    expected = ([], [(str, repr("a"))]) if WIRES[wire].blanks else ([0], [])
    assert one_by_one(column, [" a"], dtype, WIRES[wire]) == expected


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=40)
@given(few=st.lists(written, min_size=1, max_size=4), often=st.integers(1, 4))
@example(few=["-0", "1"], often=1)
@example(few=["1.5", "", "-2e-3"], often=1)
@example(few=["1", "2", "+3"], often=1)
@example(few=["a", "b"], often=3)
def test_texts_at_once_get_what_each_gets_alone(
    kind: str, wire: str, few: list[str], often: int
) -> None:
    column, dtype = COLUMNS[kind]
    texts = few * often
    found = at_once(column, texts, dtype, WIRES[wire])
    assert found is None or found == one_by_one(column, texts, dtype, WIRES[wire])


@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=60)
@given(
    array=st.sampled_from(["?", "i1", "u1", "i8", "u8", "f2", "f4", "f8"]).flatmap(
        lambda dtype: arrays.arrays(np.dtype(dtype), st.integers(1, 4))
    ),
    often=st.integers(1, 4),
)
@example(array=np.array([1.0, 2.5, np.nan, np.inf, -0.0, 2.0**63, -(2.0**63), 1e300]), often=2)
@example(array=np.array([0.0, 1.0, 2.0, np.nan]), often=3)
@example(array=np.array([2**63, 2**63 - 1], dtype=np.uint64), often=1)
def test_numbers_at_once_get_what_each_gets_alone(
    kind: str, array: NDArray[Any], often: int
) -> None:
    column, dtype = COLUMNS[kind]
    values = np.tile(array, often)
    found = at_once(column, values, dtype, TENSOR)
    assert found is None or found == one_by_one(column, values, dtype, TENSOR)


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5, 7.0])
def test_a_number_sent_very_often_is_looked_at_once(kind: str, value: float) -> None:
    column, dtype = COLUMNS[kind]
    assert at_once(column, np.full(20, value), dtype, TENSOR) is not None


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("number", ["1.5", "-2", "3e2", " 4 "]),
        ("missing", ["1.5", "", "3", "NA"] * 4),
        ("missing", ["1.5", "", "3", "NA", "5"]),
        ("integer", ["1", "-2", "3", "4"]),
        ("classes", ["1", "2", "3", "1", "2", "3"]),
        ("truth", ["true", "no", "true", "no"]),
        ("date", ["2024-12-31", "2024-12-30"] * 3),
        ("text", ["a", "b"]),
    ],
)
def test_what_is_as_usual_is_not_looked_at_one_by_one(kind: str, texts: list[str]) -> None:
    column, dtype = COLUMNS[kind]
    assert at_once(column, texts, dtype, CSV) == one_by_one(column, texts, dtype, CSV)


@pytest.mark.parametrize(
    ("column", "usual", "odd"),
    [
        (
            Column(name="x", type="number", minimum=1.0, maximum=5.0),
            [1.0, 3, np.float32(5)],
            [0, 6.0, np.nan],
        ),
        (Column(name="x", type="integer", minimum=1, maximum=5), [np.int64(1)], [None, 2**62]),
        (Column(name="x", type="category", categories=("a", "b")), ["a"], ["c", None, np.nan]),
        (Column(name="x", type="text"), ["a", ""], [None]),
        (Column(name="x", type="date", minimum="2020-01-01", maximum="2021-01-01"), ["1"], [None]),
    ],
)
def test_a_cell_is_usual_where_training_had_such(
    column: Column, usual: list[object], odd: list[object]
) -> None:
    assert [column.is_usual(cell) for cell in [*usual, *odd]] == [True] * len(usual) + [
        False
    ] * len(odd)
