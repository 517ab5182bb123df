"""The protocol V1 of TensorFlow Serving, KServe and Vertex AI.

    {"instances": [[6.3, 3.3, 6.0, 2.5], …]} or {"instances": [{"X1": 61.1, "X2": 17.3}, …]}
    {"inputs": {"X1": [61.1, …], "X2": [17.3, …]}}
    → {"predictions": [0, …]}, and with `:explain` {"explanations": [{…}, …], "predictions": …}

Values in a list stand in the order of the signature. A text is no number here.

Source: tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from model_store.labels import json_labels
from model_store.text_rules import TYPED

from ..inference import USUAL_SCALE, InferenceRequest, InferenceResponse, InvalidRequest
from . import explained, rows, v2_documents
from .json_body import parse_object
from .protocol import Limits, Payload, Protocol, Reply
from .unique_keys import members


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The rows in a JSON body.

    Raises:
        InvalidRequest: it has none of the two forms, or both, or a key stands twice.
        RequestTooLarge: more than `max_rows` rows.
    """
    return tensors(parse_object(body, objects), max_rows=max_rows)


def tensors(content: dict[str, Any], *, max_rows: int) -> InferenceRequest:
    """The rows in the one member of `instances` and `inputs` that is there.

    Raises:
        InvalidRequest, RequestTooLarge
    """
    given = [name for name in ("instances", "inputs") if name in content]
    if len(given) != 1:
        raise InvalidRequest(
            f"Expected either instances or inputs, got {' and '.join(given) or 'neither'}."
        )
    (name,) = given
    if name == "inputs" and isinstance(content[name], dict):
        return rows.of_columns(content[name], name, rules=TYPED, max_rows=max_rows)
    return rows.of_list(content[name], name, rules=TYPED, max_rows=max_rows)


def objects(content: Any) -> Sequence[Any]:
    """The body, and what its two members hold: rows, or an object of columns."""
    return members(content, "instances", "inputs")


def encode(response: InferenceResponse) -> bytes:
    """The predictions."""
    return msgspec.json.encode({"predictions": json_labels(response.labels)})


def encode_explained(response: InferenceResponse) -> bytes:
    """The explanations, and the predictions that they explain."""
    told = {"explanations": explained.by_row(response)}
    return msgspec.json.encode(told | {"predictions": json_labels(response.labels)})


def _decode_to_explain(payload: Payload, limits: Limits) -> InferenceRequest:
    asked = decode(bytes(payload.body), max_rows=limits.rows)
    return replace(asked, explain=USUAL_SCALE)


PROTOCOL: Final = Protocol(
    "v1",
    routes=(
        "/v1/models/<unspoken:name>:predict",
        "/v1/models/<unspoken:name>/versions/<unspoken:version>:predict",
    ),
    decode=lambda payload, limits: decode(bytes(payload.body), max_rows=limits.rows),
    encode=lambda response, request: Reply(encode(response)),
    error=v2_documents.error,
    summary="Predict for instances",
    error_schema=v2_documents.ERROR_SCHEMA,
)
"""Content types are not looked at: clients send none, or any."""

EXPLAINING: Final = Protocol(
    "v1_explain",
    routes=(
        "/v1/models/<unspoken:name>:explain",
        "/v1/models/<unspoken:name>/versions/<unspoken:version>:explain",
    ),
    decode=_decode_to_explain,
    encode=lambda response, request: Reply(encode_explained(response)),
    error=v2_documents.error,
    summary="Explain the predictions for instances",
    error_schema=v2_documents.ERROR_SCHEMA,
    recorded_as="v1",
)
"""The same with the verb of KServe's explainers."""
