"""Every status with which each route may refuse, in the shape of its protocol."""

from __future__ import annotations

from typing import Final

from ..config import Config
from ..middleware.access import KEYS, READING, Guard
from ..negotiation import HTML, JSON
from ..protocols import mcp
from ..protocols.protocol import Protocol
from ..protocols.registry import Protocols
from .schemas import OBJECT, TEXT, Schema, reference

FAILURES: Final = {
    400: "The request is not understood, or its rows do not fit the model; every fault is named.",
    401: "There is no API key with the request, or a wrong one.",
    403: "A page of another site sent it, or it needs an API key and the server has none, or this "
    "key is for other models.",
    404: "There is no such model or version.",
    408: "The body took too long to arrive.",
    413: "Too many bytes or rows.",
    415: "A content type or a content coding that is not spoken here.",
    421: "The header Host has a name that may lead anywhere.",
    429: "More requests came than may; see Retry-After.",
    500: "Something went wrong here.",
    503: "The model is on its way, has failed, or too much is waiting; see Retry-After.",
    504: "There was no answer in time.",
}
ANYWHERE: Final = (400, 408, 413, 415, 500, 503)
"""A body may come with any request, and is read before its route is."""
OF_A_MODEL: Final = (404, 504)

CHOOSING: Final = ("/", "/predict", "/predict_api", "/invocations")
"""Routes that find the model by themselves."""

OF_MESSAGES: Final = (404, 421)
"""Where messages of agents are answered: there is no such method, and the name of the server."""

PLAIN: Final = ("/ping", "/health", "/version")
METRICS: Final = "/metrics"
PAGES: Final = ("/", "/models")
"""Routes that send whoever wants HTML elsewhere, or give a page."""


def add_failures(document: Schema, guard: Guard, protocols: Protocols, config: Config) -> None:
    """Complete each operation: an answer, the failures, an id of its own, and the keys it needs."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = _identifier(method, path)
            told = operation.get("responses", {})
            responses = {str(status): response for status, response in told.items()}
            operation["responses"] = responses
            if not any(status.startswith("2") for status in responses):
                responses["200"] = _answer(path)
            if path == mcp.PATH:
                responses["202"] = {"description": "A notification was taken."}
            if path in PAGES or path.endswith("/predict"):
                responses["302"] = {"description": "The page of it is elsewhere."}
            needs_key = guard.needs_key(method.upper(), path)
            if needs_key:
                operation["security"] = KEYS
            for status in _statuses(path, method, needs_key, bool(config.rate_limit)):
                responses.setdefault(str(status), _failure(path, status, protocols.at(path)))


def _statuses(path: str, method: str, needs_key: bool, is_limited: bool) -> tuple[int, ...]:
    found: tuple[int, ...] = ANYWHERE
    if path.count("/") > 1 or path in CHOOSING:
        found += OF_A_MODEL
    if path == mcp.PATH:
        found += OF_MESSAGES
    if needs_key:
        found += (401, 403)
    if method.upper() not in READING:
        found += (403,)
    if is_limited:
        found += (429,)
    return found


def _answer(path: str) -> Schema:
    content = {JSON: {"schema": OBJECT}}
    if path in PLAIN or path == METRICS:
        content = {"text/plain": {"schema": TEXT}}
    if path == METRICS:
        content["application/openmetrics-text"] = {"schema": TEXT}
    return {"description": "The answer.", "content": content}


def _failure(path: str, status: int, protocol: Protocol) -> Schema:
    if protocol.error is not None:
        schema = protocol.error_schema
        content: Schema = {JSON: {"schema": reference(schema["title"]) if schema else OBJECT}}
    else:
        content = {JSON: {"schema": reference("ErrorBody")}, HTML: {"schema": TEXT}}
        if path in PLAIN:
            content["text/plain"] = {"schema": TEXT}
    return {"description": FAILURES[status], "content": content}


def _identifier(method: str, path: str) -> str:
    words = "".join(char if char.isalnum() else " " for char in path).split()
    return "_".join([method, *words])
