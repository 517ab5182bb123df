"""The Open Inference Protocol V2 over gRPC: tensors in protobuf messages.

The rules for tensors and for their names and shapes are those of `v2`. Values stand

- raw: `raw_input_contents` has the bytes of each input in their order, as in `v2_binary`, and no
  input has `contents`; the response is raw as well;
- or typed: each input has `contents`, with the field that fits its datatype; the response is typed.

A message may have many times its bytes in memory once it is parsed: what is not raw is bound by the
limit of JSON, and how many tensors there are is counted before.

Sources: as in quart_app/protobuf/open_inference.proto; Triton Inference Server,
docs/protocol/extension_binary_data.md; https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from .. import protobuf
from ..inference import InferenceRequest, InferenceResponse, InvalidRequest, Values, too_large
from ..protobuf import InvalidMessage, Message
from . import datatypes, v2
from .datatypes import BYTES, Datatype, Tensor
from .protocol import Limits, Payload, Protocol, Reply

CONTENT_TYPE: Final = "application/grpc"

SMALL: Final = 64 * 1024
"""Bytes of a message that is parsed without a look at what it is made of."""

MAX_MEMBERS: Final = 20_000
"""Members that a message may have: tensors, raw contents and parameters."""

ID: Final = 3
"""The number of the `id` of a response."""

KEPT: Final = 512
"""Parts of responses that are kept for others like them."""

RAW_INPUT: Final = 7
"""The number of `raw_input_contents`."""

RAW_OUTPUT: Final = 6
"""The number of `raw_output_contents`."""

INFER_RESPONSE: Final = 2
"""The number of `infer_response` in a `ModelStreamInferResponse`."""

CONTENTS: Final = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of `contents` that has the values of a datatype; the others are raw alone."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""The wire types of a member."""

REQUEST: Final = protobuf.message_class("inference.ModelInferRequest")
RESPONSE: Final = protobuf.message_class("inference.ModelInferResponse")


def decode(payload: Payload, limits: Limits) -> InferenceRequest:
    """The tensors in a message.

    Raises:
        InvalidRequest: it is no such message.
        RequestTooLarge: more rows, members or bytes beside raw tensors than may be.
    """
    body, raw = payload.body, None
    if len(body) > SMALL:
        body, raw = _apart(body, limits.json_bytes)
    try:
        message = protobuf.parsed(REQUEST, body)
    except InvalidMessage as error:
        raise InvalidRequest(str(error)) from None
    if not message.model_name:
        raise InvalidRequest("model_name: expected the name of a model, got nothing.")
    try:
        return _read_tensors(message, message.raw_input_contents if raw is None else raw, limits)
    except InvalidRequest as error:
        error.model = message.model_name
        raise


def encode(response: InferenceResponse, request: InferenceRequest) -> Reply:
    """The outputs that were asked for, raw or typed as the request was."""
    # Messages one behind the other are one, with the members of all. So what is the same in most
    # responses is kept, and raw tensors are copied once, as members of a message thrice.
    parts: list[bytes | memoryview] = [_model(response.model, response.version, response.notice)]
    parts += (_head(ID, len(id_ := response.id.encode())), id_)
    raw: list[bytes | memoryview] = []
    for name, datatype, tensor, parameters in v2.outputs(response, request):
        if request.binary:
            data = datatypes.to_bytes(tensor)
            raw += (_head(RAW_OUTPUT, len(data)), data)
            if not parameters:
                parts.append(_raw_output(name, datatype.name, tensor.shape))
                continue
        message = _output(name, datatype.name, tensor.shape)
        (output,) = message.outputs
        for parameter, told in (parameters or {}).items():
            output.parameters[parameter].string_param = str(told)
        if not request.binary:
            getattr(output.contents, CONTENTS[datatype.name]).extend(_typed(datatype, tensor))
        parts.append(message.SerializeToString())
    return Reply(b"".join((*parts, *raw)), CONTENT_TYPE)


def streamed(body: bytes) -> bytes:
    """The message of a stream with a response, whose bytes are these."""
    return _head(INFER_RESPONSE, len(body)) + body


def body_limit(limits: Limits) -> int:
    """The bytes that a message may have."""
    return limits.tensor_bytes + limits.json_bytes


PROTOCOL: Final = Protocol(
    "v2-grpc",
    routes=(),
    decode=decode,
    encode=encode,
    reply_type=CONTENT_TYPE,
    recorded_as="grpc",
)


# Reading ------------------------------------------------------------------------


def _read_tensors(
    message: Message, raw: Sequence[bytes | memoryview], limits: Limits
) -> InferenceRequest:
    is_raw = len(raw) > 0
    if is_raw:
        _require_raw(message, len(raw))
        values: v2.ReadValues = _Raw(iter(raw)).read
    else:
        values = _Typed(iter(message.inputs)).read
    return v2.read(
        _request(message, is_raw),
        values,
        max_rows=limits.tensor_rows if is_raw else limits.rows,
        model=message.model_name,
        version=message.model_version or None,
    )


def _request(message: Message, is_raw: bool) -> v2.Request:
    """What the message says, without values, as `v2` has it."""
    return v2.Request(
        [
            v2.Input(each.name, list(each.shape), each.datatype, _parameters(each))
            for each in message.inputs
        ],
        message.id or None,
        {"binary_data_output": is_raw},
        [v2.Output(each.name, _parameters(each)) for each in message.outputs],
    )


def _parameters(message: Message) -> v2.Parameters | None:
    if not message.parameters:
        return None
    found = {}
    for name, parameter in message.parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        found[name] = None if kind is None else getattr(parameter, kind)
    return found


def _require_raw(message: Message, count: int) -> None:
    if count != len(message.inputs):
        raise InvalidRequest(
            f"raw_input_contents: expected one for each of {len(message.inputs)} inputs, got "
            f"{count}."
        )
    for each in message.inputs:
        if each.HasField("contents") and each.contents.ByteSize():
            raise InvalidRequest(
                f"{each.name}: expected no contents, as there are raw_input_contents."
            )


class _Raw:
    """The values of inputs whose bytes stand in their order."""

    def __init__(self, contents: Iterator[bytes | memoryview]) -> None:
        self._contents = contents

    def read(self, each: v2.Input, datatype: Datatype, count: int) -> Values:
        return datatypes.from_bytes(datatype, memoryview(next(self._contents)), count, each.name)


class _Typed:
    """The values of inputs that have them in their contents, in their order."""

    def __init__(self, inputs: Iterator[Message]) -> None:
        self._inputs = inputs

    def read(self, each: v2.Input, datatype: Datatype, count: int) -> Values:
        contents = next(self._inputs).contents
        expected = CONTENTS.get(datatype.name)
        if expected is None:
            raise InvalidRequest(f"{each.name}: {datatype.name} is taken in raw_input_contents.")
        for field, _ in contents.ListFields():
            if field.name != expected:
                raise InvalidRequest(
                    f"{each.name}: expected {expected} for {datatype.name}, got {field.name}."
                )
        values = list(getattr(contents, expected))
        each.data = _decoded(values, each.name) if datatype is BYTES else values
        return v2.in_json(each, datatype, count)


def _decoded(values: list[bytes], name: str) -> list[Any]:
    found = []
    for position, value in enumerate(values):
        try:
            found.append(value.decode())
        except UnicodeDecodeError:
            raise InvalidRequest(f"{name}: value {position} is not UTF-8.") from None
    return found


def _apart(body: bytes | bytearray, limit: int) -> tuple[bytes, list[memoryview]]:
    """A message without its raw contents, and these where they lie, neither of which is made yet.

    Raises:
        InvalidRequest: it ends within a member, or has one of a kind that no such message has.
        RequestTooLarge: there are more than may be, or more bytes of what is not raw.
    """
    view = memoryview(body)
    raw: list[memoryview] = []
    plain: list[memoryview] = []
    at, members, size = 0, 0, 0
    while at < len(body):
        begun = at
        key, at = _read_varint(body, at)
        wire = key & 7
        length = 0
        if wire == _BYTES:
            length, at = _read_varint(body, at)
            at += length
        elif wire == _VARINT:
            _, at = _read_varint(body, at)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            at = len(body) + 1
        if at > len(body):
            raise InvalidRequest(f"Expected a message {REQUEST.DESCRIPTOR.full_name}.")
        members += 1
        if members > MAX_MEMBERS:
            raise too_large(f"A message may have {MAX_MEMBERS} members", MAX_MEMBERS)
        if key == RAW_INPUT << 3 | _BYTES:
            raw.append(view[at - length : at])
        else:
            plain.append(view[begun:at])
            size += at - begun
    if size > limit:
        raise too_large(f"Beside raw_input_contents a message may have {limit} bytes", limit)
    return b"".join(plain), raw


def _read_varint(body: bytes | bytearray, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends; beyond the body where it has no end."""
    number = shift = 0
    while at < len(body) and shift < 70:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    return 0, len(body) + 1


# Writing ------------------------------------------------------------------------


@lru_cache(maxsize=KEPT)
def _model(name: str, version: int, notice: str | None) -> bytes:
    """The members of a response that are those of its model."""
    message = RESPONSE(model_name=name, model_version=str(version))
    if notice is not None:
        message.parameters["notice"].string_param = notice
    return bytes(message.SerializeToString())


@lru_cache(maxsize=KEPT)
def _raw_output(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """The members of a response that describe an output, whose values stand elsewhere."""
    return bytes(_output(name, datatype, shape).SerializeToString())


def _output(name: str, datatype: str, shape: tuple[int, ...]) -> Message:
    """A response that has an output without values, and nothing else."""
    return RESPONSE(outputs=[{"name": name, "datatype": datatype, "shape": shape}])


def _typed(datatype: Datatype, tensor: Tensor) -> list[Any]:
    values: list[Any] = np.ravel(tensor).tolist()
    return [text.encode() for text in values] if datatype is BYTES else values


def _head(number: int, length: int) -> bytes:
    """What stands before a member of so many bytes."""
    return bytes((number << 3 | _BYTES,)) + _varint(length)


def _varint(number: int) -> bytes:
    if number <= 0x7F:
        return bytes((number,))
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
