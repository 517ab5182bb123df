"""The datatypes of V2: values in JSON and in bytes, and what a column or a label is sent as."""

from __future__ import annotations

import math
import struct
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_store import Column
from model_store.column_types import datatype_of
from quart_app.inference import InvalidRequest
from quart_app.protocols import datatypes
from quart_app.protocols.datatypes import DATATYPES, Tensor

from ...protocols import DTYPES, as_bytes, unless_refused

INTEGERS = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
FLOATS = ["FP16", "FP32", "FP64"]
NAN, INF = math.nan, math.inf


def from_json(name: str, values: list[Any]) -> Tensor:
    return datatypes.from_json(DATATYPES[name], values, "age")


def from_bytes(name: str, data: bytes, count: int) -> Tensor:
    return datatypes.from_bytes(DATATYPES[name], memoryview(data), count, "age")


def test_the_table_has_the_names_sizes_and_kinds_of_the_protocol() -> None:
    assert set(DATATYPES) == {*DTYPES, "BYTES"}
    sizes = {name: each.size for name, each in DATATYPES.items()}
    assert sizes == {name: np.dtype(code).itemsize for name, code in DTYPES.items()} | {"BYTES": 4}
    configs = {each.config.removeprefix("TYPE_") for each in DATATYPES.values()}
    assert configs == {*DTYPES, "STRING"}


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_is_taken_up_to_its_bounds_and_not_beyond(name: str) -> None:
    bounds = np.iinfo(DTYPES[name])
    low, high = int(bounds.min), int(bounds.max)
    found = from_json(name, [low, 1.0, high, -0.0])
    assert found.tolist() == [low, 1, high, 0]
    assert found.dtype == np.dtype(DTYPES[name])
    for beyond in (low - 1, high + 1, 2**64, -(2**64), 10**400, 1e300, INF, -INF, NAN, 0.5, 1.9):
        with pytest.raises(InvalidRequest, match=rf"age: expected values of {name}, got .* at pos"):
            from_json(name, [1, beyond])


@pytest.mark.parametrize("name", FLOATS)
def test_a_float_may_be_any_number_and_is_rounded_as_in_bytes(name: str) -> None:
    values = [0.1, 1, -2.5, 2**53 + 1, NAN, INF, 1e300, 65520.0]
    found = from_json(name, values)
    with np.errstate(over="ignore"):
        there = from_bytes(name, as_bytes(name, values), len(values))
    assert found.dtype == there.dtype == np.dtype(DTYPES[name])
    np.testing.assert_array_equal(found, there)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [10**400, -(10**400), 2**1024, 2**1024 - 1])
def test_an_integer_that_no_float_holds_is_refused(name: str, value: int) -> None:
    with pytest.raises(InvalidRequest, match="age: "):
        from_json(name, [0.5, value])


BAD: dict[str, tuple[str, list[Any], str]] = {
    "a text as a number": ("FP64", ["1"], "'1' at position 0"),
    "true as a number": ("FP64", [1.0, True], "True at position 1"),
    "true after what is no number": ("FP64", [NAN, INF, True], "True at position 2"),
    "false as an integer": ("INT64", [False], "False at position 0"),
    "a number as a truth": ("BOOL", [True, 1], "1 at position 1"),
    "a number as a text": ("BYTES", ["a", 1], "1 at position 1"),
    "a list": ("FP64", [[1.0]], "a list at position 0"),
    "an object": ("BYTES", [{"a": 1}], "an object at position 0"),
    "a list as an integer": ("INT8", [1, []], "a list at position 1"),
}


@pytest.mark.parametrize(("name", "values", "words"), BAD.values(), ids=BAD)
def test_a_value_of_another_kind_is_named_with_its_position(
    name: str, values: list[Any], words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_json(name, values)
    assert str(caught.value) == f"age: expected values of {name}, got {words}."


@pytest.mark.parametrize("name", DATATYPES)
def test_null_is_a_missing_value(name: str) -> None:
    there: Any = {"BOOL": True, "BYTES": "a"}.get(name, 1)
    found = from_json(name, [None, there])
    assert found[0] is None or math.isnan(found[0])
    assert len(found) == 2


@pytest.mark.parametrize("name", DTYPES)
def test_bytes_too_few_or_too_many_are_refused(name: str) -> None:
    size = DATATYPES[name].size
    for length in (0, size - 1, size, 2 * size + 1, 3 * size):
        with pytest.raises(InvalidRequest, match=f"age: expected {2 * size} bytes for 2 values"):
            from_bytes(name, bytes(length), 2)


@pytest.mark.parametrize("count", [2**62, 2**64, 10**30])
def test_a_count_beyond_all_memory_costs_none(count: int) -> None:
    for name in DATATYPES:
        with pytest.raises(InvalidRequest):
            from_bytes(name, b"\0" * 8, count)


def test_any_byte_but_0_is_true() -> None:
    assert from_bytes("BOOL", b"\0\1\2\xff", 4).tolist() == [False, True, True, True]


TEXTS: dict[str, tuple[bytes, int, str]] = {
    "half a length": (b"\1\0", 1, "value 0 has no whole length"),
    "half a second length": (b"\1\0\0\0a\1", 2, "value 1 has no whole length"),
    "a length beyond the end": (b"\5\0\0\0abcd", 1, "value 0 ends beyond the tensor"),
    "the longest length": (b"\xff\xff\xff\xffa", 1, "value 0 ends beyond the tensor"),
    "no text": (b"", 1, "expected 1 values, got 0"),
    "one too many": (b"\0\0\0\0" * 3, 2, "expected 2 values, got 3"),
    "not UTF-8": (b"\1\0\0\0a\1\0\0\0\xff", 2, "value 1 is not UTF-8"),
    "a surrogate": (b"\3\0\0\0\xed\xa0\x80", 1, "value 0 is not UTF-8"),
}


@pytest.mark.parametrize(("data", "count", "words"), TEXTS.values(), ids=TEXTS)
def test_bytes_that_are_no_texts_are_refused(data: bytes, count: int, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_bytes("BYTES", data, count)
    assert str(caught.value) == f"age: {words}."


@given(st.lists(st.text(st.characters(codec="utf-8"))))
@example(["", "\0", "größe ☃", "a" * 70_000])
def test_any_texts_come_back(texts: list[str]) -> None:
    found = from_bytes("BYTES", as_bytes("BYTES", texts), len(texts))
    assert found.tolist() == texts
    assert datatypes.to_bytes(found) == as_bytes("BYTES", texts)
    assert from_json("BYTES", list(texts)).tolist() == texts


@settings(deadline=None)
@pytest.mark.parametrize("name", DTYPES)
@given(data=st.data())
def test_any_values_come_back_from_bytes_and_from_json(name: str, data: st.DataObject) -> None:
    elements = {
        "b": st.booleans(),
        "f": st.floats(width=DATATYPES[name].size * 8),  # type: ignore[arg-type]
    }
    bounds = np.iinfo(DTYPES[name]) if name in INTEGERS else None
    whole = st.nothing() if bounds is None else st.integers(int(bounds.min), int(bounds.max))
    values = data.draw(st.lists(elements.get(np.dtype(DTYPES[name]).kind, whole), max_size=9))
    wire = as_bytes(name, values)
    found = from_bytes(name, wire, len(values))
    np.testing.assert_array_equal(found, from_json(name, values))
    assert datatypes.to_bytes(found) == wire


@given(st.binary(max_size=60), st.integers(0, 6), st.sampled_from(list(DATATYPES)))
@example(struct.pack("<I", 1) + b"\x80", 1, "BYTES")
def test_any_bytes_are_values_or_refused(data: bytes, count: int, name: str) -> None:
    found = unless_refused(lambda: from_bytes(name, data, count))
    assert found is None or len(found) == count


@given(
    st.lists(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]),
        max_size=4,
    ),
    st.sampled_from(list(DATATYPES)),
)
def test_any_values_are_taken_or_refused(values: list[Any], name: str) -> None:
    found = unless_refused(lambda: from_json(name, values))
    assert found is None or len(found) == len(values)


PLAIN: dict[str, list[Any]] = {
    **{name: [0, 1, 100] for name in INTEGERS},
    "FP32": [0.1, 1, -2.5, 1e300],
    "FP64": [0.1, 1, -2.5, 1e300],
    "BOOL": [True, None, False],
    "BYTES": ["a", None, "größe ☃"],
}


@pytest.mark.parametrize(("name", "values"), PLAIN.items())
def test_a_few_plain_values_are_read_as_a_list(name: str, values: list[Any]) -> None:
    few = datatypes.few_from_json(DATATYPES[name], values)
    assert repr(few) == repr(from_json(name, values).tolist())
    many = values * datatypes.FEW
    assert datatypes.few_from_json(DATATYPES[name], many) is None


@given(
    st.lists(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]),
        max_size=3,
    )
    | st.lists(st.integers(-(2**70), 2**70) | st.floats(), max_size=3)
    | st.lists(st.sampled_from([2**7, 2**8 - 1, 2**63 - 1, 2**63, 2**64, -1, 10**400]), max_size=3),
    st.sampled_from(list(DATATYPES)),
)
def test_a_list_has_the_values_of_the_array_or_there_is_none(values: list[Any], name: str) -> None:
    few = datatypes.few_from_json(DATATYPES[name], values)
    if few is not None:
        assert repr(few) == repr(from_json(name, values).tolist())


COLUMNS: dict[str, tuple[Column, str]] = {
    "number": (Column(name="a", type="number"), "FP64"),
    "a narrow number": (Column(name="a", type="number", dtype="float32"), "FP64"),
    "integer": (Column(name="a", type="integer"), "INT64"),
    "boolean": (Column(name="a", type="boolean"), "BOOL"),
    "text": (Column(name="a", type="text"), "BYTES"),
    "date": (Column(name="a", type="date"), "BYTES"),
    "texts to choose from": (Column(name="a", type="category", categories=("x", "y")), "BYTES"),
    "integers to choose from": (Column(name="a", type="category", categories=(1, 2)), "INT64"),
    "unsigned integers to choose from": (
        Column(name="a", type="category", categories=(1, 2**64 - 1)),
        "UINT64",
    ),
    "floats to choose from": (Column(name="a", type="category", categories=(1.5, 2.0)), "FP64"),
}


@pytest.mark.parametrize(("column", "name"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_has_the_datatype_that_holds_its_values(column: Column, name: str) -> None:
    assert datatypes.of_column(column).name == name


LABELS: dict[str, tuple[Any, list[list[Any]], str, list[Any]]] = {
    "a number": (np.array([0.5, 2]), [[]], "FP64", [0.5, 2.0]),
    "a narrow number": (np.array([0.5], np.float32), [[]], "FP64", [0.5]),
    "integers": (np.array([0, 1]), [[0, 1]], "INT64", [0, 1]),
    "small integers": (np.array([0, 1], np.uint8), [[0, 1]], "INT64", [0, 1]),
    "integers as objects": (np.array([0, 1], object), [[0, 1]], "INT64", [0, 1]),
    "floats": (np.array([1.0, 2.5]), [[1.0, 2.5]], "FP64", [1.0, 2.5]),
    "truths": (np.array([True, False]), [[False, True]], "BOOL", [True, False]),
    "texts": (np.array(["a", "b"]), [["a", "b"]], "BYTES", ["a", "b"]),
    "texts as objects": (np.array([np.str_("a")], object), [["a", "b"]], "BYTES", ["a"]),
    "two numbers": (np.array([[1.0, 2.0]]), [[], []], "FP64", [[1.0, 2.0]]),
    "a text and a number": (np.array([["a", 1]], object), [["a"], [1]], "BYTES", [["a", "1"]]),
    "two integers": (np.array([[1, 0]]), [[0, 1], [0, 1]], "INT64", [[1, 0]]),
}


@pytest.mark.parametrize(("labels", "classes", "name", "told"), LABELS.values(), ids=LABELS)
def test_labels_are_told_as_they_are(
    labels: Any, classes: list[list[Any]], name: str, told: list[Any]
) -> None:
    datatype, tensor = datatypes.of_labels(labels, datatype_of(chain(*classes)))
    assert datatype.name == name
    assert tensor.tolist() == told
    assert repr(tensor.tolist()) == repr(told)
    assert tensor.dtype == datatype.dtype


NUMBERS: dict[str, tuple[str, Any, str, list[Any]]] = {
    "an integer that no float is": ("FP64", np.array([2**53 + 1]), "INT64", [2**53 + 1]),
    "an integer that a float is": ("FP64", np.array([2**53]), "FP64", [2.0**53]),
    "one above 63 bits": ("INT64", np.array([2**64 - 1], np.uint64), "UINT64", [2**64 - 1]),
    "one below zero": ("UINT64", np.array([-1]), "INT64", [-1]),
    "fractions": ("INT64", np.array([0.5, 2]), "FP64", [0.5, 2.0]),
    "whole floats": ("INT64", np.array([2.0]), "INT64", [2]),
    "integers for truths": ("BOOL", np.array([2, 1]), "INT64", [2, 1]),
    "of several kinds": ("FP64", np.array([True, 0.5, 3], object), "FP64", [1.0, 0.5, 3.0]),
    "of both signs": ("INT64", np.array([-1, 2**64 - 1], object), "FP64", [-1.0, 2.0**64]),
}


@pytest.mark.parametrize(("expected", "labels", "name", "told"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_that_no_answer_before_had_are_told_in_what_holds_them(
    expected: str, labels: Any, name: str, told: list[Any]
) -> None:
    datatype, tensor = datatypes.of_labels(labels, expected)
    assert datatype.name == name
    assert repr(tensor.tolist()) == repr(told)
