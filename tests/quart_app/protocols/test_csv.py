"""CSV, read in pieces of any size and written so that it reads back as it was."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_store import Fault, Manifest, ModelStore, Signature
from model_store.libraries import Libraries
from model_store.manifest import Target
from quart_app.inference import InferenceResponse, InvalidRequest
from quart_app.protocols.csv import Decoder, Encoder, answers_of, harmless
from quart_app.protocols.rows import MAX_NAMES

Read = tuple[tuple[str, ...], list[list[str]], dict[int, Fault]]

BOUND = 64
"""Bytes that a record may have in most of these tests."""


def read(data: bytes, size: int = 0, *, max_record: int = BOUND) -> Read | str:
    """Names, rows and faults of bytes fed in pieces of a size, whole by default; or the refusal."""
    decoder = Decoder(max_record=max_record)
    rows = []
    try:
        for start in range(0, len(data), size or len(data) or 1):
            rows += decoder.feed(data[start : start + (size or len(data))])
        rows += decoder.finish()
    except InvalidRequest as error:
        return str(error)
    return decoder.names, rows, decoder.faults


def both(data: bytes) -> Read:
    """What is read whole and byte by byte alike."""
    found = read(data)
    assert read(data, 1) == found
    assert not isinstance(found, str), found
    return found


SOUND = {
    "LF": (b"a,b\n1,2\n3,4\n", [["1", "2"], ["3", "4"]]),
    "CRLF": (b"a,b\r\n1,2\r\n3,4\r\n", [["1", "2"], ["3", "4"]]),
    "a last line without end": (b"a,b\n1,2\n3,4", [["1", "2"], ["3", "4"]]),
    "a last line that ends in CR": (b"a,b\n1,2\n3,4\r", [["1", "2"], ["3", "4"]]),
    "a mark at the beginning": (b"\xef\xbb\xbfa,b\n1,2\n", [["1", "2"]]),
    "a mark and a quoted name": (b'\xef\xbb\xbf"a",b\n1,2\n', [["1", "2"]]),
    "semicolons": (b"a;b\n1,5;2\n", [["1,5", "2"]]),
    "tabs": (b"a\tb\n1\t2\n", [["1", "2"]]),
    "a line that tells semicolons": (b"sep=;\na;b\n1,5;2\n", [["1,5", "2"]]),
    "a line that tells what is not usual": (b"SEP=|\r\na|b\r\n1;5|2\r\n", [["1;5", "2"]]),
    "a mark and a line that tells": (b"\xef\xbb\xbfsep=\t\na\tb\n1\t2", [["1", "2"]]),
    "a line end in quotes": (b'a,b\n"1\n\r\n",2\n', [["1\n\r\n", "2"]]),
    "a quote in quotes": (b'a,b\n"say ""no""",""""\n', [['say "no"', '"']]),
    "a quote within a cell": (b'a,b\n5" pipe,2\n3,4\n', [['5" pipe', "2"], ["3", "4"]]),
    "empty cells": (b'a,b\n,\n"",""\n', [["", ""], ["", ""]]),
    "empty lines": (b"a,b\n\n1,2\n\r\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
    "letters of several bytes": ("a,b\nß,雪\n".encode(), [["ß", "雪"]]),
    "what Unicode calls a line end": ("a,b\n\x0b\u2028,\x85\n".encode(), [["\x0b\u2028", "\x85"]]),
    "a header alone": (b"a,b\n", []),
    "a header without line end": (b"a,b", []),
}  # fmt: skip


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_table_reads_alike_whole_and_byte_by_byte(case: str) -> None:
    data, rows = SOUND[case]
    assert both(data) == (("a", "b"), rows, {})


BROKEN: dict[str, tuple[bytes, list[list[str]], dict[int, tuple[str, str, str]]]] = {
    "too few cells": (
        b"a,b\n1\n3,4\n",
        [["1", ""], ["3", "4"]],
        {0: ("b", "2 cells in the row", "1")},
    ),
    "too many cells": (
        b"a,b\n3,4\n1,2,5\n",
        [["3", "4"], ["1", "2"]],
        {1: ("b", "2 cells in the row", "3")},
    ),
    "text after a closing quote": (
        b'a,b\n1,"2"x\n3,4\n',
        [["1", '"2"x'], ["3", "4"]],
        {0: ("b", "nothing after the closing quote", "more text")},
    ),
    "CR alone": (
        b"a,b\n1\r2,3\n3,4\n",
        [["1\r2", "3"], ["3", "4"]],
        {0: ("a", "LF or CRLF as line end", "CR alone")},
    ),
    "a quote that is never closed": (
        b'a,b\n1,2\n3,"4\n5,6\n',
        [["1", "2"], ["3", ""]],
        {1: ("b", "a closing quote", "the end of the file")},
    ),
    "another encoding": (
        b"a,b\n1,gr\xf6\xdfe\n3,4\n",
        [["1", "gr\ufffd\ufffde"], ["3", "4"]],
        {0: ("b", "UTF-8 without NUL", "another encoding")},
    ),
    "half a letter": (
        b"a,b\n\xe9\x9b,2\n",
        [["\ufffd\ufffd", "2"]],
        {0: ("a", "UTF-8 without NUL", "another encoding")},
    ),
    "NUL": (
        b"a,b\n1,\x002\n",
        [["1", "\ufffd2"]],
        {0: ("b", "UTF-8 without NUL", "NUL")},
    ),
    "a long record": (
        b"a,b\n1,2\n" + b"x" * BOUND + b"\n3,4\n",
        [["1", "2"], ["", ""]],
        {1: ("a", "a record of at most 64 bytes", "more; nothing after it was read")},
    ),
    "an open quote before much": (
        b'a,b\n1,2\n"3,4\n' + b"5,6\n" * BOUND,
        [["1", "2"], ["", ""]],
        {1: ("a", "a record of at most 64 bytes", "more; nothing after it was read")},
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_record_keeps_its_place_and_says_what_is_wrong(case: str) -> None:
    data, rows, faults = BROKEN[case]
    expected = {row: Fault(row, *told) for row, told in faults.items()}
    assert both(data) == (("a", "b"), rows, expected)


def test_a_record_may_be_as_long_as_the_bound_and_no_longer() -> None:
    fits = b"x" * (BOUND - 3) + b",y\n"
    assert both(b"a,b\n" + fits * 3)[2] == {}
    assert list(both(b"a,b\n" + fits + b"x" + fits)[2]) == [1]


def test_a_line_names_as_many_columns_as_a_request_may() -> None:
    names = ",".join(map(str, range(MAX_NAMES)))
    decoder = Decoder()
    decoder.feed(names.encode() + b"\n")
    assert len(decoder.names) == MAX_NAMES
    with pytest.raises(InvalidRequest, match="may name 20000 columns, got 20001"):
        Decoder().feed(names.encode() + b",more\n")


def test_a_cell_may_have_as_many_characters_as_the_csv_module_reads() -> None:
    limit = csv.field_size_limit()
    data = b"a,b\n1,%b\n3,%b\n5,6\n" % (b"x" * (limit + 1), b"y" * limit)
    found = read(data, max_record=1024 * 1024)
    assert found == read(data, 60_000, max_record=1024 * 1024)
    assert not isinstance(found, str)
    _, rows, faults = found
    assert faults == {0: Fault(0, "b", f"at most {limit} characters", "more")}
    assert rows[1:] == [["3", "y" * limit], ["5", "6"]]


HEADERS = {
    b"": "Expected a line with the names of the columns, got nothing.",
    b"\n1,2\n": "Line 1: expected the names of the columns, got an empty line.",
    b" , \n1,2\n": "Line 1: expected the names of the columns, got an empty line.",
    b"a,\n1,2\n": "Line 1: the name of column 2 is empty.",
    b",a\n0,2\n": "Line 1: the name of column 1 is empty; leave out the index of the rows "
    "(index=False of pandas).",
    b"sep=;\na;\n1;2\n": "Line 2: the name of column 2 is empty.",
    b"sep=;\n": "Line 2: expected the names of the columns, got an empty line.",
    b"a,b,a\n1,2,3\n": "Line 1: there is more than one column a.",
    b"gr\xf6\xdfe,b\n": "Line 1: expected UTF-8 without NUL.",
    b"a\0,b\n": "Line 1: expected UTF-8 without NUL.",
    b'"a,b\n1,2\n': "Line 1: a quote is not closed.",
    b'"a"x,b\n1,2\n': "Line 1: expected nothing after the closing quote, got more text.",
    b"a" * BOUND + b",b\n1,2\n": "Line 1: expected at most 64 bytes, got more.",
}


@pytest.mark.parametrize("data", HEADERS)
def test_a_wrong_line_of_names_is_refused_with_the_line(data: bytes) -> None:
    assert read(data) == HEADERS[data]
    assert read(data, 1) == HEADERS[data]


def test_two_byte_encodings_are_refused() -> None:
    for encoding in ("utf-16", "utf-16-le"):
        assert "UTF-8" in str(read("a,b\n1,2\n".encode(encoding)))


anything = st.lists(
    st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"a", b"12", b"\xc3\xa9", b"\xff", b"\0"]),
    max_size=60,
).map(b"".join)


@settings(max_examples=400)
@given(body=anything, size=st.integers(1, 20), bound=st.sampled_from([8, 16, 1000]))
@example(body=b'"a\n', size=1, bound=8)
@example(body=b'1,"2"x"\n"\n', size=3, bound=1000)
def test_any_bytes_read_alike_in_pieces_of_any_size(body: bytes, size: int, bound: int) -> None:
    data = b"a,b\n" + body
    whole = read(data, max_record=bound)
    assert read(data, 1, max_record=bound) == whole
    assert read(data, size, max_record=bound) == whole
    assert not isinstance(whole, str)
    names, rows, faults = whole
    assert all(len(row) == len(names) for row in rows)
    assert all(0 <= row < len(rows) for row in faults)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
rows_of_two = st.lists(st.tuples(cells, cells).map(list), max_size=20)


@given(rows=rows_of_two, end=st.sampled_from(["\n", "\r\n"]), size=st.integers(1, 50))
def test_whatever_the_csv_module_writes_is_read_as_it_was(
    rows: list[list[str]], end: str, size: int
) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    found = read(written.getvalue().encode(), size, max_record=1000)
    assert found == (("a", "b"), rows, {})


# The answer ----------------------------------------------------------------------


@pytest.fixture
def exam(bundled: ModelStore) -> Encoder:
    manifest = bundled.verify("exam").manifest
    return Encoder(["X1", "X2"], ",", manifest)


def parsed(data: bytes, delimiter: str = ",") -> list[list[str]]:
    """What any reader of CSV makes of it."""
    text = io.StringIO(data.decode(), newline="")
    return list(csv.reader(text, delimiter=delimiter, strict=True))


def test_the_header_names_what_came_and_what_is_added(exam: Encoder) -> None:
    expected = b"X1,X2,prediction,probability_0,probability_1,error\r\n"
    assert exam.header() == expected


def test_an_added_column_whose_name_is_taken_gets_underscores(bundled: ModelStore) -> None:
    manifest = bundled.verify("exam").manifest
    encoder = Encoder(["prediction", "error", "error_"], ",", manifest)
    assert encoder.added == ["prediction_", "probability_0", "probability_1", "error__"]


def test_several_targets_have_columns_by_their_names(kinds: ModelStore) -> None:
    for name in kinds.models():
        manifest = kinds.verify(name).manifest
        if not manifest.several:
            continue
        added = Encoder(["x"], ",", manifest).added
        named = [f"prediction_{target.name}" for target in manifest.targets]
        assert [each for each in added if each.startswith("prediction")] == named
        if manifest.probabilities:
            first = manifest.targets[0]
            assert f"probability_{first.name}_{(first.classes or [''])[0]}" in added


RUN = (
    "=1+1",
    "+cmd",
    "-cmd",
    "@SUM(A1)",
    "  =1+1",
    "\u00a0=1",
    "\u200b=1",
    "\ufeff=1",
    "\t=1",
    "\tx",
    "\rx",
    "\nx",
    "-1.5\n=1",
    "-1+1",
    "-1.2.3",
    "-1\x1e+1",
    "--1",
    "-",
    "＝1",  # noqa: RUF001
    "＋1",  # noqa: RUF001
    "－1",  # noqa: RUF001
    "＠x",  # noqa: RUF001
    "-1e5x",
    "-inf",
)
NOT_RUN = ("-1.5", "+2", " -1.5 ", "-1e-5", "-.5", "1-1", "a=b", "", "x\n=1", "2024-01-02", "'=1")


@pytest.mark.parametrize("cell", RUN)
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(cell: str, exam: Encoder) -> None:
    assert harmless(cell) == "'" + cell
    assert parsed(exam.encode([["x", cell, "-1.5"]]))[1] == ["'" + cell]


@pytest.mark.parametrize("cell", NOT_RUN)
def test_any_other_cell_stays_as_it_is(cell: str, exam: Encoder) -> None:
    assert harmless(cell) == cell
    assert parsed(exam.encode([["x", cell, "=1"], ["1", "2", "3"]]))[1] == [cell, "2"]


written_cells = st.one_of(
    cells,
    st.sampled_from([*RUN, *NOT_RUN, '"', ";", ",", "\x1e", "-1", "-1\n"]),
)


@given(
    rows=st.lists(st.lists(written_cells, min_size=2, max_size=2), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t"),
)
def test_what_is_written_reads_back_harmless_and_else_the_same(
    rows: list[list[str]], delimiter: str, bundled_root: Path
) -> None:
    manifest = ModelStore(bundled_root).verify("exam").manifest
    encoder = Encoder(["X1", "X2"], delimiter, manifest)
    expected = [[harmless(cell) for cell in row] for row in rows]
    columns: Sequence[Any] = list(zip(*rows, strict=True))
    assert parsed(encoder.encode(columns), delimiter) == expected


@given(value=st.floats(0, 1), other=st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_equal(value: float, other: float) -> None:
    response = InferenceResponse(
        id="1",
        model="m",
        version=1,
        labels=np.array([other]),
        probabilities=[np.array([[value, 1 - value]])],
        classes=[["no", "yes"]],
        notice=None,
    )
    (label,), (first,), (second,) = answers_of(response)
    assert (float(label), float(first), float(second)) == (other, value, 1 - value)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([1, -2]), ["1", "-2"]),
        (np.array([True, False]), ["True", "False"]),
        (np.array(["a", "=b"], dtype=object), ["a", "=b"]),
        (np.array([0.1, 1e300]), ["0.1", "1e300"]),
    ],
)
def test_labels_are_written_as_they_are(labels: Any, expected: list[str]) -> None:
    response = InferenceResponse("1", "m", 1, labels, None, [()], None)
    assert answers_of(response) == [expected]


SPREADSHEET = st.sampled_from(
    ["", "1", "-1", "-1.5e3", "=1", "+a", "@", " =x", "\t=", "a,b", '"', "x\n", "\u3000-1", "－"]  # noqa: RUF001
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(SPREADSHEET, SPREADSHEET, SPREADSHEET), min_size=1, max_size=12))
def test_arrow_arrays_are_written_as_lists_of_the_same_texts(rows: list[tuple[str, ...]]) -> None:
    manifest = Manifest(
        format=2,
        name="m",
        version=1,
        created="",
        task="regression",
        signature=Signature(columns=()),
        targets=(Target(),),
        estimator="",
        libraries=Libraries.installed(),
        files={},
    )
    encoder = Encoder(("a", "b", "c"), ",", manifest)
    columns = list(map(list, zip(*rows, strict=True)))
    arrays = [pa.array(["-", *column])[1:] for column in columns]
    assert encoder.encode(arrays) == encoder.encode(columns)
    assert encoder.encode([arrays[0], columns[1], arrays[2]]) == encoder.encode(columns)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_numbers_are_the_same_texts_in_arrays_and_lists(numbers: list[float]) -> None:
    response = InferenceResponse("1", "m", 1, np.array(numbers), None, [()], None)
    (array,), (listed,) = answers_of(response, arrays=True), answers_of(response)
    assert [str(each) for each in array] == listed
    assert list(map(float, listed)) == numbers
