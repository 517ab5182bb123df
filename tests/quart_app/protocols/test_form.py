"""Forms and query strings, as tables of (bytes, request)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from model_store import text_rules
from model_store.task import Measure
from quart_app.inference import InferenceRequest, InferenceResponse, InvalidRequest, RequestTooLarge
from quart_app.protocols import form


def row(**columns: object) -> InferenceRequest:
    return InferenceRequest(
        {name: (value,) for name, value in columns.items()}, rows=1, rules=text_rules.FORM
    )


URLENCODED: dict[str, tuple[bytes, InferenceRequest]] = {
    "two fields": (b"X1=61.1&X2=17", row(X1="61.1", X2="17")),
    "nothing": (b"", row()),
    "an empty value": (b"a=&b=1", row(a="", b="1")),
    "no equals sign": (b"a&b=1", row(a="", b="1")),
    "an empty name": (b"=1", row(**{"": "1"})),
    "ampersands alone": (b"&&a=1&&", row(a="1")),
    "a name that stands twice": (b"a=1&b=2&a=3", row(a=["1", "3"], b="2")),
    "a name that stands twice with one value": (b"a=1&a=1", row(a=["1", "1"])),
    "a plus is a space": (b"a+b=1+2", row(**{"a b": "1 2"})),
    "an encoded plus is a plus": (b"a=%2B1", row(a="+1")),
    "percent-encoding": (
        b"petal%20length+%28cm%29=1%2C5",
        row(**{"petal length (cm)": "1,5"}),
    ),
    "percent-encoded UTF-8": (b"gr%C3%B6%C3%9fe=%F0%9F%8C%B8", row(**{"größe": "🌸"})),
    "bare UTF-8": ("größe=🌸".encode(), row(**{"größe": "🌸"})),
    "bare and percent-encoded UTF-8": (b"\xc3\xb6%C3%B6=1", row(**{"öö": "1"})),
    "a percent sign that encodes nothing": (b"a=100%&b=%zz", row(a="100%", b="%zz")),
    "an equals sign in a value": (b"a=b=c", row(a="b=c")),
    "a semicolon parts nothing": (b"a=1;b=2", row(a="1;b=2")),
    "an encoded ampersand": (b"a=1%262", row(a="1&2")),
    "a line break": (b"a=1%0d%0a", row(a="1\r\n")),
    "a brace that is not the first byte": (b"a={}", row(a="{}")),
}


@pytest.mark.parametrize(("body", "request_"), URLENCODED.values(), ids=URLENCODED)
def test_a_form_is_read_as_its_request(body: bytes, request_: InferenceRequest) -> None:
    assert form.decode(body) == request_


@pytest.mark.parametrize(
    "request_", [request for _, request in URLENCODED.values()], ids=URLENCODED
)
def test_a_request_written_as_a_form_by_another_hand_is_read_back(
    request_: InferenceRequest,
) -> None:
    fields = {name: column[0] for name, column in request_.named(()).items()}
    assert form.decode(urlencode(fields, doseq=True).encode()) == request_


REFUSED: dict[str, tuple[bytes, str]] = {
    "a percent-encoded byte that is not UTF-8": (b"a=%ff", "not UTF-8"),
    "the same in a name": (b"%ff=1", "not UTF-8"),
    "a percent-encoded surrogate": (b"a=%ED%A0%80", "not UTF-8"),
    "a byte that is not UTF-8": (b"a=\xff", "not UTF-8"),
    "Latin-1": ("größe=1".encode("latin-1"), "not UTF-8"),
    "a cut sequence": (b"a=%C3", "not UTF-8"),
    "a JSON object": (b'{"a":1}', "Content-Type: application/json"),
    "a JSON list": (b'[{"a":1}]', "Content-Type: application/json"),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_a_bad_form_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        form.decode(body)


def test_5000_fields_are_read_and_5001_are_too_many() -> None:
    pairs = [(f"a{i}", "1") for i in range(5001)]
    assert len(form.decode(urlencode(pairs[:5000]).encode()).columns) == 5000
    with pytest.raises(RequestTooLarge, match="5000 fields"):
        form.decode(urlencode(pairs).encode())
    with pytest.raises(RequestTooLarge):
        form.decode(b"&" * 5000)


# multipart/form-data --------------------------------------------------------------------

BOUNDARY = "----a+boundary_1"
Part = tuple[bytes, bytes]


def multipart(*parts: Part, boundary: str = BOUNDARY) -> bytes:
    """Parts, each the text of its headers and its content."""
    line = b"--" + boundary.encode()
    return b"".join(
        (*(line + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts),)
    ) + (line + b"--\r\n")


def named(name: bytes, more: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"' + more


MULTIPART: dict[str, tuple[bytes, InferenceRequest]] = {
    "fields": (
        multipart((named(b"X1"), b"61.1"), (named(b"X2"), b"")),
        row(X1="61.1", X2=""),
    ),
    "a name that stands twice": (
        multipart((named(b"a"), b"1"), (named(b"b"), b"2"), (named(b"a"), b"3")),
        row(a=["1", "3"], b="2"),
    ),
    "nothing is encoded in it": (multipart((named(b"a+b"), b"%31+1")), row(**{"a+b": "%31+1"})),
    "UTF-8": (
        multipart((named("größe".encode()), "🌸".encode())),
        row(**{"größe": "🌸"}),
    ),
    "a content type of its own": (
        multipart((named(b"a", b"\r\nContent-Type: text/plain; charset=utf-8"), b"1")),
        row(a="1"),
    ),
    "line breaks in a value": (multipart((named(b"a"), b"1\r\n\r\n--x")), row(a="1\r\n\r\n--x")),
    "something before and after": (
        b"before\r\n" + multipart((named(b"a"), b"1")) + b"after",
        row(a="1"),
    ),
}


@pytest.mark.parametrize(("body", "request_"), MULTIPART.values(), ids=MULTIPART)
def test_a_multipart_form_is_read_as_its_request(body: bytes, request_: InferenceRequest) -> None:
    assert form.decode(body, boundary=BOUNDARY) == request_


WHOLE = multipart((named(b"a"), b"1"))
REFUSED_PARTS: dict[str, tuple[bytes, str, str]] = {
    "a file": (
        multipart((named(b"a", b'; filename="a.csv"\r\nContent-Type: text/csv'), b"1,2")),
        BOUNDARY,
        "No field takes a file, got one in 'a'",
    ),
    "a field and a file": (
        multipart((named(b"a"), b"1"), (named(b"b", b'; filename="b"'), b"")),
        BOUNDARY,
        "got one in 'b'",
    ),
    "a part without a name": (
        multipart((b"Content-Disposition: form-data", b"1")),
        BOUNDARY,
        "has no name",
    ),
    "a part without a disposition": (
        multipart((b"Content-Type: text/plain", b"1")),
        BOUNDARY,
        "Content-Disposition",
    ),
    "a header that is none": (multipart((b"nothing", b"1")), BOUNDARY, "multipart/form-data"),
    "a name that is not UTF-8": (multipart((named(b"\xff"), b"1")), BOUNDARY, "form-data"),
    "an empty body": (b"", BOUNDARY, "multipart/form-data"),
    "no part": (b"a=1", BOUNDARY, "multipart/form-data"),
    "cut short": (WHOLE[:-8], BOUNDARY, "multipart/form-data"),
    "cut short in a header": (WHOLE[:30], BOUNDARY, "multipart/form-data"),
    "another boundary": (WHOLE, "another", "multipart/form-data"),
    "no boundary": (WHOLE, "", "needs a boundary"),
    "a boundary that is not ascii": (WHOLE, "größe", "multipart/form-data"),
}


@pytest.mark.parametrize(("body", "boundary", "words"), REFUSED_PARTS.values(), ids=REFUSED_PARTS)
def test_a_bad_multipart_form_is_refused_with_a_sentence(
    body: bytes, boundary: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        form.decode(body, boundary=boundary)


def test_5000_parts_are_read_and_5001_are_too_many() -> None:
    parts = [(named(b"a%d" % i), b"1") for i in range(5001)]
    assert len(form.decode(multipart(*parts[:5000]), boundary=BOUNDARY).columns) == 5000
    with pytest.raises(RequestTooLarge, match="5000 fields"):
        form.decode(multipart(*parts), boundary=BOUNDARY)


# Any bytes ------------------------------------------------------------------------------


def decode_or_refuse(body: bytes, boundary: str | None) -> None:
    """Nothing but a request or an InvalidRequest comes of any bytes."""
    try:
        request = form.decode(body, boundary=boundary)
    except InvalidRequest:
        return
    assert (request.rows, request.rules, request.many) == (1, text_rules.FORM, False)
    assert all(len(column) == 1 for column in request.named(()).values())
    assert all(isinstance(name, str) for name in request.columns)


PIECES = st.lists(
    st.sampled_from([b"a", b"=", b"&", b"%", b"+", b"%c3", b"%ff", b"\xc3", b"{", b"\0", b";"]),
    max_size=30,
).map(b"".join)
LINE = b"--" + BOUNDARY.encode()
PART_PIECES = st.lists(
    st.sampled_from(
        (
            *(LINE, LINE + b"--", b"--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"a", b":", b" "),
            *(b"Content-Disposition:", b"form-data", b"; name=", b"; filename=", b'"', b"\\"),
            *(b"; name*=utf-8''%ff", b"Content-Type: text/plain", b"; charset=", b"\xff"),
            *(named(b"a"), named(b"a", b"; filename=b")),
        )
    ),
    max_size=30,
).map(b"".join)


@settings(deadline=None)
@given(body=st.binary(max_size=200) | PIECES)
@example(b"&" * 6000)
def test_any_bytes_of_a_form_are_a_request_or_refused(body: bytes) -> None:
    decode_or_refuse(body, None)


@settings(deadline=None)
@given(
    body=st.binary(max_size=200) | PART_PIECES,
    boundary=st.just(BOUNDARY) | st.text(max_size=10),
)
def test_any_bytes_of_a_multipart_form_are_a_request_or_refused(body: bytes, boundary: str) -> None:
    decode_or_refuse(body, boundary)


@settings(deadline=None)
@given(
    valid=st.sampled_from([*URLENCODED.values(), *MULTIPART.values()]),
    at=st.integers(0, 500),
    cut=st.integers(0, 6),
    put=st.binary(max_size=4) | PIECES | PART_PIECES,
    boundary=st.sampled_from([None, BOUNDARY]),
)
def test_a_form_with_a_fault_anywhere_is_a_request_or_refused(
    valid: tuple[bytes, InferenceRequest], at: int, cut: int, put: bytes, boundary: str | None
) -> None:
    body = valid[0]
    at %= len(body) + 1
    decode_or_refuse(body[:at] + put + body[at + cut :], boundary)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(deadline=None)
@given(fields=st.dictionaries(TEXT, TEXT, min_size=1, max_size=10))
def test_any_fields_of_text_come_back(fields: dict[str, str]) -> None:
    assert form.decode(urlencode(fields).encode()) == row(**fields)


# The answer, for a page -----------------------------------------------------------------


def response(
    label: object, shares: Sequence[float] | None = None, classes: Sequence[object] = ()
) -> InferenceResponse:
    return InferenceResponse(
        id="0",
        model="m",
        version=1,
        labels=np.array([label]),
        probabilities=None if shares is None else (np.array([shares]),),
        classes=[classes],
        notice=None,
    )


Shown = tuple[str, list[tuple[str, float]]]
PAGES: dict[str, tuple[InferenceResponse, dict[str, str], Shown]] = {
    "a class": (
        response("rose", [0.25, 0.75], ("iris", "rose")),
        {},
        ("rose", [("rose", 0.75), ("iris", 0.25)]),
    ),
    "a class in words": (
        response(1, [0.125, 0.875], (0, 1)),
        {"0": "did not pass", "1": "passed"},
        ("passed", [("passed", 0.875), ("did not pass", 0.125)]),
    ),
    "a boolean": (
        response(True, [0.5, 0.5], (False, True)),
        {"True": "yes"},
        ("yes", [("False", 0.5), ("yes", 0.5)]),
    ),
    "a class without probabilities": (response("rose"), {}, ("rose", [])),
    "a number is rounded": (response(151.2345678), {}, ("151.235", [])),
    "a small number": (response(0.000012345678), {}, ("1.23457e-05", [])),
    "a class that is a float": (
        response(1.0, [0.25, 0.75], (0.0, 1.0)),
        {"1.0": "one"},
        ("one", [("one", 0.75), ("0", 0.25)]),
    ),
}


@pytest.mark.parametrize(("answer", "words", "shown"), PAGES.values(), ids=PAGES)
def test_an_answer_is_shown_in_words_with_the_largest_share_first(
    answer: InferenceResponse, words: dict[str, str], shown: Shown
) -> None:
    (found,) = form.encode(answer, words)
    assert (found.prediction, list(found.probabilities)) == shown


def test_of_several_targets_each_is_shown() -> None:
    answer = InferenceResponse(
        id="0",
        model="m",
        version=1,
        labels=np.array([["rose", 1]], dtype=object),
        probabilities=(np.array([[0.25, 0.75]]), np.array([[0.0, 1.0]])),
        classes=[("iris", "rose"), (0, 1)],
        notice=None,
    )
    assert form.encode(answer, {"1": "yes"}) == [
        ("rose", [("rose", 0.75), ("iris", 0.25)], []),
        ("yes", [("yes", 1.0), ("0", 0.0)], []),
    ]


def test_what_is_measured_beside_an_answer_is_a_sentence() -> None:
    scored = structs.replace(response(-1, None, (-1, 1)), measures={"score": np.array([-0.25])})
    (found,) = form.encode(scored, {"-1": "broken"}, (Measure(name="score", threshold=0.0),))
    assert found == ("broken", (), ["Score -0.25; below 0 a row is broken."])
    sure = structs.replace(response(2.5), measures={"standard_deviation": np.array([0.125])})
    (found,) = form.encode(sure, {}, (Measure(name="standard_deviation"),))
    assert found == ("2.5", (), ["Standard deviation 0.125."])
