"""CSV by column: the same rows, names and faults as row by row, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_store import Fault
from model_store.csv_columns import ColumnDecoder, Records
from model_store.csv_records import Decoder
from model_store.errors import InvalidTable

Read = tuple[tuple[str, ...], list[tuple[str, ...]], dict[int, Fault]]

BOUND = 200
"""Bytes that a record may have here."""


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def by_row(data: bytes) -> Read | str:
    decoder = Decoder(max_record=BOUND)
    try:
        rows = decoder.feed(data) + decoder.finish()
    except InvalidTable as error:
        return str(error)
    return decoder.names, list(map(tuple, rows)), decoder.faults


def by_column(data: bytes, size: int) -> Read | str:
    decoder = ColumnDecoder(max_record=BOUND)
    found: list[Records] = []
    try:
        for piece in pieces(data, size):
            found += decoder.feed(piece)
        found += decoder.finish()
    except InvalidTable as error:
        return str(error)
    rows: list[tuple[str, ...]] = []
    faults: dict[int, Fault] = {}
    for records in found:
        faults |= {len(rows) + row: fault for row, fault in records.faults.items()}
        columns = [[str(column[row]) for row in range(len(column))] for column in records.columns]
        assert {len(column) for column in columns} == {records.rows}
        rows += zip(*columns, strict=True)
    return decoder.names, rows, faults


CELLS = st.one_of(
    st.sampled_from(
        ["", "1", "-2.5", " a ", '"', '""', '"a"', '"a,b"', '"a\nb"', '"a""b"', 'a"b', '"a"b']
    ),
    st.sampled_from(["\r", "é", "\0", "\ufeff", ";", "\t", "\n", '"\r\n"', "x" * BOUND]),
    st.text(st.characters(codec="utf-8"), max_size=3),
)
LINES = st.lists(CELLS, min_size=1, max_size=4).map(",".join)
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", ""])


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A line of names, then lines of which most have as many cells."""
    names = draw(st.sampled_from(["a,b", "a", "a,b,c"]))
    width = names.count(",") + 1
    sound = st.lists(CELLS, min_size=width, max_size=width).map(",".join)
    lines = draw(st.lists(st.one_of(sound, sound, sound, LINES), max_size=8))
    text = names + "\n" + "".join(line + draw(ENDS) for line in lines)
    data = text.encode()
    return data + draw(st.sampled_from([b"", b"\xff,1\n", b"a\xff"]))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(tables(), st.integers(1, 60))
@example(b'a,b\n"1\n2",3\n4,5\n', 7)
@example(b'a,b\n"1,2\n', 5)
@example(b"a,b\n1,2\n\n3\n4,5,6\n", 9)
def test_a_table_by_column_is_the_table_by_row(data: bytes, size: int) -> None:
    assert by_column(data, size) == by_row(data)


def test_sound_rows_are_arrow_arrays_also_where_they_have_quotes_and_line_ends() -> None:
    decoder = ColumnDecoder()
    (found,) = decoder.feed(b'a;b\r\n1;"x\n""y"";z"\r\n2;w\r\n')
    assert [type(column).__name__ for column in found.columns] == ["StringArray"] * 2
    assert [column.to_pylist() for column in found.columns] == [  # type: ignore[union-attr]
        ["1", "2"],
        ['x\n"y";z', "w"],
    ]


@pytest.mark.parametrize("size", [10, 10_000])
def test_a_faulty_row_costs_only_its_piece_the_quick_way(size: int) -> None:
    data = b"a,b\n" + b"1,2\n" * 4000 + b"1\n" + b"3,4\n" * 4000
    decoder = ColumnDecoder()
    found = [records for piece in pieces(data, size) for records in decoder.feed(piece)]
    slow = sum(records.rows for records in found if isinstance(records.columns[0], tuple))
    assert sum(records.rows for records in found) == 8001
    assert 1 <= slow <= size
