"""What an exception is in gRPC: the one table of errors, in the words of its status codes.

Source: https://grpc.io/docs/guides/status-codes/
"""

from __future__ import annotations

from typing import Final

import grpc

from .. import errors
from ..inference import Overloaded
from ..serving.batcher import QueueFull

CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The code that stands for an HTTP status."""

MAX_DETAILS: Final = 4_000
"""Bytes of a sentence as it is sent. Clients refuse trailers of more than 8 KiB as a whole."""


def code_of(error: Exception) -> grpc.StatusCode:
    """The code of an exception.

    Overload is RESOURCE_EXHAUSTED and not UNAVAILABLE, which clients may repeat by themselves.
    """
    if isinstance(error, QueueFull | Overloaded):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    return CODES[errors.status_of(error)]


def details_of(message: str) -> str:
    """A sentence that fits into a trailer, where a byte that is not visible ASCII takes three."""
    room = MAX_DETAILS
    for position, character in enumerate(message):
        visible = " " <= character <= "~" and character != "%"
        room -= 1 if visible else 3 * len(character.encode("utf-8", "replace"))
        if room < 0:
            return f"{message[:position]}…"
    return message
