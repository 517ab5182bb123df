"""Tensors in messages of protobuf: the rules of raw and of typed contents."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from quart_app import protobuf
from quart_app.inference import InferenceResponse, InvalidRequest, RequestTooLarge
from quart_app.protocols import v2_grpc
from quart_app.protocols.datatypes import DATATYPES
from quart_app.protocols.protocol import Limits, Payload

LIMITS = Limits(10, 20, 1024 * 1024, 1024, 16 * 1024 * 1024)


def message(inputs: list[dict[str, Any]], **fields: Any) -> bytes:
    fields = {"model_name": "m", "inputs": inputs, **fields}
    return bytes(v2_grpc.REQUEST(**fields).SerializeToString())


def decoded(body: bytes) -> Any:
    return v2_grpc.decode(Payload(body), LIMITS)


def column(name: str = "a", datatype: str = "FP64", rows: int = 2, **fields: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [rows], **fields}


EXTREMES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "FP32": [0.1, -1e38],
    "FP64": [0.1, float("inf")],
    "BYTES": ["", "ä\x00"],
    **{
        name: [int(np.iinfo(each.dtype).min), int(np.iinfo(each.dtype).max)]
        for name, each in DATATYPES.items()
        if each.dtype.kind in "iu"
    },
}


@pytest.mark.parametrize("datatype", EXTREMES)
def test_typed_contents_are_the_values_and_stay_typed(datatype: str) -> None:
    values = EXTREMES[datatype]
    sent = [value.encode() for value in values] if datatype == "BYTES" else values
    contents = {v2_grpc.CONTENTS[datatype]: sent}
    request = decoded(message([column(datatype=datatype, contents=contents)]))
    expected = np.array(values, dtype="f4").tolist() if datatype == "FP32" else values
    assert list(request.columns[0]) == expected
    assert not request.in_bytes


@pytest.mark.parametrize("datatype", DATATYPES)
def test_raw_contents_are_the_values_and_stay_raw(datatype: str) -> None:
    if datatype == "BYTES":
        values, raw = ["ä", ""], b"\x02\x00\x00\x00\xc3\xa4\x00\x00\x00\x00"
    else:
        array = np.array([1, 0], dtype=DATATYPES[datatype].dtype)
        values, raw = array.tolist(), array.tobytes()
    request = decoded(message([column(datatype=datatype)], raw_input_contents=[raw]))
    assert list(request.columns[0]) == values
    assert request.in_bytes


REFUSED: dict[str, tuple[bytes, str]] = {
    "no message": (b"\xff\xff", "message inference.ModelInferRequest"),
    "a text that is not UTF-8": (b"\x0a\x01\xff", "message inference.ModelInferRequest"),
    "no model": (message([column()], model_name=""), "model_name: expected the name"),
    "no input": (message([]), "at least one input"),
    "no contents": (message([column()]), "expected 2 values for the shape"),
    "an unknown datatype": (message([column(datatype="BF16")]), "a datatype among"),
    "FP16, typed": (message([column(datatype="FP16")]), "FP16 is taken in raw_input_contents"),
    "contents of another type": (
        message([column(contents={"fp32_contents": [1, 2]})]),
        "expected fp64_contents for FP64, got fp32_contents",
    ),
    "contents of two types": (
        message([column(contents={"fp64_contents": [1, 2], "int_contents": [1]})]),
        "got int_contents",
    ),
    "too few values": (message([column(contents={"fp64_contents": [1]})]), "expected 2 values"),
    "a number beyond its datatype": (
        message([column(datatype="INT8", contents={"int_contents": [1, 128]})]),
        "expected values of INT8, got 128 at position 1",
    ),
    "bytes that are no text": (
        message([column(datatype="BYTES", contents={"bytes_contents": [b"", b"\xff"]})]),
        "value 1 is not UTF-8",
    ),
    "more raw contents than inputs": (
        message([column()], raw_input_contents=[bytes(16)] * 2),
        "expected one for each of 1 inputs, got 2",
    ),
    "raw and typed contents": (
        message([column(contents={"fp64_contents": [1, 2]})], raw_input_contents=[bytes(16)]),
        "expected no contents",
    ),
    "raw contents of another length": (
        message([column()], raw_input_contents=[bytes(15)]),
        "expected 16 bytes for 2 values of FP64, got 15",
    ),
    "a negative shape": (
        message([{**column(), "shape": [-1]}], raw_input_contents=[b""]),
        "expected the shape",
    ),
    "shared memory": (
        message([column(parameters={"shared_memory_region": {"string_param": "x"}})]),
        "shared_memory_region is not known here",
    ),
    "an output twice": (
        message(
            [column(contents={"fp64_contents": [1, 2]})],
            outputs=[{"name": "predict"}, {"name": "predict"}],
        ),
        "asked for twice",
    ),
    "too many typed rows": (message([column(rows=11)]), "10 rows"),
    "too many raw rows": (message([column(rows=21)], raw_input_contents=[b""]), "20 rows"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_a_message_is_said(case: str) -> None:
    body, words = REFUSED[case]
    with pytest.raises(InvalidRequest, match=words.replace("(", r"\(")):
        decoded(body)


BLOWN_UP: dict[str, bytes] = {
    "inputs": b"\x2a\x00" * 40_000,
    "raw contents": b"\x3a\x00" * 40_000,
    "a large typed tensor": message([column(contents={"fp64_contents": [0.0] * 200_000})]),
    "an unknown member": b"\xfa\x7f" + b"\x80\x80\x80\x01" + bytes(2 * 1024 * 1024),
}


@pytest.mark.parametrize("case", BLOWN_UP)
def test_what_would_take_many_times_its_bytes_is_refused_before_it_is_parsed(case: str) -> None:
    with pytest.raises(RequestTooLarge):
        decoded(BLOWN_UP[case])


def test_the_members_before_a_large_raw_tensor_are_not_counted_by_its_bytes() -> None:
    body = message([column(rows=20, datatype="BYTES")], raw_input_contents=[_texts(20, 200_000)])
    assert decoded(body).rows == 20


def _texts(count: int, size: int) -> bytes:
    return (size.to_bytes(4, "little") + b"x" * size) * count


WHOLE = message(
    [
        column(parameters={"content_type": {"string_param": "np"}}),
        column("b", "BYTES", contents={"bytes_contents": [b"x", b"y"]}),
    ],
    parameters={"priority": {"uint64_param": 1}},
    outputs=[{"name": "predict"}],
    raw_input_contents=[bytes(16), b"\x00" * 8],
    id="7",
)


@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, len(WHOLE)),
    bytes_=st.binary(max_size=12),
    drop=st.integers(0, 12),
    repeat=st.sampled_from([1, 1, 1, 30, 3_000]),
)
def test_a_message_with_any_bytes_in_it_is_read_or_refused(
    at: int, bytes_: bytes, drop: int, repeat: int
) -> None:
    body = WHOLE[:at] + bytes_ * repeat + WHOLE[at + drop :]
    with contextlib.suppress(InvalidRequest):
        assert decoded(body).rows >= 0


RESPONSE = InferenceResponse(
    id="7",
    model="m",
    version=3,
    labels=np.array(["ä", "b"], dtype=object),
    probabilities=[np.array([[0.25, 0.75], [1.0, 0.0]])],
    classes=[["ä", "b"]],
    notice="Not for people.",
    datatype="BYTES",
)


def test_a_response_is_raw_to_a_raw_request_and_typed_to_a_typed_one() -> None:
    raw_request = decoded(message([column()], raw_input_contents=[bytes(16)]))
    typed_request = decoded(message([column(contents={"fp64_contents": [1, 2]})]))
    raw, typed = (
        protobuf.parsed(v2_grpc.RESPONSE, v2_grpc.encode(RESPONSE, request).body)
        for request in (raw_request, typed_request)
    )
    for found in (raw, typed):
        assert (found.model_name, found.model_version, found.id) == ("m", "3", "7")
        assert found.parameters["notice"].string_param == "Not for people."
        told = [(each.name, each.datatype, list(each.shape)) for each in found.outputs]
        assert told == [("predict", "BYTES", [2]), ("predict_proba", "FP64", [2, 2])]
    assert list(raw.raw_output_contents) == [
        b"\x02\x00\x00\x00\xc3\xa4\x01\x00\x00\x00b",
        np.array([0.25, 0.75, 1.0, 0.0]).tobytes(),
    ]
    assert not any(each.HasField("contents") for each in raw.outputs)
    assert not typed.raw_output_contents
    assert list(typed.outputs[0].contents.bytes_contents) == ["ä".encode(), b"b"]
    assert list(typed.outputs[1].contents.fp64_contents) == [0.25, 0.75, 1.0, 0.0]


def test_raw_tensors_of_a_large_message_are_read_where_they_lie_among_its_other_members() -> None:
    first, second = np.arange(9_000.0), np.arange(9_000, 18_000)
    inputs = [column("a", rows=9_000), column("b", "INT64", 9_000)]
    whole = v2_grpc.REQUEST(model_name="m", raw_input_contents=[first.tobytes()])
    rest = v2_grpc.REQUEST(inputs=inputs, id="7", raw_input_contents=[second.tobytes()])
    body = whole.SerializeToString() + rest.SerializeToString()
    assert len(body) > v2_grpc.SMALL
    request = v2_grpc.decode(Payload(body), Limits(1, 9_000, 1024, 1024, 1024 * 1024))
    assert (request.model, request.id, request.rows, request.binary) == ("m", "7", 9_000, True)
    for found, sent in zip(request.named(()).values(), (first, second), strict=True):
        np.testing.assert_array_equal(found, sent)
        assert np.shares_memory(found, np.frombuffer(body, dtype=np.uint8))


@pytest.mark.parametrize("rows", [1, 2, 20_000])
def test_raw_outputs_are_those_of_the_model_whatever_their_size(rows: int) -> None:
    labels, shares = np.arange(rows), np.linspace(0, 1, 3 * rows).reshape(rows, 3)
    request = decoded(message([column()], raw_input_contents=[bytes(16)]))
    for notice in (None, "Not for people."):
        response = structs.replace(
            RESPONSE, labels=labels, probabilities=[shares], notice=notice, datatype="INT64"
        )
        found = protobuf.parsed(v2_grpc.RESPONSE, v2_grpc.encode(response, request).body)
        assert ("notice" in found.parameters) == (notice is not None)
        assert [list(each.shape) for each in found.outputs] == [[rows], [rows, 3]]
        assert list(found.raw_output_contents) == [labels.tobytes(), shares.tobytes()]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000, 3_000_000])
def test_a_message_of_a_stream_has_the_response_in_it(size: int) -> None:
    body = bytes(v2_grpc.RESPONSE(id="x" * size).SerializeToString())
    kind = protobuf.message_class("inference.ModelStreamInferResponse")
    found = protobuf.parsed(kind, v2_grpc.streamed(body))
    assert found.infer_response.id == "x" * size
    assert found.error_message == ""


def test_every_datatype_but_fp16_has_a_field_of_its_own_kind() -> None:
    assert set(itertools.chain(v2_grpc.CONTENTS, ["FP16"])) == set(DATATYPES)
