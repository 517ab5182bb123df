"""V2 in JSON, as tables of (bytes, request) and (response, bytes)."""

from __future__ import annotations

import base64
import json
import math
import tracemalloc
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.column_types import datatype_of
from model_store.text_rules import TENSOR, TEXT_MATRIX, TextRules
from quart_app.inference import (
    InferenceRequest,
    InferenceResponse,
    InvalidRequest,
    RequestTooLarge,
    Wanted,
)
from quart_app.protocols import v2
from quart_app.protocols.json_body import convert, parse_object

from ...protocols import JUNK, mutated, plain, require_whole, unless_refused

MAX_ROWS = 100
DEEP = 100_000
Input = dict[str, Any]


def tensor(name: str, datatype: str, data: list[Any], *shape: int, **parameters: Any) -> Input:
    found = {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}
    return found | ({"parameters": parameters} if parameters else {})


def body(*inputs: Input, **members: Any) -> bytes:
    return json.dumps({"inputs": inputs, **members}).encode()


def request(
    columns: dict[str, list[Any]] | list[list[Any]], rows: int = 2, **more: Any
) -> InferenceRequest:
    return InferenceRequest(columns, rows=rows, many=True, **{"rules": TENSOR, **more})


ONE = tensor("x", "FP64", [1.5])
AGE = tensor("age", "FP64", [61.1, 90])
PORT = tensor("port", "BYTES", ["Cork", None], 2, 1)
TWO: dict[str, list[Any]] = {"age": [61.1, 90.0], "port": ["Cork", None]}
X2 = [[1.0, 3.0], [2.0, 4.0]]

REQUESTS: dict[str, tuple[bytes, InferenceRequest]] = {
    "a column each": (body(AGE, PORT), request(TWO)),
    "every kind": (
        body(
            tensor("i", "INT64", [1, 2.0]),
            tensor("b", "BOOL", [True, None]),
            tensor("f", "FP32", [0.1, None]),
            tensor("u", "UINT8", [255, None]),
        ),
        request(
            {
                "i": [1, 2],
                "b": [True, None],
                "f": [float(np.float32(0.1)), math.nan],
                "u": [255, None],
            }
        ),
    ),
    "a matrix in rows": (
        body(tensor("any", "FP64", [[1, 2], [3, 4]], 2, 2)),
        request(X2, tensor="any"),
    ),
    "a flat matrix": (
        body(tensor("any", "FP64", [1, 2, 3, 4], 2, 2)),
        request(X2, tensor="any"),
    ),
    "a matrix of texts": (
        body(tensor("any", "BYTES", ["1", "a"], 1, 2)),
        request([["1"], ["a"]], 1, tensor="any", rules=TEXT_MATRIX),
    ),
    "one column": (body(tensor("x", "FP64", [1, 2])), request([[1.0, 2.0]], tensor="x")),
    "one column of the shape [n, 1]": (
        body(tensor("x", "BYTES", [["a"], ["b"]], 2, 1)),
        request([["a", "b"]], tensor="x"),
    ),
    "an id": (body(ONE, id="größe"), request([[1.5]], 1, tensor="x", id="größe")),
    "an empty id": (body(ONE, id=""), request([[1.5]], 1, tensor="x", id="")),
    "outputs": (
        body(
            ONE, outputs=[{"name": "predict"}, {"name": "b", "parameters": {"binary_data": True}}]
        ),
        request([[1.5]], 1, tensor="x", outputs=(Wanted("predict"), Wanted("b", True))),
    ),
    "all outputs in bytes": (
        body(ONE, parameters={"binary_data_output": True}),
        request([[1.5]], 1, tensor="x", binary=True),
    ),
    "all outputs in bytes but one": (
        body(
            ONE,
            parameters={"binary_data_output": True},
            outputs=[{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}],
        ),
        request(
            [[1.5]], 1, tensor="x", binary=True, outputs=(Wanted("a", False), Wanted("b", True))
        ),
    ),
    "no outputs at all": (body(ONE, outputs=[]), request([[1.5]], 1, tensor="x")),
    "what is null": (
        body(ONE | {"parameters": None}, id=None, parameters=None, outputs=None),
        request([[1.5]], 1, tensor="x"),
    ),
    "members that are not known": (
        body(ONE | {"more": 1}, model_name="m", more=[1]),
        request([[1.5]], 1, tensor="x"),
    ),
    "content types": (
        body(AGE | {"parameters": {"content_type": "np"}}, PORT, parameters={"content_type": "pd"}),
        request(TWO),
    ),
    "base64": (
        body(
            tensor(
                "t",
                "BYTES",
                [base64.b64encode("größe".encode()).decode(), None],
                content_type="base64",
            )
        ),
        request([["größe", None]], tensor="t"),
    ),
    "bare tokens": (
        body(tensor("x", "FP64", [math.nan, math.inf])),
        request([[math.nan, math.inf]], tensor="x"),
    ),
}


@pytest.mark.parametrize(("sent", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_a_body_is_read_as_its_request(sent: bytes, request_: InferenceRequest) -> None:
    assert plain(v2.decode(sent, max_rows=MAX_ROWS)) == plain(request_)


def member(content: Any, **change: Any) -> bytes:
    return body({**content, **change})


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "got an empty body"),
    "broken": (body(ONE)[:-3], "not JSON"),
    "deep": (b'{"inputs":' + b"[" * DEEP, "nested too deeply"),
    "a list": (b"[]", "Expected a JSON object, got a list."),
    "no inputs": (b"{}", "missing required field `inputs`"),
    "inputs that are null": (b'{"inputs":null}', "got `null` - at `$.inputs`"),
    "inputs that are an object": (b'{"inputs":{}}', "at `$.inputs`"),
    "an empty list of inputs": (b'{"inputs":[]}', "Expected at least one input, got none."),
    "an input that is a number": (b'{"inputs":[1]}', "at `$.inputs[0]`"),
    "an id that is a number": (body(ONE, id=1), "Expected `str | null`, got `int` - at `$.id`"),
    "no name": (body({"shape": [1], "datatype": "FP64", "data": [1]}), "field `name`"),
    "no shape": (body({"name": "x", "datatype": "FP64", "data": [1]}), "field `shape`"),
    "no datatype": (body({"name": "x", "shape": [1], "data": [1]}), "field `datatype`"),
    "no data": (body({"name": "age", "shape": [1], "datatype": "FP64"}), "age: expected data"),
    "data that is null": (member(ONE, data=None), "at `$.inputs[0].data`"),
    "data that is a number": (member(ONE, data=1), "at `$.inputs[0].data`"),
    "a datatype of numpy": (
        member(AGE, datatype="float64"),
        "age: expected a datatype among BOOL, UINT8,",
    ),
    "a datatype that is not spoken": (member(AGE, datatype="BF16"), "got 'BF16'."),
    "a value of another datatype": (
        body(tensor("age", "INT64", [1, 0.5])),
        "age: expected values of INT64, got 0.5 at position 1.",
    ),
    "NaN in an integer": (
        body(tensor("age", "INT32", [math.nan])),
        "age: expected values of INT32, got nan at position 0.",
    ),
    "2^63": (body(tensor("age", "INT64", [2**63])), "age: expected values of INT64, got 922337"),
    "a list as a value": (
        body(tensor("age", "FP64", [[1]], 1)),
        "age: expected values of FP64, got a list at position 0.",
    ),
    "a deep list as a value": (
        b'{"inputs":[{"name":"age","shape":[1],"datatype":"FP64","data":['
        + b"[" * 400
        + b"]" * 400
        + b"]}]}",
        "age: expected values of FP64, got a list",
    ),
    "too few values": (
        body(tensor("age", "FP64", [1], 2)),
        "age: expected 2 values for the shape [2], got 1.",
    ),
    "too many values": (body(tensor("age", "FP64", [1, 2], 1, 1)), "shape [1, 1], got 2."),
    "an empty shape": (member(AGE, shape=[]), "age: expected the shape [n] or [n, columns]"),
    "a shape of three": (member(AGE, shape=[1, 2, 1]), "got [1, 2, 1]."),
    "a negative shape": (member(AGE, shape=[-1, -2]), "columns], got [-1, -2]."),
    "-1 rows": (member(AGE, shape=[-1]), "age: expected the shape"),
    "a shape of 2^63": (member(AGE, shape=[2**63]), "age: expected the shape"),
    "a shape of 2^63 and none": (member(AGE, shape=[2**63, 0]), "age: expected the shape"),
    "a shape that overflows": (member(AGE, shape=[2**31 - 1, 2**31 - 1]), "may bring 100 rows"),
    "a shape of 10^400": (member(AGE, shape=[10**400]), "age: expected the shape"),
    "a shape of texts": (member(AGE, shape=["2"]), "at `$.inputs[0].shape[0]`"),
    "a shape of halves": (member(AGE, shape=[0.5]), "at `$.inputs[0].shape[0]`"),
    "no rows": (body(tensor("age", "FP64", [], 0)), "Expected at least one row"),
    "no rows of many columns": (body(tensor("x", "FP64", [], 0, 2**31 - 1)), "at least one row"),
    "rows of different lengths": (
        body(tensor("x", "FP64", [[1, 2], [3]], 2, 2)),
        "x: expected 2 values in each row of data.",
    ),
    "an input twice": (body(AGE, AGE), "The input age stands twice."),
    "inputs of different lengths": (
        body(AGE, tensor("port", "BYTES", ["Cork"])),
        "port: expected 2 rows as in age, got 1.",
    ),
    "a matrix among several": (
        body(AGE, tensor("x", "FP64", [1, 2, 3, 4], 2, 2)),
        "x: expected the shape [n] or [n, 1], as there are several inputs; got [2, 2].",
    ),
    "bytes that are not there": (
        member({k: v for k, v in AGE.items() if k != "data"}, parameters={"binary_data_size": 16}),
        "age: binary_data_size stands for bytes after the JSON",
    ),
    "shared memory": (
        member(AGE, parameters={"shared_memory_region": "r"}),
        "age: the parameter shared_memory_region is not known here.",
    ),
    "the best classes": (
        body(AGE, outputs=[{"name": "predict", "parameters": {"classification": 2}}]),
        "predict: the parameter classification is not known here.",
    ),
    "an output twice": (
        body(AGE, outputs=[{"name": "predict"}, {"name": "predict"}]),
        "The output predict is asked for twice.",
    ),
    "an output without a name": (body(AGE, outputs=[{}]), "field `name` - at `$.outputs[0]`"),
    "an output that is a text": (body(AGE, outputs=["predict"]), "at `$.outputs[0]`"),
    "a flag that is a number": (
        body(AGE, parameters={"binary_data_output": 1}),
        "The parameter binary_data_output: expected true or false, got 1.",
    ),
    "a flag that is a list": (
        body(AGE, outputs=[{"name": "predict", "parameters": {"binary_data": [[]]}}]),
        "The parameter binary_data: expected true or false, got a list.",
    ),
    "no base64": (
        body(tensor("t", "BYTES", ["YQ==", "a"], content_type="base64")),
        "t: value 1 is no base64 of a text in UTF-8.",
    ),
    "base64 of no text": (
        body(tensor("t", "BYTES", ["/w=="], content_type="base64")),
        "t: value 0 is no base64",
    ),
}


@pytest.mark.parametrize(("sent", "words"), REFUSED.values(), ids=REFUSED)
def test_a_bad_body_is_refused_with_a_sentence(sent: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        v2.decode(sent, max_rows=MAX_ROWS)
    sentence = str(caught.value)
    assert words in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 250


def test_rows_are_counted_before_their_values_are_looked_at() -> None:
    many = {"name": "x", "shape": [MAX_ROWS + 1], "datatype": "INT64", "data": ["no number"]}
    with pytest.raises(RequestTooLarge):
        v2.decode(body(many), max_rows=MAX_ROWS)


@pytest.mark.parametrize("shape", [(), (MAX_ROWS + 1, 1)])
def test_as_many_rows_as_may_come_are_read_and_one_more_is_too_many(shape: tuple[int, ...]) -> None:
    at_most = body(tensor("x", "INT64", list(range(MAX_ROWS))))
    assert v2.decode(at_most, max_rows=MAX_ROWS).rows == MAX_ROWS
    with pytest.raises(RequestTooLarge, match="may bring 100 rows, got 101"):
        v2.decode(body(tensor("x", "INT64", list(range(MAX_ROWS + 1)), *shape)), max_rows=MAX_ROWS)


@pytest.mark.parametrize("shape", [(0, 2**31 - 1), (2**31 - 1, 0)])
def test_a_shape_without_values_costs_no_memory(shape: tuple[int, int]) -> None:
    sent = body(tensor("x", "FP64", [], *shape))
    tracemalloc.start()
    with pytest.raises(InvalidRequest):
        v2.decode(sent, max_rows=MAX_ROWS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


VALID = [json.loads(sent) for sent, _ in REQUESTS.values()]


@settings(deadline=None)
@given(content=mutated(VALID) | st.fixed_dictionaries({"inputs": JUNK}) | JUNK)
def test_a_body_with_a_fault_anywhere_is_a_request_or_refused(content: Any) -> None:
    sent = json.dumps(content).encode()
    found = unless_refused(lambda: v2.decode(sent, max_rows=4))
    if found is not None:
        require_whole(found, 4)


ODD = [b"\xff", b"\\ud800", b"\\ud83d\\u0041", b"\xed\xa0\x80", b"\\x", b"\n", b"1e400", b"NaN"]
ODD += [b"\xef\xbb\xbf", b"{", b"[", b'"', b",", b'"more":"\xff",', b'"id":1,', b'"more":[1e400],']


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A body in which a few bytes were replaced."""
    found = draw(st.sampled_from([sent for sent, _ in REQUESTS.values()]))
    at = draw(st.integers(0, len(found)))
    odd = draw(st.sampled_from(ODD) | st.binary(max_size=3))
    return found[:at] + odd + found[at + draw(st.integers(0, 3)) :]


def outcome(read: Callable[[], Any]) -> str:
    try:
        return repr(read())
    except InvalidRequest as error:
        return str(error)


@settings(deadline=None)
@given(damaged() | mutated(VALID).map(lambda content: json.dumps(content).encode()))
def test_a_body_is_read_at_once_as_it_is_read_in_two_steps(sent: bytes) -> None:
    at_once = outcome(lambda: v2.parse_request(sent))
    assert at_once == outcome(lambda: convert(parse_object(sent), v2.Request))


def response(
    labels: Any,
    classes: list[list[Any]],
    probabilities: list[Any] | None = None,
    **more: Any,
) -> InferenceResponse:
    tables = None if probabilities is None else [np.array(each, float) for each in probabilities]
    return InferenceResponse(
        id="7",
        model="m",
        version=3,
        labels=np.asarray(labels),
        probabilities=tables,
        classes=classes,
        datatype=datatype_of(chain(*classes)),
        **{"notice": None, **more},
    )


def told(*outputs: tuple[str, list[int], str, list[Any]], **more: Any) -> dict[str, Any]:
    head = {"model_name": "m", "model_version": "3", "id": "7", **more}
    names = ("name", "shape", "datatype", "data")
    return {**head, "outputs": [dict(zip(names, each, strict=True)) for each in outputs]}


def asked(*names: str) -> InferenceRequest:
    return request({}, outputs=tuple(Wanted(name) for name in names))


TEXTS = response(["b", "a"], [["a", "b"]], [[[0.25, 0.75], [1, 0]]], scores=np.array([1.5, -2]))
TOLD_PREDICT = ("predict", [2], "BYTES", ["b", "a"])
TOLD_SHARES = ("predict_proba", [2, 2], "FP64", [0.25, 0.75, 1.0, 0.0])
TOLD_SCORES = ("decision_function", [2], "FP64", [1.5, -2.0])

RESPONSES: dict[str, tuple[InferenceResponse, InferenceRequest, dict[str, Any]]] = {
    "the usual outputs": (TEXTS, asked(), told(TOLD_PREDICT, TOLD_SHARES)),
    "one of them": (TEXTS, asked("predict_proba"), told(TOLD_SHARES)),
    "all in the order of the request": (
        TEXTS,
        asked("decision_function", "predict_proba", "predict"),
        told(TOLD_SCORES, TOLD_SHARES, TOLD_PREDICT),
    ),
    "a regression": (
        response(np.array([0.5], np.float32), [[]]),
        asked(),
        told(("predict", [1], "FP64", [0.5])),
    ),
    "integers": (response([1], [[0, 1]]), asked(), told(("predict", [1], "INT64", [1]))),
    "truths": (response([True], [[False, True]]), asked(), told(("predict", [1], "BOOL", [True]))),
    "several numbers": (
        response([[0.5, 2], [1, 3]], [[], []]),
        asked(),
        told(("predict", [2, 2], "FP64", [0.5, 2.0, 1.0, 3.0])),
    ),
    "several classes of different kinds and numbers": (
        response(
            np.array([["a", 1]], dtype=object),
            [["a", "b"], [0, 1, 2]],
            [[[1, 0]], [[0.25, 0.75, 0]]],
        ),
        asked(),
        told(
            ("predict", [1, 2], "BYTES", ["a", "1"]),
            ("predict_proba", [1, 2, 3], "FP64", [1.0, 0.0, 0.0, 0.25, 0.75, 0.0]),
        ),
    ),
    "a notice": (
        response([1], [[0, 1]], notice="Généré."),
        asked(),
        told(("predict", [1], "INT64", [1]), parameters={"notice": "Généré."}),
    ),
}


@pytest.mark.parametrize(("answer", "to", "content"), RESPONSES.values(), ids=RESPONSES)
def test_an_answer_is_written_as_its_json(
    answer: InferenceResponse, to: InferenceRequest, content: dict[str, Any]
) -> None:
    found = json.loads(v2.encode(answer, to))
    assert found == content
    assert list(found) == list(content)
    assert repr(found["outputs"]) == repr(content["outputs"])


def test_a_matrix_of_texts_may_hold_numbers_and_a_column_of_texts_may_not() -> None:
    wires: dict[str, TextRules] = {
        name: v2.decode(sent, max_rows=MAX_ROWS).rules
        for name, sent in {
            "matrix": body(tensor("x", "BYTES", ["1", "2"], 1, 2)),
            "column": body(tensor("x", "BYTES", ["1", "2"], 2, 1)),
            "numbers": body(tensor("x", "FP64", [1, 2], 1, 2)),
        }.items()
    }
    assert wires == {"matrix": TEXT_MATRIX, "column": TENSOR, "numbers": TENSOR}
