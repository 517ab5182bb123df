"""The records of a CSV file (RFC 4180) in UTF-8, fed in pieces; the first line names the columns.

It has a mark at its beginning or none. Commas, semicolons or tabs stand between the cells,
whichever the first line has most of, or what a line `sep=;` before the names tells. A record ends
with LF or CRLF outside of quotes, the last one with the file; an empty line is none. A record that
cannot be read keeps its place.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from .errors import Fault, InvalidTable
from .tables import DELIMITERS, SEPARATORS, separator_line

MAX_RECORD: Final = 1024 * 1024
"""Bytes that a record may have, with its line end."""

_BOM = "\ufeff"
_UNREADABLE = re.compile("[\0\udc80-\udcff]")
"""NUL, and the surrogates that stand for bytes that are not UTF-8."""

Cells = list[str]


class _Grammar(NamedTuple):
    """What delimits, as patterns: a record with its end, and each cell with what is before it.

    Both take a quote that stands inside a cell as it is, and text after a closing quote.
    """

    record: re.Pattern[str]
    cell: re.Pattern[str]

    @classmethod
    def of(cls, delimiter: str) -> _Grammar:
        cell = (
            rf'(?:"[^"]*+(?:""[^"]*+)*+"[^{delimiter}\n]*+|[^"{delimiter}\n][^{delimiter}\n]*+)?+'
        )
        record = rf"{cell}(?:{delimiter}{cell})*+(?:\n|\Z)"
        return cls(re.compile(record), re.compile(rf"(?:\A|{delimiter})({cell})"))


_GRAMMARS: Final = {each: _Grammar.of(re.escape(each)) for each in SEPARATORS}


class _Flaw(NamedTuple):
    """What is wrong with a row, and in which of its cells."""

    cell: int
    expected: str
    got: str


class Decoder:
    """Takes bytes in pieces of any size and gives the rows that are complete.

    Every row has as many cells as the line of names. What is wrong with a row stands in `faults`,
    by its number from 0, until it is taken from there; the row then has the cells that came, cut
    off or with empty ones added. Where the rest cannot be told apart, a last row says so.
    """

    def __init__(self, *, max_record: int = MAX_RECORD) -> None:
        self.names: tuple[str, ...] = ()
        self.delimiter = DELIMITERS[0]
        self.faults: dict[int, Fault] = {}
        self._max_record = max_record
        self._rows = 0
        self._pending = b""
        self._lost = False

    @property
    def pending(self) -> bool:
        """Whether a record has begun that has not ended."""
        return bool(self._pending)

    @property
    def lost(self) -> bool:
        """Whether nothing more is read, since a record was too long."""
        return self._lost

    @property
    def count(self) -> int:
        """The number of the next row."""
        return self._rows

    def skip(self, rows: int) -> None:
        """Somebody else has read so many sound rows."""
        self._rows += rows

    def feed(self, data: bytes) -> list[Cells]:
        """The rows that end in this piece.

        Raises:
            InvalidTable: the line of names is wrong.
        """
        if self._lost:
            return []
        self._pending += data
        rows: list[Cells] = []
        while (before := len(self._pending)) >= self._max_record:
            rows += self._take(self._pending[: self._max_record])
            if len(self._pending) == before:
                return rows + self._lose()
        return rows + self._take(self._pending) if b"\n" in data else rows

    def finish(self) -> list[Cells]:
        """The last row, where it has no line end.

        Raises:
            InvalidTable: the line of names is wrong, or there is none.
        """
        rows = self._take(self._pending, final=True)
        if not self.names:
            raise InvalidTable("Expected a line with the names of the columns, got nothing.")
        if self._pending:
            rows += self._unclosed(self._pending.decode(errors="surrogateescape"))
            self._pending = b""
        return rows

    def _take(self, data: bytes, *, final: bool = False) -> list[Cells]:
        """The rows of the records that are complete in the pending `data`, which then are no
        longer pending."""
        if not final:
            data = data[: data.rfind(b"\n") + 1]
        if not data:
            return []
        text = data.decode(errors="surrogateescape")
        source = io.StringIO(text, newline="\n")
        if not self.names and not self._read_names(source, final=final):
            return []
        rows = self._read_rows(source, final=final)
        rest = text[source.tell() :].encode(errors="surrogateescape")
        self._pending = self._pending[len(data) - len(rest) :]
        return rows

    # The line of names ------------------------------------------------------------

    def _read_names(self, source: io.StringIO, *, final: bool) -> bool:
        """Read the names; False where their record is not complete yet."""
        text = source.getvalue()
        first = source.readline().removeprefix(_BOM)
        told = separator_line(first)
        if told is None:
            source.seek(len(_BOM) if text.startswith(_BOM) else 0)
        line = 1 if told is None else 2
        self.delimiter = told or max(DELIMITERS, key=first.count)
        record = self._next_record(source, final=final)
        if record is None:
            if final:
                raise InvalidTable(f"Line {line}: a quote is not closed.")
            return False
        if _UNREADABLE.search(record):
            raise InvalidTable(f"Line {line}: expected UTF-8 without NUL.")
        try:
            names = self._split(record)
        except csv.Error:
            flaw = self._broken(record)[1]
            raise InvalidTable(f"Line {line}: expected {flaw.expected}, got {flaw.got}.") from None
        _require_names(names, line)
        self.names = tuple(names)
        return True

    # Rows -------------------------------------------------------------------------

    def _read_rows(self, source: io.StringIO, *, final: bool) -> list[Cells]:
        """The rows of all complete records; the source then stands at the first that is not."""
        rows: list[Cells] = []
        flaws: dict[int, _Flaw] = {}
        sound = False
        while not sound:
            found, sound = self._read_sound(source)
            rows += found
            if not sound:
                record = self._next_record(source, final=final)
                if record is None:
                    break
                cells, flaws[len(rows)] = self._broken(record)
                rows.append(cells)
        text = source.getvalue()
        readable = "\0" not in text and (text.isascii() or not _UNREADABLE.search(text))
        return self._fit(rows, flaws, readable=readable)

    def _read_sound(self, source: io.StringIO) -> tuple[list[Cells], bool]:
        """The rows until one that is not as it should be, and whether there is none such."""
        start = source.tell()
        try:
            rows = list(self._reader(source))
        except csv.Error:
            rows, lines = [], 0
            source.seek(start)
            reader = self._reader(source)
            with contextlib.suppress(csv.Error):
                for row in reader:
                    rows.append(row)
                    lines = reader.line_num
            source.seek(start)
            for _ in range(lines):
                source.readline()
            return [row for row in rows if row], False
        return [row for row in rows if row] if [] in rows else rows, True

    def _next_record(self, source: io.StringIO, *, final: bool) -> str | None:
        """Read to the end of a record; None, and nothing is read, where there is no end yet."""
        start = source.tell()
        text = source.getvalue()
        found = _GRAMMARS[self.delimiter].record.match(text, start)
        if found is None or not (final or found[0].endswith("\n")):
            return None
        source.seek(found.end())
        return found[0]

    def _split(self, record: str, *, strict: bool = True) -> Cells:
        return next(self._reader(io.StringIO(record, newline="\n"), strict=strict), [])

    def _reader(self, source: io.StringIO, *, strict: bool = True) -> Any:
        return csv.reader(source, delimiter=self.delimiter, strict=strict)

    def _broken(self, record: str) -> tuple[Cells, _Flaw]:
        """The cells of a record that is not as it should be, and the first flaw."""
        cells: Cells = []
        flaw = None
        found = _GRAMMARS[self.delimiter].cell.finditer(record.rstrip("\r\n"))
        for position, match in enumerate(islice(found, len(self.names) + 1)):
            try:
                cells += self._split(match[1]) or [""]
            except csv.Error:
                cells.append(match[1])
                flaw = flaw or _Flaw(position, *self._reason(match[1]))
        return cells, flaw or _Flaw(0, "a record of RFC 4180", "another")

    def _reason(self, cell: str) -> tuple[str, str]:
        """What was expected of a cell that is not as it should be, and what there is."""
        try:
            self._split(cell, strict=False)
        except csv.Error:
            if re.search(r"\r(?!\n|\Z)", cell):
                return "LF or CRLF as line end", "CR alone"
            return f"at most {csv.field_size_limit()} characters", "more"
        return "nothing after the closing quote", "more text"

    def _fit(
        self, rows: list[Cells], flaws: Mapping[int, _Flaw], *, readable: bool = False
    ) -> list[Cells]:
        """The rows as wide as the names, and as text; what is wrong with them becomes faults."""
        width = len(self.names)
        if flaws or not readable or not set(map(len, rows)) <= {width}:
            for i, row in enumerate(rows):
                flaw = flaws.get(i) or _flaw(row, width)
                if flaw is not None:
                    rows[i] = _readable(row, width)
                    number, column = self._rows + i, self.names[min(flaw.cell, width - 1)]
                    self.faults[number] = Fault(number, column, flaw.expected, flaw.got)
        self._rows += len(rows)
        return rows

    def _lose(self) -> list[Cells]:
        """Where a record ends that is longer than any may be is not looked for."""
        if not self.names:
            raise InvalidTable(f"Line 1: expected at most {self._max_record} bytes, got more.")
        self._lost = True
        self._pending = b""
        expected = f"a record of at most {self._max_record} bytes"
        flaw = _Flaw(0, expected, "more; nothing after it was read")
        return self._fit([[]], {0: flaw})

    def _unclosed(self, record: str) -> list[Cells]:
        """The row of a record that has no end, without the cell that swallowed the rest."""
        try:
            cells = self._split(record, strict=False)[:-1]
        except csv.Error:
            cells = []
        flaw = _Flaw(len(cells), "a closing quote", "the end of the file")
        return self._fit([cells], {0: flaw})


def _require_names(names: Sequence[str], line: int) -> None:
    if not any(name.strip() for name in names):
        raise InvalidTable(f"Line {line}: expected the names of the columns, got an empty line.")
    for position, name in enumerate(names, 1):
        if not name.strip():
            index = "; leave out the index of the rows (index=False of pandas)"
            more = index if position == 1 else ""
            raise InvalidTable(f"Line {line}: the name of column {position} is empty{more}.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidTable(f"Line {line}: there is more than one column {twice[0]}.")


def _flaw(row: Cells, width: int) -> _Flaw | None:
    if len(row) != width:
        return _Flaw(len(row), f"{width} cells in the row", str(len(row)))
    for position, cell in enumerate(row):
        if found := _UNREADABLE.search(cell):
            expected = "UTF-8 without NUL"
            return _Flaw(position, expected, "NUL" if found[0] == "\0" else "another encoding")
    return None


def _readable(row: Cells, width: int) -> Cells:
    cells = [_UNREADABLE.sub("\ufffd", cell) for cell in row[:width]]
    return cells + [""] * (width - len(cells))
