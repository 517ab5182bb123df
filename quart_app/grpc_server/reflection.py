"""`grpc.reflection.v1.ServerReflection`: what is spoken here, told to tools such as grpcurl.

Source: github.com/grpc/grpc, doc/server-reflection.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc

from .. import protobuf
from ..inference import InvalidRequest
from ..protobuf import InvalidMessage, Message
from .calls import Exchange, Method, Streamed
from .health import SERVICE as HEALTH
from .inference import SERVICE as INFERENCE

SERVICES: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
"""The older one has the same messages."""

LISTED: Final = (INFERENCE, HEALTH, SERVICES[0])

REQUEST: Final = protobuf.message_class("grpc.reflection.v1.ServerReflectionRequest")
RESPONSE: Final = protobuf.message_class("grpc.reflection.v1.ServerReflectionResponse")


def methods() -> Mapping[str, Method]:
    """The methods by their paths."""
    method = Streamed(_answer, _failed)
    return {f"/{service}/ServerReflectionInfo": method for service in SERVICES}


async def _answer(exchange: Exchange, message: bytes) -> bytes:
    try:
        request = protobuf.parsed(REQUEST, message)
    except InvalidMessage as error:
        raise InvalidRequest(str(error)) from None
    response = RESPONSE(valid_host=request.host, original_request=request, **_found(request))
    return bytes(response.SerializeToString())


def _found(request: Message) -> dict[str, Any]:
    wanted = request.WhichOneof("message_request")
    pool = protobuf.pool()
    try:
        if wanted == "list_services":
            return {"list_services_response": {"service": [{"name": name} for name in LISTED]}}
        if wanted == "file_by_filename":
            return _file(pool.FindFileByName(request.file_by_filename))
        if wanted == "file_containing_symbol":
            return _file(_file_with(request.file_containing_symbol))
    except KeyError:
        return _error(grpc.StatusCode.NOT_FOUND, "There is nothing of this name.")
    if wanted is None:
        return _error(grpc.StatusCode.INVALID_ARGUMENT, "Expected one thing to look for.")
    return _error(grpc.StatusCode.NOT_FOUND, "There are no extensions here.")


def _file_with(symbol: str) -> Any:
    """The file of a symbol; the pool itself knows none of methods.

    Raises:
        KeyError: there is none.
    """
    pool = protobuf.pool()
    try:
        return pool.FindFileContainingSymbol(symbol)
    except KeyError:
        return pool.FindMethodByName(symbol).containing_service.file


def _file(file: Any) -> dict[str, Any]:
    return {"file_descriptor_response": {"file_descriptor_proto": [file.serialized_pb]}}


def _error(code: grpc.StatusCode, message: str) -> dict[str, Any]:
    return {"error_response": {"error_code": code.value[0], "error_message": message}}


def _failed(message: str) -> bytes:
    error = _error(grpc.StatusCode.INVALID_ARGUMENT, message)
    return bytes(RESPONSE(**error).SerializeToString())
