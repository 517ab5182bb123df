"""Tables as CSV (RFC 4180), a few rows at a time; the first line names the columns.

    X1,X2       →  X1,X2,prediction,probability_0,probability_1,error
    61.1,17.3      61.1,17.3,0,0.9,0.1,

What is read as such, `model_store.csv_records` says.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_letters, digits
from typing import Any, Final, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store import Manifest, csv_records
from model_store.answer_columns import added_names, added_values
from model_store.arrow import (
    ArrowArray,
    all_match,
    is_arrow,
    lines_of,
    of_separated,
    of_texts,
    text_bytes,
    text_starts,
)
from model_store.csv_columns import TextColumn
from model_store.csv_records import MAX_RECORD, Cells
from model_store.errors import InvalidTable
from model_store.labels import json_labels
from model_store.literals import parse_number
from model_store.tables import DELIMITERS

from ..inference import InferenceResponse, InvalidRequest
from .rows import require_names

CONTENT_TYPE: Final = "text/csv"
ANSWER_TYPE: Final = "text/csv; charset=utf-8"


class Decoder:
    """`csv_records.Decoder`, whose refusals are those of a request."""

    def __init__(self, *, max_record: int = MAX_RECORD) -> None:
        self._records = csv_records.Decoder(max_record=max_record)
        self.faults = self._records.faults

    @property
    def names(self) -> tuple[str, ...]:
        return self._records.names

    @property
    def delimiter(self) -> str:
        return self._records.delimiter

    def feed(self, data: bytes) -> list[Cells]:
        """The rows that end in this piece.

        Raises:
            InvalidRequest: the line of names is wrong.
        """
        return self._requested(self._records.feed, data)

    def finish(self) -> list[Cells]:
        """The last row, where it has no line end.

        Raises:
            InvalidRequest: the line of names is wrong, or there is none.
        """
        return self._requested(self._records.finish)

    def _requested(self, read: Callable[..., list[Cells]], *data: bytes) -> list[Cells]:
        unnamed = not self.names
        try:
            rows = read(*data)
        except InvalidTable as error:
            raise InvalidRequest(str(error)) from None
        if unnamed:
            require_names(len(self.names))
        return rows


def example(row: Mapping[str, str]) -> bytes:
    """A table of one row of texts, between whatever lets it be read again."""
    for delimiter in DELIMITERS:
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(row)
        writer.writerow(row.values())
        text = file.getvalue()
        if max(DELIMITERS, key=text.partition("\n")[0].count) == delimiter:
            break
    return text.encode()


# The answer ----------------------------------------------------------------------

_NUMBER: Final = r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *"
_BETWEEN: Final = "\x1e"
_BLANK: Final = r"\0-\x1d\x1f \x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
"""What a spreadsheet may pass over at the beginning of a cell, but for `_BETWEEN`."""
_SIGNS: Final = r"=+\-@＝＋－＠"  # noqa: RUF001
_BEGINS_FORMULA: Final = re.compile(rf"[{_BLANK}{_BETWEEN}]*+[{_SIGNS}]|[\t\r\n]")
_HAS_FORMULA: Final = re.compile(
    rf"{_BETWEEN}(?=[{_BLANK}]*+[{_SIGNS}]|[\t\r\n])(?!{_NUMBER}(?:{_BETWEEN}|\Z))"
)


class Encoder:
    """Writes the rows as they came, each with its answer or with what was wrong.

    What is added to them `model_store.answer_columns` says. Floats are the shortest texts that read
    back equal. A cell that a spreadsheet would run as a formula gets an apostrophe before it.
    """

    def __init__(
        self, names: Sequence[str], delimiter: str, manifest: Manifest, *, explained: bool = False
    ) -> None:
        self.delimiter = delimiter
        self.added = added_names(names, manifest, explained=explained)
        self._names = names

    @property
    def names(self) -> list[str]:
        """The names of all columns, those of the table first."""
        return [*self._names, *self.added]

    def header(self) -> bytes:
        """The line of names."""
        return self.encode([[name] for name in self.names])

    def encode(self, columns: Sequence[TextColumn]) -> bytes:
        """The lines of some rows, from all their columns."""
        if any(map(is_arrow, columns)):
            arrays = [self._written_array(column) for column in columns]
            return lines_of(arrays, self.delimiter, "\r\n")
        written = [self._written(cast(Sequence[str], column)) for column in columns]
        lines = map(self.delimiter.join, zip(*written, strict=True))
        return "".join([f"{line}\r\n" for line in lines]).encode()

    def _written_array(self, column: TextColumn) -> ArrowArray:
        """Cells as an Arrow array of what is written. Most are as they came."""
        if not is_arrow(column):
            return of_texts(self._written(cast(Sequence[str], column)))
        data = bytes(text_bytes(column))
        special = any(each in data for each in (b'"', b"\n", b"\r", self.delimiter.encode()))
        if special or not _all_harmless(column, data):
            return of_texts(self._written(column.to_pylist()))
        return column

    def _written(self, column: Sequence[str]) -> Sequence[str]:
        """Cells as they are written."""
        joined = _BETWEEN + _BETWEEN.join(column)
        if joined.count(_BETWEEN) != len(column) or _HAS_FORMULA.search(joined):
            column = [harmless(cell) for cell in column]
        if any(special in joined for special in ('"', "\n", "\r", self.delimiter)):
            return [self._quoted(cell) for cell in column]
        return column

    def _quoted(self, cell: str) -> str:
        if any(special in cell for special in ('"', "\n", "\r", self.delimiter)):
            return '"' + cell.replace('"', '""') + '"'
        return cell


def answers_of(response: InferenceResponse, *, arrays: bool = False) -> list[TextColumn]:
    """The cells that answer some rows, in columns of the order of `Encoder.added`; with `arrays`
    those of numbers as Arrow arrays."""
    added = added_values(response, response.explanation)
    return [_texts(values, arrays=arrays) for values in added]


def _texts(values: NDArray[Any], *, arrays: bool) -> TextColumn:
    if values.dtype.kind not in "iuf" or not len(values):
        return list(map(str, json_labels(values)))
    written = msgspec.json.encode(values.tolist())[1:-1]
    return of_separated(written) if arrays else written.decode().split(",")


def _all_harmless(column: ArrowArray, data: bytes) -> bool:
    """Whether no cell of an Arrow array begins a formula; `data` are its texts without anything
    between them. Cells that begin with a sign are looked at, where they are numbers."""
    if not data.isascii():
        return False
    starts = text_starts(column)
    first = np.frombuffer(data, dtype=np.uint8)[starts[starts < len(data)]]
    odd = _ODD_STARTS[first]
    if not odd.any():
        return True
    # An empty cell has the start of the next one, which is looked at in any case.
    return all_match(column, _NO_FORMULA)


_PLAIN_STARTS: Final = f"{ascii_letters}{digits}._".encode()
_ODD_STARTS: Final = ~np.isin(np.arange(256), np.frombuffer(_PLAIN_STARTS, dtype=np.uint8))
_NO_FORMULA: Final = rf"[A-Za-z0-9._]|$|{_NUMBER}$"
"""What is none for certain: cells that begin with a letter or a digit, and numbers."""


def harmless(cell: str) -> str:
    """The cell, with an apostrophe before it where a spreadsheet would run it as a formula."""
    if not _BEGINS_FORMULA.match(cell) or parse_number(cell.strip()) is not None:
        return cell
    return f"'{cell}"
