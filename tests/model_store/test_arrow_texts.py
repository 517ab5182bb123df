"""Texts in an Arrow array are what they are in a list: the same cells, the same faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_store.columns import Column
from model_store.signature import CheckedRows, Signature
from model_store.text_rules import CSV, FORM, JSON, TENSOR, TEXT_MATRIX, TextRules

COLUMNS = {
    "number": Column(name="x", type="number"),
    "number or none": Column(name="x", type="number", missing=True),
    "narrow number": Column(name="x", type="number", dtype="float32", missing=True),
    "integer": Column(name="x", type="integer", dtype="int64"),
    "open integer": Column(name="x", type="integer", dtype="int64", open=True, missing=True),
    "category": Column(name="x", type="category", categories=("a", "1", "NA"), dtype="object"),
    "number of a category": Column(name="x", type="category", categories=(1, 2.5), missing=True),
    "text": Column(name="x", type="text", dtype="object"),
    "boolean": Column(name="x", type="boolean", dtype="bool", missing=True),
    "date": Column(name="x", type="date", dtype="object", missing=True),
}
RULES: dict[str, TextRules] = {
    **{"csv": CSV, "json": JSON, "form": FORM},
    **{"tensor": TENSOR, "texts": TEXT_MATRIX},
}
WORDS = st.sampled_from(
    [
        *("", " ", "NA", "nan", "inf", "-inf", "1", "1.0", "-0", "-0.0", "+1", "+1.5", " 2 "),
        *("1e5", "1e400", "1e-400", ".5", "5.", "-.5", ".", "-", "1e", "1_0", "0x1F", "1,5"),
        *("9007199254740993", "9223372036854775808", "-9223372036854775808", "007", "\u0661"),
        *("18446744073709551615", "123456789012345678901234567890123456789012345", "0.1"),
        *("2024-02-29", "a", "A", "Infinity", "1\n", "\n", "2.5", "1.7976931348623159e308"),
        *("3.4e39", "true", "2024-02-30"),
    ]
)
TEXTS = st.one_of(
    WORDS,
    st.floats().map(repr),
    st.integers().map(str),
    st.text("0123456789+-.eE ", max_size=6),
)
VALUES = st.lists(st.one_of(TEXTS, TEXTS, st.none()), min_size=1, max_size=40)


def told(found: CheckedRows) -> tuple[Any, ...]:
    """All that is found of rows, a cell of a row that does not fit left out."""
    fit = found.fit
    cells = [(type(cell).__name__, repr(cell)) for cell in fit.ravel().tolist()]
    unfit = found.unfit
    if unfit is None:
        return fit.dtype, cells, None
    return fit.dtype, cells, (unfit.mask.tolist(), unfit.faults, unfit.total)


@pytest.mark.parametrize("dtype", ["float64", "object"])
@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(COLUMNS)), st.sampled_from(sorted(RULES)), VALUES)
@example("number", "csv", ["-0.0"] * 20 + ["-0"] * 20 + ["0", "5.", ".5"])
@example("integer", "csv", ["9007199254740993"] * 9)
def test_texts_in_arrow_are_checked_as_those_in_a_list(
    dtype: str, column: str, rules: str, values: list[str | None]
) -> None:
    kind = COLUMNS[column]
    numeric = kind.type in ("number", "integer") or kind.numeric
    signature = Signature(columns=(kind,), dtype=dtype if numeric else "object")
    listed = signature.check({"x": values}, len(values), RULES[rules])
    for array in (
        pa.array(values, pa.string()),
        pa.array(["0.5", *values, "x"], pa.string())[1 : len(values) + 1],
        pa.array(values, pa.large_string()),
        pa.chunked_array([values[:3], values[3:]], pa.string()),
        pa.array(values, pa.string()).dictionary_encode(),
    ):
        found = signature.check({"x": array}, len(values), RULES[rules])
        assert told(found) == told(listed)


def test_a_few_odd_cells_among_many_numbers_are_all_that_is_looked_at_alone() -> None:
    random = np.random.default_rng(5)
    texts = list(map(repr, random.normal(size=20_000).tolist()))
    texts[7], texts[11_000], texts[19_999] = "many", "", " 3 "
    looked: list[object] = []

    class Watched(Column, frozen=True, kw_only=True, dict=True):
        def cell(self, value: object, dtype: Any, rules: TextRules = JSON) -> Any:
            looked.append(value)
            return super().cell(value, dtype, rules)

    signature = Signature(columns=(Watched(name="x", type="number"),))
    matrix, unfit = signature.check({"x": pa.array(texts)}, len(texts), CSV)
    assert unfit is not None
    assert np.flatnonzero(unfit.mask).tolist() == [7, 11_000]
    assert [str(fault) for fault in unfit.faults] == [
        'x: expected a number, got "many"',
        "x: expected a number, got nothing",
    ]
    assert matrix[19_999, 0] == 3.0
    assert len(looked) <= 10
