"""The same values in a list, in a numpy array and in an Arrow array are the same rows."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_store import ABSENT, Column, Signature
from model_store.errors import InvalidColumns
from model_store.text_rules import CSV, FORM, JSON, TENSOR, TYPED, TextRules
from model_store.values import Repeated, Values

from .test_columns import COLUMNS, written

RULES = {"csv": CSV, "form": FORM, "json": JSON, "tensor": TENSOR, "typed": TYPED}
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float16", "float32", "float64"]
UNITS = ["s", "ms", "us", "ns"]
EPOCH = dt.datetime(1970, 1, 1)

Given = Any
Result = tuple[list[Any], list[int], tuple[Any, ...], int]


def result(column: Column, dtype: str, given: Given, rules: TextRules) -> Result:
    """The cells that fit, told apart by type and sign too; the rows that do not, and why."""
    rows = len(given)
    matrix, unfit = Signature(columns=(column,), dtype=dtype).check({"x": given}, rows, rules)
    cells = [(type(cell), repr(cell)) for cell in matrix[:, 0].tolist()]
    if unfit is None:
        return cells, [], (), 0
    assert unfit.mask.shape == (rows,)
    odd = np.flatnonzero(unfit.mask).tolist()
    return [cells[row] for row in range(rows) if row not in set(odd)], odd, *unfit[1:]


def one_by_one(column: Column, dtype: str, values: Sequence[object], rules: TextRules) -> Result:
    """The same, of each value in a list of its own; as objects, where one of them needs that."""
    signature = Signature(columns=(column,), dtype=dtype)
    if any(signature.check({"x": [value]}, 1, rules).matrix.dtype.kind == "O" for value in values):
        dtype = "object"
    cells, odd, faults, total = [], [], [], 0
    for row, value in enumerate(values):
        found = result(column, dtype, [value], rules)
        cells += found[0]
        odd += [row] * len(found[1])
        faults += [(row, fault.expected, fault.got) for fault in found[2]]
        total += found[3]
    return cells, odd, tuple(faults), total


def worded(found: Result) -> Result:
    return *found[:2], tuple((fault.row, fault.expected, fault.got) for fault in found[2]), found[3]


# What holds them ---------------------------------------------------------------


def objects(values: Sequence[object]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def masked(values: Sequence[object], dtype: str) -> np.ma.MaskedArray[Any, Any]:
    """Numbers of a type, those masked that are None."""
    nulls = [value is None for value in values]
    # A masked value may be anything.
    filled = [1 if value is None else value for value in values]
    return np.ma.MaskedArray(np.array(filled, dtype=dtype), mask=nulls)


def arrow(values: Sequence[object], kind: pa.DataType) -> Iterator[Given]:
    """An array of a type, whole, sliced, in chunks and as a dictionary."""
    array = pa.array(values, kind, from_pandas=False)
    yield array
    yield pa.concat_arrays([array, array]).slice(len(array))
    middle = len(array) // 2
    yield pa.chunked_array([array[:middle], array[middle:], array[:0]], kind)
    yield array.dictionary_encode()
    halves = [array[:middle].dictionary_encode(), array[middle:].dictionary_encode()]
    yield pa.chunked_array(halves)
    if not pa.types.is_floating(kind):  # where -0.0 would run on from 0.0
        yield pa.compute.run_end_encode(array)


def often(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Few different values, missing ones among them, and many of each."""
    few = st.lists(st.none() | elements, min_size=1, max_size=4)
    return st.tuples(few, st.sampled_from([1, 3, 12])).map(lambda pair: pair[0] * pair[1])


both = pytest.mark.parametrize("rules", RULES)
every = pytest.mark.parametrize("kind", COLUMNS)


@both
@every
@settings(max_examples=6, deadline=None)
@given(values=often(written))
def test_texts(kind: str, rules: str, values: list[Any]) -> None:
    column, dtype = COLUMNS[kind]
    expected = one_by_one(column, dtype, values, RULES[rules])
    held: list[Given] = [values, tuple(values), objects(values)]
    for arrow_kind in (pa.string(), pa.large_string(), pa.string_view()):
        held += arrow(values, arrow_kind) if arrow_kind != pa.string_view() else ()
    held.append(pa.array(values, pa.string_view()))
    if None not in values:
        held.append(np.array(values))
    for given_ in held:
        assert worded(result(column, dtype, given_, RULES[rules])) == expected, type(given_)


@every
@settings(max_examples=12, deadline=None)
@given(data=st.data(), name=st.sampled_from(INTEGERS))
def test_integers(kind: str, data: st.DataObject, name: str) -> None:
    column, dtype = COLUMNS[kind]
    bounds = np.iinfo(name)
    some = st.integers(bounds.min, bounds.max) | st.sampled_from([0, 1, 2, 3, bounds.max])
    values = data.draw(often(some))
    _same(column, dtype, values, [masked(values, name), *arrow(values, pa.type_for_alias(name))])
    if None not in values:
        _same(column, dtype, values, [np.array(values, dtype=name)])


@every
@settings(max_examples=12, deadline=None)
@given(data=st.data(), name=st.sampled_from(FLOATS))
@example(data=None, name="float64")
def test_floats(kind: str, data: st.DataObject | None, name: str) -> None:
    column, dtype = COLUMNS[kind]
    width: Any = int(name[5:])
    some = st.floats(width=width) | st.sampled_from([0.0, -0.0, 1.0, 2.0, 1.5])
    usual = [1.0, 2.0**53 + 2, None, float("nan"), float("inf"), -0.0] * 3
    values = usual if data is None else data.draw(often(some))
    _same(column, dtype, values, [masked(values, name), *arrow(values, pa.type_for_alias(name))])
    if None not in values:
        _same(column, dtype, values, [np.array(values, dtype=name)])


@every
@settings(max_examples=6, deadline=None)
@given(values=often(st.booleans()))
def test_booleans(kind: str, values: list[Any]) -> None:
    column, dtype = COLUMNS[kind]
    _same(column, dtype, values, [masked(values, "bool"), *arrow(values, pa.bool_())])


@every
@settings(max_examples=6, deadline=None)
@given(rows=st.integers(0, 20))
def test_nothing_but_missing_values(kind: str, rows: int) -> None:
    column, dtype = COLUMNS[kind]
    _same(column, dtype, [None] * rows, arrow([None] * rows, pa.null()))


@every
@settings(max_examples=6, deadline=None)
@given(values=often(st.dates() | st.just(dt.date(2024, 2, 29))))
def test_days(kind: str, values: list[Any]) -> None:
    column, dtype = COLUMNS[kind]
    held = [np.array(values, dtype="datetime64[D]"), *arrow(values, pa.date32())]
    _same(column, dtype, values, [*held, pa.array(values, pa.date64())])


@every
@settings(max_examples=12, deadline=None)
@given(data=st.data(), unit=st.sampled_from(UNITS))
def test_moments(kind: str, data: st.DataObject, unit: str) -> None:
    column, dtype = COLUMNS[kind]
    years = (dt.datetime(1678, 1, 1), dt.datetime(2261, 1, 1)) if unit == "ns" else ()
    some = st.datetimes(*years) | st.sampled_from([dt.datetime(2024, 2, 29), EPOCH])
    digits = {"s": -6, "ms": -3}.get(unit, 0)
    values = data.draw(often(some.map(lambda each: _rounded(each, digits))))
    held = [np.array(values, dtype=f"datetime64[{unit}]"), *arrow(values, pa.timestamp(unit))]
    _same(column, dtype, values, held)
    if years:
        _same(column, dtype, values, [objects([each and pd.Timestamp(each) for each in values])])


def _rounded(moment: dt.datetime, digits: int) -> dt.datetime:
    return moment.replace(microsecond=round(moment.microsecond // 2, digits), fold=0)


@every
@settings(max_examples=6, deadline=None)
@given(
    values=often(st.datetimes(dt.datetime(2, 1, 1), timezones=st.just(dt.UTC))),
    zone=st.sampled_from(["UTC", "+02:00"]),
)
def test_moments_in_a_time_zone(kind: str, values: list[Any], zone: str) -> None:
    column, dtype = COLUMNS[kind]
    array = pa.array(values, pa.timestamp("us", zone))
    _same(column, dtype, array.to_pylist(), arrow(values, pa.timestamp("us", zone)))


@every
@settings(max_examples=6, deadline=None)
@given(values=often(st.decimals(-(10**9), 10**9, places=2)))
def test_decimals(kind: str, values: list[Any]) -> None:
    column, dtype = COLUMNS[kind]
    _same(column, dtype, values, arrow(values, pa.decimal128(20, 2)))
    _same(column, dtype, values, [pa.array(values, pa.decimal256(60, 2))])


def _same(column: Column, dtype: str, values: list[Any], held: Any) -> None:
    expected = one_by_one(column, dtype, values, JSON)
    for given_ in (values, objects(values), *held):
        found = worded(result(column, dtype, given_, JSON))
        assert found == expected, (type(given_), getattr(given_, "dtype", ""), given_)


# Values that one of them would round, or take for another --------------------------

IDS = Column(name="x", type="integer", missing=True, dtype="int64")
DAY = Column(name="x", type="date", dtype="datetime64[D]", missing=True)
SECONDS = Column(name="x", type="date", dtype="datetime64[s]")
TEXT_DATES = Column(name="x", type="date", dtype="str", minimum="2024-01-01")
TEXT_MOMENTS = Column(name="x", type="date", dtype="str", minimum="2024-01-01T10:00:00")
NUMBER = Column(name="x", type="number")
LONG = 9_007_199_254_740_993


@pytest.mark.parametrize(
    "holder",
    [
        lambda values: pa.array(values),
        lambda values: pa.array(values).dictionary_encode(),
        lambda values: masked(values, "int64"),
        lambda values: values,
    ],
)
def test_an_id_of_19_digits_beside_a_missing_one_is_not_rounded(
    holder: Callable[[list[Any]], Given],
) -> None:
    values = [1_234_567_890_123_456_789, None, LONG] * 4
    cells, odd, *_ = result(IDS, "object", holder(values), JSON)
    assert [text for _, text in cells[:3]] == ["1234567890123456789", "nan", str(LONG)]
    assert odd == []


@pytest.mark.parametrize(
    ("column", "dtype", "given_", "expected", "got"),
    [
        (DAY, "datetime64[D]", "2024-01-02T10:00", "a date in whole days", '"2024-01-02T10:00"'),
        (
            DAY,
            "datetime64[D]",
            np.datetime64("2024-01-02T10:00:00"),
            "a date in whole days",
            '"2024-01-02 10:00:00"',
        ),
        (
            SECONDS,
            "datetime64[s]",
            dt.datetime(2024, 1, 2, 3, 4, 5, 6),
            "a date in whole seconds",
            '"2024-01-02 03:04:05.000006"',
        ),
        (
            Column(name="x", type="date", dtype="datetime64[s, UTC]"),  # of a DataFrame
            "object",
            "2024-01-02T03:04:05.5+02:00",
            "a date in whole seconds",
            '"2024-01-02T03:04:05.5+02:00"',
        ),
        (
            SECONDS,
            "datetime64[s]",
            pd.Timestamp(1),
            "a date of the years 1 to 9999, in whole microseconds",
            '"1970-01-01 00:00:00.000000001"',
        ),
        (
            SECONDS,
            "datetime64[s]",
            np.datetime64("12024-01-02"),
            "a date of the years 1 to 9999, in whole microseconds",
            '"12024-01-02"',
        ),
        (NUMBER, "float64", np.timedelta64(5, "ns"), "a number", '"5 nanoseconds"'),
        (NUMBER, "float64", Decimal("1e400"), "a finite number", "Infinity"),
        (NUMBER, "float64", dt.date(2024, 1, 2), "a number", '"2024-01-02"'),
    ],
)
@pytest.mark.parametrize("rows", [1, 20])
def test_what_would_not_stand_in_the_matrix_as_it_is_is_a_fault(
    column: Column, dtype: str, given_: object, expected: str, got: str, rows: int
) -> None:
    held: list[Given] = [[given_] * rows, objects([given_] * rows)]
    if isinstance(given_, np.datetime64 | np.timedelta64):
        held.append(np.array([given_] * rows))
    for values in held:
        cells, odd, faults, total = result(column, dtype, values, JSON)
        assert (cells, odd, total) == ([], list(range(rows)), rows)
        assert {(fault.expected, fault.got) for fault in faults} == {(expected, got)}


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (TEXT_DATES, dt.date(2024, 1, 2), "2024-01-02"),
        (TEXT_DATES, dt.datetime(2024, 1, 2), "2024-01-02"),
        (TEXT_MOMENTS, dt.datetime(2024, 1, 2), "2024-01-02T00:00:00"),
        (TEXT_MOMENTS, np.datetime64("2024-01-02T03:04"), "2024-01-02T03:04:00"),
    ],
)
def test_a_date_is_written_for_a_pipeline_that_was_trained_on_text(
    column: Column, value: object, text: str
) -> None:
    assert result(column, "object", [value], JSON)[0] == [(str, repr(text))]


def test_a_moment_of_pandas_that_is_missing_is_a_missing_value() -> None:
    column, dtype = COLUMNS["date object"]
    assert result(column, dtype, [pd.NaT], JSON) == result(column, dtype, [None], JSON)


def test_a_long_double_is_a_number() -> None:
    assert result(NUMBER, "float64", np.array([1.5], dtype=np.longdouble), JSON)[0] == [
        (float, "1.5")
    ]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1.0], None]),
        pa.array([{"a": 1}, None]),
        pa.array([b"1", None]),
        pa.array([dt.time(1), None]),
        pa.array([dt.timedelta(1), None]),
        pa.chunked_array([[[1.0]]]),
        pa.array([1, None], pa.timestamp("ns", "UTC")),
        pa.array([2**55], pa.timestamp("s", "UTC")),
        pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], "i4")), pa.py_buffer(b"\xff")]
        ),
    ],
    ids=lambda array: str(array.type),
)
def test_an_arrow_array_that_no_column_holds_is_refused_in_words(array: Any) -> None:
    words = re.escape(f"an Arrow array of {array.type}")
    with pytest.raises(InvalidColumns, match=rf"^The (column x is|values of x,) {words}"):
        result(NUMBER, "float64", array, JSON)


@pytest.mark.parametrize("array", [pa.array([[1], None]), pa.array([1, None])])
def test_an_unknown_column_is_told_whatever_it_holds(array: Any) -> None:
    values: dict[str, Values] = {"x": [1.0, 2.0], "y": array}
    unfit = Signature(columns=(NUMBER,)).check(values, 2).unfit
    assert unfit is not None
    assert unfit.mask.tolist() == [True, True]
    assert [(fault.row, fault.column) for fault in unfit.faults] == [(0, "y"), (1, "y")]
    assert unfit.faults[1].got == "null"


def test_values_that_repeat_are_a_sequence() -> None:
    values = Repeated(("a", None), np.array([0, 1, 1, 0]))
    assert list(values) == ["a", None, None, "a"]
    assert list(values[1:3]) == [None, None]
    assert len(values) == 4


def test_rows_that_lack_a_column_are_told_beside_missing_values() -> None:
    column = Column(name="x", type="number", missing=True)
    unfit = Signature(columns=(column,)).check({"x": [None, ABSENT, 1.0] * 5}, 15).unfit
    assert unfit is not None
    assert np.flatnonzero(unfit.mask).tolist() == [1, 4, 7, 10, 13]
