"""The JSON of this server: one object is one row, a list of objects is many.

    {"X1": 61.1, "X2": 17.3}     → {"prediction": 0, "probabilities": {"0": 0.9, "1": 0.1}, …}
    [{"X1": 61.1, "X2": 17.3}]   → {"predictions": [0], "probabilities": [{"0": 0.9, …}], …}
    {"rows": …, "explain": true} → the same, and the "explanation" or "explanations"

A prediction has the class's own JSON type; probabilities are keyed by its text. Beside that stand
the numbers that a model measures: the `score` of an outlier, a `standard_deviation`. Of a model
with several targets each is a list, in the order of the model's outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from werkzeug.http import parse_options_header

from model_store.labels import json_labels

from ..inference import (
    EXPLAIN,
    InferenceRequest,
    InferenceResponse,
    InvalidRequest,
    UnsupportedBody,
)
from . import csv, explained, form, jsonl, rows
from .json_body import kind, parse
from .probabilities import by_row
from .protocol import JSON, Headers, Limits, Payload, Protocol, Reply

CONTENT_TYPE: Final = JSON
FORMS: Final = (form.CONTENT_TYPE, form.MULTIPART)
_FORMS: Final = tuple(each.encode() for each in FORMS)


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The rows in a JSON body.

    Raises:
        InvalidRequest: not JSON, or neither an object nor a list of objects, or one of these has a
            key twice.
        RequestTooLarge: more than `max_rows` rows.
    """
    content = parse(body, "a JSON object or a list of them", _objects)
    scale = None
    if _is_beside_rows(content):
        content, scale = content[explained.ROWS], explained.scale_of(content[EXPLAIN])
    if isinstance(content, dict):
        rows.require_names(len(content))
        columns = {name: (value,) for name, value in content.items()}
        return InferenceRequest(columns, rows=1, explain=scale, beside=EXPLAIN in columns)
    if not isinstance(content, list):
        raise InvalidRequest(f"Expected a JSON object or a list of them, got {kind(content)}.")
    rows.require_count(len(content), max_rows)
    return InferenceRequest(rows.of_objects(content), rows=len(content), many=True, explain=scale)


def _is_beside_rows(content: Any) -> bool:
    """Whether a body has the rows in one member, and in another whether they are to be explained.
    No value of a row is a list or an object."""
    return (
        isinstance(content, dict)
        and content.keys() == {explained.ROWS, EXPLAIN}
        and isinstance(content[explained.ROWS], dict | list)
    )


def _objects(content: Any) -> Sequence[Any]:
    """The row, or the rows, and what may stand around them."""
    if _is_beside_rows(content):
        return (content, *_objects(content[explained.ROWS]))
    return content if isinstance(content, list) else (content,)


def encode(response: InferenceResponse, *, many: bool) -> bytes:
    """The answer as JSON: of a list, or of the one row."""
    predictions = json_labels(response.labels)
    probabilities = by_row(response)
    content: dict[str, Any] = (
        {"predictions": predictions} if many else {"prediction": predictions[0]}
    )
    if probabilities is not None:
        content["probabilities"] = probabilities if many else probabilities[0]
    for name, numbers in response.measures.items():
        told = numbers.tolist()
        content[name] = told if many else told[0]
    if response.explanation is not None:
        told = explained.by_row(response)
        content |= {"explanations": told} if many else {"explanation": told[0]}
    content |= {"model": response.model, "version": response.version}
    if response.variant is not None:
        content["variant"] = response.variant
    content["id"] = response.id
    if response.notice is not None:
        content["notice"] = response.notice
    return msgspec.json.encode(content)


def decode_any(payload: Payload, limits: Limits) -> InferenceRequest:
    """The rows of a body in JSON, or the row of a form, by its content type.

    Raises:
        InvalidRequest: also as RequestTooLarge and UnsupportedBody.
    """
    mimetype = payload.mimetype
    if mimetype in ("", JSON) or mimetype.endswith("+json"):
        return decode(bytes(payload.body), max_rows=limits.rows)
    if mimetype == form.MULTIPART:
        options = parse_options_header(payload.content_type)[1]
        return form.decode(bytes(payload.body), boundary=options.get("boundary", ""))
    if mimetype == form.CONTENT_TYPE:
        return form.decode(bytes(payload.body))
    raise UnsupportedBody(
        f"Expected a body of {JSON}, {form.CONTENT_TYPE}, {csv.CONTENT_TYPE} or "
        f"{jsonl.CONTENT_TYPE}, got {mimetype}."
    )


def body_limit(headers: Headers, limits: Limits) -> int:
    """The bytes of a body, by whether it is a form."""
    is_form = headers.get(b"content-type", b"").lower().startswith(_FORMS)
    return limits.form_bytes if is_form else limits.json_bytes


PROTOCOL: Final = Protocol(
    "native",
    routes=("/models/<name>/predict", "/models/<name>/versions/<version>/predict"),
    decode=decode_any,
    encode=lambda response, request: Reply(encode(response, many=request.many)),
    body_limit=body_limit,
    content_types=(JSON, *FORMS, csv.CONTENT_TYPE, *jsonl.CONTENT_TYPES),
    vary=("Accept",),
    summary="Predict for one row, for a list of rows, or for the rows of a table",
    recorded_as="json",
)
