"""A table in memory through a model: a DataFrame or an Arrow table, with the answers beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..errors import InvalidRun
from ..model import Model
from ..text_rules import JSON
from .answering import Answerer, Columns
from .plan import added_fields, require_type
from .process import one_thread
from .reading import BATCH_ROWS

_ARROW: Final = "pyarrow"
_PANDAS: Final = "pandas"


def is_table(found: object) -> bool:
    """Whether it is a table in memory, of a kind that is taken."""
    package = type(found).__module__.partition(".")[0]
    return (package, type(found).__name__) in {
        (_ARROW, "Table"),
        (_ARROW, "RecordBatch"),
        (_PANDAS, "DataFrame"),
    }


def score_table(model: Model, table: Any, *, explained: bool = False) -> Any:
    """A table with the columns that answer it at its end, with `explained` a reason for each column
    as well; a row that does not fit has nothing there but a sentence in `error`. Of a DataFrame a
    copy with the same index. Blocks.

    Raises:
        InvalidRun: it has not the columns of the model, or has them in types that they cannot have.
    """
    if type(table).__module__.partition(".")[0] == _PANDAS:
        return _frame(model, table, explained)
    import pyarrow

    if isinstance(table, pyarrow.RecordBatch):
        table = pyarrow.Table.from_batches([table])
    _require_columns(model, table.column_names)
    for column in model.manifest.signature.columns:
        require_type("the table", column, table.schema.field(column.name).type)
    fields = added_fields(table.column_names, model.manifest, explained=explained)
    answerer = Answerer(model, explained=explained)
    found = _answered(answerer, fields, table.num_rows, lambda start: _columns(model, table, start))
    for field, values in zip(fields, found, strict=True):
        table = table.append_column(field, values)
    return table


def _answered(
    answerer: Answerer, fields: list[Any], rows: int, columns: Callable[[int], Columns]
) -> list[Any]:
    """The added columns; `columns` gives those of the model from a row on."""
    import pyarrow

    found: list[list[Any]] = [[] for _ in fields]
    with one_thread():
        for start in range(0, rows, BATCH_ROWS):
            answers = answerer.answer(columns(start), min(BATCH_ROWS, rows - start), JSON)
            for chunks, array in zip(found, answers.arrays(fields), strict=True):
                chunks.append(array)
    return [
        pyarrow.chunked_array(chunks, field.type)
        for chunks, field in zip(found, fields, strict=True)
    ]


def _columns(model: Model, table: Any, start: int) -> Columns:
    some = table.slice(start, BATCH_ROWS)
    return {name: some.column(name) for name in model.manifest.signature.names}


def _frame(model: Model, frame: Any, explained: bool) -> Any:
    """Columns of pandas are taken as they are, of any dtype, objects among them."""
    import pandas

    if not frame.columns.is_unique:
        raise InvalidRun("The table has more than one column of the same name.")
    _require_columns(model, list(frame.columns))
    fields = added_fields(list(frame.columns), model.manifest, explained=explained)

    def columns(start: int) -> Columns:
        some = frame.iloc[start : start + BATCH_ROWS]
        return {name: _values(some[name]) for name in model.manifest.signature.names}

    answerer = Answerer(model, explained=explained)
    found = _answered(answerer, fields, len(frame), columns)
    added = {field.name: each.to_pandas() for field, each in zip(fields, found, strict=True)}
    beside = pandas.DataFrame(added)
    beside.index = frame.index
    return pandas.concat([frame, beside], axis=1)


def _values(series: Any) -> Any:
    """The values of a column in numpy, or where that would change some in Arrow or in a list."""
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    import pyarrow

    try:
        return pyarrow.array(series, from_pandas=True)
    except (pyarrow.ArrowException, TypeError, ValueError):
        pairs = zip(series, series.isna(), strict=True)
        return [None if missing else value for value, missing in pairs]


def _require_columns(model: Model, names: list[Any]) -> None:
    there = set(names)
    lacking = [name for name in model.manifest.signature.names if name not in there]
    if lacking:
        raise InvalidRun(
            f"The table has not the columns of {model.manifest.name}: it lacks "
            f"{', '.join(lacking)}."
        )
