"""The one gate of inference: values in, a matrix or every fault out."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from model_store import ABSENT, Column, Fault, InvalidRows, Signature, text_rules
from model_store.frames import as_fitted
from model_store.signature import GOT_LENGTH, MAX_FAULTS
from model_store.values import Values

NUMBER = Signature(columns=(Column(name="n", type="number"),))
SINGLE = Signature(columns=(Column(name="n", type="number"),), dtype="float32")
OPTIONAL = Signature(columns=(Column(name="n", type="number", missing=True),))
INTEGER = Signature(columns=(Column(name="n", type="integer"),), dtype="int64")
FLOATED = Signature(columns=(Column(name="n", type="integer", missing=True),))
"""An integer column beside others that are not, so that the matrix holds floats."""

OPEN = Signature(columns=(Column(name="n", type="integer", open=True),), dtype="int64")
OPEN_FLOATED = Signature(columns=(Column(name="n", type="integer", open=True),))
OPEN_SINGLE = Signature(columns=(Column(name="n", type="integer", open=True),), dtype="float32")
"""Integers of which the pipeline takes fractions too."""

SIGNATURES = [NUMBER, SINGLE, OPTIONAL, INTEGER, FLOATED, OPEN, OPEN_FLOATED]
NAN = math.nan
INF = math.inf
LONG = "a finite number"
SHORT = "a number from -3.40282e+38 to 3.40282e+38, which float32 holds"
BITS = "an integer of at most 64 bits"

ON_ANY_WIRE = [
    # What comes in, and what stands in the matrix.
    (NUMBER, 5.1, 5.1),
    (NUMBER, 5, 5.0),
    (NUMBER, 0, 0.0),
    (NUMBER, -0.0, -0.0),
    (NUMBER, "-0.0", -0.0),
    (NUMBER, "5.1", 5.1),
    (NUMBER, " 5.1 ", 5.1),
    (NUMBER, "\t5.1\n", 5.1),
    (NUMBER, "+5", 5.0),
    (NUMBER, ".5", 0.5),
    (NUMBER, "5.", 5.0),
    (NUMBER, "1e3", 1000.0),
    (NUMBER, "1E-3", 0.001),
    (NUMBER, "0x10", ("a number", '"0x10"')),
    (NUMBER, 5e-324, 5e-324),
    (NUMBER, 2**63, 2.0**63),
    (NUMBER, 2**64, 2.0**64),
    (NUMBER, 2**53 + 1, 2.0**53),
    (NUMBER, "1_000", ("a number", '"1_000"')),
    (NUMBER, "5,1", ("a number", '"5,1"')),
    (NUMBER, "1 000", ("a number", '"1 000"')),
    (NUMBER, "\u0665\u066b\u0661", ("a number", '"\u0665\u066b\u0661"')),
    (NUMBER, "\uff15", ("a number", '"\uff15"')),
    (NUMBER, "five", ("a number", '"five"')),
    (NUMBER, "nan", ("a number", '"nan"')),
    (NUMBER, "inf", ("a number", '"inf"')),
    (NUMBER, "-Infinity", ("a number", '"-Infinity"')),
    (NUMBER, "1e", ("a number", '"1e"')),
    (NUMBER, "--1", ("a number", '"--1"')),
    (NUMBER, ".", ("a number", '"."')),
    (NUMBER, "\ud800", ("a number", '"\\ud800"')),
    (NUMBER, "1\udcff", ("a number", '"1\\udcff"')),
    (NUMBER, INF, (LONG, "Infinity")),
    (NUMBER, -INF, (LONG, "-Infinity")),
    (NUMBER, "1e400", (LONG, '"1e400"')),
    (NUMBER, 10**400, (LONG, "a number of about 401 digits")),
    (NUMBER, 10**5000, (LONG, "a number of about 5001 digits")),
    (NUMBER, "9" * 5000, (LONG, '"' + "9" * 58 + "…")),
    (NUMBER, NAN, ("a number", "NaN")),
    (NUMBER, None, ("a number", "null")),
    (NUMBER, True, ("a number", "true")),
    (NUMBER, False, ("a number", "false")),
    (NUMBER, [], ("a number", "[]")),
    (NUMBER, [1.0], ("a number", "[1.0]")),
    (NUMBER, {"a": None}, ("a number", '{"a": null}')),
    (NUMBER, list(range(100)), ("a number", str(list(range(100)))[:59] + "…")),
    (NUMBER, ABSENT, ("a number", "nothing")),
    (NUMBER, b"5", ("a number", "\"b'5'\"")),
    (SINGLE, 0.1, float(np.float32(0.1))),
    (SINGLE, "0.1", float(np.float32(0.1))),
    (SINGLE, 1e38, float(np.float32(1e38))),
    (SINGLE, INF, (LONG, "Infinity")),
    (SINGLE, 1e39, (SHORT, "1e+39")),
    (SINGLE, "1e39", (SHORT, '"1e39"')),
    (SINGLE, 2**60 + 2**36 + 1, 2.0**60),
    (OPTIONAL, None, NAN),
    (OPTIONAL, NAN, NAN),
    (OPTIONAL, 1, 1.0),
    (OPTIONAL, ABSENT, ("a number or null", "nothing")),
    (OPTIONAL, "five", ("a number or null", '"five"')),
    (OPTIONAL, True, ("a number or null", "true")),
    (OPTIONAL, INF, (LONG, "Infinity")),
    (INTEGER, 5, 5),
    (INTEGER, 5.0, 5),
    (INTEGER, "5", 5),
    (INTEGER, "5.0", 5),
    (INTEGER, "1e3", 1000),
    (INTEGER, -0.0, 0),
    (INTEGER, 1.9, ("an integer", "1.9")),
    (INTEGER, "1.9", ("an integer", '"1.9"')),
    (INTEGER, 2**53 + 1, 2**53 + 1),
    (INTEGER, str(2**53 + 1), 2**53 + 1),
    (INTEGER, "0" * 12 + str(2**53 + 1), 2**53 + 1),
    (INTEGER, 2**63 - 1, 2**63 - 1),
    (INTEGER, f"+{2**63 - 1}", 2**63 - 1),
    (INTEGER, 1 - 2**63, 1 - 2**63),
    (INTEGER, str(1 - 2**63), 1 - 2**63),
    (INTEGER, -(2**63), -(2**63)),
    (INTEGER, 2**63, (BITS, str(2**63))),
    (INTEGER, str(2**63), (BITS, f'"{2**63}"')),
    (INTEGER, 2.0**63, (BITS, repr(2.0**63))),
    (INTEGER, -(2**63) - 1, (BITS, str(-(2**63) - 1))),
    (INTEGER, 10**400, (BITS, "a number of about 401 digits")),
    (INTEGER, INF, ("an integer", "Infinity")),
    (INTEGER, "1e400", ("an integer", '"1e400"')),
    (INTEGER, NAN, ("an integer", "NaN")),
    (INTEGER, None, ("an integer", "null")),
    (INTEGER, True, ("an integer", "true")),
    (INTEGER, ABSENT, ("an integer", "nothing")),
    (INTEGER, "1_000", ("an integer", '"1_000"')),
    (FLOATED, 7, 7.0),
    (FLOATED, None, NAN),
    (FLOATED, 2**63, (BITS, str(2**63))),
    (FLOATED, str(2**63), (BITS, f'"{2**63}"')),
    (FLOATED, 1.5, ("an integer or null", "1.5")),
    (OPEN, 5.0, 5),
    (OPEN, 2**53 + 1, 2**53 + 1),
    (OPEN, 2**63, (BITS, str(2**63))),
    (OPEN, 1e300, (BITS, "1e+300")),
    (OPEN, INF, (LONG, "Infinity")),
    (OPEN, "-1e400", (LONG, '"-1e400"')),
    (OPEN, NAN, ("a number", "NaN")),
    (OPEN, None, ("a number", "null")),
    (OPEN, True, ("a number", "true")),
    (OPEN, "many", ("a number", '"many"')),
    (OPEN, ABSENT, ("a number", "nothing")),
    (OPEN_FLOATED, 1.9, 1.9),
    (OPEN_FLOATED, "1.9", 1.9),
    (OPEN_FLOATED, -0.5, -0.5),
    (OPEN_FLOATED, 5e-324, 5e-324),
    (OPEN_FLOATED, 2.0**52 - 0.5, 2.0**52 - 0.5),
]

# The value, and what it is where the wire is JSON and where it knows only text.
BY_WIRE = [
    (NUMBER, "", ("a number", '""'), ("a number", "nothing")),
    (NUMBER, "  ", ("a number", '"  "'), ("a number", '"  "')),
    (OPTIONAL, "", ("a number or null", '""'), NAN),
    (OPTIONAL, "  ", ("a number or null", '"  "'), NAN),
    (INTEGER, "", ("an integer", '""'), ("an integer", "nothing")),
    (FLOATED, "", ("an integer or null", '""'), NAN),
]

TABLE = [
    *((signature, value, text, out) for signature, value, out in ON_ANY_WIRE for text in (0, 1)),
    *((signature, value, 0, json_out) for signature, value, json_out, _ in BY_WIRE),
    *((signature, value, 1, text_out) for signature, value, _, text_out in BY_WIRE),
]

IDS = [f"{type(value).__name__}-{i}" for i, (_, value, _, _) in enumerate(TABLE)]

WIRES = (text_rules.JSON, text_rules.FORM)

Outcome = tuple[str, bytes] | tuple[str, tuple[Fault, ...]]


def outcome(signature: Signature, values: Values, *, text: bool = False) -> Outcome:
    """The matrix bit for bit, or the objects that its dtype does not hold, or all the faults."""
    try:
        matrix = signature.validate({"n": values}, len(values), WIRES[text])
    except InvalidRows as error:
        return "faults", error.faults
    assert matrix.shape == (len(values), 1)
    if matrix.dtype != np.dtype(signature.dtype):
        assert matrix.dtype.kind == "O"
        return "objects", repr(matrix.tolist()).encode()
    if matrix.dtype.kind == "f":
        matrix[np.isnan(matrix)] = NAN  # one of its many patterns of bits
    return "matrix", matrix.tobytes()


def bits(signature: Signature, *values: Any) -> Outcome:
    return "matrix", np.array(values, dtype=signature.dtype).tobytes()


@pytest.mark.parametrize(("signature", "value", "text", "out"), TABLE, ids=IDS)
def test_a_value_is_brought_to_its_column_or_refused_in_words(
    signature: Signature, value: object, text: int, out: Any
) -> None:
    found = outcome(signature, [value], text=bool(text))
    if isinstance(out, tuple):
        assert found == ("faults", (Fault(0, "n", *out),))
    else:
        assert found == bits(signature, out)


@pytest.mark.parametrize(("signature", "value", "text", "out"), TABLE, ids=IDS)
def test_a_value_means_the_same_alone_and_in_company(
    signature: Signature, value: object, text: int, out: Any
) -> None:
    for company in ([1, value, 2], [1, value, "2"]):
        found = outcome(signature, company, text=bool(text))
        if isinstance(out, tuple):
            assert found == ("faults", (Fault(1, "n", *out),))
        else:
            assert found == bits(signature, 1, out, 2)


@pytest.mark.parametrize(
    ("signature", "column", "out"),
    [
        (NUMBER, np.array([1, 2], dtype=np.int8), [1.0, 2.0]),
        (NUMBER, np.array([1, 2], dtype=np.uint64), [1.0, 2.0]),
        (NUMBER, np.array([1.5, 2.5], dtype=np.float16), [1.5, 2.5]),
        (NUMBER, np.array(["1.5", "2"]), [1.5, 2.0]),
        (NUMBER, np.array([1.5, "2"], dtype=object), [1.5, 2.0]),
        (SINGLE, np.array([0.1, 0.2]), [0.1, 0.2]),
        (INTEGER, np.array([1.0, 2.0]), [1, 2]),
        (INTEGER, np.array([2**62, 7], dtype=np.uint64), [2**62, 7]),
        (OPTIONAL, np.array([NAN, 1.0], dtype=np.float32), [NAN, 1.0]),
    ],
)
def test_a_numpy_column_of_any_numeric_type_is_taken(
    signature: Signature, column: NDArray[Any], out: list[float]
) -> None:
    assert outcome(signature, column) == bits(signature, *out)


@pytest.mark.parametrize(
    ("signature", "column", "expected", "got"),
    [
        (NUMBER, np.array([1.0, INF]), LONG, "Infinity"),
        (NUMBER, np.array([1.0, NAN]), "a number", "NaN"),
        (SINGLE, np.array([1.0, 1e39]), SHORT, "1e+39"),
        (INTEGER, np.array([1.0, 1.9]), "an integer", "1.9"),
        (INTEGER, np.array([1, 2**63], dtype=np.uint64), BITS, str(2**63)),
        (FLOATED, np.array([1, 2**63], dtype=np.uint64), BITS, str(2**63)),
        (NUMBER, np.array(["1", "nan"]), "a number", '"nan"'),
    ],
)
def test_a_numpy_column_is_told_which_of_its_values_is_wrong(
    signature: Signature, column: NDArray[Any], expected: str, got: str
) -> None:
    assert outcome(signature, column) == ("faults", (Fault(1, "n", expected, got),))


@pytest.mark.parametrize(
    ("column", "got"),
    [
        (np.array([True, False]), ["true", "false"]),
        (np.array(["2020", "2021"], dtype="M8[Y]"), ['"2020-01-01"', '"2021-01-01"']),
        (np.array([1 + 2j]), ['"(1+2j)"']),
    ],
)
def test_what_numpy_does_not_count_as_a_real_number_is_refused(
    column: NDArray[Any], got: list[str]
) -> None:
    found = outcome(NUMBER, column)
    assert found == ("faults", tuple(Fault(i, "n", "a number", g) for i, g in enumerate(got)))


BESIDE = {
    "a list": [2.5, 2**60 + 1, 3.0],
    "texts": ["2.5", str(2**60 + 1), "3.0"],
    "objects": np.array([2.5, 2**60 + 1, 3.0], dtype=object),
}


@pytest.mark.parametrize("values", BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("signature", [OPEN, OPEN_FLOATED, OPEN_SINGLE])
def test_a_fraction_rounds_no_integer_beside_it(signature: Signature, values: Values) -> None:
    matrix = signature.validate({"n": values}, 3, text_rules.FORM)
    assert list(map(repr, matrix[:, 0].tolist())) == ["2.5", str(2**60 + 1), "3"]
    assert signature.values(matrix) == [{"n": 2.5}, {"n": 2**60 + 1}, {"n": 3}]


@pytest.mark.parametrize("values", [[0.1, 2], np.array([0.1, 2.0]), ["0.1", "2"]], ids=str)
@pytest.mark.parametrize("signature", [OPEN, OPEN_FLOATED, OPEN_SINGLE])
def test_a_fraction_of_integers_is_rounded_to_no_narrower_matrix(
    signature: Signature, values: Values
) -> None:
    matrix = signature.validate({"n": values}, 2, text_rules.FORM)
    assert signature.values(matrix) == [{"n": 0.1}, {"n": 2}]


@pytest.mark.parametrize("values", [[1.5, 2], np.array([1.5, 2.0]), ["1.5", "2"]], ids=str)
@pytest.mark.parametrize("missing", [False, True])
def test_what_makes_floats_of_integers_makes_them_double_precision(
    values: Values, missing: bool
) -> None:
    column = Column(name="n", type="integer", dtype="int8", open=True, missing=True)
    beside = Column(name="w", type="number", dtype="float32")
    signature = Signature(columns=(column, beside), dtype="float32", container="frame")
    sent = [1, None] if missing else values
    matrix = signature.validate({"n": sent, "w": [0.1, 0.2]}, 2, text_rules.FORM)
    frame = as_fitted(matrix, signature)
    assert frame.dtypes.tolist() == [np.float64, np.float32]
    whole = signature.validate({"n": [1, 2], "w": [0.1, 0.2]}, 2)
    assert whole.dtype == np.float32
    assert as_fitted(whole, signature).dtypes.tolist() == [np.int8, np.float32]


def test_integers_alone_stay_the_matrix_of_integers_that_they_were() -> None:
    for values in ([1, 2], np.array([1.0, 2.0]), np.array([1, 2], dtype=np.uint8), ["1", "2"]):
        matrix = OPEN.validate({"n": values}, 2, text_rules.FORM)
        assert matrix.dtype == np.int64


# Many rows and columns -------------------------------------------------------

PAIR = Signature(
    columns=(
        Column(name="width", type="number"),
        Column(name="count", type="integer", missing=True),
    )
)


def test_columns_stand_in_the_order_of_training_not_of_sending() -> None:
    matrix = PAIR.validate({"count": [1, 2], "width": [0.5, "1.5"]}, 2)
    assert matrix.tolist() == [[0.5, 1.0], [1.5, 2.0]]


def test_all_faults_of_all_rows_are_told_at_once_in_the_order_of_the_rows() -> None:
    values: dict[str, Values] = {
        "count": [1.5, None, "many"],
        "width": ["wide", 2.0, ABSENT],
        "zeal": [ABSENT, ABSENT, 3],
        "depth": [1, ABSENT, 2],
    }
    with pytest.raises(InvalidRows) as caught:
        PAIR.validate(values, 3)
    known = "one of the columns width, count"
    assert caught.value.faults == (
        Fault(0, "width", "a number", '"wide"'),
        Fault(0, "count", "an integer or null", "1.5"),
        Fault(0, "depth", known, "1"),
        Fault(2, "width", "a number", "nothing"),
        Fault(2, "count", "an integer or null", '"many"'),
        Fault(2, "zeal", known, "3"),
        Fault(2, "depth", known, "2"),
    )
    assert (caught.value.total, caught.value.rows) == (7, 3)
    assert str(caught.value) == (
        'row 0, width: expected a number, got "wide"; '
        "row 0, count: expected an integer or null, got 1.5; "
        f"row 0, depth: expected {known}, got 1; "
        "row 2, width: expected a number, got nothing; "
        'row 2, count: expected an integer or null, got "many"; and 2 more'
    )


def test_the_only_row_is_not_counted_in_the_message() -> None:
    with pytest.raises(InvalidRows, match=r"^width: expected a number, got nothing$"):
        PAIR.validate({"count": [1]}, 1)


def test_a_column_that_nobody_sent_is_a_fault_of_each_row() -> None:
    with pytest.raises(InvalidRows) as caught:
        PAIR.validate({"width": [1.0, 2.0]}, 2)
    assert caught.value.faults == tuple(
        Fault(row, "count", "an integer or null", "nothing") for row in range(2)
    )


def test_an_unknown_column_is_refused_even_where_it_is_null() -> None:
    with pytest.raises(InvalidRows) as caught:
        PAIR.validate({"width": [1.0], "count": [1], "Width": [None]}, 1)
    assert caught.value.faults == (Fault(0, "Width", "one of the columns width, count", "null"),)


def test_an_unknown_column_among_very_many_is_told_the_first_of_them() -> None:
    wide = Signature(columns=tuple(Column(name=f"x{i}", type="number") for i in range(25)))
    values: dict[str, Values] = {name: [0.0] for name in wide.names}
    with pytest.raises(InvalidRows, match=r"x0, x1, .*, x19 and 5 more, got 7$"):
        wide.validate({**values, "y": [7]}, 1)


def test_the_faults_are_bounded_and_their_number_is_not() -> None:
    rows = MAX_FAULTS + 500
    with pytest.raises(InvalidRows) as caught:
        PAIR.validate({"width": ["a"] * rows, "count": ["b"] * rows}, rows)
    assert caught.value.total == 2 * rows
    assert len(caught.value.faults) == MAX_FAULTS
    assert [fault.row for fault in caught.value.faults] == sorted([*range(MAX_FAULTS // 2)] * 2)
    assert str(caught.value).endswith(f"; and {2 * rows - 5} more")


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), shares=st.tuples(*[st.sampled_from([0, 0.1, 0.5, 1])] * 3))
def test_the_faults_told_are_the_first_by_row_of_all_columns(
    seed: int, shares: tuple[float, ...]
) -> None:
    rows = 2 * MAX_FAULTS
    faulty = np.random.default_rng(seed).random((rows, 4)) < (*shares, 0.01)
    wide = Signature(columns=tuple(Column(name=f"x{i}", type="number") for i in range(4)))
    sent = np.where(faulty, np.inf, 1.0)
    values: dict[str, Values] = {f"x{i}": sent[:, i] for i in range(3)}
    values["x3"] = sent[:, 3].tolist()
    expected = [(row, f"x{i}") for row, i in np.argwhere(faulty).tolist()]
    if expected:
        with pytest.raises(InvalidRows) as caught:
            wide.validate(values, rows)
        assert caught.value.total == len(expected)
        told = [(fault.row, fault.column) for fault in caught.value.faults]
        assert told == expected[:MAX_FAULTS]


def test_a_very_long_number_is_told_by_its_length() -> None:
    with pytest.raises(InvalidRows, match=r"got a number of about 400\d digits"):
        PAIR.validate({"width": [10**4000], "count": [1]}, 1)


def test_no_rows_are_an_empty_matrix() -> None:
    assert PAIR.validate({"width": [], "count": []}, 0).shape == (0, 2)


# Rules that hold for all values ----------------------------------------------

FINITE = st.floats(allow_nan=False, allow_infinity=False)
FINITE_32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**53 - 2, 2**64 + 2)
    | st.floats()
    | st.text(st.characters())
    | st.integers().map(str)
    | st.floats().map(repr),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def by_every_wire(matrix: NDArray[Any], columns: tuple[Column, ...]) -> dict[str, bytes]:
    """The bits of the matrix after each way that its values can come in."""
    signature = Signature(columns=columns, dtype=matrix.dtype.name)

    def taken(columns: Sequence[Values], *, text: bool = False) -> bytes:
        values = dict(zip(signature.names, columns, strict=True))
        found = signature.validate(values, len(matrix), WIRES[text])
        assert found.dtype == matrix.dtype
        return found.tobytes()

    lists = [column.tolist() for column in matrix.T]
    mixed = [[repr(v) if i % 2 else v for i, v in enumerate(column)] for column in lists]
    return {
        "numpy": taken(list(matrix.T)),
        "lists": taken(lists),
        "json": taken(json.loads(json.dumps(lists))),
        "text": taken([[repr(value) for value in column] for column in lists], text=True),
        "mixed": taken(mixed),
    }


def numbers(count: int) -> tuple[Column, ...]:
    return tuple(Column(name=f"x{i}", type="number") for i in range(count))


@settings(deadline=None)
@given(arrays.arrays(np.float64, SHAPES, elements=FINITE))
def test_numbers_are_the_same_bits_by_every_wire(matrix: NDArray[np.float64]) -> None:
    ways = by_every_wire(matrix, numbers(matrix.shape[1]))
    assert ways == dict.fromkeys(ways, matrix.tobytes())


@settings(deadline=None)
@given(arrays.arrays(np.float32, SHAPES, elements=FINITE_32))
def test_single_precision_is_the_same_bits_by_every_wire(matrix: NDArray[np.float32]) -> None:
    ways = by_every_wire(matrix, numbers(matrix.shape[1]))
    assert ways == dict.fromkeys(ways, matrix.tobytes())


@settings(deadline=None)
@given(arrays.arrays(np.int64, SHAPES))
def test_integers_are_the_same_bits_by_every_wire(matrix: NDArray[np.int64]) -> None:
    columns = tuple(Column(name=f"x{i}", type="integer") for i in range(matrix.shape[1]))
    ways = by_every_wire(matrix, columns)
    assert ways == dict.fromkeys(ways, matrix.tobytes())


@settings(deadline=None, max_examples=200)
@given(
    signature=st.sampled_from(SIGNATURES),
    values=st.lists(JSON | st.just(ABSENT), min_size=1, max_size=4),
    unknown=st.none() | JSON,
    text=st.booleans(),
)
def test_whatever_comes_in_there_is_a_matrix_or_words_for_each_fault(
    signature: Signature, values: list[object], unknown: object, text: bool
) -> None:
    sent: dict[str, Values] = {"n": values}
    if unknown is not None:
        sent["unknown"] = [unknown] * len(values)
    matrix, refused = None, None
    try:
        matrix = signature.validate(sent, len(values), WIRES[text])
    except InvalidRows as error:
        refused = error
    if matrix is not None:
        assert unknown is None
        assert matrix.shape == (len(values), 1)
        numbers = matrix.astype(np.float64)
        assert not np.isinf(numbers).any()
        assert signature.columns[0].missing or not np.isnan(numbers).any()
    if refused is not None:
        assert refused.total == len(refused.faults) > 0
        order = [fault.row for fault in refused.faults]
        assert order == sorted(order)
        assert str(refused).encode()
        for fault in refused.faults:
            assert fault.column in sent
            assert fault.expected
            assert 0 < len(fault.got.encode().decode()) <= GOT_LENGTH


@settings(deadline=None, max_examples=200)
@given(
    signature=st.sampled_from(SIGNATURES),
    values=st.lists(
        st.floats() | st.integers() | st.integers(-(2**64) - 2, 2**64 + 2), min_size=1, max_size=4
    ),
)
def test_a_column_tried_whole_and_walked_value_by_value_agree(
    signature: Signature, values: list[float]
) -> None:
    walked = np.array(values, dtype=object)
    assert outcome(signature, values) == outcome(signature, walked)


@settings(deadline=None, max_examples=200)
@given(
    signature=st.sampled_from(SIGNATURES),
    column=st.sampled_from(["i1", "u1", "i8", "u8", "f2", "f4", "f8"]).flatmap(
        lambda kind: arrays.arrays(np.dtype(kind), st.integers(1, 4))
    ),
)
def test_a_numpy_column_means_what_its_values_mean(
    signature: Signature, column: NDArray[Any]
) -> None:
    assert outcome(signature, column) == outcome(signature, column.astype(object))


@settings(deadline=None)
@given(arrays.arrays(np.float64, SHAPES, elements=st.floats(allow_infinity=False)))
def test_rows_of_a_matrix_come_back_as_the_matrix(matrix: NDArray[np.float64]) -> None:
    columns = tuple(
        Column(name=f"x{i}", type="number", missing=True) for i in range(matrix.shape[1])
    )
    signature = Signature(columns=columns)
    rows = json.loads(json.dumps(signature.values(matrix), allow_nan=False))
    values = {name: [row[name] for row in rows] for name in signature.names}
    again = signature.validate(values, len(rows))
    assert np.array_equal(again, matrix, equal_nan=True)
    assert np.array_equal(np.signbit(again), np.signbit(np.where(np.isnan(matrix), NAN, matrix)))


def test_integers_come_out_of_a_matrix_of_floats_as_integers() -> None:
    rows = PAIR.values(np.array([[0.5, 2.0], [1.0, NAN]]))
    assert json.dumps(rows) == '[{"width": 0.5, "count": 2}, {"width": 1.0, "count": null}]'


def test_a_table_that_lacks_most_columns_takes_no_memory_for_them() -> None:
    columns = tuple(Column(name=f"x{i}", type="number") for i in range(100))
    rows = 100_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRows) as caught:
            Signature(columns=columns).validate({"x0": np.zeros(rows), "y": np.zeros(rows)}, rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.total == 100 * rows
    assert [fault.row for fault in caught.value.faults] == [i // 100 for i in range(1000)]
    assert peak < 40_000_000


# One row ------------------------------------------------------------------------

NUMBERS = (Column(name="a", type="number"), Column(name="b", type="number", missing=True))
INTEGERS = (Column(name="a", type="integer"), Column(name="b", type="integer"))
OPENED = (Column(name="a", type="integer", open=True), Column(name="b", type="integer"))
TWO = [
    Signature(columns=NUMBERS),
    Signature(columns=NUMBERS, dtype="float32"),
    Signature(columns=INTEGERS),
    Signature(columns=INTEGERS, dtype="int64"),
    Signature(columns=OPENED),
    Signature(columns=OPENED, dtype="int64"),
    Signature(columns=(INTEGERS[0], NUMBERS[1])),
    Signature(columns=(INTEGERS[0], Column(name="b", type="text")), dtype="object"),
]
CELLS = st.one_of(
    st.floats(),
    st.integers(),
    st.integers(2**53 - 2, 2**53 + 2).flatmap(lambda i: st.sampled_from([i, -i, float(i)])),
    st.sampled_from([0.0, -0.0, True, None, "1", "x", ABSENT, np.float64(2.5), np.float32(0.1)]),
    st.sampled_from([np.int64(3), np.int8(3), np.bool_(True), np.float64(NAN), [1.0]]),
)


@given(
    signature=st.sampled_from(TWO),
    row=st.dictionaries(st.sampled_from("abc"), CELLS, max_size=3),
    rules=st.sampled_from(
        [text_rules.JSON, text_rules.FORM, text_rules.CSV, text_rules.TYPED, text_rules.TENSOR]
    ),
)
def test_a_row_alone_is_taken_or_refused_as_beside_another(
    signature: Signature, row: dict[str, Any], rules: text_rules.TextRules
) -> None:
    def taken(rows: int) -> tuple[object, ...]:
        try:
            values = {name: (value,) * rows for name, value in row.items()}
            matrix = signature.validate(values, rows, rules)
        except InvalidRows as error:
            return tuple(fault for fault in error.faults if fault.row == 0)
        assert matrix.dtype in (signature.dtype, "object")
        assert matrix.shape == (rows, 2)
        return tuple(map(repr, matrix[0]))

    assert taken(1) == taken(2)
