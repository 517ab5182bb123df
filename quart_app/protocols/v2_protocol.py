"""The Open Inference Protocol V2 as one value: in JSON as `v2` has it, or with tensors in bytes as
`v2_binary` has it where the head of the request says so."""

from __future__ import annotations

from typing import Final

from ..inference import InferenceRequest, InferenceResponse, InvalidRequest
from . import v2, v2_binary, v2_documents
from .protocol import Headers, Limits, Payload, Protocol, Reply

_LENGTH: Final = v2_binary.HEADER.lower().encode()


def decode(payload: Payload, limits: Limits) -> InferenceRequest:
    """The tensors of a request. Its content type is not looked at: clients send none, or any.

    Raises:
        InvalidRequest, RequestTooLarge
    """
    lengths = set(payload.sent(v2_binary.HEADER)) if payload.headers else ()
    if not lengths:
        return v2.decode(bytes(payload.body), max_rows=limits.rows)
    length, *others = lengths
    if others:
        raise InvalidRequest(f"{v2_binary.HEADER}: expected one length, got {len(lengths)}.")
    return v2_binary.decode(
        payload.body,
        length,
        payload.columns,
        max_rows=limits.tensor_rows,
        max_json=limits.json_bytes,
    )


def encode(response: InferenceResponse, request: InferenceRequest) -> Reply:
    """The outputs, in bytes or in JSON as was asked."""
    if not request.in_bytes:
        return Reply(v2.encode(response, request))
    encoded = v2_binary.encode(response, request)
    length = (v2_binary.HEADER, str(encoded.header_length))
    return Reply(encoded.body, v2_binary.CONTENT_TYPE, (length,))


def body_limit(headers: Headers, limits: Limits) -> int:
    """The bytes of a body, by whether it has tensors in bytes."""
    return limits.tensor_bytes if _LENGTH in headers else limits.json_bytes


PROTOCOL: Final = Protocol(
    "v2",
    routes=("/v2/models/<name>/infer", "/v2/models/<name>/versions/<version>/infer"),
    decode=decode,
    encode=encode,
    error=v2_documents.error,
    body_limit=body_limit,
    vary=("Accept-Encoding",),
    model_first=True,
    raw_header=_LENGTH,
    summary="Predict for tensors",
    error_schema=v2_documents.ERROR_SCHEMA,
)
