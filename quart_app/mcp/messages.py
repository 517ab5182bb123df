"""JSON-RPC 2.0 as the protocol uses it: one request or notification a body, and no batches.

Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REFUSED: Final = -32000
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

STATUS: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
    INTERNAL_ERROR: 500,
}
"""The HTTP status of an error, from the revision 2026-07-28 on."""

NO_ID: Final = b"null"

_ID: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9]+', re.DOTALL)


class RpcError(Exception):
    """A message that is answered with an error. `data` is told beside the sentence."""

    def __init__(
        self, code: int, message: str, *, data: object = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.status = STATUS.get(code, 400) if status is None else status


class Message(NamedTuple):
    """A request, or without an `id` a notification. The id is JSON, sent back as it came. `params`
    are None where they are no object."""

    method: str
    id: bytes | None
    params: Params | None


class Params(msgspec.Struct):
    """The parameters of any method that is served here."""

    meta: Raw | UnsetType = msgspec.field(default=UNSET, name="_meta")
    name: Raw | UnsetType = UNSET
    arguments: Raw | UnsetType = UNSET
    cursor: Raw | UnsetType = UNSET
    protocol_version: Raw | UnsetType = msgspec.field(default=UNSET, name="protocolVersion")


class _Body(msgspec.Struct):
    method: str
    jsonrpc: str = ""
    id: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET


_bodies: Final = msgspec.json.Decoder(_Body)
_params: Final = msgspec.json.Decoder(Params)
_NO_PARAMS: Final = Params()


def read(body: bytes | bytearray) -> Message:
    """The message in a body.

    Raises:
        RpcError: it is none.
    """
    try:
        if not body.isascii():
            body.decode()  # the decoder passes over what it only keeps
        found = _bodies.decode(body)
    except msgspec.ValidationError:
        raise RpcError(
            INVALID_REQUEST,
            "Expected one request or notification of JSON-RPC: an object with a method.",
        ) from None
    except UnicodeDecodeError:
        raise RpcError(PARSE_ERROR, "The body is not UTF-8.") from None
    except (msgspec.DecodeError, RecursionError):
        raise RpcError(PARSE_ERROR, "The body is not JSON.") from None
    if found.jsonrpc != "2.0":
        raise RpcError(INVALID_REQUEST, 'jsonrpc: expected "2.0".')
    id = None if found.id is UNSET else bytes(found.id)
    if id is not None and _ID.fullmatch(id) is None:
        raise RpcError(INVALID_REQUEST, "id: expected a text or an integer.")
    return Message(found.method, id, _params_of(found.params))


def _params_of(sent: Raw | UnsetType) -> Params | None:
    if sent is UNSET:
        return _NO_PARAMS
    try:
        return _params.decode(sent)
    except msgspec.ValidationError:
        return None


def id_of(body: bytes | bytearray) -> bytes:
    """The id of a message that cannot be read otherwise, where it has one."""
    try:
        found = msgspec.json.decode(body, type=_Identified).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_ID
    id = b"" if found is UNSET else bytes(found)
    return id if _ID.fullmatch(id) else NO_ID


class _Identified(msgspec.Struct):
    id: Raw | UnsetType = UNSET


def text_in(raw: Raw | UnsetType) -> str | None:
    """The text that a member is; None where it is none."""
    if raw is UNSET:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def object_in(raw: Raw | UnsetType) -> dict[str, Any]:
    """The object that a member is; an empty one where it is none."""
    if raw is UNSET:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def result(id: bytes, content: bytes) -> bytes:
    """The response with a result that is JSON."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, content)


def failure(id: bytes, error: RpcError) -> bytes:
    """The response with an error."""
    told: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        told["data"] = error.data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id, msgspec.json.encode(told))
