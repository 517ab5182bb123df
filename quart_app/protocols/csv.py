"""Tables as CSV (RFC 4180), a few rows at a time; the first line names the columns.

    X1,X2       →  X1,X2,prediction,probability_0,probability_1,error
    61.1,17.3      61.1,17.3,0,0.9,0.1,

It is UTF-8, with or without a mark at its beginning. Commas, semicolons or tabs stand between the
cells, whichever the first line has most of, or what a line `sep=;` before the names tells. A record
ends with LF or CRLF outside of quotes, the last one with the file; an empty line is none. A record
that cannot be read keeps its place.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from model_store import Fault, Manifest
from model_store.labels import json_labels
from model_store.literals import parse_number
from model_store.tables import DELIMITERS, SEPARATORS, separator_line

from ..inference import InferenceResponse, InvalidRequest
from .rows import require_names

CONTENT_TYPE: Final = "text/csv"
ANSWER_TYPE: Final = "text/csv; charset=utf-8"

MAX_RECORD: Final = 1024 * 1024
"""Bytes that a record may have, with its line end."""

ERROR: Final = "error"

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

    def feed(self, data: bytes) -> list[Cells]:
        """The rows that end in this piece.

        Raises:
            InvalidRequest: the line of names is wrong.
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
            InvalidRequest: the line of names is wrong, or there is none.
        """
        rows = self._take(self._pending, final=True)
        if not self.names:
            raise InvalidRequest("Expected a line with the names of the columns, got nothing.")
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
                raise InvalidRequest(f"Line {line}: a quote is not closed.")
            return False
        if _UNREADABLE.search(record):
            raise InvalidRequest(f"Line {line}: expected UTF-8 without NUL.")
        try:
            names = self._split(record)
        except csv.Error:
            flaw = self._broken(record)[1]
            raise InvalidRequest(
                f"Line {line}: expected {flaw.expected}, got {flaw.got}."
            ) from None
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
            raise InvalidRequest(f"Line 1: expected at most {self._max_record} bytes, got more.")
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
    require_names(len(names))
    if not any(name.strip() for name in names):
        raise InvalidRequest(f"Line {line}: expected the names of the columns, got an empty line.")
    for position, name in enumerate(names, 1):
        if not name.strip():
            index = "; leave out the index of the rows (index=False of pandas)"
            more = index if position == 1 else ""
            raise InvalidRequest(f"Line {line}: the name of column {position} is empty{more}.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidRequest(f"Line {line}: there is more than one column {twice[0]}.")


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

    Added are a prediction, a probability for each class, the numbers that the model measures beside
    that, with `explained` the base value and a reason for each column of the model, and the error,
    which is always the last; of several targets these for each, by its name.
    An added column whose name is taken gets underscores at its end. Floats are the shortest texts
    that read back equal. A cell that a spreadsheet would run as a formula gets an apostrophe before
    it.
    """

    def __init__(
        self, names: Sequence[str], delimiter: str, manifest: Manifest, *, explained: bool = False
    ) -> None:
        self.delimiter = delimiter
        self.added = _added_names(names, manifest, explained=explained)
        self._names = names

    @property
    def names(self) -> list[str]:
        """The names of all columns, those of the table first."""
        return [*self._names, *self.added]

    def header(self) -> bytes:
        """The line of names."""
        return self.encode([[name] for name in self.names])

    def encode(self, columns: Iterable[Sequence[str]]) -> bytes:
        """The lines of some rows, from all their columns."""
        written = [self._written(column) for column in columns]
        lines = map(self.delimiter.join, zip(*written, strict=True))
        return "".join([f"{line}\r\n" for line in lines]).encode()

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


def answers_of(response: InferenceResponse) -> list[list[str]]:
    """The cells that answer some rows, in columns of the order of `Encoder.added`."""
    labels = response.labels if response.labels.ndim > 1 else response.labels[:, np.newaxis]
    columns = []
    for position, found in enumerate(labels.T):
        columns.append(list(map(str, json_labels(found))))
        if response.probabilities is not None:
            shares = response.probabilities[position].T.tolist()
            columns += [list(map(repr, each)) for each in shares]
        for numbers in response.measures.values():
            told = numbers if numbers.ndim == 1 else numbers[:, position]
            columns.append(list(map(repr, told.tolist())))
        if response.explanation is not None:
            columns.append(list(map(repr, response.explanation.base[:, position].tolist())))
            reasons = response.explanation.contributions[:, position].T.tolist()
            columns += [list(map(repr, each)) for each in reasons]
    return columns


def _added_names(names: Sequence[str], manifest: Manifest, *, explained: bool = False) -> list[str]:
    added = []
    for position, target in enumerate(manifest.targets):
        suffix = f"_{target.name or position}" if manifest.several else ""
        added.append(f"prediction{suffix}")
        if manifest.probabilities:
            added += [f"probability{suffix}_{label}" for label in target.classes or ()]
        added += [f"{measure.name}{suffix}" for measure in manifest.measures]
        if explained:
            added.append(f"base{suffix}")
            added += [f"reason{suffix}_{name}" for name in manifest.signature.names]
    taken = set(names)
    free = []
    for name in (*added, ERROR):
        while name in taken:
            name += "_"
        taken.add(name)
        free.append(name)
    return free


def harmless(cell: str) -> str:
    """The cell, with an apostrophe before it where a spreadsheet would run it as a formula."""
    if not _BEGINS_FORMULA.match(cell) or parse_number(cell.strip()) is not None:
        return cell
    return f"'{cell}"
