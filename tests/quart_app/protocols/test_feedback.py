"""Feedback: what turned out true, by JSON, CSV, JSON Lines and forms, comes as one thing."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import MultiDict

from model_store import InvalidRows, ModelStore
from model_store.truth import Told, Truths
from quart_app.inference import InvalidRequest, RequestTooLarge, UnsupportedBody
from quart_app.protocols import feedback
from quart_app.protocols.feedback import Given
from quart_app.protocols.protocol import Payload

ONE = ["truth"]
BODIES = {
    "an object": ("application/json", b'{"id": "a", "truth": 1}', [Given("a", 0, 1)]),
    "of a row": ("", b'{"id": "a", "row": 3, "truth": "x"}', [Given("a", 3, "x")]),
    "a list": (
        "application/problem+json",
        b'[{"id": "a", "truth": 1}, {"id": "a", "row": 1, "truth": null}]',
        [Given("a", 0, 1), Given("a", 1, None)],
    ),
    "csv": (
        "text/csv; charset=UTF-8",
        b"truth;note;row;id\r\n1;x;2;a\r\n;y;0;b\r\n0;;;c",
        [Given("a", 2, "1"), Given("c", 0, "0")],
    ),
    "csv without rows": ("text/csv", b"id,truth\na,1\n", [Given("a", 0, "1")]),
    "json lines": (
        "application/x-ndjson",
        b'{"id": "a", "row": 1, "inputs": {}, "truth": 1}\n\n{"id": "b", "truth": null}',
        [Given("a", 1, 1)],
    ),
}


@pytest.mark.parametrize("body", BODIES)
def test_every_kind_of_body_brings_the_same_truths(body: str) -> None:
    content_type, data, expected = BODIES[body]
    given, empty = feedback.decode(Payload(data, content_type), ONE, max_rows=10)
    assert given == expected
    assert empty == (body in ("csv", "json lines"))


def test_each_of_several_targets_has_a_column() -> None:
    payload = Payload(b"id,truth_b,truth_a\nx,1,2\n", "text/csv")
    assert feedback.decode(payload, ["truth_a", "truth_b"], max_rows=10)[0] == [
        Given("x", 0, ["2", "1"])
    ]


def test_the_fields_of_a_form_are_one_truth() -> None:
    assert feedback.of_form(MultiDict([("id", "a"), ("row", "2"), ("truth", "1")])) == Given(
        "a", 2, "1"
    )
    several = MultiDict([("id", "a"), ("truth", "x"), ("truth", "y")])
    assert feedback.of_form(several) == Given("a", 0, ["x", "y"])
    with pytest.raises(InvalidRequest, match="Expected id, row and truth, got 'answer'"):
        feedback.of_form(MultiDict([("answer", "1")]))


@pytest.mark.parametrize(
    ("content_type", "data", "sentence"),
    [
        ("", b"1", "Row 0: expected a JSON object, got a number."),
        ("", b"[]", "Expected at least one row, got none."),
        ("", b'[{"id": "a"}, 5]', "Row 1: expected a JSON object, got a number."),
        ("", b'{"id": "a", "label": 1}', "Row 0: expected id, row and truth, got 'label'."),
        ("", b'{"id": "a", "id": "b", "truth": 1}', "twice"),
        ("text/csv", b"id,label\na,1\n", "there is no truth"),
        ("text/csv", b"id,truth\na\n", "Row 0: truth: expected 2 cells in the row, got 1."),
        ("text/csv", b"id,truth\n", "Expected at least one row, got none."),
        ("application/jsonl", b'{"id": "a", "truth": 1}\n{]', "Row 1: "),
    ],
)
def test_what_is_no_feedback_is_refused_in_words(
    content_type: str, data: bytes, sentence: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        feedback.decode(Payload(data, content_type), ONE, max_rows=10)
    assert sentence in str(raised.value)


def test_other_kinds_of_bodies_and_too_many_rows_are_refused() -> None:
    with pytest.raises(UnsupportedBody, match="Expected a body of application/json, text/csv or"):
        feedback.decode(Payload(b"", "text/xml"), ONE, max_rows=10)
    with pytest.raises(UnsupportedBody, match="Expected text/csv in UTF-8, got latin-1"):
        feedback.decode(Payload(b"", 'text/csv; charset="Latin-1"'), ONE, max_rows=10)
    with pytest.raises(RequestTooLarge):
        feedback.decode(Payload(b"id,truth\n" + 11 * b"a,1\n", "text/csv"), ONE, max_rows=10)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_table_may_come_in_pieces_of_any_size(size: int) -> None:
    data = b'id,truth\n"a,b",1\nc,\nd,0\n'
    table = feedback.Table(ONE)
    given = []
    for start in range(0, len(data), size):
        given += table.feed(data[start : start + size])
    assert given + table.finish() == [Given("a,b", 0, "1"), Given("d", 0, "0")]
    assert table.empty == 1


def test_of_two_truths_of_one_row_the_later_one_counts(bundled: ModelStore) -> None:
    truths = Truths(bundled.manifest("exam"))
    given = [Given("a", 0, 1), Given("b", 0, "0"), Given("a", 1, 1), Given("a", 0, 0)]
    assert feedback.checked(given, truths) == [Told("b", 0, 0), Told("a", 1, 1), Told("a", 0, 0)]


def test_all_that_is_wrong_is_told_at_once(bundled: ModelStore) -> None:
    given = [
        Given("a", 0, 1),
        Given("", -1, 5),
        Given("b", True, 1),
        Given(3, "x", None),
        Given("c" * 10_001, 2**31, 0),
    ]
    with pytest.raises(InvalidRows) as raised:
        feedback.checked(given, Truths(bundled.manifest("exam")), start=10)
    found = [(fault.row, fault.column, fault.got) for fault in raised.value.faults]
    assert found[:6] == [
        (11, "id", '""'),
        (11, "row", "-1"),
        (11, "truth", "5"),
        (12, "row", "true"),
        (13, "id", "3"),
        (13, "row", '"x"'),
    ]
    assert raised.value.total == len(found) == 9
    assert str(raised.value).startswith(
        'row 11, id: expected a text of 1 to 10000 characters, got ""; row 11, row: expected the '
        "number of a row, from 0 on, got -1; "
    )


def test_of_very_many_faults_the_first_thousand_are_listed(bundled: ModelStore) -> None:
    with pytest.raises(InvalidRows) as raised:
        feedback.checked([Given("a", 0, 7)] * 1500, Truths(bundled.manifest("exam")))
    assert (len(raised.value.faults), raised.value.total) == (1000, 1500)
