"""The native JSON, as tables of (bytes, request) and (response, bytes)."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_store import ABSENT
from quart_app.inference import InferenceRequest, InferenceResponse, InvalidRequest, RequestTooLarge
from quart_app.protocols import json_body, native, rows

MAX_ROWS = 10_000
DEEP = 100_000


def one(**columns: object) -> InferenceRequest:
    return InferenceRequest({name: (value,) for name, value in columns.items()}, rows=1)


def many(rows: int, **columns: list[object]) -> InferenceRequest:
    return InferenceRequest(columns, rows=rows, many=True)


REQUESTS: dict[str, tuple[bytes, InferenceRequest]] = {
    "one row": (b'{"X1":61.1,"X2":17}', one(X1=61.1, X2=17)),
    "a list of one row": (b'[{"X1":61.1}]', many(1, X1=[61.1])),
    "many rows": (b'[{"a":1,"b":2},{"a":3,"b":4}]', many(2, a=[1, 3], b=[2, 4])),
    "rows in another order of names": (
        b'[{"a":1,"b":2},{"b":4,"a":3}]',
        many(2, a=[1, 3], b=[2, 4]),
    ),
    "rows with different names": (
        b'[{"a":1},{"b":null},{}]',
        many(3, a=[1, ABSENT, ABSENT], b=[ABSENT, None, ABSENT]),
    ),
    "values of every kind": (
        b'{"n":null,"t":true,"s":"a","i":-1,"f":1.5,"l":[1],"o":{"k":2}}',
        one(n=None, t=True, s="a", i=-1, f=1.5, l=[1], o={"k": 2}),
    ),
    "an object with nothing": (b"{}", one()),
    "rows with nothing": (b"[{},{}]", many(2)),
    "white space": (b' \r\n\t{ "a" : 1 } \n', one(a=1)),
    "an integer beyond 64 bits": (b'{"a":1' + b"0" * 400 + b"}", one(a=10**400)),
    "a negative one": (b'{"a":-18446744073709551617}', one(a=-(2**64) - 1)),
    "names that are not ascii": ('{"größe":"🌸"}'.encode(), one(**{"größe": "🌸"})),
    "escapes": (b'{"\\u0061\\n":"\\ud83c\\udf38"}', one(**{"a\n": "🌸"})),
    "an empty name": (b'{"":1}', one(**{"": 1})),
}


@pytest.mark.parametrize(("body", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_a_body_is_read_as_its_request(body: bytes, request_: InferenceRequest) -> None:
    found = native.decode(body, max_rows=MAX_ROWS)
    assert found == request_
    assert {name: list(map(type, column)) for name, column in found.named(()).items()} == {
        name: list(map(type, column)) for name, column in request_.named(()).items()
    }


@pytest.mark.parametrize("request_", [request for _, request in REQUESTS.values()], ids=REQUESTS)
def test_a_request_written_as_json_by_another_hand_is_read_back(
    request_: InferenceRequest,
) -> None:
    rows = [
        {
            name: column[row]
            for name, column in request_.named(()).items()
            if column[row] is not ABSENT
        }
        for row in range(request_.rows)
    ]
    body = json.dumps(rows if request_.many else rows[0]).encode()
    assert native.decode(body, max_rows=MAX_ROWS) == request_


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":NaN}', "nan"),
        (b'{"a":Infinity}', "inf"),
        (b'{"a":-Infinity}', "-inf"),
        (b'{"a":1e999}', "inf"),
        (b'\xef\xbb\xbf{"a":1}', "1"),
    ],
)
def test_what_many_clients_send_as_json_is_read_so_that_its_field_can_be_named(
    body: bytes, value: str
) -> None:
    assert repr(native.decode(body, max_rows=MAX_ROWS).named(())["a"]) == f"({value},)"


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "got an empty body"),
    "white space alone": (b" \r\n\t", "got an empty body"),
    "broken": (b'{"a":1,', "not JSON"),
    "broken in a name": (b'{"a', "not JSON"),
    "something after it": (b'{"a":1}}', "not JSON"),
    "two documents": (b'{"a":1}{"a":2}', "not JSON"),
    "a trailing comma": (b'{"a":1,}', "not JSON"),
    "single quotes": (b"{'a':1}", "not JSON"),
    "no quotes": (b"{a:1}", "not JSON"),
    "a form": (b"a=1&b=2", "not JSON"),
    "CSV": (b"a,b\n1,2\n", "not JSON"),
    "NUL": (b"\0", "not JSON"),
    "NUL in a text": (b'{"a":"\0"}', "not JSON"),
    "deep lists": (b"[" * DEEP, "nested too deeply"),
    "deep lists that end": (b"[" * DEEP + b"]" * DEEP, "nested too deeply"),
    "deep objects": (b'{"a":' * DEEP, "nested too deeply"),
    "deep in a value": (b'{"a":' + b"[" * DEEP, "nested too deeply"),
    "not UTF-8 in a text": (b'{"a":"\xff"}', "not UTF-8"),
    "not UTF-8 in a name": (b'{"\xff":1}', "not UTF-8"),
    "an encoded surrogate": (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
    "Latin-1": ('{"größe":1}'.encode("latin-1"), "not UTF-8"),
    "not UTF-8 at all": (b"\xff\xfe\x00", "not UTF-8 at byte 0"),
    "not UTF-8 further on": (b'{"X1": "\xff"}', "not UTF-8 at byte 8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not UTF-8"),
    "nan": (b'{"a":nan}', "not JSON"),
    "an integer of 5000 digits": (b'{"a":' + b"1" * 5000 + b"}", "out of range"),
    "a leading zero": (b'{"a":01}', "not JSON"),
    "a plus": (b'{"a":+1}', "not JSON"),
    "hexadecimal": (b'{"a":0x1}', "not JSON"),
    "a lone high surrogate": (b'{"a":"\\ud800"}', "not JSON"),
    "a lone low surrogate": (b'{"a":"\\udc00"}', "not JSON"),
    "a lone surrogate in a name": (b'{"\\ud800":1}', "not JSON"),
    "a number alone": (b"5", "got a number"),
    "a float alone": (b"5.5", "got a number"),
    "a text alone": (b'"5"', "got a text"),
    "null alone": (b"null", "got null"),
    "true alone": (b"true", "got a boolean"),
    "an empty list": (b"[]", "at least one row"),
    "a list of lists": (b"[[1,2]]", "Row 0: expected a JSON object, got a list"),
    "a list of numbers": (b"[1,2]", "Row 0: expected a JSON object, got a number"),
    "a list with a text": (b'[{"a":1},"b"]', "Row 1: expected a JSON object, got a text"),
    "a list with null": (b'[{"a":1},{"a":2},null]', "Row 2: expected a JSON object, got null"),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_a_bad_body_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        native.decode(body, max_rows=MAX_ROWS)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 200


def test_as_many_rows_as_may_come_are_read_and_one_more_is_too_many() -> None:
    body = json.dumps([{"a": i} for i in range(MAX_ROWS)]).encode()
    request = native.decode(body, max_rows=MAX_ROWS)
    assert request.rows == MAX_ROWS
    assert request.columns == {"a": list(range(MAX_ROWS))}
    body = json.dumps([{"a": i} for i in range(MAX_ROWS + 1)]).encode()
    with pytest.raises(RequestTooLarge, match="may bring 10000 rows, got 10001"):
        native.decode(body, max_rows=MAX_ROWS)


def test_absent_cells_are_bounded_so_that_a_small_body_is_no_huge_table() -> None:
    body = json.dumps([{f"c{i}": 1} for i in range(9_000)]).encode()
    with pytest.raises(InvalidRequest, match="9000 columns between them"):
        native.decode(body, max_rows=MAX_ROWS)
    edge: list[dict[str, int]] = [{}] * rows.MAX_ABSENT + [{"a": 1}]
    assert rows.of_objects(edge)["a"].count(ABSENT) == rows.MAX_ABSENT
    with pytest.raises(InvalidRequest, match="lack most"):
        rows.of_objects([{}, *edge])


def test_as_many_lists_and_objects_as_may_come_are_read_and_one_more_is_too_many() -> None:
    inner = json_body.CONTAINERS - 2
    request = native.decode(b'{"a":[' + b"[]," * inner + b"1]}", max_rows=MAX_ROWS)
    assert request.columns == {"a": ([[]] * inner + [1],)}
    with pytest.raises(RequestTooLarge, match="may have 100000 lists and objects"):
        native.decode(b'{"a":[' + b"[]," * inner + b"{}]}", max_rows=MAX_ROWS)
    long = b'{"a":["' + b"x" * 11 * json_body.CONTAINERS + b'",' + b"[]," * inner + b"{}]}"
    assert native.decode(long, max_rows=MAX_ROWS).rows == 1


def test_as_many_names_as_may_come_are_read_and_one_more_is_too_many() -> None:
    row = {f"c{i}": 1 for i in range(rows.MAX_NAMES)}
    assert len(native.decode(json.dumps(row).encode(), max_rows=1).columns) == rows.MAX_NAMES
    for body in (row | {"a": 1}, [row | {"a": 1}]):
        with pytest.raises(InvalidRequest, match="may name 20000 columns, got 20001"):
            native.decode(json.dumps(body).encode(), max_rows=1)


def test_many_full_rows_of_many_columns_are_not_taken_for_absent_ones() -> None:
    rows = [{f"c{i}": row for i in range(100)} for row in range(2_000)]
    request = native.decode(json.dumps(rows).encode(), max_rows=MAX_ROWS)
    assert (request.rows, len(request.columns)) == (2_000, 100)


def decode_or_refuse(body: bytes) -> None:
    """Nothing but a request or an InvalidRequest comes of any bytes."""
    try:
        request = native.decode(body, max_rows=3)
    except InvalidRequest:
        return
    assert 1 <= request.rows <= 3
    assert all(len(column) == request.rows for column in request.named(()).values())
    assert all(isinstance(name, str) for name in request.columns)


VALID = [body for body, _ in REQUESTS.values()]
JSON_BYTES = st.lists(
    st.sampled_from([b"{", b"}", b"[", b"]", b'"', b":", b",", b"1", b"-", b"e9", b"\\u", b"d800"]),
    max_size=30,
).map(b"".join)


@settings(deadline=None)
@given(body=st.binary(max_size=200) | JSON_BYTES)
@example(b"[" * DEEP)
@example(b"-")
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    decode_or_refuse(body)


@settings(deadline=None)
@given(
    body=st.sampled_from(VALID),
    at=st.integers(0, 500),
    cut=st.integers(0, 4),
    put=st.binary(max_size=4) | JSON_BYTES,
)
def test_a_body_with_a_fault_anywhere_is_a_request_or_refused(
    body: bytes, at: int, cut: int, put: bytes
) -> None:
    at %= len(body) + 1
    decode_or_refuse(body[:at] + put + body[at + cut :])


def response(
    labels: Any, probabilities: Any = None, classes: tuple[object, ...] = (), **more: Any
) -> InferenceResponse:
    given_: dict[str, Any] = {"id": "0", "model": "m", "version": 3, "notice": None, **more}
    return InferenceResponse(
        labels=np.asarray(labels),
        probabilities=(None if probabilities is None else (np.asarray(probabilities, np.float64),)),
        classes=[classes],
        **given_,
    )


TAIL = b'"model":"m","version":3,"id":"0"}'
RESPONSES: dict[str, tuple[InferenceResponse, bool, bytes]] = {
    "classes that are texts": (
        response(["a"], [[0.75, 0.25]], ("a", "b")),
        False,
        b'{"prediction":"a","probabilities":{"a":0.75,"b":0.25},' + TAIL,
    ),
    "classes that are integers": (
        response([1], [[0.25, 0.75]], (0, 1)),
        False,
        b'{"prediction":1,"probabilities":{"0":0.25,"1":0.75},' + TAIL,
    ),
    "classes that are booleans": (
        response([True], [[0.25, 0.75]], (False, True)),
        False,
        b'{"prediction":true,"probabilities":{"False":0.25,"True":0.75},' + TAIL,
    ),
    "classes that are floats": (
        response([1.5], [[0.25, 0.75]], (0.0, 1.5)),
        False,
        b'{"prediction":1.5,"probabilities":{"0.0":0.25,"1.5":0.75},' + TAIL,
    ),
    "classes of several kinds": (
        response(np.array(["a", 1, True], dtype=object)),
        True,
        b'{"predictions":["a",1,true],' + TAIL,
    ),
    "a classifier without probabilities": (response(["a"]), False, b'{"prediction":"a",' + TAIL),
    "a regression": (response([151.25]), False, b'{"prediction":151.25,' + TAIL),
    "a regression in float32": (
        response(np.array([0.5, 16777216], dtype=np.float32)),
        True,
        b'{"predictions":[0.5,16777216.0],' + TAIL,
    ),
    "a list of one": (
        response([0], [[1.0, 0.0]], (0, 1)),
        True,
        b'{"predictions":[0],"probabilities":[{"0":1.0,"1":0.0}],' + TAIL,
    ),
    "a list of two": (
        response([0, 1], [[1.0, 0.0], [0.5, 0.5]], (0, 1)),
        True,
        b'{"predictions":[0,1],"probabilities":[{"0":1.0,"1":0.0},{"0":0.5,"1":0.5}],' + TAIL,
    ),
    "a notice": (
        response([2], notice="Généré."),
        False,
        '{"prediction":2,"model":"m","version":3,"id":"0","notice":"Généré."}'.encode(),
    ),
    "several targets of a regression": (
        InferenceResponse(
            id="0",
            model="m",
            version=3,
            labels=np.array([[0.5, 2.0]]),
            probabilities=None,
            classes=[(), ()],
            notice=None,
        ),
        False,
        b'{"prediction":[0.5,2.0],' + TAIL,
    ),
    "several targets that are classes, of two rows": (
        InferenceResponse(
            id="0",
            model="m",
            version=3,
            labels=np.array([["a", 1], ["b", 0]], dtype=object),
            probabilities=(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.25, 0.75], [1, 0]])),
            classes=[("a", "b"), (0, 1)],
            notice=None,
        ),
        True,
        b'{"predictions":[["a",1],["b",0]],"probabilities":[[{"a":1.0,"b":0.0},{"0":0.25,"1":0.75}],'
        b'[{"a":0.5,"b":0.5},{"0":1.0,"1":0.0}]],' + TAIL,
    ),
    "texts of numpy among objects": (
        response(np.array([np.str_("rose")], dtype=object)),
        False,
        b'{"prediction":"rose",' + TAIL,
    ),
    "unsigned integers": (
        response(np.array([2**64 - 1], dtype=np.uint64)),
        False,
        b'{"prediction":18446744073709551615,' + TAIL,
    ),
}


@pytest.mark.parametrize(("answer", "many_", "body"), RESPONSES.values(), ids=RESPONSES)
def test_an_answer_is_written_as_its_bytes(
    answer: InferenceResponse, many_: bool, body: bytes
) -> None:
    assert native.encode(answer, many=many_) == body


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(values=st.lists(FINITE, min_size=1, max_size=20))
@example([5e-324, 1.7976931348623157e308, -0.0, 0.1, 1e22, 2.0**53 + 2])
def test_any_finite_float_comes_back_exactly(values: list[float]) -> None:
    found = json.loads(native.encode(response(values), many=True))["predictions"]
    assert list(map(repr, found)) == list(map(repr, values))
    assert all(type(value) is float for value in found)
    first = json.loads(native.encode(response(values[:1]), many=False))["prediction"]
    assert repr(first) == repr(values[0])


@settings(deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_any_probability_comes_back_exactly(values: list[float]) -> None:
    classes = tuple(range(len(values)))
    found = json.loads(native.encode(response([0], [values], classes), many=False))
    assert list(map(repr, found["probabilities"].values())) == list(map(repr, values))


@settings(deadline=None)
@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_comes_back_as_the_same_number(value: float) -> None:
    body = native.encode(response(np.array([value], dtype=np.float32)), many=False)
    found = json.loads(body)["prediction"]
    assert found == value
    assert math.copysign(1, found) == math.copysign(1, value)


@settings(deadline=None)
@given(labels=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_any_integer_label_comes_back_as_an_integer(labels: list[int]) -> None:
    answer = response(np.array(labels, dtype=np.int64))
    assert json.loads(native.encode(answer, many=True))["predictions"] == labels


@settings(deadline=None)
@given(labels=st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_text_label_comes_back(labels: list[str]) -> None:
    answer = response(np.array(labels, dtype=object))
    assert json.loads(native.encode(answer, many=True))["predictions"] == labels
