"""The binary extension of V2: bytes after JSON, read as in JSON, and what is wrong with them."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import Column
from model_store.column_types import datatype_of
from model_store.text_rules import TENSOR
from quart_app.inference import (
    InferenceRequest,
    InferenceResponse,
    InvalidRequest,
    RequestTooLarge,
    Wanted,
)
from quart_app.protocols import v2, v2_binary

from ...protocols import (
    Inputs,
    as_bytes,
    mutated,
    packed,
    plain,
    require_whole,
    unless_refused,
    unpacked,
)

MAX_ROWS = 100
NUMBER, TEXT = Column(name="x", type="number"), Column(name="t", type="text")
TWO = (NUMBER, Column(name="y", type="number"))


def tensor(name: str, datatype: str, data: list[Any], *shape: int) -> dict[str, Any]:
    return {"name": name, "shape": list(shape or [len(data)]), "datatype": datatype, "data": data}


def decode(
    body: bytes, length: int | str, columns: tuple[Column, ...] = TWO, max_rows: int = MAX_ROWS
) -> InferenceRequest:
    return v2_binary.decode(body, str(length), columns, max_rows=max_rows)


ALL: dict[str, Inputs] = {
    "every kind": [
        tensor("b", "BOOL", [True, False]),
        tensor("i", "INT64", [-1, 2**63 - 1]),
        tensor("u", "UINT16", [0, 65535]),
        tensor("h", "FP16", [0.5, 65504.0]),
        tensor("f", "FP32", [0.1, 1e10]),
        tensor("d", "FP64", [0.1, math.nan]),
        tensor("t", "BYTES", ["größe ☃", ""]),
    ],
    "a matrix": [tensor("any", "FP64", [1.0, 2.0, 3.0, 4.0], 2, 2)],
    "a matrix of texts": [tensor("any", "BYTES", ["1", "a"], 1, 2)],
    "one column": [tensor("x", "INT8", [1, 2])],
    "columns of the shape [n, 1]": [
        tensor("x", "FP64", [1.0, 2.0], 2, 1),
        tensor("t", "BYTES", ["a", "b"], 2, 1),
    ],
}


@pytest.mark.parametrize("inputs", ALL.values(), ids=ALL)
def test_bytes_are_read_as_the_same_values_in_json(inputs: Inputs) -> None:
    more: dict[str, Any] = {"id": "7", "outputs": [{"name": "predict"}]}
    in_json = v2.decode(json.dumps({"inputs": inputs, **more}).encode(), max_rows=MAX_ROWS)
    found = decode(*packed(inputs, **more))
    assert plain(found) == plain(in_json)
    assert found.id == "7"


def test_inputs_in_bytes_and_in_json_stand_in_one_request() -> None:
    content = {
        "inputs": [
            {"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}},
            {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["a"]},
            {"name": "y", "shape": [1], "datatype": "INT8", "parameters": {"binary_data_size": 1}},
        ]
    }
    head = json.dumps(content).encode()
    found = decode(head + struct.pack("<d", 0.1) + b"\xff", len(head))
    assert plain(found)["columns"] == {"x": ["0.1"], "t": ["'a'"], "y": ["-1"]}


def test_json_alone_may_have_its_length_in_the_header() -> None:
    body = json.dumps({"inputs": [tensor("x", "FP64", [1.5])]}).encode()
    assert plain(decode(body, len(body))) == plain(v2.decode(body, max_rows=MAX_ROWS))


GOOD, LENGTH = packed([tensor("x", "FP64", [1.5, 2.5]), tensor("t", "BYTES", ["a", "b"])])


@pytest.mark.parametrize(
    "length",
    [
        "",
        "-1",
        "+1",
        "1.0",
        "0x10",
        " 5",
        "1e2",
        "٣",
        "nan",
        str(len(GOOD) + 1),
        str(2**63),
        "9" * 99,
    ],
)
def test_a_length_that_is_no_number_up_to_that_of_the_body_is_refused(length: str) -> None:
    with pytest.raises(InvalidRequest, match="Inference-Header-Content-Length: expected a number"):
        decode(GOOD, length)


@pytest.mark.parametrize("length", [1, LENGTH - 1, LENGTH + 1, len(GOOD)])
def test_a_length_that_cuts_the_json_or_takes_of_the_tensors_is_refused(length: int) -> None:
    with pytest.raises(InvalidRequest):
        decode(GOOD, length)


def lying(size: Any, tail: bytes = bytes(16), **change: Any) -> tuple[bytes, int]:
    each = {
        "name": "age",
        "shape": [2],
        "datatype": "FP64",
        "parameters": {"binary_data_size": size},
        **change,
    }
    head = json.dumps({"inputs": [each]}).encode()
    return head + tail, len(head)


REFUSED: dict[str, tuple[tuple[bytes, int], str]] = {
    "more than is left": (lying(17), "age: binary_data_size: expected a number of the 16 bytes"),
    "2^63 bytes": (lying(2**63), "16 bytes that are left, got 9223372036854775808."),
    "a negative size": (lying(-1), "that are left, got -1."),
    "a size that is a text": (lying("16"), "that are left, got '16'."),
    "a size that is true": (lying(True), "that are left, got True."),
    "a size with a fraction": (lying(16.0), "that are left, got 16.0."),
    "a size that is a list": (lying([[16]]), "that are left, got a list."),
    "less than the shape says": (lying(8), "age: expected 16 bytes for 2 values of FP64, got 8."),
    "more than the shape says": (lying(24, bytes(24)), "age: expected 16 bytes for 2 values of"),
    "bytes after the last": (lying(16, bytes(17)), "1 bytes follow the last tensor."),
    "no bytes": (lying(0, b""), "age: expected 16 bytes for 2 values of FP64, got 0."),
    "data as well": (lying(16, data=[1, 2]), "age: expected data or binary_data_size, got both."),
    "neither": (lying(16, parameters={}), "age: expected data, got nothing."),
    "a negative shape": (lying(16, shape=[-2]), "age: expected the shape [n] or [n, columns]"),
    "two negatives": (lying(16, shape=[-1, -2]), "age: expected the shape"),
    "a shape of 2^63": (lying(16, shape=[2**63]), "age: expected the shape"),
    "a shape that overflows to 2": (
        lying(16, shape=[2**31 - 1, 2**31 - 1]),
        "may bring 100 rows",
    ),
    "a datatype that is not known": (lying(16, datatype="FP8"), "age: expected a datatype among"),
    "a text beyond the tensor": (
        lying(8, struct.pack("<I", 5) + b"abcd", datatype="BYTES", shape=[1]),
        "age: value 0 ends beyond the tensor.",
    ),
    "no UTF-8": (
        lying(5, struct.pack("<I", 1) + b"\xff", datatype="BYTES", shape=[1]),
        "age: value 0 is not UTF-8.",
    ),
}


@pytest.mark.parametrize(("sent", "words"), REFUSED.values(), ids=REFUSED)
def test_bytes_that_are_not_what_the_json_says_are_refused(
    sent: tuple[bytes, int], words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(*sent)
    sentence = str(caught.value)
    assert words in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 250


def test_as_many_rows_as_may_come_are_read_and_one_more_is_too_many() -> None:
    for rows in (MAX_ROWS, MAX_ROWS + 1):
        sent = packed([tensor("x", "UINT8", [1] * rows)])
        if rows == MAX_ROWS:
            assert decode(*sent).rows == rows
            assert decode(bytes(16 * rows), 0).rows == rows
            continue
        with pytest.raises(RequestTooLarge, match="may bring 100 rows, got 101"):
            decode(*sent)
        with pytest.raises(RequestTooLarge, match="may bring 100 rows, got 101"):
            decode(bytes(16 * rows), 0)


def test_a_row_of_a_million_columns_takes_no_more_memory_than_its_values() -> None:
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [1, 1_000_000],
                    "datatype": "UINT8",
                    "parameters": {"binary_data_size": 1_000_000},
                }
            ]
        }
    ).encode()
    body = head + bytes(1_000_000)
    tracemalloc.start()
    request = decode(body, len(head))
    with pytest.raises(InvalidRequest, match="got 1000000"):
        request.named(("x", "y"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


RAW: dict[str, tuple[bytes, tuple[Column, ...], dict[int, list[str]]]] = {
    "a number": (as_bytes("FP64", [0.1]), (NUMBER,), {0: ["0.1"]}),
    "numbers": (as_bytes("FP64", [0.1, 2]), (NUMBER,), {0: ["0.1", "2.0"]}),
    "integers": (
        as_bytes("INT64", [-1, 2]),
        (Column(name="i", type="integer"),),
        {0: ["-1", "2"]},
    ),
    "truths": (b"\0\1", (Column(name="b", type="boolean"),), {0: ["False", "True"]}),
    "a text": ("größe\n☃".encode(), (TEXT,), {0: ["'größe\\n☃'"]}),
    "an empty text": (b"", (TEXT,), {0: ["''"]}),
    "a matrix": (as_bytes("FP64", [1, 2, 3, 4]), TWO, {0: ["1.0", "3.0"], 1: ["2.0", "4.0"]}),
}


@pytest.mark.parametrize(("body", "columns", "told"), RAW.values(), ids=RAW)
def test_a_body_without_json_is_the_one_input(
    body: bytes, columns: tuple[Column, ...], told: dict[int, list[str]]
) -> None:
    found = decode(body, 0, columns)
    assert plain(found)["columns"] == told
    assert (found.rules, found.many, found.binary, found.outputs) == (TENSOR, True, True, ())


RAW_REFUSED: dict[str, tuple[bytes, tuple[Column, ...], str]] = {
    "nothing": (b"", TWO, "Expected at least one row"),
    "half a row": (bytes(24), TWO, "Expected rows of 16 bytes, 2 of FP64; got 24 bytes."),
    "half a number": (bytes(7), (NUMBER,), "Expected rows of 8 bytes, 1 of FP64; got 7 bytes."),
    "no UTF-8": (b"\xff", (TEXT,), "t: the body is not UTF-8."),
    "a model of columns of several kinds": (b"a", (NUMBER, TEXT), "which are not all numbers."),
    "JSON to a model of several columns": (b'{"inputs":[]}', TWO, "Expected rows of 16 bytes"),
}


@pytest.mark.parametrize(("body", "columns", "words"), RAW_REFUSED.values(), ids=RAW_REFUSED)
def test_a_body_without_json_that_does_not_fit_is_refused(
    body: bytes, columns: tuple[Column, ...], words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, 0, columns)
    assert words in str(caught.value)


BODIES = [packed(inputs, id="7") for inputs in ALL.values()]
VALID = [json.loads(body[:length]) for body, length in BODIES]


def decode_or_refuse(body: bytes, length: int | str, columns: tuple[Column, ...] = TWO) -> None:
    request = unless_refused(lambda: decode(body, length, columns, max_rows=4))
    if request is not None:
        require_whole(request, 4)


@settings(deadline=None)
@given(content=mutated(VALID), which=st.integers(0, len(BODIES) - 1))
def test_json_with_a_fault_before_the_tensors_is_a_request_or_refused(
    content: Any, which: int
) -> None:
    body, length = BODIES[which]
    head = json.dumps(content).encode()
    decode_or_refuse(head + body[length:], len(head))


@settings(deadline=None)
@given(
    which=st.integers(0, len(BODIES) - 1),
    at=st.integers(0, 2000),
    cut=st.integers(0, 9),
    put=st.binary(max_size=9),
    moved=st.integers(-9, 9) | st.just(0),
)
def test_a_body_with_any_bytes_in_it_is_a_request_or_refused(
    which: int, at: int, cut: int, put: bytes, moved: int
) -> None:
    body, length = BODIES[which]
    at %= len(body) + 1
    decode_or_refuse(body[:at] + put + body[at + cut :], length + moved)


@given(
    st.binary(max_size=64),
    st.sampled_from([column for _, column, _ in RAW.values()]),
    st.text(max_size=4) | st.just("0"),
)
def test_any_bytes_with_any_header_are_a_request_or_refused(
    body: bytes, columns: tuple[Column, ...], length: str
) -> None:
    decode_or_refuse(body, length, columns)


ANSWER = InferenceResponse(
    id="7",
    model="m",
    version=3,
    labels=np.array(["größe", "a"]),
    probabilities=[np.array([[0.1, 0.9], [1, 0]])],
    classes=[["a", "größe"]],
    notice=None,
    datatype="BYTES",
    scores=np.array([0.1, -5e-324]),
)
PREDICT = {"name": "predict", "shape": [2], "datatype": "BYTES", "data": ["größe", "a"]}
SHARES = {
    "name": "predict_proba",
    "shape": [2, 2],
    "datatype": "FP64",
    "data": [0.1, 0.9, 1.0, 0.0],
}
SCORES = {"name": "decision_function", "shape": [2], "datatype": "FP64", "data": [0.1, -5e-324]}


def asked(*outputs: Wanted, binary: bool = False) -> InferenceRequest:
    return InferenceRequest({}, 2, outputs=outputs, binary=binary)


def in_bytes(each: dict[str, Any], size: int) -> dict[str, Any]:
    return {**each, "parameters": {"binary_data_size": size}}


ANSWERED: dict[str, tuple[InferenceRequest, list[dict[str, Any]]]] = {
    "all in bytes": (asked(binary=True), [in_bytes(PREDICT, 16), in_bytes(SHARES, 32)]),
    "one in bytes": (
        asked(Wanted("predict_proba", True), Wanted("predict"), Wanted("decision_function", True)),
        [in_bytes(SHARES, 32), PREDICT, in_bytes(SCORES, 16)],
    ),
    "none in bytes": (asked(Wanted("predict")), [PREDICT]),
    "its own word counts": (
        asked(Wanted("predict", False), Wanted("predict_proba", True), binary=True),
        [PREDICT, in_bytes(SHARES, 32)],
    ),
}


@pytest.mark.parametrize(("to", "outputs"), ANSWERED.values(), ids=ANSWERED)
def test_each_output_is_told_in_bytes_or_in_json(
    to: InferenceRequest, outputs: list[dict[str, Any]]
) -> None:
    encoded = v2_binary.encode(ANSWER, to)
    content = unpacked(encoded.body, encoded.header_length)
    assert content["outputs"] == outputs
    assert (content["model_name"], content["model_version"], content["id"]) == ("m", "3", "7")
    assert to.in_bytes == any("parameters" in each for each in outputs)


LABELS: dict[str, tuple[Any, list[Any], str, bytes]] = {
    "texts": (["a", ""], ["", "a"], "BYTES", b"\1\0\0\0a\0\0\0\0"),
    "integers": ([1, 0], [0, 1], "INT64", struct.pack("<qq", 1, 0)),
    "truths": ([True, False], [False, True], "BOOL", b"\1\0"),
    "numbers": (np.array([0.5, 2], np.float32), [], "FP64", struct.pack("<dd", 0.5, 2)),
}


@pytest.mark.parametrize(("labels", "classes", "datatype", "tail"), LABELS.values(), ids=LABELS)
def test_labels_lie_on_the_wire_as_their_datatype_says(
    labels: Any, classes: list[Any], datatype: str, tail: bytes
) -> None:
    held = datatype_of(classes)
    answer = InferenceResponse("7", "m", 3, np.asarray(labels), None, [classes], None, held)
    encoded = v2_binary.encode(answer, asked(binary=True))
    assert encoded.body[encoded.header_length :] == tail
    assert json.loads(encoded.body[: encoded.header_length])["outputs"][0]["datatype"] == datatype


def test_json_before_the_tensors_may_not_be_large_itself() -> None:
    body = b"[" + b"[]," * 100 + b"[]]"
    with pytest.raises(RequestTooLarge, match="may have 100 bytes"):
        v2_binary.decode(body, str(len(body)), (), max_rows=10, max_json=100)
