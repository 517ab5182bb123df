"""V1, as tables of (bytes, request) and (response, bytes)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import ABSENT
from model_store.text_rules import TYPED
from quart_app.inference import InferenceRequest, InferenceResponse, InvalidRequest, RequestTooLarge
from quart_app.protocols import v1

from ...protocols import JUNK, mutated, plain, require_whole, unless_refused

MAX_ROWS = 100
DEEP = 100_000


def named(rows: int, **columns: list[Any]) -> InferenceRequest:
    return InferenceRequest(columns, rows=rows, many=True, rules=TYPED)


def ordered(rows: int, *columns: list[Any]) -> InferenceRequest:
    return InferenceRequest(columns, rows=rows, many=True, rules=TYPED)


REQUESTS: dict[str, tuple[bytes, InferenceRequest]] = {
    "lists": (b'{"instances":[[1,2.5],[3,null]]}', ordered(2, [1, 3], [2.5, None])),
    "objects": (b'{"instances":[{"a":1,"b":"x"}]}', named(1, a=[1], b=["x"])),
    "objects that lack something": (
        b'{"instances":[{"a":1},{"b":2}]}',
        named(2, a=[1, ABSENT], b=[ABSENT, 2]),
    ),
    "values of the one column": (b'{"instances":["a","b"]}', ordered(2, ["a", "b"])),
    "columns": (b'{"inputs":{"a":[1,2],"b":[true,false]}}', named(2, a=[1, 2], b=[True, False])),
    "columns of the shape [n, 1]": (b'{"inputs":{"a":[[1],[2]]}}', named(2, a=[1, 2])),
    "columns of which one has lists of two": (
        b'{"inputs":{"a":[[1,2],[3]]}}',
        named(2, a=[[1, 2], [3]]),
    ),
    "inputs that are lists": (b'{"inputs":[[1,2]]}', ordered(1, [1], [2])),
    "inputs that are objects": (b'{"inputs":[{"a":1}]}', named(1, a=[1])),
    "members that are not known": (
        b'{"signature_name":"serving_default","instances":[[1]],"parameters":{"a":1}}',
        ordered(1, [1]),
    ),
    "bare tokens": (b'{"instances":[[NaN],[Infinity]]}', ordered(2, [float("nan"), float("inf")])),
}


@pytest.mark.parametrize(("body", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_a_body_is_read_as_its_request(body: bytes, request_: InferenceRequest) -> None:
    assert plain(v1.decode(body, max_rows=MAX_ROWS)) == plain(request_)


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "got an empty body"),
    "broken": (b'{"instances":[[1,', "not JSON"),
    "not UTF-8": (b'{"instances":["\xff"]}', "not UTF-8 at byte 15"),
    "deep": (b'{"instances":' + b"[" * DEEP, "nested too deeply"),
    "a list": (b"[[1]]", "Expected a JSON object, got a list."),
    "neither": (b'{"rows":[[1]]}', "Expected either instances or inputs, got neither."),
    "both": (b'{"instances":[[1]],"inputs":{"a":[1]}}', "got instances and inputs."),
    "null": (b'{"instances":null}', "instances: expected a list of rows, got null."),
    "a number": (b'{"inputs":5}', "inputs: expected a list of rows, got a number."),
    "an object of instances": (b'{"instances":{"a":[1]}}', "instances: expected a list of rows"),
    "no rows": (b'{"instances":[]}', "Expected at least one row"),
    "no rows in a column": (b'{"inputs":{"a":[]}}', "Expected at least one row"),
    "no columns": (b'{"inputs":{}}', "inputs: expected an object with a list for each column."),
    "an empty row": (b'{"instances":[[]]}', "instances: row 0 is empty."),
    "rows of different lengths": (
        b'{"instances":[[1,2],[3,4],[5]]}',
        "instances: expected 2 values in each row as in row 0, got 1 in row 2.",
    ),
    "a list and then an object": (
        b'{"instances":[[1],{"a":1}]}',
        "instances: expected a list in each row as in row 0, got an object in row 1.",
    ),
    "an object and then a list": (
        b'{"instances":[{"a":1},[1]]}',
        "Row 1: expected a JSON object, got a list.",
    ),
    "a value and then a list": (
        b'{"instances":[1,[1]]}',
        "instances: expected a value in each row as in row 0, got a list in row 1.",
    ),
    "a column that is no list": (b'{"inputs":{"age":5}}', "age: expected a list of values"),
    "a column that is a text": (b'{"inputs":{"age":"abc"}}', "age: expected a list of values"),
    "columns of different lengths": (
        b'{"inputs":{"a":[1,2],"b":[1]}}',
        "b: expected 2 values as in a, got 1.",
    ),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_a_bad_body_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        v1.decode(body, max_rows=MAX_ROWS)
    sentence = str(caught.value)
    assert words in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 200


FORMS: dict[str, Any] = {
    "lists": lambda rows: {"instances": [[0]] * rows},
    "objects": lambda rows: {"instances": [{"a": 0}] * rows},
    "values": lambda rows: {"instances": [0] * rows},
    "columns": lambda rows: {"inputs": {"a": [0] * rows}},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_as_many_rows_as_may_come_are_read_and_one_more_is_too_many(form: Any) -> None:
    assert v1.decode(json.dumps(form(MAX_ROWS)).encode(), max_rows=MAX_ROWS).rows == MAX_ROWS
    with pytest.raises(RequestTooLarge, match="may bring 100 rows, got 101"):
        v1.decode(json.dumps(form(MAX_ROWS + 1)).encode(), max_rows=MAX_ROWS)


VALID = [json.loads(body) for body, _ in REQUESTS.values()]


def decode_or_refuse(body: bytes) -> None:
    """Nothing but a request or an InvalidRequest comes of any bytes."""
    request = unless_refused(lambda: v1.decode(body, max_rows=3))
    if request is not None:
        require_whole(request, 3)


@settings(deadline=None)
@given(content=mutated(VALID) | st.fixed_dictionaries({"instances": JUNK}) | JUNK)
def test_a_body_with_a_fault_anywhere_is_a_request_or_refused(content: Any) -> None:
    decode_or_refuse(json.dumps(content).encode())


@settings(deadline=None)
@given(
    body=st.sampled_from([body for body, _ in REQUESTS.values()]),
    at=st.integers(0, 100),
    cut=st.integers(0, 4),
    put=st.binary(max_size=4),
)
def test_a_body_with_any_bytes_in_it_is_a_request_or_refused(
    body: bytes, at: int, cut: int, put: bytes
) -> None:
    decode_or_refuse(body[:at] + put + body[at + cut :])


def response(labels: Any) -> InferenceResponse:
    return InferenceResponse(
        id="0",
        model="m",
        version=3,
        labels=np.asarray(labels),
        probabilities=None,
        classes=[()],
        notice=None,
    )


RESPONSES: dict[str, tuple[Any, bytes]] = {
    "texts": (["a", "b"], b'["a","b"]'),
    "integers": ([0, 1], b"[0,1]"),
    "truths": ([True], b"[true]"),
    "floats": ([151.25], b"[151.25]"),
    "narrow floats": (np.array([0.1], np.float32), b"[0.10000000149011612]"),
    "several targets": (np.array([["a", 1]], dtype=object), b'[["a",1]]'),
}


@pytest.mark.parametrize(("labels", "told"), RESPONSES.values(), ids=RESPONSES)
def test_an_answer_is_written_as_its_bytes(labels: Any, told: bytes) -> None:
    assert v1.encode(response(labels)) == b'{"predictions":' + told + b"}"
