"""Rows and columns of JSON: what is taken, as tables, and each refusal as its whole sentence."""

from __future__ import annotations

from typing import Any

import pytest

from model_store import ABSENT
from model_store.text_rules import TYPED
from quart_app.inference import Bound, InferenceRequest, InvalidRequest, RequestTooLarge
from quart_app.protocols import rows

MAX_ROWS = Bound(3, "MAX_ROWS")


def read_list(body: object) -> InferenceRequest:
    return rows.of_list(body, "rows", rules=TYPED, max_rows=MAX_ROWS)


def read_columns(body: object) -> InferenceRequest:
    return rows.of_columns(body, "columns", rules=TYPED, max_rows=MAX_ROWS)


def request(count: int, columns: Any) -> InferenceRequest:
    return InferenceRequest(columns, rows=count, many=True, rules=TYPED)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([{"a": 1, "b": 2}, {"b": 4, "a": 3}], request(2, {"a": [1, 3], "b": [2, 4]})),
        ([{"a": 1}, {}], request(2, {"a": [1, ABSENT]})),
        ([[1, "x"], [2, "y"], [3, None]], request(3, [(1, 2, 3), ("x", "y", None)])),
        ([1, None, "x"], request(3, [[1, None, "x"]])),
        ([True, 1.5], request(2, [[True, 1.5]])),
    ],
)
def test_a_list_of_rows_is_read_as_columns(body: object, expected: InferenceRequest) -> None:
    assert read_list(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"a": [1, 2], "b": ["x", None]}, request(2, {"a": [1, 2], "b": ["x", None]})),
        ({"a": [[1], [2]], "b": [3, 4]}, request(2, {"a": [1, 2], "b": [3, 4]})),
        ({"a": [[1], 2]}, request(2, {"a": [[1], 2]})),
        ({"a": [[1], [2, 3]]}, request(2, {"a": [[1], [2, 3]]})),
        ({"a": ["x", "y", "z"]}, request(3, {"a": ["x", "y", "z"]})),
    ],
)
def test_an_object_of_lists_is_read_as_it_is(body: object, expected: InferenceRequest) -> None:
    assert read_columns(body) == expected


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "rows: expected a list of rows, got null."),
        ({"a": 1}, "rows: expected a list of rows, got an object."),
        ([], "Expected at least one row, got none."),
        ([{"a": 1}, [1]], "Row 1: expected a JSON object, got a list."),
        ([[1], {"a": 1}], "rows: expected a list in each row as in row 0, got an object in row 1."),
        ([1, [1]], "rows: expected a value in each row as in row 0, got a list in row 1."),
        ([[], []], "rows: row 0 is empty."),
        ([[1, 2], [1]], "rows: expected 2 values in each row as in row 0, got 1 in row 1."),
    ],
)
def test_a_list_that_is_no_rows_is_refused(body: object, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_list(body)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "columns: expected an object with a list for each column."),
        ([[1]], "columns: expected an object with a list for each column."),
        ({"a": 1}, "a: expected a list of values, got a number."),
        ({"a": [1, 2], "b": [1]}, "b: expected 2 values as in a, got 1."),
        ({"a": [], "b": []}, "Expected at least one row, got none."),
    ],
)
def test_an_object_that_is_no_columns_is_refused(body: object, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_columns(body)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("read", [read_list, read_columns])
def test_one_row_more_than_a_request_may_bring_is_refused(read: Any) -> None:
    body = [1, 2, 3, 4] if read is read_list else {"a": [1, 2, 3, 4]}
    with pytest.raises(RequestTooLarge) as caught:
        read(body)
    assert str(caught.value) == (
        "A request may bring 3 rows, got 4; the setting MAX_ROWS allows more."
    )


def test_names_and_absent_cells_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_NAMES", 2)
    monkeypatch.setattr(rows, "MAX_ABSENT", 2)
    assert read_list([{"a": 1, "b": 2}, {}]) == request(2, {"a": [1, ABSENT], "b": [2, ABSENT]})
    assert read_columns({"a": [1], "b": [2]}) == request(1, {"a": [1], "b": [2]})
    for read, body in (
        (read_list, [{"a": 1, "b": 2, "c": 3}]),
        (read_columns, {"a": [1], "b": [2], "c": [3]}),
    ):
        with pytest.raises(InvalidRequest, match=r"^A request may name 2 columns, got 3\.$"):
            read(body)
    with pytest.raises(InvalidRequest) as caught:
        read_list([{"a": 1, "b": 2}, {}, {"a": 1}])
    assert str(caught.value) == (
        "The rows name 2 columns between them, and lack most: every row needs every column of the "
        "model."
    )
