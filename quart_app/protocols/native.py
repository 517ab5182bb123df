"""The JSON of this server: one object is one row, a list of objects is many.

    {"X1": 61.1, "X2": 17.3}     → {"prediction": 0, "probabilities": {"0": 0.9, "1": 0.1}, …}
    [{"X1": 61.1, "X2": 17.3}]   → {"predictions": [0], "probabilities": [{"0": 0.9, …}], …}

A prediction has the class's own JSON type; probabilities are keyed by its text. Of a model with
several targets both are lists, in the order of the model's outputs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store import ABSENT
from model_store.model import json_labels

from ..inference import InferenceRequest, InferenceResponse, InvalidRequest, RequestTooLarge

CONTENT_TYPE: Final = "application/json"
MAX_ABSENT: Final = 100_000
"""Cells that rows may lack of the columns that other rows name. An absent cell is a fault in any
case; the bound keeps a small body from standing for a huge table."""


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The rows in a JSON body.

    Raises:
        InvalidRequest: not JSON, or neither an object nor a list of objects.
        RequestTooLarge: more than `max_rows` rows.
    """
    content = _parse(body)
    if isinstance(content, dict):
        return InferenceRequest({name: (value,) for name, value in content.items()}, rows=1)
    if not isinstance(content, list):
        raise InvalidRequest(f"Expected a JSON object or a list of them, got {_kind(content)}.")
    if not content:
        raise InvalidRequest("Expected at least one row, got an empty list.")
    if len(content) > max_rows:
        raise RequestTooLarge(f"A request may bring {max_rows} rows, got {len(content)}.")
    for row, values in enumerate(content):
        if not isinstance(values, dict):
            raise InvalidRequest(f"Row {row}: expected a JSON object, got {_kind(values)}.")
    return InferenceRequest(_columns(content), rows=len(content), many=True)


def encode(response: InferenceResponse, *, many: bool) -> bytes:
    """The answer as JSON: of a list, or of the one row."""
    predictions = json_labels(response.labels)
    probabilities = _by_row(response)
    content: dict[str, Any] = (
        {"predictions": predictions} if many else {"prediction": predictions[0]}
    )
    if probabilities is not None:
        content["probabilities"] = probabilities if many else probabilities[0]
    content |= {"model": response.model, "version": response.version, "id": response.id}
    if response.notice is not None:
        content["notice"] = response.notice
    return msgspec.json.encode(content)


def _parse(body: bytes) -> Any:
    if not body.strip():
        raise InvalidRequest("Expected a JSON object or a list of them, got an empty body.")
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _parse_leniently(body, error)


def _parse_leniently(body: bytes, error: Exception) -> Any:
    """Read what many clients send as JSON and is none: a bare NaN or Infinity, a byte order mark,
    a number beyond a float. Then the signature can name the field that has it."""
    try:
        content = json.loads(body.decode("utf-8-sig"))
        json.dumps(content, ensure_ascii=False).encode()  # raises where a surrogate stands alone
        return content
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except UnicodeDecodeError as undecodable:
        raise InvalidRequest(f"The body is not UTF-8 at byte {undecodable.start}.") from None
    except ValueError:
        reason = str(error).split(" - at ")[0]  # msgspec's path holds no name or index
        raise InvalidRequest(f"The body is not JSON: {reason}.") from None


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[object]]:
    names = dict.fromkeys(name for values in rows for name in values)
    absent = len(names) * len(rows) - sum(map(len, rows))
    if absent > MAX_ABSENT:
        raise InvalidRequest(
            f"The rows name {len(names)} columns between them, and lack most: every row needs "
            "every column of the model."
        )
    return {name: [values.get(name, ABSENT) for values in rows] for name in names}


def _by_row(response: InferenceResponse) -> list[Any] | None:
    """For each row the probabilities by class, or a list of such of several targets."""
    if response.probabilities is None:
        return None
    tables = [
        _by_class(shares, classes)
        for shares, classes in zip(response.probabilities, response.classes, strict=True)
    ]
    return (
        tables[0] if response.labels.ndim == 1 else [list(row) for row in zip(*tables, strict=True)]
    )


def _by_class(shares: NDArray[np.float64], classes: Sequence[object]) -> list[dict[str, float]]:
    names = [str(label) for label in classes]
    return [dict(zip(names, row, strict=True)) for row in shares.tolist()]


def _kind(value: object) -> str:
    kinds = {str: "a text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "something else")
