"""JSON Lines over HTTP: a row a line, its answer or its fault in the same line of the answer."""

from __future__ import annotations

import gzip
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app.protocols import jsonl
from quart_app.protocols.jsonl import CONTENT_TYPES, Decoder, Unreadable

from .test_csv import moody, moody_root  # noqa: F401

EXAM = "/models/exam/predict"
GOOD = b'{"X1": 61.1, "X2": 17.3}'
NATIVE = ("prediction", "probabilities", "model", "version")


async def post(client: Client, body: bytes, path: str = EXAM, **headers: str) -> Any:
    return await client.post(
        path, data=body, headers={"Content-Type": "application/jsonl", **headers}
    )


async def lines_of(answer: Any) -> list[dict[str, Any]]:
    body = await answer.get_data()
    assert answer.status_code == 200, body
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_the_answer_is_of_the_type_that_was_sent(content_type: str, client: Client) -> None:
    answer = await post(client, GOOD, **{"Content-Type": content_type})
    assert answer.content_type == content_type
    assert len(await lines_of(answer)) == 1


@pytest.mark.parametrize("name", ["iris", "exam", "diabetes", "blood-donation", "titanic"])
async def test_a_line_is_answered_as_its_row_in_json(
    name: str, client: Client, bundled: ModelStore
) -> None:
    await agrees_with_json(name, client, bundled)


@pytest.mark.parametrize("name", ["mixed", "objects"])
async def test_columns_of_every_kind_are_answered_as_their_json(
    name: str, kinds_client: Client, kinds: ModelStore
) -> None:
    await agrees_with_json(name, kinds_client, kinds)


async def agrees_with_json(name: str, client: Client, store: ModelStore) -> None:
    sample = store.load(store.verify(name)).sample.rows
    path = f"/models/{name}/predict"
    body = jsonl.encode([row for row in sample for _ in range(150)])
    answered = await lines_of(await post(client, body, path))
    assert len(answered) == 150 * len(sample)
    for position, row in enumerate(sample):
        told = await (await client.post(path, json=row)).get_json()
        expected = {key: value for key, value in told.items() if key not in {"id", "notice"}}
        for line in answered[150 * position : 150 * position + 150]:
            assert list(line) == list(expected)
            assert (
                line == pytest.approx(expected)
                if isinstance(expected["prediction"], float)
                else line["prediction"] == expected["prediction"]
            )


FAULTS: dict[bytes, str] = {
    b'{"X1": "many", "X2": 1}': 'X1: expected a number, got "many"',
    b'{"X1": 61.1}': "X2: expected a number, got nothing",
    b'{"X1": 61.1, "X2": 1, "X3": 1}': "X3: expected one of the columns X1, X2, got 1",
    b'{"X1": 61.1, "X2": NaN}': "X2: expected a number",
    b'{"X1": 61.1, "X2": 1, "X1": 2}': "The key 'X1' stands twice in one object.",
    b'{"X1": 61.1, "X2": 1': "The line is not JSON",
    b'{"X1": 61.1, "X2": 1} {"X1": 61.1, "X2": 1}': "The line is not JSON",
    b"[61.1, 17.3]": "Expected a JSON object, got a list.",
    b"null": "Expected a JSON object, got null.",
    b'{"X1": "\xff", "X2": 1}': "The line is not UTF-8",
    b'{"X1": "\\ud800", "X2": 1}': "The line is not JSON",
    b"[" * 5000: "The JSON is nested too deeply.",
    b'{"X1": {}, "X2": []}': "X1: expected a number",
    b'{"X1": 61.1, "X2": "'
    + b"a" * jsonl.MAX_LINE
    + b'"}': "Expected a line of at most 1048576 bytes",
}


async def test_a_fault_stands_in_its_line_and_spoils_no_other(client: Client) -> None:
    sent, faulty = [], {}
    for position, (line, sentence) in enumerate(FAULTS.items()):
        sent += [GOOD, line, b"", b" \t"]
        faulty[2 * position + 1] = sentence
    answered = await lines_of(await post(client, b"\r\n".join(sent)))
    assert len(answered) == 2 * len(FAULTS)
    for row, told in enumerate(answered):
        if row in faulty:
            assert list(told) == ["error", "row"]
            assert told["row"] == row
            assert told["error"].startswith(faulty[row]), told
        else:
            assert list(told) == list(NATIVE)


async def test_faults_far_into_a_table_keep_their_places(client: Client) -> None:
    generator = random.Random(5)
    faulty = {generator.randrange(5000) for _ in range(60)}
    body = b"\n".join(b'{"X1": 1e999}' if row in faulty else GOOD for row in range(5000))
    answered = await lines_of(await post(client, body, **{"Content-Encoding": "identity"}))
    assert {row for row, line in enumerate(answered) if "error" in line} == faulty
    assert all(line["row"] == row for row, line in enumerate(answered) if "error" in line)
    assert len(answered) == 5000
    compressed = await post(client, gzip.compress(body), **{"Content-Encoding": "gzip"})
    assert await lines_of(compressed) == answered


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "Expected at least one row, got none."),
        (b"\n\r\n  \n", "Expected at least one row, got none."),
        (b'{"X1": 61.1}\n', "X2: expected a number, got nothing"),
        (
            b'{"a": 1}\n' * 5,
            "Row 0: X1: expected a number, got nothing; X2: expected a number, got nothing; a: "
            "expected one of the columns X1, X2, got 1. Row 1: ",
        ),
    ],
)
async def test_a_table_of_which_no_first_row_can_be_answered_is_refused(
    body: bytes, sentence: str, client: Client
) -> None:
    answer = await post(client, body)
    assert answer.status_code == 400
    assert (await answer.get_json())["error"].startswith(sentence)


async def test_a_row_on_which_the_pipeline_fails_has_an_error_in_its_line(
    moody: Client,  # noqa: F811
) -> None:
    described = await (await moody.get("/models/moody")).get_json()
    name = described["inputs"][0]["name"]
    values = [1, 13, 2, 14, 3]
    body = jsonl.encode([{name: value} for value in values])
    answered = await lines_of(await post(moody, body, "/models/moody/predict"))
    assert [line.get("prediction") for line in answered] == [1.0, None, 2.0, None, 3.0]
    assert answered[1]["error"] == "The model failed on these values. It has been logged."
    assert (
        await post(moody, jsonl.encode([{name: 13}]), "/models/moody/predict")
    ).status_code == 500


async def test_a_table_in_another_encoding_and_of_no_model_is_refused(client: Client) -> None:
    latin = await post(client, GOOD, **{"Content-Type": "application/jsonl; charset=latin-1"})
    assert latin.status_code == 415
    assert (await post(client, GOOD, "/models/none/predict")).status_code == 404


VALUES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([GOOD, b"{}", b"\xef\xbb\xbf{}", b"\r", b"", b'{"a":1,"a":2}', b"x" * 40]),
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.lists(VALUES, max_size=12), st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_rows_are_the_same_however_the_bytes_are_cut(lines: list[bytes], sizes: list[int]) -> None:
    body = b"\n".join(lines)
    whole = Decoder(max_line=30)
    expected = whole.feed(body) + whole.finish()
    pieces, found, start = Decoder(max_line=30), [], 0
    while start < len(body):
        size = sizes[start % len(sizes)]
        found += pieces.feed(body[start : start + size])
        start += size
    found += pieces.finish()
    assert found == expected
    assert len(found) == sum(
        bool(line.strip()) for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    )


def test_an_endless_line_takes_no_memory_and_the_next_one_is_read() -> None:
    decoder = Decoder()
    for _ in range(400):
        assert decoder.feed(b"[" * 64 * 1024) == []
        assert len(decoder._pending) < 2 * jsonl.MAX_LINE
    assert decoder.feed(b"\n" + GOOD + b"\n") == [
        Unreadable(f"Expected a line of at most {jsonl.MAX_LINE} bytes, got more."),
        {"X1": 61.1, "X2": 17.3},
    ]
