"""Explanations on the wire: how one is asked for, and what it is as JSON and as a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ..inference import EXPLAIN, USUAL_SCALE, InferenceRequest, InferenceResponse, InvalidRequest

if TYPE_CHECKING:
    from model_store.reasons.explanation import Explanation

SCALES: Final = ("probability", "log-odds", "score", "number", "anomaly score")
"""As `model_store.reasons.scales` has them, which is not imported for requests that do not ask."""

ROWS: Final = "rows"
"""The member that holds the rows where `explain` stands beside it."""

_WORDS: Final[Mapping[object, str | None]] = {
    **dict.fromkeys(("", "1", "true", "yes"), USUAL_SCALE),
    **dict.fromkeys(("0", "false", "no"), None),
    **{scale: scale for scale in SCALES},
}


def scale_of(value: object) -> str | None:
    """The scale of an explanation that is asked for; None where none is.

    Raises:
        InvalidRequest: it is neither true nor false, nor a scale.
    """
    if value is None or isinstance(value, bool):
        return USUAL_SCALE if value else None
    word = value.lower() if isinstance(value, str) else None
    if word not in _WORDS:
        raise InvalidRequest(
            f"{EXPLAIN}: expected true, false or a scale among {', '.join(SCALES)}; got "
            f"{value!r:.60}."
        )
    return _WORDS[word]


def settled(request: InferenceRequest, names: tuple[str, ...]) -> InferenceRequest:
    """A request that has `explain` beside the values of its row: as the wish that it is, unless it
    is a column of the model.

    Raises:
        InvalidRequest: it is no wish.
    """
    if not request.beside or EXPLAIN in names or not isinstance(request.columns, Mapping):
        return request
    columns = {name: values for name, values in request.columns.items() if name != EXPLAIN}
    scale = scale_of(request.columns[EXPLAIN][0])
    return replace(request, columns=columns, explain=scale or request.explain, beside=False)


def by_row(response: InferenceResponse) -> list[Any]:
    """For each row its explanation, or of a model with several targets a list of them."""
    told = response.explanation
    assert told is not None
    rows = [
        [_one(response, told, row, target) for target in range(told.base.shape[1])]
        for row in range(len(told))
    ]
    return rows if response.labels.ndim > 1 else [row[0] for row in rows]


def _one(response: InferenceResponse, told: Explanation, row: int, target: int) -> dict[str, Any]:
    found: dict[str, Any] = {"base": float(told.base[row, target]), "scale": told.scale}
    if told.classes is not None:
        found["class"] = told.classes[row][target]
    numbers = told.contributions[row, target].tolist()
    found["contributions"] = dict(zip(response.columns, numbers, strict=True))
    found["method"] = told.method
    if told.errors is not None:
        errors = told.errors[row, target].tolist()
        found["error"] = dict(zip(response.columns, errors, strict=True))
    return found


def tensor(told: Explanation, *, several: bool) -> NDArray[np.float64]:
    """The contributions of all columns and behind them the base, of shape (n, columns + 1), or
    (n, targets, columns + 1) of several."""
    found = np.concatenate([told.contributions, told.base[:, :, np.newaxis]], axis=2)
    return found if several else found[:, 0]


def parameters(response: InferenceResponse) -> dict[str, str]:
    """What there is to know of that tensor, each as text or as JSON."""
    told = response.explanation
    assert told is not None
    found: dict[str, str] = {"scale": told.scale, "method": told.method}
    found["columns"] = msgspec.json.encode([*response.columns, "base"]).decode()
    if told.classes is not None:
        several = response.labels.ndim > 1
        classes = told.classes if several else [row[0] for row in told.classes]
        found["classes"] = msgspec.json.encode(classes).decode()
    return found
