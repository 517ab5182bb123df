"""The rows of a part, batch by batch, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..csv_columns import ColumnDecoder, Records
from ..errors import Fault, InvalidTable
from ..literals import parse_number
from ..signature import Signature
from ..text_rules import CSV, JSON, TextRules
from ..values import Repeated
from .answering import Columns
from .inputs import Source
from .places import Place
from .plan import Part

BATCH_ROWS: Final = 65_536
"""What is answered at a time; of more, memory is all that grows."""
BATCH_CELLS: Final = 16 * 1024 * 1024
"""And at most so many cells of input, of tables with many columns."""

BUFFER: Final = 1024 * 1024
FAR_BUFFER: Final = 4 * BUFFER
"""Bytes of a column of Parquet that are read at a time, from a disk and from a bucket."""
BLOCK: Final = 4 * 1024 * 1024
"""Bytes of CSV that are read at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows as Arrow arrays by name; of CSV also what is wrong with some, by position."""

    columns: dict[str, Any]
    rows: int
    faults: dict[int, Fault]


def rules_of(source: Source) -> TextRules:
    """What texts stand for in a file: in CSV all is text, in Parquet as in JSON."""
    return CSV if source.format == "csv" else JSON


def batches(place: Place, part: Part, wanted: Sequence[str]) -> Iterator[Batch]:
    """The rows of a part, of which these columns are read; those that the file lacks are not there.

    Raises:
        InvalidTable: the file is none any more.
        OSError, pyarrow.ArrowException: it cannot be read.
    """
    there = [name for name in part.source.schema.names if name in set(wanted)]
    size = max(1, min(BATCH_ROWS, BATCH_CELLS // max(1, len(there))))
    if part.source.format == "csv":
        yield from _csv(place, there, part.source.schema.names, size)
    else:
        yield from _parquet(place, part, there, size)


def _parquet(place: Place, part: Part, wanted: Sequence[str], size: int) -> Iterator[Batch]:
    from pyarrow import parquet

    with place.open() as file:
        # Otherwise the columns of a row group are read as a whole, however many rows it has.
        buffer = BUFFER if place.local else FAR_BUFFER
        reader = parquet.ParquetFile(file, buffer_size=buffer, pre_buffer=False)
        found = reader.iter_batches(
            size, list(range(part.first, part.end)), columns=list(wanted), use_threads=False
        )
        for batch in found:
            columns = {name: batch.column(name) for name in wanted}
            yield Batch(columns, batch.num_rows, {})


def _csv(place: Place, wanted: Sequence[str], names: Sequence[str], size: int) -> Iterator[Batch]:
    with place.stream() as stream:
        decoder = ColumnDecoder()
        waiting: list[Records] = []
        while block := stream.read(BLOCK):
            waiting += decoder.feed(block)
            _require_names(place, decoder, names)
            while sum(each.rows for each in waiting) >= size:
                taken, waiting = _first(waiting, size)
                yield _batch(taken, names, wanted)
        waiting += decoder.finish()
        _require_names(place, decoder, names)
        while waiting:
            taken, waiting = _first(waiting, size)
            yield _batch(taken, names, wanted)


def _require_names(place: Place, decoder: ColumnDecoder, names: Sequence[str]) -> None:
    if decoder.names and list(decoder.names) != list(names):
        raise InvalidTable(f"{place} has other columns than when the run was planned.")


def _first(waiting: list[Records], size: int) -> tuple[list[Records], list[Records]]:
    """The first rows, as far as there are so many, and the others."""
    taken: list[Records] = []
    missing = size
    for position, records in enumerate(waiting):
        if records.rows > missing:
            rest = records.slice(missing, records.rows)
            taken += [records.slice(0, missing)] if missing else []
            return taken, [rest, *waiting[position + 1 :]]
        taken.append(records)
        missing -= records.rows
    return taken, []


def _batch(taken: Sequence[Records], names: Sequence[str], wanted: Sequence[str]) -> Batch:
    import pyarrow

    faults: dict[int, Fault] = {}
    rows = 0
    for records in taken:
        faults |= {rows + position: fault for position, fault in records.faults.items()}
        rows += records.rows
    columns = {}
    for position, name in enumerate(names):
        if name in wanted:
            chunks = [_strings(records.columns[position]) for records in taken]
            columns[name] = chunks[0] if len(chunks) == 1 else pyarrow.concat_arrays(chunks)
    return Batch(columns, rows, faults)


def _strings(column: Any) -> Any:
    import pyarrow

    return column if isinstance(column, pyarrow.Array) else pyarrow.array(column, pyarrow.string())


def given(batch: Batch, part: Part, signature: Signature) -> Columns:
    """The columns of a model in a batch, those that folders name among them."""
    columns: dict[str, Any] = {}
    for column in signature.columns:
        if column.name in batch.columns:
            columns[column.name] = batch.columns[column.name]
        elif column.name in part.source.partitions:
            text = part.source.partitions[column.name]
            value: object = text
            if text is not None and column.numeric:
                number = parse_number(text.strip())
                value = text if number is None else number
            columns[column.name] = Repeated((value,), np.zeros(batch.rows, dtype=np.intp))
    return columns
