"""A CSV file as a table of text: named columns, and nothing said of their types."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import InvalidTable
from .literals import parse_number
from .text_rules import MISSING_WORDS

DELIMITERS: Final = ",;\t"

SEPARATORS: Final = DELIMITERS + "|"
"""What a line `sep=` may tell."""

INDEX: Final = "Unnamed: 0"
"""What pandas calls a first column without a name, which is the index that it wrote itself."""

_SEPARATOR: Final = re.compile(rf"sep=([{SEPARATORS}])\r?\n?", re.IGNORECASE)


class Table(msgspec.Struct, frozen=True):
    """Columns of text in the order of the file, empty where it is; `rows` values each."""

    columns: dict[str, list[str]]
    rows: int

    @classmethod
    def read(cls, path: Path, *, max_rows: int | None = None) -> Table:
        """The table in a CSV file (RFC 4180) in UTF-8, whose first line names the columns.

        Commas, semicolons or tabs stand between the values, whichever the first line has most of,
        or what a line `sep=` before it says. A first column without a name is called `INDEX`. Rows
        after `max_rows` are left out.

        Raises:
            InvalidTable: it is no such file; the line is named.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                first = file.readline()
                told = separator_line(first)
                if told is None:
                    file.seek(0)
                delimiter = told or max(DELIMITERS, key=first.count)
                reader = csv.reader(file, delimiter=delimiter, strict=True)
                names = _names(path, next(reader, []))
                rows = _sound_rows(path, reader, len(names), lines=0 if told is None else 1)
                return cls._of_rows(path, names, rows, max_rows)
        except OSError as error:
            raise InvalidTable(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise InvalidTable(
                f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8."
            ) from error

    @classmethod
    def of_columns(cls, columns: dict[str, list[str]]) -> Table:
        """A table of columns of text, all of one length and not empty."""
        return cls(columns, len(next(iter(columns.values()))))

    @classmethod
    def _of_rows(
        cls, path: Path, names: Sequence[str], rows: Iterator[list[str]], max_rows: int | None
    ) -> Table:
        columns: dict[str, list[str]] = {name: [] for name in names}
        count = 0
        for row in rows:
            if count == max_rows:
                break
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
            count += 1
        if not count:
            raise InvalidTable(f"{path} has no rows below the line of names.")
        return cls(columns, count)

    def named(self, name: str) -> str | None:
        """The column of this name, or else the one that has it but for spaces around and case."""
        return same_name(self.columns, name)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as numbers, NaN where one is missing.

        Raises:
            InvalidTable: a value is no number; the row is named, counted from 0.
        """
        found = np.empty(self.rows)
        for row, text in enumerate(self.columns[name]):
            given = text.strip()
            number = np.nan if given in MISSING_WORDS else parse_number(given)
            if number is None:
                raise InvalidTable(f"Row {row}: {name}: expected a number, got {text!r}.")
            found[row] = number
        return found

    def texts(self, name: str) -> NDArray[Any]:
        """A column as an array of texts, NaN where it is empty."""
        found = np.empty(self.rows, dtype=object)
        found[:] = [text if text.strip() else np.nan for text in self.columns[name]]
        return found


def same_name(names: Collection[str], name: str) -> str | None:
    """The one of the names that is this, or else that is but for spaces around and case."""
    if name in names:
        return name
    folded = {each.strip().casefold(): each for each in names}
    return folded.get(name.strip().casefold())


def separator_line(line: str) -> str | None:
    """The delimiter that a line `sep=;` tells, which Excel writes before the names; None of any
    other line."""
    found = _SEPARATOR.fullmatch(line)
    return None if found is None else found[1]


def _names(path: Path, names: Sequence[str]) -> list[str]:
    if not any(name.strip() for name in names):
        raise InvalidTable(f"{path} has no line of names.")
    if len(names) > 1 and not names[0].strip():
        names = [INDEX, *names[1:]]
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise InvalidTable(f"{path}: the name of column {position} is empty.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidTable(f"{path} has more than one column {', '.join(twice)}.")
    return list(names)


def _sound_rows(path: Path, reader: Any, width: int, *, lines: int) -> Iterator[list[str]]:
    """The rows that are not empty, each as wide as the line of names. So many `lines` were read
    before the reader."""
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            line = lines + reader.line_num
            raise InvalidTable(f"{path}, line {line}: {error}.") from error
        if row is None:
            return
        if row and len(row) != width:
            raise InvalidTable(
                f"{path}, line {lines + reader.line_num}: expected {width} values, got {len(row)}."
            )
        if row:
            yield row
