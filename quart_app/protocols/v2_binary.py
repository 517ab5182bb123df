"""The binary extension of the Open Inference Protocol V2: tensors in bytes after the JSON.

The header Inference-Header-Content-Length tells how long the JSON is; the tensors follow it in
their order, little-endian. A BOOL is one byte, a text has its length before it as a UINT32. With
the length 0 there is no JSON, and the body is the one input of the model.

Source: Triton Inference Server, docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from model_store import Column
from model_store.text_rules import TENSOR

from ..inference import InferenceRequest, InferenceResponse, InvalidRequest, Values, too_large
from . import datatypes, v2
from .datatypes import BYTES, FP64, Datatype, Tensor
from .rows import require_count

HEADER: Final = "Inference-Header-Content-Length"
MAX_JSON: Final = 1024 * 1024
CONTENT_TYPE: Final = "application/octet-stream"
SIZE: Final = "binary_data_size"


class Encoded(NamedTuple):
    """An answer whose first `header_length` bytes are JSON."""

    body: bytes
    header_length: int


def decode(
    body: bytes | bytearray,
    header_length: str,
    columns: Sequence[Column],
    *,
    max_rows: int,
    max_json: int = MAX_JSON,
) -> InferenceRequest:
    """The tensors in a body, whose header is text as it came.

    `columns` are those of the model: they tell what a body without JSON holds.

    Raises:
        InvalidRequest: it is no such request.
        RequestTooLarge: more than `max_rows` rows, or `max_json` bytes of JSON.
    """
    length = _length(header_length, len(body))
    if length > max_json:
        raise too_large(f"The JSON before tensors in bytes may have {max_json} bytes", max_json)
    if length == 0:
        return _raw(memoryview(body), columns, max_rows=max_rows)
    tail = _Tail(memoryview(body)[length:])
    request = v2.read(v2.parse_request(bytes(body[:length])), tail.read, max_rows=max_rows)
    tail.require_end()
    return request


def encode(response: InferenceResponse, request: InferenceRequest) -> Encoded:
    """The outputs that were asked for, each in bytes or in JSON as was asked."""
    binary = {wanted.name: wanted.binary for wanted in request.outputs}
    written: list[v2.ResponseOutput] = []
    tail: list[bytes | memoryview] = []
    for output in v2.outputs(response, request):
        name, datatype, values, told = output
        if not binary.get(name, request.binary):
            written.append(v2.in_data(output))
            continue
        tail.append(datatypes.to_bytes(values))
        size = {**(told or {}), SIZE: len(tail[-1])}
        written.append(v2.ResponseOutput(name, values.shape, datatype.name, parameters=size))
    head = v2.document(response, written)
    return Encoded(b"".join((head, *tail)), len(head))


class _Tail:
    """The bytes after the JSON, taken from the front."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read(self, each: v2.Input, datatype: Datatype, count: int) -> Values:
        """The values of an input, in bytes or in its JSON."""
        size = (each.parameters or {}).get(SIZE)
        if size is None:
            return v2.in_json(each, datatype, count)
        if each.data is not msgspec.UNSET:
            raise InvalidRequest(f"{each.name}: expected data or {SIZE}, got both.")
        if type(size) is not int or not 0 <= size <= len(self._data) - self._at:
            raise InvalidRequest(
                f"{each.name}: {SIZE}: expected a number of the {len(self._data) - self._at} bytes "
                f"that are left, got {datatypes.shown(size)}."
            )
        data = self._data[self._at : self._at + size]
        self._at += size
        return datatypes.from_bytes(datatype, data, count, each.name)

    def require_end(self) -> None:
        left = len(self._data) - self._at
        if left:
            raise InvalidRequest(f"{left} bytes follow the last tensor.")


def _length(header: str, body: int) -> int:
    if not (header.isascii() and header.isdigit() and len(header) < 16 and int(header) <= body):
        raise InvalidRequest(
            f"{HEADER}: expected a number up to {body}, the length of the body; got {header!r:.60}."
        )
    return int(header)


def _raw(data: memoryview, columns: Sequence[Column], *, max_rows: int) -> InferenceRequest:
    """The one input: a column, or numbers as a matrix in the order of the columns."""
    if len(columns) == 1:
        name, datatype = columns[0].name, datatypes.of_column(columns[0])
    elif all(column.numeric for column in columns):
        name, datatype = "the matrix", FP64
    else:
        raise InvalidRequest(
            f"{HEADER}: expected more than 0, since the model takes {len(columns)} columns which "
            "are not all numbers."
        )
    if datatype is BYTES:
        values = _one_text(data, name)
    else:
        row = datatype.size * len(columns)
        if len(data) % row:
            raise InvalidRequest(
                f"Expected rows of {row} bytes, {len(columns)} of {datatype.name}; "
                f"got {len(data)} bytes."
            )
        values = datatypes.from_bytes(datatype, data, len(data) // datatype.size, name)
    shape = (len(values) // len(columns), len(columns))
    require_count(shape[0], max_rows)
    return InferenceRequest(
        v2.in_order(values, shape), shape[0], many=True, rules=TENSOR, binary=True
    )


def _one_text(data: memoryview, name: str) -> Tensor:
    """The whole body is one text, without its length."""
    try:
        return np.array([str(data, "utf-8")], dtype=object)
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name}: the body is not UTF-8.") from None
