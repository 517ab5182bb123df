"""The values of a request as records have them: plain JSON of the column's type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from model_store import InvalidRows, Manifest, Signature
from model_store.record_settings import RecordSettings
from model_store.text_rules import JSON

from ..inference import InferenceRequest, InvalidRequest
from .prediction import JSONCell

Columns = dict[str, list[JSONCell]]

_NUMBERS: Final[frozenset[type]] = frozenset({int, float})
_PLAIN: Final[frozenset[type]] = frozenset({int, float, str, bool})


def columns_of(manifest: Manifest, request: InferenceRequest, *, checked: bool) -> Columns:
    """The values of a request by column. Unless they are to be `checked`, the model took them.

    What came as JSON stays as it was sent, unless a number was sent as a text.

    Raises:
        InvalidRequest, InvalidRows: it did not take them.
    """
    signature = manifest.signature
    values = request.named(signature.names)
    if request.rules is JSON and not checked:
        found: Columns = {}
        for column in signature.columns:
            cells = _as_sent(values.get(column.name), _NUMBERS if column.numeric else _PLAIN)
            if cells is None:
                break
            found[column.name] = cells
        else:
            return found
    return _read(signature, values, request)


def sound_columns(
    manifest: Manifest, request: InferenceRequest, error: InvalidRows
) -> Columns | None:
    """The columns in which no value of a refused request was wrong; None where that is not known,
    or there are none."""
    if error.total > len(error.faults):
        return None
    try:
        values = request.named(manifest.signature.names)
    except InvalidRequest:
        return None
    wrong = {fault.column for fault in error.faults}
    columns = tuple(
        column
        for column in manifest.signature.columns
        if column.name in values and column.name not in wrong
    )
    if not columns:
        return None
    sound = replace(manifest.signature, columns=columns, dtype="object")
    try:
        return _read(sound, {name: values[name] for name in sound.names}, request)
    except (InvalidRows, InvalidRequest):
        return None


def kept(columns: Columns, settings: RecordSettings) -> Columns:
    """The columns that are kept, hashed where that was asked for."""
    if not settings.columns:
        return columns
    found: Columns = {}
    for name, cells in columns.items():
        keeping = settings.keeping(name)
        if keeping == "hash":
            found[name] = [settings.hashed(cell) for cell in cells]
        elif keeping == "keep":
            found[name] = cells
    return found


def _as_sent(values: Any, types: frozenset[type]) -> list[JSONCell] | None:
    """The values of a list that are all of these types, or of an array of numbers; else None."""
    if type(values) is not list:
        if getattr(getattr(values, "dtype", None), "kind", "O") not in "iuf":
            return None
        values = values.tolist()
    for value in values:
        kind = type(value)
        if kind not in types and value is not None:
            return None
        if kind is float and not math.isfinite(value):
            return [None if each != each else each for each in values]
    found: list[JSONCell] = values
    return found


def _read(signature: Signature, values: Mapping[str, Any], request: InferenceRequest) -> Columns:
    matrix = signature.validate(values, request.rows, request.rules)
    return {
        column.name: column.plain_all(matrix[:, place])
        for place, column in enumerate(signature.columns)
    }


def probabilities_of(probabilities: Sequence[Any] | None) -> list[Any] | None:
    """The probabilities of each row, a list of them for each target of several."""
    if not probabilities:
        return None
    if len(probabilities) == 1:
        found: list[Any] = probabilities[0].tolist()
        return found
    return [list(row) for row in zip(*(each.tolist() for each in probabilities), strict=True)]
