"""Series and DataFrames of pandas, made by pandas of checked columns.

A file has the columns of a DataFrame in blocks of one dtype each, and for each block the places of
its columns. What says so in the file is not kept: columns are taken out of the blocks, looked at,
and copied into a table that pandas makes anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .extension_arrays import EXTENSION, LINE, Dates
from .forms import (
    FLAG,
    NOTHING,
    PLAIN,
    Form,
    either,
    exact,
    fields,
    items,
    many,
    only,
)
from .indexes import ANY_INDEX
from .plain import KEY
from .row import Row, find, refuse

KINDS: Final = "biufcmMO"
"""Kinds of numpy's dtypes that a column may have."""
LAYOUT: Final = "0.14.1"
"""The release of pandas whose way to pickle a Series is still that of the newest."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Columns of one dtype, and their places in the table."""

    columns: Sequence[Any]
    places: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of a Series."""

    values: Any
    index: Any


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of a DataFrame, in their order."""

    columns: Sequence[Any]
    names: Any
    index: Any


def _block(values: Any, placement: Any, _dimensions: int) -> _Block:
    columns = _columns(values)
    places = _places(placement)
    if len(places) != len(columns):
        refuse(f"has a block of {len(columns)} columns with {len(places)} places", "as many")
    return _Block(columns, places)


def _columns(values: Any) -> Sequence[Any]:
    if isinstance(values, Dates):
        return values.columns
    return list(values) if isinstance(values, np.ndarray) else [values]


def _places(placement: Any) -> Sequence[int]:
    if isinstance(placement, np.ndarray):
        found: list[int] = placement.tolist()
        return found
    stop = -1 if placement.stop is None else placement.stop
    return range(placement.start, stop, placement.step)


def _table(blocks: tuple[_Block, ...], axes: list[Any]) -> _Table:
    """The columns in their order.

    Raises:
        Untrusted: one is missing, stands twice, or is longer or shorter than the index.
    """
    names, index = axes
    columns = {
        place: column
        for block in blocks
        for place, column in zip(block.places, block.columns, strict=True)
    }
    counted = sum(len(block.columns) for block in blocks)
    if not counted == len(columns) == len(names) or not all(
        place in columns for place in range(counted)
    ):
        refuse(f"has blocks whose places are not those of {len(names)} columns", "each place once")
    for column in columns.values():
        _require_length(column, index)
    return _Table([columns[place] for place in range(counted)], names, index)


def _require_length(column: Any, index: Any) -> None:
    if len(column) != len(index):
        refuse(f"has a column of {len(column)} values and {len(index)} rows", "as many")


def _column(state: tuple[Any, Any, Any, dict[str, Any]]) -> _Column:
    layout = state[-1][LAYOUT]
    (index,), (block,) = layout["axes"], layout["blocks"]
    values = block["values"]
    _require_length(values, index)
    if list(_places(block["mgr_locs"])[: len(index) + 1]) != list(range(len(index))):
        refuse("has a Series whose places are not those of its rows", "each in its order")
    return _Column(values, index)


def _series(state: dict[str, Any]) -> Any:
    column = state["_mgr"]
    if not isinstance(column, _Column):
        refuse("has a Series of several columns", "one")
    return _with_facts(_series_of(column.values, column.index, state.get("_name")), state)


def _series_of(values: Any, index: Any, name: Any = None) -> Any:
    """The dtype is told, so that pandas does not look for a better one for objects."""
    return find("pandas", "Series")(values, index, dtype=values.dtype, name=name, copy=True)


def _frame(state: dict[str, Any]) -> Any:
    table = state["_mgr"]
    if not isinstance(table, _Table):
        refuse("has a DataFrame of a Series", "blocks of columns")
    made = find("pandas", "DataFrame")(
        {place: _series_of(column, table.index) for place, column in enumerate(table.columns)},
        index=table.index,
    )
    made.columns = table.names
    return _with_facts(made, state)


def _with_facts(made: Any, state: dict[str, Any]) -> Any:
    """What a table says of itself: facts of the author's own, and whether names stand once."""
    made.attrs = dict(state.get("attrs", {}))
    unique = not state.get("_flags", {}).get("allows_duplicate_labels", True)
    return made.set_flags(allows_duplicate_labels=False) if unique else made


_VALUES: Final = either(
    Form("an array of a column", lambda value: LINE.fits(value) and value.dtype.kind in KINDS),
    EXTENSION,
)
_BLOCK_VALUES: Final = either(
    Form(
        "an array of columns",
        lambda value: type(value) is np.ndarray and value.ndim == 2 and value.dtype.kind in KINDS,
    ),
    exact("columns of dates", Dates),
    EXTENSION,
)
_PLACES: Final = either(
    Form(
        "a slice of places",
        lambda value: (
            type(value) is slice
            and type(value.start) is type(value.step) is int
            and (type(value.stop) is int or (value.stop is None and value.step < 0))
        ),
    ),
    Form("places", lambda value: LINE.fits(value) and value.dtype.kind in "iu"),
)
_ONE_INDEX: Final = Form(
    "an index", lambda value: type(value) is list and len(value) == 1 and ANY_INDEX.fits(value[0])
)
_TWO_INDEXES: Final = Form(
    "two indexes",
    lambda value: type(value) is list and len(value) == 2 and all(map(ANY_INDEX.fits, value)),
)
_ONE_BLOCK: Final = Form(
    "a block",
    lambda value: (
        type(value) is list
        and len(value) == 1
        and fields({"values": _VALUES, "mgr_locs": _PLACES}).fits(value[0])
    ),
)
_IGNORED: Final = exact("a list", list)
_FACTS: Final = {
    "_typ": only("series", "dataframe"),
    "_metadata": many(KEY, list),
    "_flags": fields({}, {"allows_duplicate_labels": FLAG}),
    "attrs": Form(
        "a dict of plain values",
        lambda value: (
            type(value) is dict
            and all(type(key) is str and PLAIN.fits(each) for key, each in value.items())
        ),
    ),
}

ROWS: Final = (
    Row("pandas._libs.internals._unpickle_block", _block, items(_BLOCK_VALUES, _PLACES, only(2))),
    Row(
        "pandas.core.internals.managers.BlockManager",
        _table,
        items(many(exact("a block", _Block), tuple), _TWO_INDEXES),
    ),
    Row(
        "pandas.core.internals.managers.SingleBlockManager",
        _column,
        NOTHING,
        items(
            _IGNORED,
            _IGNORED,
            _IGNORED,
            fields({LAYOUT: fields({"axes": _ONE_INDEX, "blocks": _ONE_BLOCK})}),
        ),
    ),
    Row(
        "pandas.Series",
        _series,
        NOTHING,
        fields({"_mgr": exact("a column", _Column)}, {**_FACTS, "_name": KEY}),
    ),
    Row(
        "pandas.DataFrame",
        _frame,
        NOTHING,
        fields({"_mgr": exact("columns", _Table)}, _FACTS),
    ),
)
