"""Parquet and Feather files, whose columns keep their types; read with pyarrow.

Known weak point: Parquet keeps no categories of pandas that are no texts. They are those that
occur, from the least on; where some do not occur, the column is one of plain values. Feather keeps
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidTable

_HEADS: Final = {b"PAR1": "Parquet", b"ARROW1": "Feather", b"FEA1": "Feather"}
ROWS: Final = 10_000
"""Of a Parquet file so many are read at a time, until there are enough."""


@dataclass(frozen=True, slots=True)
class ArrowFile:
    """The first rows of such a file, as a table of pyarrow."""

    table: Any

    @classmethod
    def read(cls, path: Path, *, max_rows: int) -> ArrowFile:
        """At most so many rows.

        Raises:
            InvalidTable: it is no such file, holds nothing, or pyarrow is not installed.
        """
        kind = kind_of(path)
        try:
            import pyarrow
        except ModuleNotFoundError as error:
            raise InvalidTable(
                f"{path} is a {kind} file, which needs pyarrow: pip install 'quart-app[arrow]'."
            ) from error
        try:
            table = _read(path, kind, max_rows)
        except (pyarrow.ArrowException, OSError) as error:
            raise InvalidTable(f"{path} cannot be read as a {kind} file: {error}") from error
        for field in table.schema:
            if not _is_plain(field.type):
                raise InvalidTable(
                    f"{path}: the column {field.name} is an Arrow {field.type}; expected numbers, "
                    "texts, booleans or dates."
                )
        if not table.num_rows or not table.num_columns:
            raise InvalidTable(f"{path} has no rows.")
        return cls(table)

    def frame(self) -> Any:
        """As a DataFrame, with the dtypes that it had when pandas wrote it."""
        frame = self.table.to_pandas()
        notes = self.notes()
        for place, name in enumerate(map(str, frame.columns)):
            if name in notes and self.table.column_names.count(name) == 1:
                held = _as_written(self.table.column(name), notes[name])
                if held is not None:
                    frame.isetitem(place, held.set_axis(frame.index))
        return frame

    def notes(self) -> dict[str, Any]:
        """What pandas notes of the columns that it wrote, by their names; of decimals nothing."""
        columns = (self.table.schema.pandas_metadata or {}).get("columns", ())
        return {
            str(each.get("field_name", each["name"])): each
            for each in columns
            if each["pandas_type"] != "decimal"
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The columns without pandas: numbers in their own type, all else as objects."""
        names = self.table.column_names
        return {name: _array(self.table.column(name)) for name in names}


def kind_of(path: Path) -> str | None:
    """What kind of file it is by its first bytes, or None.

    Raises:
        InvalidTable: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(6)
    except OSError as error:
        raise InvalidTable(f"{path} cannot be read: {error.strerror}.") from error
    return next((kind for start, kind in _HEADS.items() if head.startswith(start)), None)


def _read(path: Path, kind: str | None, max_rows: int) -> Any:
    import pyarrow

    if kind == "Feather":
        from pyarrow import feather

        return _plain(feather.read_table(path, memory_map=False).slice(0, max_rows))
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        batches = list(_batches(file, max_rows))
        return _plain(pyarrow.Table.from_batches(batches, file.schema_arrow).slice(0, max_rows))


def _batches(file: Any, max_rows: int) -> Iterator[Any]:
    count = 0
    for batch in file.iter_batches(batch_size=min(ROWS, max_rows)):
        yield batch
        count += len(batch)
        if count >= max_rows:
            return


def _plain(table: Any) -> Any:
    """Decimals as floats, since no pipeline is trained on Python's own."""
    import pyarrow
    from pyarrow import types

    for i, field in enumerate(table.schema):
        if types.is_decimal(field.type):
            column = table.column(i).cast(pyarrow.float64())
            table = table.set_column(i, field.name, column)
    return table


def _is_plain(kind: Any) -> bool:
    """Whether values of this type may be those of a column."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    odd = (types.is_nested, types.is_binary, types.is_large_binary, types.is_time)
    return not any(each(kind) for each in (*odd, types.is_duration, types.is_fixed_size_binary))


def _as_written(column: Any, note: Any) -> Any:
    """A column of pandas that was of objects, or of categories that Parquet has not kept; None of
    others, which pandas itself reads as they were."""
    from pyarrow import types

    if note["numpy_type"] == "object":
        # Else its dtype is made of what the objects are.
        held = column.to_pandas(integer_object_nulls=True, timestamp_as_object=True)
        return held.astype("object")
    if note["pandas_type"] == "categorical" and not types.is_dictionary(column.type):
        return _of_categories(column, note["metadata"])
    return None


def _of_categories(column: Any, note: Any) -> Any:
    """A column as categories, where all of them occur in it; else None."""
    places = np.flatnonzero(~column.is_null().to_numpy())
    held = column.drop_null().to_pandas().set_axis(places).astype("category")
    if len(held.cat.categories) != note["num_categories"]:
        return None
    ordered = held.cat.as_ordered() if note["ordered"] else held
    return ordered.reindex(range(len(column)))


def _array(column: Any) -> NDArray[Any]:
    from pyarrow import types

    if types.is_integer(column.type) or types.is_floating(column.type):
        found: NDArray[Any] = column.to_numpy()
        return found
    if types.is_boolean(column.type) and not column.null_count:
        truths: NDArray[Any] = column.to_numpy()
        return truths
    cells = np.empty(len(column), dtype=object)
    cells[:] = [np.nan if value is None else value for value in column.to_pylist()]
    return cells
