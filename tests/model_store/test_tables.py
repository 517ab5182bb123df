"""CSV files as tables of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model_store.errors import InvalidTable
from model_store.tables import Table


def table(tmp_path: Path, data: bytes, max_rows: int | None = None) -> Table:
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    return Table.read(path, max_rows=max_rows)


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (b"a,b\n1,2\n", {"a": ["1"], "b": ["2"]}),
        (b"a;b\r\n1,5;2\r\n", {"a": ["1,5"], "b": ["2"]}),
        (b"a\tb\n1\t", {"a": ["1"], "b": [""]}),
        (b"\xef\xbb\xbfa,b\n1,2", {"a": ["1"], "b": ["2"]}),
        (b'"a, b","c"\n"1\n2","x ""y"""\n', {"a, b": ["1\n2"], "c": ['x "y"']}),
        (b" a , b\n 1 ,2\n\n3,4\n", {" a ": [" 1 ", "3"], " b": ["2", "4"]}),
        ("größe\né\n".encode(), {"größe": ["é"]}),
        (b"a\n1\n2\n", {"a": ["1", "2"]}),
        (b"sep=;\na;b\n1,5;2\n", {"a": ["1,5"], "b": ["2"]}),
        (b"\xef\xbb\xbfSEP=|\r\na|b\r\n1;5|2", {"a": ["1;5"], "b": ["2"]}),
        (b",b\n0,x\n", {"Unnamed: 0": ["0"], "b": ["x"]}),
    ],
)
def test_a_csv_file_is_columns_of_text(
    data: bytes, columns: dict[str, list[str]], tmp_path: Path
) -> None:
    found = table(tmp_path, data)
    assert found.columns == columns
    assert found.rows == len(next(iter(columns.values())))


def test_rows_beyond_the_bound_are_left_out(tmp_path: Path) -> None:
    assert table(tmp_path, b"a\n1\n2\n3\n", max_rows=2).columns == {"a": ["1", "2"]}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", r"rows\.csv has no line of names\.$"),
        (b"\n1\n", r"has no line of names\.$"),
        (b"a,b\n", r"has no rows below the line of names\.$"),
        (b"a,,b\n1,2,3\n", r"the name of column 2 is empty\.$"),
        (b"a,b,a\n1,2,3\n", r"has more than one column a\.$"),
        (b"a,b\n1,2\n1\n", r"line 3: expected 2 values, got 1\.$"),
        (b"sep=,\na,b\n1,2\n1\n", r"line 4: expected 2 values, got 1\.$"),
        (b"sep=,\n", r"has no line of names\.$"),
        (b"a,b\n1,2,3\n", r"line 2: expected 2 values, got 3\.$"),
        (b'a,b\n"1,2\n', r"line 2: unexpected end of data\.$"),
        (b"a,b\n1,\xff\n", r"is not UTF-8 at byte \d+; save it as UTF-8\.$"),
    ],
)
def test_what_is_no_table_is_refused_in_words(data: bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=sentence):
        table(tmp_path, data)


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InvalidTable, match=rf"cannot be read: {reason}"):
            Table.read(path)


def test_numbers_are_read_with_gaps_and_what_is_none_is_named() -> None:
    found = Table.of_columns({"a": [" 1.5", "N/A", "2e3"], "b": ["1", "x", "3"]})
    assert np.array_equal(found.numbers("a"), [1.5, np.nan, 2000], equal_nan=True)
    with pytest.raises(InvalidTable, match=r"^Row 1: b: expected a number, got 'x'\.$"):
        found.numbers("b")


def test_a_column_is_found_by_its_name_or_but_for_spaces_and_case() -> None:
    found = Table.of_columns({"a": ["1"], " B ": ["2"], " a": ["3"]})
    names = ("a", " a", "b", "c")
    assert [found.named(name) for name in names] == ["a", " a", " B ", None]
