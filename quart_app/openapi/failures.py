"""Every status with which each route may refuse, in the shape of its protocol."""

from __future__ import annotations

from typing import Final

from ..negotiation import HTML, JSON
from .schemas import OBJECT, TEXT, Schema, reference

FAILURES: Final = {
    400: "The request is not understood, or its rows do not fit the model; every fault is named.",
    401: "There is no API key with the request, or a wrong one.",
    403: "The server has no API keys, so that nobody may.",
    404: "There is no such model or version.",
    408: "The body took too long to arrive.",
    413: "Too many bytes or rows.",
    415: "A content type or a content coding that is not spoken here.",
    500: "Something went wrong here.",
    503: "The model is on its way, has failed, or too much is waiting; see Retry-After.",
    504: "There was no answer in time.",
}
ANYWHERE: Final = (400, 408, 413, 415, 500, 503)
"""A body may come with any request, and is read before its route is."""
OF_A_MODEL: Final = (404, 504)
OF_A_CHANGE: Final = (401, 403)

CHOOSING: Final = ("/", "/predict", "/predict_api", "/invocations")
"""Routes that find the model by themselves."""

PLAIN: Final = ("/ping", "/health", "/version")
PAGES: Final = ("/", "/models")
"""Routes that send whoever wants HTML elsewhere, or give a page."""


def add_failures(document: Schema) -> None:
    """Complete each operation: an answer, the failures, and an id of its own."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = _identifier(method, path)
            told = operation.get("responses", {})
            responses = {str(status): response for status, response in told.items()}
            operation["responses"] = responses
            if not any(status.startswith("2") for status in responses):
                responses["200"] = _answer(path)
            if path in PAGES or path.endswith("/predict"):
                responses["302"] = {"description": "The page of it is elsewhere."}
            for status in _statuses(path):
                responses.setdefault(str(status), _failure(path, status))


def _statuses(path: str) -> tuple[int, ...]:
    found: tuple[int, ...] = ANYWHERE
    if path.count("/") > 1 or path in CHOOSING:
        found += OF_A_MODEL
    if path.endswith(("/load", "/unload")):
        found += OF_A_CHANGE
    return found


def _answer(path: str) -> Schema:
    content = {"text/plain": {"schema": TEXT}} if path in PLAIN else {JSON: {"schema": OBJECT}}
    return {"description": "The answer.", "content": content}


def _failure(path: str, status: int) -> Schema:
    if path.startswith(("/v1/", "/v2")):
        content = {JSON: {"schema": reference("Error")}}
    elif path == "/invocations":
        content = {JSON: {"schema": reference("ScoringError")}}
    else:
        content = {JSON: {"schema": reference("ErrorBody")}, HTML: {"schema": TEXT}}
        if path in PLAIN:
            content["text/plain"] = {"schema": TEXT}
    return {"description": FAILURES[status], "content": content}


def _identifier(method: str, path: str) -> str:
    words = "".join(char if char.isalnum() else " " for char in path).split()
    return "_".join([method, *words])
