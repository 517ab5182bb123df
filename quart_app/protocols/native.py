"""The JSON of this server: one object is one row, a list of objects is many.

    {"X1": 61.1, "X2": 17.3}     → {"prediction": 0, "probabilities": {"0": 0.9, "1": 0.1}, …}
    [{"X1": 61.1, "X2": 17.3}]   → {"predictions": [0], "probabilities": [{"0": 0.9, …}], …}

A prediction has the class's own JSON type; probabilities are keyed by its text. Of a model with
several targets both are lists, in the order of the model's outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store.model import json_labels

from ..inference import InferenceRequest, InferenceResponse, InvalidRequest
from . import rows
from .json_body import kind, parse

CONTENT_TYPE: Final = "application/json"


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The rows in a JSON body.

    Raises:
        InvalidRequest: not JSON, or neither an object nor a list of objects.
        RequestTooLarge: more than `max_rows` rows.
    """
    content = parse(body, "a JSON object or a list of them")
    if isinstance(content, dict):
        rows.require_names(len(content))
        return InferenceRequest({name: (value,) for name, value in content.items()}, rows=1)
    if not isinstance(content, list):
        raise InvalidRequest(f"Expected a JSON object or a list of them, got {kind(content)}.")
    rows.require_count(len(content), max_rows)
    return InferenceRequest(rows.of_objects(content), rows=len(content), many=True)


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
