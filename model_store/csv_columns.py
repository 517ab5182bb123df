"""The records of a CSV file by column: the same that `csv_records` gives row by row.

Where pyarrow is installed it parses a piece of the file at a time, which then has to be such that
both mean the same by it: text in UTF-8 without NUL, as many cells in each line as there are names,
quotes that begin and end a cell, LF or CRLF as line ends. Any other piece is read by
`csv_records.Decoder`, which is some twenty times as slow and knows what is wrong and where.
"""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import repeat
from typing import Any, Final, NamedTuple, cast

import numpy as np

from .arrow import ArrowArray
from .csv_records import MAX_RECORD, Cells, Decoder
from .errors import Fault
from .tables import SEPARATORS

TRIES: Final = 1000
"""Line ends that are looked at for one outside of quotes."""

TextColumn = Sequence[str] | ArrowArray


def _sound_quotes(delimiter: str) -> re.Pattern[bytes]:
    """Lines whose quotes each begin or end a cell, or stand doubled in one that they enclose. A
    line end is put before them."""
    begins = rf"(?<=[{delimiter}\n])"
    quoted = rf'{begins}"[^"]*+(?:""[^"]*+)*+"(?={delimiter}|\r?\n)'
    return re.compile(rf'[^"]*+(?:{quoted}[^"]*+)*+'.encode())


_SOUND_QUOTES: Final = {each: _sound_quotes(re.escape(each)) for each in SEPARATORS}


class Records(NamedTuple):
    """Some records as a column for each name, which holds `rows` texts: in Arrow arrays or in
    lists. `faults` says by position what is wrong with a record."""

    columns: tuple[TextColumn, ...]
    rows: int
    faults: dict[int, Fault]

    def slice(self, first: int, rows: int) -> Records:
        """Those from a position on, as far as there are so many."""
        columns = tuple(cast(Any, each)[first : first + rows] for each in self.columns)
        faults = {
            position - first: fault
            for position, fault in self.faults.items()
            if first <= position < first + rows
        }
        return Records(columns, max(0, min(rows, self.rows - first)), faults)


class ColumnDecoder:
    """Takes bytes in pieces of any size, best of some hundred kilobytes, and gives the records that
    are complete, by column."""

    def __init__(self, *, max_record: int = MAX_RECORD) -> None:
        self._decoder = Decoder(max_record=max_record)
        self._max_record = max_record
        self._data = b""
        self._has_arrow = find_spec("pyarrow") is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, once their line has been read."""
        return self._decoder.names

    @property
    def delimiter(self) -> str:
        return self._decoder.delimiter

    def feed(self, data: bytes) -> list[Records]:
        """The records that end in this piece.

        Raises:
            InvalidTable: the line of names is wrong.
        """
        if not self._has_arrow or self._decoder.lost:
            return self._by_rows(data)
        self._data += data
        found: list[Records] = []
        while not self.names:
            line, end, self._data = self._data.partition(b"\n")
            if not end and len(line) < self._max_record:
                self._data = line
                return found
            found += self._by_rows(line + end)
        piece, self._data = self._cut()
        if piece:
            parsed = None if self._decoder.pending else self._parsed(piece)
            found += self._by_rows(piece) if parsed is None else [parsed]
        return found

    def finish(self) -> list[Records]:
        """The last record, where it has no line end.

        Raises:
            InvalidTable: the line of names is wrong, or there is none.
        """
        rest, self._data = self._data, b""
        first, rows = self._decoder.count, self._decoder.feed(rest)
        return self._records(first, rows + self._decoder.finish())

    def _by_rows(self, piece: bytes) -> list[Records]:
        first = self._decoder.count
        return self._records(first, self._decoder.feed(piece))

    def _records(self, first: int, rows: Sequence[Cells]) -> list[Records]:
        """Rows of which the first has this number."""
        if not rows:
            return []
        faults = self._decoder.faults
        taken = {number - first: faults.pop(number) for number in list(faults)}
        return [Records(tuple(zip(*rows, strict=True)), len(rows), taken)]

    def _cut(self) -> tuple[bytes, bytes]:
        """What has come until the last line end that is outside of quotes, as far as their number
        tells, and the rest; all of it where that would be too long a record."""
        data = self._data
        end = data.rfind(b"\n") + 1
        if end and b'"' in data and not self._decoder.pending:
            quotes = data.count(b'"', 0, end)
            for _ in range(TRIES):
                if not end or quotes % 2 == 0:
                    break
                before = data.rfind(b"\n", 0, end - 1) + 1
                quotes -= data.count(b'"', before, end)
                end = before
            else:
                end = 0
        if len(data) - end >= self._max_record:
            end = len(data)
        return data[:end], data[end:]

    def _parsed(self, piece: bytes) -> Records | None:
        """The records of whole lines as pyarrow reads them; None where it may read them
        otherwise."""
        import pyarrow
        from pyarrow import csv as arrow_csv

        quoted = b'"' in piece
        if not self._may_be_parsed(piece, quoted=quoted):
            return None
        names = [str(position) for position in range(len(self.names))]
        try:
            table = arrow_csv.read_csv(
                pyarrow.BufferReader(piece),
                arrow_csv.ReadOptions(
                    column_names=names, use_threads=False, block_size=len(piece) + 1
                ),
                arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=quoted),
                arrow_csv.ConvertOptions(
                    column_types=dict(zip(names, repeat("string"))),
                    strings_can_be_null=False,
                ),
            )
        except pyarrow.ArrowInvalid:
            return None
        if not self._within_limits(table):
            return None
        self._decoder.skip(table.num_rows)
        columns = tuple(column.combine_chunks() for column in table.columns)
        return Records(columns, table.num_rows, {})

    def _may_be_parsed(self, piece: bytes, *, quoted: bool) -> bool:
        # At the beginning of what it reads pyarrow skips a mark, which here is a part of a cell.
        if not piece.endswith(b"\n") or piece.startswith(BOM_UTF8) or b"\0" in piece:
            return False
        if b"\r" in piece and piece.count(b"\r") != piece.count(b"\r\n"):
            return False
        return not quoted or bool(_SOUND_QUOTES[self.delimiter].fullmatch(b"\n" + piece))

    def _within_limits(self, table: Any) -> bool:
        """Whether no cell and no record is too long for the decoder, as far as bytes tell."""
        longest = 0
        for column in table.columns:
            for chunk in column.chunks:
                ends = np.frombuffer(chunk.buffers()[1], dtype=np.int32)
                size = int(np.diff(ends[: len(chunk) + 1]).max(initial=0))
                if size >= csv.field_size_limit():
                    return False
                longest += size
        return 2 * longest + 3 * len(self.names) < self._max_record
