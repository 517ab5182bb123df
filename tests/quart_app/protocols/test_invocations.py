"""The scoring protocol of MLflow, as tables of (bytes, request)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import ABSENT
from model_store.text_rules import TYPED
from quart_app.inference import InferenceRequest, InvalidRequest, RequestTooLarge
from quart_app.protocols import invocations, v1

from ...protocols import JUNK, mutated, plain, require_whole, unless_refused

MAX_ROWS = 100
DEEP = 100_000


def named(rows: int, **columns: list[Any]) -> InferenceRequest:
    return InferenceRequest(columns, rows=rows, many=True, rules=TYPED)


def ordered(rows: int, *columns: list[Any]) -> InferenceRequest:
    return InferenceRequest(columns, rows=rows, many=True, rules=TYPED)


REQUESTS: dict[str, tuple[bytes, InferenceRequest]] = {
    "a split frame": (
        b'{"dataframe_split":{"columns":["a","b"],"data":[[1,"x"],[2.5,null]]}}',
        named(2, a=[1, 2.5], b=["x", None]),
    ),
    "a split frame with its index": (
        b'{"dataframe_split":{"index":[7],"columns":["a"],"data":[[1]]}}',
        named(1, a=[1]),
    ),
    "what pandas writes of what is missing": (
        b'{"dataframe_split":{"index":[0],"columns":["a","b"],"data":[[NaN,"NaT"]]}}',
        named(1, a=[math.nan], b=["NaT"]),
    ),
    "records": (b'{"dataframe_records":[{"a":1,"b":"x"}]}', named(1, a=[1], b=["x"])),
    "records that lack something": (
        b'{"dataframe_records":[{"a":1},{"b":2}]}',
        named(2, a=[1, ABSENT], b=[ABSENT, 2]),
    ),
    "instances that are objects": (b'{"instances":[{"a":1}]}', named(1, a=[1])),
    "instances that are lists": (b'{"instances":[[1,2]]}', ordered(1, [1], [2])),
    "inputs by column": (b'{"inputs":{"a":[1,2]}}', named(2, a=[1, 2])),
    "inputs that are lists": (b'{"inputs":[[1,2]]}', ordered(1, [1], [2])),
    "params": (b'{"inputs":{"a":[1]},"params":{"temperature":0.5}}', named(1, a=[1])),
    "params that are null": (b'{"params":null,"inputs":{"a":[1]}}', named(1, a=[1])),
}


@pytest.mark.parametrize(("body", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_a_body_is_read_as_its_request(body: bytes, request_: InferenceRequest) -> None:
    assert plain(invocations.decode(body, max_rows=MAX_ROWS)) == plain(request_)


def split(**table: Any) -> bytes:
    return json.dumps({"dataframe_split": table}).encode()


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "got an empty body"),
    "broken": (b'{"dataframe_split":', "not JSON"),
    "deep": (b'{"inputs":' + b"[" * DEEP, "nested too deeply"),
    "a list": (b"[1]", "Expected a JSON object, got a list."),
    "none of the forms": (b"{}", "got none of them."),
    "two of the forms": (
        b'{"inputs":{"a":[1]},"dataframe_records":[{"a":1}]}',
        "got dataframe_records and inputs.",
    ),
    "params that are a list": (b'{"inputs":{"a":[1]},"params":[]}', "params: expected an object"),
    "a frame that is a list": (b'{"dataframe_split":[]}', "dataframe_split: expected an object"),
    "no columns": (split(data=[[1]]), "dataframe_split: expected an object with columns and data"),
    "no data": (split(columns=["a"]), "dataframe_split: expected an object with columns and data"),
    "columns that are numbers": (split(columns=[0], data=[[1]]), "columns: expected a list of tex"),
    "a text as columns": (split(columns="a", data=[[1]]), "columns: expected a list of texts"),
    "a name twice": (split(columns=["a", "a"], data=[[1, 2]]), "a name stands twice"),
    "data that is an object": (split(columns=["a"], data={"a": 1}), "data: expected a list"),
    "no rows": (split(columns=["a"], data=[]), "Expected at least one row"),
    "an empty row": (split(columns=["a"], data=[[]]), "data: row 0 is empty"),
    "a row that is a value": (split(columns=["a"], data=[1]), "got a number in row 0"),
    "more values than columns": (
        split(columns=["a"], data=[[1, 2]]),
        "dataframe_split: expected 1 values in each row, one for each of columns; got 2.",
    ),
    "rows of different lengths": (
        split(columns=["a", "b"], data=[[1, 2], [3]]),
        "dataframe_split: data: expected 2 values in each row as in row 0, got 1 in row 1.",
    ),
    "records that are an object": (b'{"dataframe_records":{"a":[1]}}', "expected a list, got an"),
    "no records": (b'{"dataframe_records":[]}', "Expected at least one row"),
    "a record that is a list": (
        b'{"dataframe_records":[{"a":1},[1]]}',
        "Row 1: expected a JSON object, got a list.",
    ),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_a_bad_body_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        invocations.decode(body, max_rows=MAX_ROWS)
    sentence = str(caught.value)
    assert words in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 200


FORMS: dict[str, Any] = {
    "dataframe_split": lambda rows: {"columns": ["a"], "data": [[0]] * rows},
    "dataframe_records": lambda rows: [{"a": 0}] * rows,
    "instances": lambda rows: [[0]] * rows,
    "inputs": lambda rows: {"a": [0] * rows},
}


@pytest.mark.parametrize(("name", "form"), FORMS.items(), ids=FORMS)
def test_as_many_rows_as_may_come_are_read_and_one_more_is_too_many(name: str, form: Any) -> None:
    body = json.dumps({name: form(MAX_ROWS)}).encode()
    assert invocations.decode(body, max_rows=MAX_ROWS).rows == MAX_ROWS
    with pytest.raises(RequestTooLarge, match="may bring 100 rows, got 101"):
        invocations.decode(json.dumps({name: form(MAX_ROWS + 1)}).encode(), max_rows=MAX_ROWS)


VALID = [json.loads(body) for body, _ in REQUESTS.values()]


@settings(deadline=None)
@given(content=mutated(VALID) | st.dictionaries(st.sampled_from(list(FORMS)), JUNK) | JUNK)
def test_a_body_with_a_fault_anywhere_is_a_request_or_refused(content: Any) -> None:
    body = json.dumps(content).encode()
    request = unless_refused(lambda: invocations.decode(body, max_rows=3))
    if request is not None:
        require_whole(request, 3)


def test_an_answer_is_that_of_v1() -> None:
    assert invocations.encode is v1.encode


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BAD_REQUEST"),
        (404, "RESOURCE_DOES_NOT_EXIST"),
        (413, "BAD_REQUEST"),
        (415, "BAD_REQUEST"),
        (500, "INTERNAL_ERROR"),
        (503, "TEMPORARILY_UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_an_error_has_a_code_of_mlflow(status: int, code: str) -> None:
    assert invocations.error("Why.", status) == {"error_code": code, "message": "Why."}
