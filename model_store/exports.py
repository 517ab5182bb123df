"""Exports of what was predicted and turned out true, as tables to train on.

An export is CSV, in which `truth` stands beside the columns of the model, or JSON Lines, in which
each line has `inputs` and `truth` (docs/monitoring.md). A table to train on calls the truth as the
model's target. What a shadow answered are the same rows once more, and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from .errors import InvalidTable
from .literals import shown_category
from .tables import Table

ID, TRUTH, INPUTS, VARIANT = "id", "truth", "inputs", "variant"
SHADOW: Final = "shadow"
_BEGINNING: Final = 64


def training_table(path: Path, target: str) -> Table:
    """The table in a file: CSV as it is, or an export, whose truths become the column `target`.

    Raises:
        InvalidTable: it is neither, or an export without a truth.
    """
    if _is_lines(path):
        return _of_lines(path, target)
    table = Table.read(path)
    if target in table.columns or not {ID, TRUTH, VARIANT} <= table.columns.keys():
        return table
    return _of_export(path, table, target)


def _of_export(path: Path, table: Table, target: str) -> Table:
    """CSV that was exported, without the rows that tell nothing."""
    variants, truths = table.columns[VARIANT], table.columns[TRUTH]
    kept = [
        row
        for row, (variant, truth) in enumerate(zip(variants, truths, strict=True))
        if variant != SHADOW and truth
    ]
    if not kept:
        raise _without_truth(path)
    renamed = {target if name == TRUTH else name: cells for name, cells in table.columns.items()}
    return Table.of_columns({name: [cells[row] for row in kept] for name, cells in renamed.items()})


def _is_lines(path: Path) -> bool:
    """Whether a file has JSON in it."""
    try:
        with path.open("rb") as file:
            return file.read(_BEGINNING).lstrip().startswith(b"{")
    except OSError as error:
        raise InvalidTable(f"{path} cannot be read: {error.strerror}.") from error


def _of_lines(path: Path, target: str) -> Table:
    rows: list[tuple[Mapping[str, Any], Any]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            content = _content(path, number, line)
            truth, inputs = content.get(TRUTH), content.get(INPUTS)
            if truth is None or inputs is None or content.get(VARIANT) == SHADOW:
                continue
            if not isinstance(inputs, Mapping):
                raise InvalidTable(f"{path}, line {number}: inputs: expected an object.")
            rows.append((inputs, truth))
    if not rows:
        raise _without_truth(path)
    names = dict.fromkeys(name for inputs, _ in rows for name in inputs)
    columns = {name: [_text(inputs.get(name)) for inputs, _ in rows] for name in names}
    return Table.of_columns({**columns, target: [_text(truth) for _, truth in rows]})


def _content(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidTable(f"{path}, line {number}: it is not JSON: {error}.") from None
    if not isinstance(content, Mapping):
        raise InvalidTable(f"{path}, line {number}: expected an object.")
    return content


def _text(value: object) -> str:
    """A value as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return json.dumps(value)
    return shown_category(value)


def _without_truth(path: Path) -> InvalidTable:
    return InvalidTable(f"{path} has no row with a truth; export with --truth.")
