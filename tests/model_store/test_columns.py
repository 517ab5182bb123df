"""Columns of texts that are brought to their type at once get what each text gets alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_store.columns import Column, Unfit
from model_store.wires import CSV, FORM, JSON, TENSOR, TYPED, Wire

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
    "classes": (Column(name="x", type="category", categories=(1, 2, 3)), "object"),
    "ports": (Column(name="x", type="category", categories=("1", " a", "NA", "")), "object"),
    "open": (Column(name="x", type="category", categories=("a",), open=True), "object"),
    "maybe": (Column(name="x", type="category", categories=("a",), missing=True), "object"),
    "truth": (Column(name="x", type="boolean", dtype="bool"), "bool"),
    "truth object": (Column(name="x", type="boolean", missing=True), "object"),
    "date": (Column(name="x", type="date", dtype="datetime64[ns]"), "datetime64[us]"),
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


def one_by_one(column: Column, texts: list[str], dtype: str, wire: Wire) -> list[object] | None:
    """What each text alone becomes; None where one does not fit."""
    target = np.empty(len(texts), dtype=dtype)
    try:
        for row, text in enumerate(texts):
            target[row] = column.cell(text, target.dtype, wire)
    except Unfit:
        return None
    return shown(target)


def shown(cells: NDArray[Any]) -> list[object]:
    """Cells told apart by type and sign too."""
    return [(type(cell), repr(cell)) for cell in cells.tolist()]


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
    target = np.empty(len(texts), dtype=dtype)
    expected = one_by_one(column, texts, dtype, WIRES[wire])
    if column.fill(target, texts, WIRES[wire]):
        assert shown(target) == expected


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
    target = np.empty(len(texts), dtype=dtype)
    assert column.fill(target, texts, CSV)
    assert shown(target) == one_by_one(column, texts, dtype, CSV)
