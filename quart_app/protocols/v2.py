"""The Open Inference Protocol V2 in JSON, as KServe and Triton speak it.

    {"inputs": [{"name": "X1", "shape": [2], "datatype": "FP64", "data": [61.1, 90]}, …]}
    → {"model_name": "exam", "model_version": "1", "id": "…",
       "outputs": [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [0, 1]}, …]}

A table is one input for each column, of the shape [n] or [n, 1]; or a single input of the shape
[n, columns], whose name is free and whose columns stand in the order of the signature.

Outputs: `predict` of the shape [n], or [n, targets] of several; `predict_proba` of the shape
[n, classes], or [n, targets, classes] of several, where a target that has fewer classes than
another ends in zeros; `score` and `standard_deviation`, where a model measures them, of the shape
of `predict`; `decision_function`, where it is asked for, as the pipeline tells it; `explain`, where
it is asked for, of the shape [n, columns + 1], or [n, targets, columns + 1] of several: what each
column contributes, and behind that the base value.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store.text_rules import TENSOR, TEXT_MATRIX

from ..inference import (
    DECISION_FUNCTION,
    EXPLAIN,
    PREDICT,
    PREDICT_PROBA,
    InferenceRequest,
    InferenceResponse,
    InvalidRequest,
    Values,
    Wanted,
)
from . import datatypes, explained
from .datatypes import BYTES, DATATYPES, FP64, Datatype, Tensor
from .json_body import parse_as
from .rows import require_count
from .unique_keys import members, narrowed

Parameters = dict[str, Any]

UNSPOKEN: Final = ("shared_memory_region", "classification")
READ: Final = ("binary_data", "binary_data_output", "binary_data_size", "content_type", *UNSPOKEN)
"""Parameters that mean something here. Others may say anything."""
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
    """An output of a response."""

    name: str
    datatype: Datatype
    values: Tensor
    parameters: Parameters | None = None


class ResponseOutput(msgspec.Struct, omit_defaults=True):
    """The JSON of an output. Its values stand in `data`, or in bytes after the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class Response(msgspec.Struct):
    """The JSON of a response."""

    model_name: str
    model_version: str
    id: str
    parameters: Parameters | msgspec.UnsetType
    outputs: list[ResponseOutput]


ReadValues = Callable[[Input, Datatype, int], Values]
"""Reads the values of an input of a datatype, as many as the number says, as one flat column."""


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The tensors in a JSON body.

    Raises:
        InvalidRequest: it is no such request.
        RequestTooLarge: more than `max_rows` rows.
    """
    return read(parse_request(body), _in_json, max_rows=max_rows)


def encode(response: InferenceResponse, request: InferenceRequest) -> bytes:
    """The outputs that were asked for, in JSON."""
    return document(response, [in_data(output) for output in outputs(response, request)])


# What the binary extension shares -----------------------------------------------


def parse_request(body: bytes) -> Request:
    """The members of the JSON.

    Raises:
        InvalidRequest: it is no JSON, or a member is absent, of another type, or stands twice.
    """
    return parse_as(body, _DECODER, _entries, _objects)


def read(
    request: Request,
    read_values: ReadValues,
    *,
    max_rows: int,
    model: str | None = None,
    version: str | None = None,
) -> InferenceRequest:
    """The request with its values, of which `read_values` finds those of an input, one after the
    other. `model` and `version` are those that the request itself names.

    Raises:
        InvalidRequest, RequestTooLarge
    """
    if not request.inputs:
        raise InvalidRequest("Expected at least one input, got none.")
    values: dict[str, Values] = {}
    for each in request.inputs:
        if each.name in values:
            raise InvalidRequest(f"The input {each.name} stands twice.")
        values[each.name] = _values(each, read_values, max_rows)
    first = request.inputs[0]
    alone = len(request.inputs) == 1
    if not alone:
        _require_columns(request.inputs)
    return InferenceRequest(
        in_order(values[first.name], first.shape) if alone else values,
        rows=first.shape[0],
        many=True,
        rules=TEXT_MATRIX if alone and _is_text_matrix(first) else TENSOR,
        tensor=first.name if alone else None,
        id=request.id,
        outputs=_wanted(request),
        binary=flag(request.parameters, "binary_data_output"),
        model=model,
        version=version,
    )


def outputs(response: InferenceResponse, request: InferenceRequest) -> Iterator[Named]:
    """The tensors that were asked for, in that order, or else the usual ones."""
    shares = () if response.probabilities is None else (PREDICT_PROBA,)
    usual = (PREDICT, *shares, *response.measures)
    for name in [wanted.name for wanted in request.outputs] or usual:
        if name == PREDICT:
            datatype, values = datatypes.of_labels(response.labels, response.datatype)
            yield Named(name, datatype, values)
        elif name == PREDICT_PROBA and response.probabilities is not None:
            yield Named(name, FP64, stacked(response.probabilities))
        elif name == DECISION_FUNCTION and response.scores is not None:
            yield Named(name, FP64, response.scores)
        elif name in response.measures:
            yield Named(name, FP64, response.measures[name])
        elif name == EXPLAIN and response.explanation is not None:
            values = explained.tensor(response.explanation, several=response.labels.ndim > 1)
            yield Named(name, FP64, values, explained.parameters(response))


def stacked(tables: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The probabilities of one target, or of several in one array, filled up with zeros."""
    if len(tables) == 1:
        return tables[0]
    rows, classes = len(tables[0]), max(table.shape[1] for table in tables)
    found = np.zeros((rows, len(tables), classes))
    for target, table in enumerate(tables):
        found[:, target, : table.shape[1]] = table
    return found


def in_data(output: Named) -> ResponseOutput:
    """An output with its values in the JSON."""
    name, datatype, values, told = output
    return ResponseOutput(name, values.shape, datatype.name, told, values.ravel().tolist())


def document(response: InferenceResponse, written: list[ResponseOutput]) -> bytes:
    """The JSON of a response with these outputs."""
    parameters = msgspec.UNSET if response.notice is None else {"notice": response.notice}
    version = str(response.version)
    return msgspec.json.encode(Response(response.model, version, response.id, parameters, written))


def flag(parameters: Parameters | None, name: str, default: bool = False) -> bool:
    """A parameter that is true or false.

    Raises:
        InvalidRequest: it is neither.
    """
    found = parameters.get(name, default) if parameters else default
    if not isinstance(found, bool):
        raise InvalidRequest(
            f"The parameter {name}: expected true or false, got {datatypes.shown(found)}."
        )
    return found


def in_order(values: Values, shape: Sequence[int]) -> Sequence[Values]:
    """The columns of a matrix of this shape. `values` are flat, row by row.

    An array gives an array of columns, as a list of millions of them would take more memory than
    all their values."""
    width = shape[1] if len(shape) == 2 else 1
    if isinstance(values, np.ndarray):
        return cast(Sequence[Values], values.reshape(shape[0], width).T)
    if len(values) == width:
        return [(value,) for value in values]
    return [values[column::width] for column in range(width)]


def size(shape: Sequence[int], name: str) -> int:
    """How many values a tensor of this shape has.

    Raises:
        InvalidRequest: it is not the shape of a column or of a matrix.
    """
    if len(shape) in _DIMENSIONS:
        rows, width = shape if len(shape) == 2 else (shape[0], 1)
        if 0 <= rows < MAX_DIMENSION and 0 <= width < MAX_DIMENSION:
            return rows * width
    raise InvalidRequest(f"{name}: expected the shape [n] or [n, columns], got {_shown(shape)}.")


# Reading ------------------------------------------------------------------------


def _entries(request: Request) -> int:
    """How many keys a request was made of, those that were not counted left out."""
    entries = 1 + (request.id is not None)
    for each in request.inputs:
        entries += 3 if each.data is msgspec.UNSET else 4
        if each.parameters is not None:
            entries += 1 + len(each.parameters)
    if request.outputs is not None:
        entries += 1 + len(request.outputs)
        for output in request.outputs:
            if output.parameters is not None:
                entries += 1 + len(output.parameters)
    if request.parameters is not None:
        entries += 1 + len(request.parameters)
    return entries


def _objects(content: Any) -> Sequence[Any]:
    """The body, its inputs and its outputs, and of their parameters those that are read."""
    found = members(content, "inputs", "outputs")
    parameters = [each.get("parameters") for each in found if isinstance(each, dict)]
    return [*found, *(narrowed(each, READ) for each in parameters)]


def _values(each: Input, read_values: ReadValues, max_rows: int) -> Values:
    datatype = DATATYPES.get(each.datatype)
    if datatype is None:
        known = ", ".join(DATATYPES)
        raise InvalidRequest(
            f"{each.name}: expected a datatype among {known}, got {each.datatype!r:.60}."
        )
    _refuse_unspoken(each.name, each.parameters)
    count = size(each.shape, each.name)
    require_count(each.shape[0], max_rows)  # before its values are read, which may be many
    values = read_values(each, datatype, count)
    if datatype is BYTES and each.parameters and each.parameters.get("content_type") == "base64":
        return _from_base64(values, each.name)
    return values


def _in_json(each: Input, datatype: Datatype, count: int) -> Values:
    if each.parameters and "binary_data_size" in each.parameters:
        raise InvalidRequest(
            f"{each.name}: binary_data_size stands for bytes after the JSON, whose length the "
            "header Inference-Header-Content-Length must give."
        )
    return in_json(each, datatype, count)


def in_json(each: Input, datatype: Datatype, count: int) -> Values:
    """The values of an input that has them in its JSON.

    Raises:
        InvalidRequest: there are none, or not `count`, as many as its shape says.
    """
    values = each.data
    if values is msgspec.UNSET:
        raise InvalidRequest(f"{each.name}: expected data, got nothing.")
    if len(each.shape) == 2 and values and isinstance(values[0], list):
        width = each.shape[1]
        if not all(isinstance(row, list) and len(row) == width for row in values):
            raise InvalidRequest(f"{each.name}: expected {width} values in each row of data.")
        values = list(chain.from_iterable(values))
    if len(values) != count:
        raise InvalidRequest(
            f"{each.name}: expected {count} values for the shape {_shown(each.shape)}, "
            f"got {len(values)}."
        )
    few = datatypes.few_from_json(datatype, values)
    return datatypes.from_json(datatype, values, each.name) if few is None else few


def _require_columns(inputs: Sequence[Input]) -> None:
    """Require that several inputs are one column each, all of the same rows."""
    first = inputs[0]
    for each in inputs:
        if len(each.shape) == 2 and each.shape[1] != 1:
            raise InvalidRequest(
                f"{each.name}: expected the shape [n] or [n, 1], as there are several inputs; "
                f"got {_shown(each.shape)}."
            )
        if each.shape[0] != first.shape[0]:
            raise InvalidRequest(
                f"{each.name}: expected {first.shape[0]} rows as in {first.name}, "
                f"got {each.shape[0]}."
            )


def _is_text_matrix(each: Input) -> bool:
    """A matrix of texts has no other way to hold a number."""
    return each.datatype == BYTES.name and len(each.shape) == 2 and each.shape[1] > 1


def _wanted(request: Request) -> tuple[Wanted, ...]:
    if not request.outputs:
        return ()
    default = flag(request.parameters, "binary_data_output")
    found: dict[str, Wanted] = {}
    for each in request.outputs:
        _refuse_unspoken(each.name, each.parameters)
        if each.name in found:
            raise InvalidRequest(f"The output {each.name} is asked for twice.")
        found[each.name] = Wanted(each.name, flag(each.parameters, "binary_data", default))
    return tuple(found.values())


def _refuse_unspoken(name: str, parameters: Parameters | None) -> None:
    if not parameters:
        return
    for parameter in UNSPOKEN:
        if parameter in parameters:
            raise InvalidRequest(f"{name}: the parameter {parameter} is not known here.")


def _from_base64(values: Values, name: str) -> list[str | None]:
    found: list[str | None] = []
    for position, value in enumerate(values):
        try:
            found.append(None if value is None else base64.b64decode(value, validate=True).decode())
        except (binascii.Error, ValueError):
            raise InvalidRequest(
                f"{name}: value {position} is no base64 of a text in UTF-8."
            ) from None
    return found


def _shown(shape: Sequence[int]) -> str:
    return f"{list(shape)}"[:80]


_DECODER: Final = msgspec.json.Decoder(Request)
_DIMENSIONS: Final = (1, 2)
