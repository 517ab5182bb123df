"""What stands inside a call of a tool (Model Context Protocol): its arguments and its result.

    {"rows": [{"X1": 61.1, "X2": 17.3}]}  →  {"predictions": [0], "probabilities": [{…}], …}

What stands around it, and which tools there are, is in `quart_app/mcp`. The result is the native
JSON of a list of rows.

Source: https://modelcontextprotocol.io/specification/2026-07-28
"""

from __future__ import annotations

from typing import Any, Final

from ..inference import InferenceRequest, InvalidRequest
from . import native, rows, unique_keys
from .json_body import kind, parse_object
from .protocol import JSON, Protocol, Reply

PATH: Final = "/mcp"
ROWS: Final = "rows"

INVALID_REQUEST: Final = -32600
INTERNAL: Final = -32603
SERVER_ERROR: Final = -32000
"""Codes of JSON-RPC for what failed before a message was looked at."""


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The rows in the arguments of a call.

    Raises:
        InvalidRequest: there are other arguments, or the rows are no list of objects.
        RequestTooLarge: more than `max_rows` rows.
    """
    arguments = parse_object(body, lambda content: unique_keys.members(content, ROWS))
    for name in arguments:
        if name != ROWS:
            raise InvalidRequest(f"{name}: there is no such argument; expected {ROWS} alone.")
    if ROWS not in arguments:
        raise InvalidRequest(f"{ROWS}: expected a list of rows, got nothing.")
    sent = arguments[ROWS]
    if not isinstance(sent, list):
        raise InvalidRequest(f"{ROWS}: expected a list of rows, got {kind(sent)}.")
    rows.require_count(len(sent), max_rows)
    return InferenceRequest(rows.of_objects(sent), rows=len(sent), many=True)


def error(message: str, status: int) -> dict[str, Any]:
    """The response to what failed before there was a message to answer, or by a defect."""
    code = {400: INVALID_REQUEST, 500: INTERNAL}.get(status, SERVER_ERROR)
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}


PROTOCOL: Final = Protocol(
    "mcp",
    routes=(PATH,),
    decode=lambda payload, limits: decode(bytes(payload.body), max_rows=limits.rows),
    encode=lambda response, request: Reply(native.encode(response, many=True)),
    error=error,
    content_types=(JSON,),
    model_first=True,
    summary="A message of the Model Context Protocol: each model is a tool",
    error_schema={
        "title": "McpError",
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer", "null"]},
            "error": {
                "type": "object",
                "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
                "required": ["code", "message"],
            },
        },
        "required": ["jsonrpc", "error"],
    },
)
