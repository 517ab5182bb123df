"""Rows of a JSON body as columns: objects by their names, lists by their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from model_store import ABSENT
from model_store.text_rules import TextRules

from ..inference import InferenceRequest, InvalidRequest, Values, too_large
from .json_body import kind

MAX_ABSENT: Final = 100_000
"""Cells that rows may lack of the columns that other rows name. An absent cell is a fault in any
case; the bound keeps a small body from standing for a huge table."""

MAX_NAMES: Final = 20_000
"""Columns that a request may name: more than models have, few enough to be looked at at once."""


def of_list(rows: object, what: str, *, rules: TextRules, max_rows: int) -> InferenceRequest:
    """A list of rows: objects, or lists in the order of the signature, or the values of the one
    column of a model. `what` is the member of the body that holds it.

    Raises:
        InvalidRequest: it is no such list.
        RequestTooLarge: more than `max_rows` rows.
    """
    if not isinstance(rows, list):
        raise InvalidRequest(f"{what}: expected a list of rows, got {kind(rows)}.")
    require_count(len(rows), max_rows)
    columns: dict[str, list[object]] | list[Values]
    if isinstance(rows[0], dict):
        columns = of_objects(rows)
    elif isinstance(rows[0], list):
        columns = of_lists(rows, what)
    else:
        _require_all(rows, (str, int, float, type(None)), f"{what}: expected a value in each row")
        columns = [rows]
    return InferenceRequest(columns, rows=len(rows), many=True, rules=rules)


def of_objects(rows: list[Any]) -> dict[str, list[object]]:
    """Columns by name of rows that are objects; a row that lacks one is ABSENT there.

    Raises:
        InvalidRequest: a row is none, or most of the cells are absent.
    """
    for row, values in enumerate(rows):
        if not isinstance(values, dict):
            raise InvalidRequest(f"Row {row}: expected a JSON object, got {kind(values)}.")
    names = dict.fromkeys(name for values in rows for name in values)
    require_names(len(names))
    absent = len(names) * len(rows) - sum(map(len, rows))
    if absent > MAX_ABSENT:
        raise InvalidRequest(
            f"The rows name {len(names)} columns between them, and lack most: every row needs "
            "every column of the model."
        )
    return {name: [values.get(name, ABSENT) for values in rows] for name in names}


def of_lists(rows: list[Any], what: str) -> list[Values]:
    """Columns in the order of rows that are lists, all of one length.

    Raises:
        InvalidRequest: a row is none, or of another length.
    """
    _require_all(rows, (list,), f"{what}: expected a list in each row")
    width = len(rows[0])
    if not width:
        raise InvalidRequest(f"{what}: row 0 is empty.")
    for row, values in enumerate(rows):
        if len(values) != width:
            raise InvalidRequest(
                f"{what}: expected {width} values in each row as in row 0, "
                f"got {len(values)} in row {row}."
            )
    return list(zip(*rows, strict=True))


def of_columns(columns: object, what: str, *, rules: TextRules, max_rows: int) -> InferenceRequest:
    """An object with a list of values for each column.

    A value may stand in a list of its own, as a tensor of the shape [n, 1] has it.

    Raises:
        InvalidRequest: it is no such object, or its lists differ in length.
        RequestTooLarge: more than `max_rows` rows.
    """
    if not isinstance(columns, dict) or not columns:
        raise InvalidRequest(f"{what}: expected an object with a list for each column.")
    require_names(len(columns))
    found = {name: _column(name, values) for name, values in columns.items()}
    counts = {name: len(values) for name, values in found.items()}
    rows = next(iter(counts.values()))
    for name, count in counts.items():
        if count != rows:
            raise InvalidRequest(
                f"{name}: expected {rows} values as in {next(iter(counts))}, got {count}."
            )
    require_count(rows, max_rows)
    return InferenceRequest(found, rows=rows, many=True, rules=rules)


def require_count(rows: int, max_rows: int) -> None:
    """Refuse no rows, and more than are taken.

    Raises:
        InvalidRequest, RequestTooLarge
    """
    if not rows:
        raise InvalidRequest("Expected at least one row, got none.")
    if rows > max_rows:
        raise too_large(f"A request may bring {max_rows} rows, got {rows}", max_rows)


def require_names(names: int) -> None:
    """Allow no more columns than any model has.

    Raises:
        InvalidRequest
    """
    if names > MAX_NAMES:
        raise InvalidRequest(f"A request may name {MAX_NAMES} columns, got {names}.")


def _column(name: str, values: object) -> Sequence[object]:
    if not isinstance(values, list):
        raise InvalidRequest(f"{name}: expected a list of values, got {kind(values)}.")
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):
        return [value[0] for value in values]
    return values


def _require_all(rows: list[Any], types: tuple[type, ...], expected: str) -> None:
    for row, values in enumerate(rows):
        if not isinstance(values, types):
            raise InvalidRequest(f"{expected} as in row 0, got {kind(values)} in row {row}.")
