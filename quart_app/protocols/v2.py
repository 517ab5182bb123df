"""The Open Inference Protocol V2 in JSON, as KServe and Triton speak it.

    {"inputs": [{"name": "X1", "shape": [2], "datatype": "FP64", "data": [61.1, 90]}, …]}
    → {"model_name": "exam", "model_version": "1", "id": "…",
       "outputs": [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [0, 1]}, …]}

A table is one input for each column, of the shape [n] or [n, 1]; or a single input of the shape
[n, columns], whose name is free and whose columns stand in the order of the signature.

Outputs: `predict` of the shape [n], or [n, targets] of several; `predict_proba` of the shape
[n, classes], or [n, targets, classes] of several, where a target that has fewer classes than
another ends in zeros; `decision_function`, where it is asked for, as the pipeline tells it.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store.text_rules import TENSOR, TEXT_MATRIX, TextRules

from ..inference import (
    DECISION_FUNCTION,
    PREDICT,
    PREDICT_PROBA,
    InferenceRequest,
    InferenceResponse,
    InvalidRequest,
    Values,
    Wanted,
)
from . import datatypes
from .datatypes import BYTES, DATATYPES, FP64, Datatype, Tensor
from .json_body import convert, parse_object
from .rows import require_count

Parameters = dict[str, Any]

UNSPOKEN: Final = ("shared_memory_region", "classification")
"""Parameters that ask for what is not done here, and would otherwise be answered wrongly."""


MAX_DIMENSION: Final = 2**31


class Input(msgspec.Struct):
    """A tensor of a request, whose values are in `data` or follow in bytes."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class Output(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: Parameters | None = None


class Request(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[Input]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[Output] | None = None


class Named(NamedTuple):
    """A tensor of an answer."""

    name: str
    datatype: Datatype
    values: Tensor


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The tensors in a JSON body.

    Raises:
        InvalidRequest: it is no such request.
        RequestTooLarge: more than `max_rows` rows.
    """
    return read(parse_request(body), _in_json, max_rows=max_rows)


def encode(response: InferenceResponse, request: InferenceRequest) -> bytes:
    """The outputs that were asked for, in JSON."""
    tensors = [
        {
            "name": tensor.name,
            "shape": list(tensor.values.shape),
            "datatype": tensor.datatype.name,
            "data": tensor.values.ravel().tolist(),
        }
        for tensor in outputs(response, request)
    ]
    return msgspec.json.encode(head(response) | {"outputs": tensors})


# What the binary extension shares -----------------------------------------------


def parse_request(body: bytes) -> Request:
    """The members of the JSON.

    Raises:
        InvalidRequest: it is no JSON, or a member is absent or of another type.
    """
    return convert(parse_object(body), Request)


def read(
    request: Request, read_values: Callable[[Input, Datatype], Tensor], *, max_rows: int
) -> InferenceRequest:
    """The request with its values, of which `read_values` finds those of an input.

    Raises:
        InvalidRequest, RequestTooLarge
    """
    tensors = {}
    for each in request.inputs:
        if each.name in tensors:
            raise InvalidRequest(f"The input {each.name} stands twice.")
        tensors[each.name] = _tensor(each, read_values, max_rows)
    if not tensors:
        raise InvalidRequest("Expected at least one input, got none.")
    columns, rows = _columns(tensors)
    alone = request.inputs[0].name if len(tensors) == 1 else None
    return InferenceRequest(
        columns,
        rows=rows,
        many=True,
        wire=_wire(tensors),
        tensor=alone,
        id=request.id,
        outputs=_wanted(request),
        binary=flag(request.parameters, "binary_data_output"),
    )


def outputs(response: InferenceResponse, request: InferenceRequest) -> Iterator[Named]:
    """The tensors that were asked for, in that order, or else the usual ones."""
    usual = (PREDICT,) if response.probabilities is None else (PREDICT, PREDICT_PROBA)
    for name in [wanted.name for wanted in request.outputs] or usual:
        if name == PREDICT:
            datatype, values = datatypes.of_labels(response.labels, response.classes)
            yield Named(name, datatype, values)
        elif name == PREDICT_PROBA and response.probabilities is not None:
            yield Named(name, FP64, stacked(response.probabilities))
        elif name == DECISION_FUNCTION and response.scores is not None:
            yield Named(name, FP64, response.scores)


def stacked(tables: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The probabilities of one target, or of several in one array, filled up with zeros."""
    if len(tables) == 1:
        return tables[0]
    rows, classes = len(tables[0]), max(table.shape[1] for table in tables)
    found = np.zeros((rows, len(tables), classes))
    for target, table in enumerate(tables):
        found[:, target, : table.shape[1]] = table
    return found


def head(response: InferenceResponse) -> dict[str, Any]:
    """The members of an answer beside its outputs."""
    found: dict[str, Any] = {
        "model_name": response.model,
        "model_version": str(response.version),
        "id": response.id,
    }
    if response.notice is not None:
        found["parameters"] = {"notice": response.notice}
    return found


def flag(parameters: Parameters | None, name: str, default: bool = False) -> bool:
    """A parameter that is true or false.

    Raises:
        InvalidRequest: it is neither.
    """
    found = (parameters or {}).get(name, default)
    if not isinstance(found, bool):
        raise InvalidRequest(
            f"The parameter {name}: expected true or false, got {datatypes.shown(found)}."
        )
    return found


def in_order(matrix: Tensor) -> Sequence[Values]:
    """The columns of a matrix: an array of them, as a list of millions would take more memory than
    all their values."""
    return cast(Sequence[Values], matrix.T)


def size(shape: Sequence[int], name: str) -> int:
    """How many values a tensor of this shape has.

    Raises:
        InvalidRequest: it is not the shape of a column or of a matrix.
    """
    if not 1 <= len(shape) <= 2 or min(shape) < 0 or max(shape) >= MAX_DIMENSION:
        raise InvalidRequest(
            f"{name}: expected the shape [n] or [n, columns], got {_shown(shape)}."
        )
    return math.prod(shape)


# Reading ------------------------------------------------------------------------


def _tensor(each: Input, read_values: Callable[[Input, Datatype], Tensor], max_rows: int) -> Tensor:
    datatype = DATATYPES.get(each.datatype)
    if datatype is None:
        known = ", ".join(DATATYPES)
        raise InvalidRequest(
            f"{each.name}: expected a datatype among {known}, got {each.datatype!r:.60}."
        )
    _refuse_unspoken(each.name, each.parameters)
    size(each.shape, each.name)
    require_count(each.shape[0], max_rows)  # before its values are read, which may be many
    values = read_values(each, datatype)
    if (each.parameters or {}).get("content_type") == "base64" and datatype is BYTES:
        values = _from_base64(values, each.name)
    return values.reshape(each.shape)


def _in_json(each: Input, datatype: Datatype) -> Tensor:
    if "binary_data_size" in (each.parameters or {}):
        raise InvalidRequest(
            f"{each.name}: binary_data_size stands for bytes after the JSON, whose length the "
            "header Inference-Header-Content-Length must give."
        )
    return in_json(each, datatype)


def in_json(each: Input, datatype: Datatype) -> Tensor:
    """The values of an input that has them in its JSON.

    Raises:
        InvalidRequest: there are none, or not as many as its shape says.
    """
    if each.data is msgspec.UNSET:
        raise InvalidRequest(f"{each.name}: expected data, got nothing.")
    expected = size(each.shape, each.name)
    values = each.data
    if len(each.shape) == 2 and values and isinstance(values[0], list):
        width = each.shape[1]
        if not all(isinstance(row, list) and len(row) == width for row in values):
            raise InvalidRequest(f"{each.name}: expected {width} values in each row of data.")
        values = list(chain.from_iterable(values))
    if len(values) != expected:
        raise InvalidRequest(
            f"{each.name}: expected {expected} values for the shape {_shown(each.shape)}, "
            f"got {len(values)}."
        )
    return datatypes.from_json(datatype, values, each.name)


def _columns(tensors: dict[str, Tensor]) -> tuple[dict[str, Values] | Sequence[Values], int]:
    if len(tensors) == 1:
        (only,) = tensors.values()
        matrix = only if only.ndim == 2 else only[:, np.newaxis]
        return in_order(matrix), len(matrix)
    first, rows = next((name, len(tensor)) for name, tensor in tensors.items())
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and tensor.shape[1] != 1:
            raise InvalidRequest(
                f"{name}: expected the shape [n] or [n, 1], as there are several inputs; "
                f"got {_shown(tensor.shape)}."
            )
        if len(tensor) != rows:
            raise InvalidRequest(f"{name}: expected {rows} rows as in {first}, got {len(tensor)}.")
    return {name: tensor.reshape(rows) for name, tensor in tensors.items()}, rows


def _wire(tensors: dict[str, Tensor]) -> TextRules:
    """A matrix of texts has no other way to hold a number."""
    widest = max((tensor for tensor in tensors.values()), key=lambda tensor: tensor.ndim)
    is_text = widest.dtype.kind == "O" and widest.ndim == 2 and widest.shape[1] > 1
    return TEXT_MATRIX if is_text else TENSOR


def _wanted(request: Request) -> tuple[Wanted, ...]:
    default = flag(request.parameters, "binary_data_output")
    found: dict[str, Wanted] = {}
    for each in request.outputs or ():
        _refuse_unspoken(each.name, each.parameters)
        if each.name in found:
            raise InvalidRequest(f"The output {each.name} is asked for twice.")
        found[each.name] = Wanted(each.name, flag(each.parameters, "binary_data", default))
    return tuple(found.values())


def _refuse_unspoken(name: str, parameters: Parameters | None) -> None:
    for parameter in UNSPOKEN:
        if parameter in (parameters or {}):
            raise InvalidRequest(f"{name}: the parameter {parameter} is not known here.")


def _from_base64(values: Tensor, name: str) -> Tensor:
    found = np.empty_like(values)
    for position, value in enumerate(values):
        try:
            found[position] = (
                None if value is None else base64.b64decode(value, validate=True).decode()
            )
        except (binascii.Error, ValueError):
            raise InvalidRequest(
                f"{name}: value {position} is no base64 of a text in UTF-8."
            ) from None
    return found


def _shown(shape: Sequence[int]) -> str:
    return f"{list(shape)}"[:80]
