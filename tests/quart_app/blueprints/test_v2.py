"""The Open Inference Protocol V2 at its routes: answers, refusals, metadata and the repository."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import math
import shutil
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from quart.typing import TestClientProtocol as Client
from sklearn.dummy import DummyRegressor
from werkzeug.datastructures import Headers

from model_store import ModelStore
from quart_app import create_app
from quart_app.context import context_of
from quart_app.documents import State
from quart_app.protocols import v2_documents
from quart_app.serving.batcher import Batch
from quart_app.serving.statistics import Statistics
from quart_app.version import VERSION

from ...conftest import started
from ...protocols import (
    Case,
    Inputs,
    Row,
    as_bytes,
    columns,
    drawn,
    flat,
    inputs,
    lists,
    matrix,
    mutated,
    packed,
    publish_everything,
    publish_line,
    refuse_constant,
    unpacked,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = "Inference-Header-Content-Length"
FIVE = ("iris", "exam", "diabetes", "blood-donation", "titanic")
MODELS = (*FIVE, "mixed", "objects", "several", "numbers", "awkward", "words", "line")
IRIS = "/v2/models/iris/infer"
EXAM = "/v2/models/exam/infer"
X1 = {"name": "X1", "shape": [1], "datatype": "FP64", "data": [61.1]}
X2 = {"name": "X2", "shape": [1], "datatype": "FP64", "data": [17.3]}


@pytest.fixture(scope="module")
def store(
    bundled_root: Path, kinds_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> ModelStore:
    """Every model there is; not to be written to."""
    return publish_everything(tmp_path_factory.mktemp("every"), bundled_root, kinds_root)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(store: ModelStore) -> AsyncIterator[Client]:
    """A client of an app that serves them all."""
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        yield app.test_client()


async def post(client: Client, path: str, content: Any, **headers: str) -> Any:
    answer = await client.post(path, data=json.dumps(content).encode(), headers=headers)
    body = await answer.get_data()
    assert answer.status_code == 200, body
    return json.loads(body, parse_constant=refuse_constant)


async def post_packed(client: Client, path: str, body: bytes, length: int) -> Any:
    answer = await client.post(path, data=body, headers={HEADER: str(length)})
    content = cast(bytes, await answer.get_data())
    assert answer.status_code == 200, content
    return unpacked(content, int(answer.headers.get(HEADER, len(content))))


# The same values by every protocol ----------------------------------------------------


Answer = tuple[Any, Any]
Ask = Callable[[Client, Case], Awaitable[Answer]]


async def native(client: Client, case: Case) -> Answer:
    found = await post(client, f"/models/{case.manifest.name}/predict", case.rows)
    if "probabilities" not in found:
        return found["predictions"], []
    rows = found["probabilities"]
    by_target = zip(*rows, strict=True) if case.manifest.several else [rows]
    return found["predictions"], [[list(row.values()) for row in rows] for rows in by_target]


def v1(make: Callable[[Case], dict[str, Any]]) -> Ask:
    async def ask(client: Client, case: Case) -> Answer:
        found = await post(client, f"/v1/models/{case.manifest.name}:predict", make(case))
        assert found.keys() == {"predictions"}
        return found["predictions"], None

    return ask


def invocations(make: Callable[[Case], dict[str, Any]]) -> Ask:
    async def ask(client: Client, case: Case) -> Answer:
        path = f"/invocations?model={case.manifest.name}"
        found = await post(client, path, make(case), **{"Content-Type": "application/json"})
        assert found.keys() == {"predictions"}
        return found["predictions"], None

    return ask


def v2(make: Callable[[Case], Inputs], *, binary: bool = False) -> Ask:
    async def ask(client: Client, case: Case) -> Answer:
        path = f"/v2/models/{case.manifest.name}/infer"
        if binary:
            everything = {"binary_data_output": True}
            body, length = packed(make(case), id="7", parameters=everything)
            found = await post_packed(client, path, body, length)
        else:
            found = await post(client, path, {"id": "7", "inputs": make(case)})
        assert (found["id"], found["model_name"]) == ("7", case.manifest.name)
        assert found["model_version"] == str(case.manifest.version)
        return from_tensors(found["outputs"], case)

    return ask


def from_tensors(outputs: list[dict[str, Any]], case: Case) -> Answer:
    """Labels, and the probabilities of each target, of the outputs of V2."""
    tensors = {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in outputs}
    labels = tensors["predict"].tolist()
    if "predict_proba" not in tensors:
        return labels, []
    table = tensors["predict_proba"]
    if not case.manifest.several:
        return labels, [table]
    widths = [len(target.classes or ()) for target in case.manifest.targets]
    return labels, [table[:, i, :width] for i, width in enumerate(widths)]


def split(case: Case) -> dict[str, Any]:
    names = [column.name for column in case.columns]
    index = list(range(len(case.rows)))
    table = {"index": index, "columns": names, "data": lists(case.rows)}
    return {"dataframe_split": table}


def words(case: Case) -> Inputs:
    """A matrix of texts, with what Python's `str` makes of each value."""
    rows = [
        {name: "nan" if value is None else str(value) for name, value in row.items()}
        for row in case.rows
    ]
    return matrix(rows, datatype="BYTES")


def of_columns(case: Case) -> Inputs:
    return inputs(case.columns, case.rows)


def of_matrix(case: Case) -> Inputs:
    return matrix(case.rows)


WAYS: dict[str, Ask] = {
    "native": native,
    "V1 lists": v1(lambda case: {"instances": lists(case.rows)}),
    "V1 objects": v1(lambda case: {"instances": case.rows}),
    "V1 inputs": v1(lambda case: {"inputs": columns(case.rows)}),
    "V2 columns": v2(of_columns),
    "V2 columns in bytes": v2(of_columns, binary=True),
    "a split frame": invocations(split),
    "records": invocations(lambda case: {"dataframe_records": case.rows}),
    "instances": invocations(lambda case: {"instances": lists(case.rows)}),
    "inputs": invocations(lambda case: {"inputs": columns(case.rows)}),
}
TEXT_WAYS: dict[str, Ask] = {
    "V2 texts": v2(words),
    "V2 texts in bytes": v2(words, binary=True),
}
NUMERIC_WAYS: dict[str, Ask] = {
    "V2 matrix": v2(of_matrix),
    "V2 matrix in bytes": v2(of_matrix, binary=True),
}


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("name", MODELS)
async def test_the_same_values_by_every_protocol_get_the_answer_of_the_pipeline(
    name: str, count: int, client: Client, store: ModelStore
) -> None:
    case = Case.of(store, name, drawn(store, name, count))
    ways = WAYS | (NUMERIC_WAYS if case.numeric else {})
    if len(case.columns) > 1 or not case.numeric:  # a single column of texts holds no numbers
        ways |= TEXT_WAYS
    for way, ask in ways.items():
        labels, shares = await ask(client, case)
        try:
            case.same(labels, shares)
        except AssertionError as error:
            raise AssertionError(f"{name} by {way}") from error


@pytest.mark.parametrize("name", ["mixed", "objects", "titanic"])
async def test_what_is_missing_may_be_written_as_each_protocol_does(
    name: str, client: Client, store: ModelStore
) -> None:
    gaps = [column.name for column in store.manifest(name).signature.columns if column.missing]
    assert gaps
    rows = drawn(store, name, len(gaps))
    case = Case.of(store, name, rows)
    for stands_for in (math.nan, "nan", "NaN", "None", "<NA>", ""):
        sent = [
            {column: stands_for if value is None else value for column, value in row.items()}
            for row in rows
        ]
        if isinstance(stands_for, float):
            case.same(*await v1(lambda _, sent=sent: {"instances": sent})(client, case))  # type: ignore[misc]
        tensors = inputs(case.columns, rows)
        for each, column in zip(tensors, case.columns, strict=True):
            is_text = each["datatype"] == "BYTES"
            if column.missing and is_text == isinstance(stands_for, str):
                each["data"] = [row[column.name] for row in sent]
        found = await post(client, f"/v2/models/{name}/infer", {"inputs": tensors})
        case.same(*from_tensors(found["outputs"], case))


async def test_integers_for_a_column_of_floats_and_whole_floats_for_one_of_integers(
    client: Client, store: ModelStore
) -> None:
    rows = drawn(store, "mixed", 4)
    for row in rows:
        row["age"] = None if row["age"] is None else float(round(row["age"]))
    case = Case.of(store, "mixed", rows)
    tensors = {each["name"]: each for each in inputs(case.columns, rows)}
    tensors["age"]["datatype"] = "INT64"
    tensors["siblings"]["datatype"] = "FP64"
    tensors["class"]["datatype"] = "FP32"
    content = {"inputs": list(tensors.values())}
    found = await post(client, "/v2/models/mixed/infer", content)
    case.same(*from_tensors(found["outputs"], case))
    small: dict[str, Any] = {"age": "UINT8", "siblings": "INT8", "class": "UINT64"}
    whole = [row | {"age": row["age"] and int(row["age"])} for row in rows if row["age"]]
    case = Case.of(store, "mixed", whole)
    sent = [
        each | {"datatype": small.get(each["name"], each["datatype"])}
        for each in inputs(case.columns, whole)
    ]
    found = await post_packed(client, "/v2/models/mixed/infer", *packed(sent))
    case.same(*from_tensors(found["outputs"], case))


@pytest.mark.parametrize("datatype", ["FP16", "FP32"])
async def test_a_narrow_float_is_rounded_alike_in_json_and_in_bytes(
    datatype: str, client: Client, store: ModelStore
) -> None:
    rows: list[Row] = [{"X1": 61.1, "X2": 17.3}, {"X1": 0.1, "X2": 99.9}]
    narrow: Any = {"FP16": np.float16, "FP32": np.float32}[datatype]
    rounded = [{name: float(narrow(value)) for name, value in row.items()} for row in rows]
    case = Case.of(store, "exam", rounded)
    sent = matrix(rows, datatype=datatype)
    for found in (
        await post(client, EXAM, {"inputs": sent}),
        await post_packed(client, EXAM, *packed(sent)),
        await post_packed(client, EXAM, *packed(sent, parameters={"binary_data_output": True})),
    ):
        case.same(*from_tensors(found["outputs"], case))


async def test_the_name_of_a_single_tensor_is_free_unless_it_is_a_column(client: Client) -> None:
    row = [{"X1": 61.1, "X2": 17.3}]
    answers = [
        await post(client, EXAM, {"inputs": matrix(row, name)}) for name in ("", "x", "X1", "größe")
    ]
    assert [each["outputs"][0]["data"] for each in answers] == [[0]] * 4
    answer = await client.post(EXAM, json={"inputs": [X1]})
    assert answer.status_code == 400
    assert "X2" in (await answer.get_json())["error"]


async def test_inputs_stand_in_any_order(client: Client) -> None:
    for tensors in ([X1, X2], [X2, X1]):
        assert (await post(client, EXAM, {"inputs": tensors}))["outputs"][0]["data"] == [0]


async def test_ids_are_echoed_and_made_where_there_is_none(client: Client) -> None:
    for given_id in ("7", "", "größe ☃", "a" * 500):
        found = await post(client, EXAM, {"id": given_id, "inputs": [X1, X2]})
        assert found["id"] == given_id
    made = {(await post(client, EXAM, {"inputs": [X1, X2]}))["id"] for _ in range(3)}
    assert len(made) == 3


async def test_tensors_in_bytes_are_read_at_every_address_that_leads_there(client: Client) -> None:
    body, length = packed([X1, X2])
    for path in (EXAM, f"/{EXAM}", EXAM.replace("/infer", "/versions/1/infer")):
        answer = await client.post(path, data=body, headers={HEADER: str(length)})
        assert answer.status_code == 200, path


async def test_a_content_type_decides_nothing(client: Client) -> None:
    body, length = packed([X1, X2])
    for kind in ("application/json", "application/octet-stream", "text/csv", ""):
        headers = {"Content-Type": kind} if kind else {}
        answer = await client.post(
            EXAM, data=json.dumps({"inputs": [X1, X2]}).encode(), headers=headers
        )
        assert answer.status_code == 200
        answer = await client.post(EXAM, data=body, headers={HEADER: str(length), **headers})
        assert answer.status_code == 200
        assert answer.content_type == "application/json"


# Outputs ----------------------------------------------------------------------------------


async def test_outputs_are_told_as_asked_and_in_that_order(client: Client) -> None:
    names = ["decision_function", "predict_proba", "predict"]
    body, length = packed(
        [X1, X2],
        outputs=[
            {"name": names[0], "parameters": {"binary_data": True}},
            {"name": names[1]},
            {"name": names[2], "parameters": {"binary_data": True}},
        ],
    )
    answer = await client.post(EXAM, data=body, headers={HEADER: str(length)})
    assert answer.content_type == "application/octet-stream"
    data = cast(bytes, await answer.get_data())
    head = json.loads(data[: int(answer.headers[HEADER])])
    assert [each["name"] for each in head["outputs"]] == names
    assert ["data" in each for each in head["outputs"]] == [False, True, False]
    found = unpacked(data, int(answer.headers[HEADER]))
    asked = [{"name": name} for name in names]
    in_json = await post(client, EXAM, {"inputs": [X1, X2], "outputs": asked})
    assert HEADER not in (await client.post(EXAM, json={"inputs": [X1, X2]})).headers
    told = {each["name"]: each["data"] for each in in_json["outputs"]}
    assert told == {each["name"]: each["data"] for each in found["outputs"]}
    share = 1 / (1 + math.exp(-told["decision_function"][0]))
    assert told["predict_proba"][1] == pytest.approx(share)


async def test_labels_that_are_texts_come_as_bytes(client: Client, store: ModelStore) -> None:
    case = Case.of(store, "iris", drawn(store, "iris", 3))
    everything = {"binary_data_output": True}
    body, length = packed(matrix(case.rows), parameters=everything, outputs=[{"name": "predict"}])
    found = await post_packed(client, IRIS, body, length)
    (output,) = found["outputs"]
    assert (output["datatype"], output["shape"], output["data"]) == ("BYTES", [3], case.labels)


async def test_a_body_without_json_is_the_one_input_of_a_model(
    client: Client, store: ModelStore
) -> None:
    raw: dict[str, tuple[bytes, list[Row]]] = {
        "words": ("good größe\n☃".encode(), [{"text": "good größe\n☃"}]),
        "line": (as_bytes("FP64", [0.1, 0.7]), [{"x0": 0.1}, {"x0": 0.7}]),
        "exam": (
            as_bytes("FP64", [61.1, 17.3, 90, 80]),
            [{"X1": 61.1, "X2": 17.3}, {"X1": 90.0, "X2": 80.0}],
        ),
    }
    for name, (body, rows) in raw.items():
        (first,) = store.manifest(name).signature.names[:1]
        case = Case.of(
            store,
            name,
            [row if len(row) > 1 else {first: v} for row in rows for v in list(row.values())[:1]],
        )
        found = await post_packed(client, f"/v2/models/{name}/infer", body, 0)
        case.same(*from_tensors(found["outputs"], case))


# Refusals ---------------------------------------------------------------------------------


MISSING = [{**X1, "data": [None]}, X2]
BAD: dict[str, tuple[str, Any, int, str]] = {
    "a broken body": (EXAM, b'{"inputs":', 400, "not JSON"),
    "a deep body": (EXAM, b"[" * 100_000, 400, "nested too deeply"),
    "NaN where none is allowed": (EXAM, [X1 | {"data": [math.nan]}, X2], 400, "X1: expected a num"),
    "null where none is allowed": (EXAM, MISSING, 400, "X1: expected a number"),
    "Infinity": (EXAM, [X1, X2 | {"data": [math.inf]}], 400, "X2: expected a finite number"),
    "beyond FP16": (EXAM, [X1, X2 | {"datatype": "FP16", "data": [1e6]}], 400, "X2: expected a fi"),
    "a text for a number": (
        EXAM,
        [X1 | {"datatype": "BYTES", "data": ["1"]}, X2],
        400,
        "X1: expec",
    ),
    "a truth for a number": (
        EXAM,
        [X1 | {"datatype": "BOOL", "data": [True]}, X2],
        400,
        "X1: expe",
    ),
    "a missing column": (EXAM, [X2 | {"shape": [1, 1]}], 400, "X1: expected a number, got nothing"),
    "an unknown column": (EXAM, [X1, X2, X1 | {"name": "X3"}], 400, "X3: expected one of the colu"),
    "a matrix that is too wide": (
        EXAM,
        matrix([{"a": 1, "b": 2, "c": 3}]),
        400,
        "which are X1, X2",
    ),
    "a matrix that is too narrow": (EXAM, matrix([{"a": 1}]), 400, "Expected 2 values in each row"),
    "a million columns": (
        EXAM,
        [{"name": "x", "shape": [1, 200_000], "datatype": "UINT8", "data": [1] * 200_000}],
        400,
        "Expected 2 values in each row, which are X1, X2; got 200000.",
    ),
    "an unknown output": (
        EXAM,
        {"inputs": [X1, X2], "outputs": [{"name": "praise"}]},
        400,
        "no output 'praise'; expected one of predict, predict_proba, decision_function, explain",
    ),
    "an output that a regression lacks": (
        "/v2/models/numbers/infer",
        {"inputs": matrix([{"x0": 1.0, "x1": 2.0}]), "outputs": [{"name": "predict_proba"}]},
        400,
        "no output 'predict_proba'; expected one of predict, explain.",
    ),
    "a float beyond 64 bits for an integer": (
        "/v2/models/mixed/infer",
        None,
        400,
        "siblings: expected an integer of at most 64 bits, got 1e+19",
    ),
    "an unknown model": ("/v2/models/nobody/infer", [X1, X2], 404, "nobody"),
    "an unknown version": ("/v2/models/exam/versions/9/infer", [X1, X2], 404, "9"),
    "an unknown alias": ("/v2/models/exam/versions/best/infer", [X1, X2], 404, "best"),
    "a name that is none": ("/v2/models/..%2F..%2Fetc/infer", [X1, X2], 404, ""),
    "a name with NUL": ("/v2/models/exam%00/infer", [X1, X2], 404, ""),
    "a name that is too long": (f"/v2/models/{'a' * 5000}/infer", [X1, X2], 404, ""),
    "a name that is no UTF-8": ("/v2/models/%ff/infer", [X1, X2], 404, ""),
    "a version with NUL": ("/v2/models/exam/versions/%00/infer", [X1, X2], 404, ""),
    "a version of many digits": (f"/v2/models/exam/versions/{'9' * 5000}/infer", [X1], 404, ""),
    "a version in other digits": ("/v2/models/exam/versions/%C2%B2/infer", [X1], 404, ""),
    "too many rows": (EXAM, matrix([{"a": 1, "b": 2}] * 10_001), 413, "10000 rows, got 10001"),
    "too many bytes": (EXAM, b" " * (1024 * 1024 + 1), 413, "1048576 bytes"),
}


@pytest.mark.parametrize(("path", "content", "status", "words_"), BAD.values(), ids=BAD)
async def test_a_bad_request_gets_its_status_and_a_sentence_in_the_protocols_shape(
    path: str, content: Any, status: int, words_: str, client: Client, store: ModelStore
) -> None:
    if content is None:
        content = inputs(store.manifest("mixed").signature.columns, drawn(store, "mixed", 1))
        next(each for each in content if each["name"] == "siblings").update(
            datatype="FP64", data=[1e19]
        )
    if isinstance(content, list):
        content = {"inputs": content}
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = await client.post(path, data=body, headers={"Accept": "text/html, */*"})
    await require_refused(answer, status, words_)


async def require_refused(answer: Any, status: int, words_: str = "") -> str:
    data = await answer.get_data()
    assert answer.status_code == status, data
    assert answer.content_type == "application/json"
    content = json.loads(data)
    assert content.keys() == {"error"}
    assert words_ in content["error"], content
    assert "Traceback" not in content["error"]
    return str(content["error"])


GOOD, LENGTH = packed([X1, X2])
BAD_BYTES: dict[str, tuple[bytes, str, str]] = {
    "a header that is no number": (GOOD, "many", "Inference-Header-Content-Length: expected a num"),
    "a negative header": (GOOD, "-1", "Inference-Header-Content-Length: expected a number"),
    "a header beyond the body": (GOOD, str(len(GOOD) + 1), "Inference-Header-Content-Length"),
    "a header that is too short": (GOOD, str(LENGTH - 1), "not JSON"),
    "a header that is too long": (GOOD, str(LENGTH + 1), "The body is not UTF-8 at byte"),
    "a body that is cut off": (
        GOOD[:-1],
        str(LENGTH),
        "X2: binary_data_size: expected a number of",
    ),
    "a body with more": (GOOD + b"\0", str(LENGTH), "1 bytes follow the last tensor"),
    "a size that lies": (
        GOOD.replace(b'_size": 8', b'_size": 9', 1),
        str(LENGTH),
        "X1: expected 8 bytes for 1 values of FP64, got 9",
    ),
    "a NaN": (GOOD[:-8] + as_bytes("FP64", [math.nan]), str(LENGTH), "X2: expected a number"),
    "no JSON and half a row": (bytes(8), "0", "Expected rows of 16 bytes"),
}


@pytest.mark.parametrize(("body", "length", "words_"), BAD_BYTES.values(), ids=BAD_BYTES)
async def test_bad_bytes_are_a_400_that_names_what_is_wrong(
    body: bytes, length: str, words_: str, client: Client
) -> None:
    answer = await client.post(EXAM, data=body, headers={HEADER: length})
    await require_refused(answer, 400, words_)


CODED: dict[str, tuple[bytes, str, int, str]] = {
    "a gzip bomb": (gzip.compress(bytes(20_000_000)), "gzip", 413, "1048576 bytes, inflated"),
    "a zlib bomb": (zlib.compress(bytes(20_000_000)), "deflate", 413, "inflated"),
    "an unknown coding": (b"{}", "br", 415, "Content-Encoding: expected gzip, deflate or none"),
    "two codings": (b"{}", "gzip, gzip", 415, "Content-Encoding"),
    "gzip that is cut off": (gzip.compress(b'{"inputs":[]}')[:-9], "gzip", 400, "ends within"),
    "no gzip": (b'{"inputs":[]}', "gzip", 400, "not gzip"),
    "no deflate": (b'{"inputs":[]}', "deflate", 400, "not deflate"),
}


@pytest.mark.parametrize("path", [EXAM, "/v2/repository/index"])
@pytest.mark.parametrize(("body", "coding", "status", "words_"), CODED.values(), ids=CODED)
async def test_a_body_that_cannot_be_inflated_is_refused(
    body: bytes, coding: str, status: int, words_: str, path: str, client: Client
) -> None:
    answer = await client.post(path, data=body, headers={"Content-Encoding": coding})
    await require_refused(answer, status, words_)


VALID = [
    {"id": "7", "inputs": [X1, X2], "outputs": [{"name": "predict"}]},
    {"inputs": matrix([{"a": 61.1, "b": 17.3}, {"a": 1, "b": 2}])},
    {"inputs": [X1, X2], "parameters": {"binary_data_output": True}},
]
QUICK = settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUICK
@given(content=mutated(VALID))
async def test_a_body_with_a_fault_anywhere_is_answered_or_a_400(
    content: Any, client: Client
) -> None:
    await require_answered_or_refused(client, json.dumps(content).encode(), {})


@QUICK
@given(
    at=st.integers(0, len(GOOD)),
    cut=st.integers(0, 9),
    put=st.binary(max_size=9),
    moved=st.integers(-9, 9) | st.just(0),
)
async def test_bytes_with_a_fault_anywhere_are_answered_or_a_400(
    at: int, cut: int, put: bytes, moved: int, client: Client
) -> None:
    body = GOOD[:at] + put + GOOD[at + cut :]
    await require_answered_or_refused(client, body, {HEADER: str(LENGTH + moved)})


async def require_answered_or_refused(client: Client, body: bytes, headers: dict[str, str]) -> None:
    answer = await client.post(EXAM, data=body, headers=headers)
    if answer.status_code != 200:
        assert answer.status_code in (400, 413)
        await require_refused(answer, answer.status_code)
        return
    data = await answer.get_data()
    length = int(answer.headers.get(HEADER, len(data)))
    json.loads(data[:length], parse_constant=refuse_constant)


# Batches ----------------------------------------------------------------------------------


async def test_a_fraction_behind_an_integer_in_the_same_batch_stays_a_fraction(
    client: Client, store: ModelStore
) -> None:
    rows: list[Row] = [{"x0": 0.0}, *({"x0": 0.9 + i / 100} for i in range(30))]
    case = Case.of(store, "line", rows)

    async def ask(row: Row) -> list[float]:
        value = row["x0"]
        datatype = "INT64" if value == 0 else "FP64"
        tensor = {"name": "x0", "shape": [1], "datatype": datatype, "data": [value]}
        found = await post(client, "/v2/models/line/infer", {"inputs": [tensor]})
        return list(found["outputs"][0]["data"])

    before = await statistics(client, "line")
    answers = await asyncio.gather(*map(ask, rows))
    after = await statistics(client, "line")
    case.same(flat(answers))
    assert after["inference_count"] - before["inference_count"] == len(rows)
    assert after["execution_count"] - before["execution_count"] < len(rows)


async def test_a_bad_row_does_not_fail_its_neighbours(client: Client) -> None:
    good = {"inputs": matrix([{"a": 61.1, "b": 17.3}])}
    huge = {"inputs": matrix([dict.fromkeys("abcd", 1e308)])}  # no answer: it overflows
    fine = {"inputs": matrix([dict.fromkeys("abcd", 1.0)])}
    requests = [
        client.post(path, json=content)
        for _ in range(10)
        for path, content in ((EXAM, good), (IRIS, huge), (IRIS, fine), (EXAM, {"inputs": [X1]}))
    ]
    answers = await asyncio.gather(*requests)
    assert [answer.status_code for answer in answers] == [200, 400, 200, 400] * 10


async def statistics(client: Client, name: str) -> dict[str, Any]:
    found = await (await client.get(f"/v2/models/{name}/stats")).get_json()
    (only,) = found["model_stats"]
    return dict(only)


async def test_the_statistics_count_requests_rows_and_calls(store: ModelStore) -> None:
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        client = app.test_client()
        untouched = await statistics(client, "exam")
        assert untouched["inference_count"] == untouched["execution_count"] == 0
        for rows in (1, 3, 3):
            await post(client, EXAM, {"inputs": matrix([{"a": 1.0, "b": 2.0}] * rows)})
        await client.post(EXAM, json={"inputs": [X1]})
        await client.post(EXAM, data=b"no JSON")
        found = await statistics(client, "exam")
        every = (await (await client.get("/v2/models/stats")).get_json())["model_stats"]
    assert (found["name"], found["version"]) == ("exam", "1")
    assert (found["inference_count"], found["execution_count"]) == (7, 3)
    parts = found["inference_stats"]
    assert parts["success"]["count"] == parts["queue"]["count"] == 3
    assert parts["compute_infer"]["count"] == 3
    assert parts["fail"]["count"] == 1
    times = [parts[name]["ns"] for name in ("queue", "compute_input", "compute_infer")]
    assert 0 < sum(times) < parts["success"]["ns"] + parts["fail"]["ns"]
    batches = {each["batch_size"]: each["compute_infer"]["count"] for each in found["batch_stats"]}
    assert batches == {1: 1, 3: 2}
    assert found["last_inference"] > untouched["last_inference"] == 0
    assert {each["name"] for each in every} == set(store.models())


async def test_each_request_of_a_batch_waits_for_the_whole_call() -> None:
    counted = Statistics()
    counted.observe(Batch(rows=6, requests=3, waited=5, took=10))
    told = v2_documents.statistics("m", 1, counted)
    assert told["inference_stats"]["queue"] == {"count": 3, "ns": 5}
    assert told["inference_stats"]["compute_infer"] == {"count": 3, "ns": 30}
    assert [(each["batch_size"], each["compute_infer"]) for each in told["batch_stats"]] == [
        (6, {"count": 1, "ns": 10})
    ]


# What is said of the models ---------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
async def test_the_metadata_are_those_of_the_answer_and_of_a_request_that_is_answered(
    name: str, client: Client, store: ModelStore
) -> None:
    told = await (await client.get(f"/v2/models/{name}")).get_json()
    assert told == await (await client.get(f"/v2/models/{name}/versions/1")).get_json()
    assert (told["name"], told["versions"], told["platform"]) == (name, ["1"], "sklearn")
    rows = [row for row in drawn(store, name, 40) if None not in row.values()]
    values = columns(rows)
    assert [each["name"] for each in told["inputs"]] == list(values)
    assert {tuple(each["shape"]) for each in told["inputs"]} == {(-1, 1)}
    sent = [
        {**each, "shape": [len(rows), 1], "data": values[each["name"]]} for each in told["inputs"]
    ]
    found = await post_packed(client, f"/v2/models/{name}/infer", *packed(sent))
    assert [each["name"] for each in found["outputs"]] == [e["name"] for e in told["outputs"]]
    for output, meta in zip(found["outputs"], told["outputs"], strict=True):
        assert output["datatype"] == meta["datatype"]
        assert output["shape"] == [len(rows), *meta["shape"][1:]]
        assert meta["shape"][0] == -1
        if output["name"] == "predict_proba":
            require_classes(json.loads(meta["parameters"]["classes"]), output, found, store, name)


def require_classes(classes: Any, output: Any, found: Any, store: ModelStore, name: str) -> None:
    """The most probable of the classes is the label."""
    shares = np.array(output["data"]).reshape(output["shape"])
    labels = np.array(found["outputs"][0]["data"]).reshape(found["outputs"][0]["shape"])
    if not store.manifest(name).several:
        classes, shares, labels = [classes], shares[:, None], labels[:, None]
    for target, names in enumerate(classes):
        best = [names[i] for i in shares[:, target].argmax(axis=1)]
        assert best == labels[:, target].tolist()


@pytest.mark.parametrize("name", MODELS)
async def test_the_configuration_says_the_same_as_the_metadata(name: str, client: Client) -> None:
    told = await (await client.get(f"/v2/models/{name}")).get_json()
    config = await (await client.get(f"/v2/models/{name}/config")).get_json()
    assert config["name"] == name
    assert config["max_batch_size"] == 0
    for ours, theirs in ((told["inputs"], config["input"]), (told["outputs"], config["output"])):
        assert [
            (each["name"], each["shape"], each["datatype"].replace("BYTES", "STRING"))
            for each in ours
        ] == [
            (each["name"], each["dims"], each["data_type"].removeprefix("TYPE_")) for each in theirs
        ]


async def test_the_server_says_what_it_is_and_that_it_is_ready(
    client: Client, store: ModelStore
) -> None:
    paths: dict[str, Any] = {
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"live": True, "ready": True},
        "/v2/models": {"models": sorted(store.models())},
        "/v2/models/exam/ready": {"name": "exam", "ready": True},
        "/v2/models/exam/versions/1/ready": {"name": "exam", "ready": True},
    }
    for path, told in paths.items():
        answer = await client.get(path)
        assert (answer.status_code, await answer.get_json()) == (200, told)
    server = await (await client.get("/v2")).get_json()
    assert server["version"] == VERSION
    assert "binary_tensor_data" in server["extensions"]
    for path in ("/v2/models/nobody", "/v2/models/nobody/ready", "/v2/models/nobody/config"):
        await require_refused(await client.get(path), 404, "nobody")
    await require_refused(await client.get(EXAM), 405)
    await require_refused(await client.get("/v2/nothing"), 404)


# The repository ---------------------------------------------------------------------------


KEY = "the right key"
KEYS = f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}"
BEARER = {"Authorization": f"Bearer {KEY}"}
CONSTANT = "/v2/models/constant"


def publish_constant(store: ModelStore, value: float) -> None:
    X = [[0.0], [1.0]]
    model = DummyRegressor(strategy="constant", constant=value).fit(X, [0.0, value])
    store.publish("constant", model, X, [0.0, value])


async def says(client: Client, path: str = CONSTANT) -> tuple[float, str]:
    tensor = {"name": "x0", "shape": [1], "datatype": "FP64", "data": [1]}
    found = await post(client, f"{path}/infer", {"inputs": [tensor]})
    return found["outputs"][0]["data"][0], found["model_version"]


@pytest.fixture
def own(tmp_path: Path) -> ModelStore:
    """A store with two versions of a model, of which the first serves."""
    store = ModelStore(tmp_path / "models")
    publish_constant(store, 1.0)
    publish_constant(store, 2.0)
    store.promote("constant", 1)
    store.promote("constant", 2, "next")
    return store


@pytest_asyncio.fixture(loop_scope="module")
async def keyed(own: ModelStore) -> AsyncIterator[Client]:
    """A client of an app that serves it, and has a key."""
    async with started(create_app(MODEL_STORE=own.root, RECIPES="", API_KEYS=KEYS)) as app:
        yield app.test_client()


async def index(client: Client, content: bytes = b"") -> list[tuple[str, str, str]]:
    answer = await client.post("/v2/repository/index", data=content)
    assert answer.status_code == 200
    rows = await answer.get_json()
    assert all(row.keys() == {"name", "version", "state", "reason"} for row in rows)
    return [(row["version"], row["state"], row["reason"]) for row in rows]


async def test_versions_and_aliases_answer_and_the_index_tells_their_states(
    keyed: Client,
) -> None:
    waits = "Its first request loads it."
    assert await index(keyed) == [("1", "READY", ""), ("2", "UNAVAILABLE", waits)]
    assert await index(keyed, b'{"ready":true}') == [("1", "READY", "")]
    assert await says(keyed) == (1.0, "1")
    assert await says(keyed, f"{CONSTANT}/versions/1") == (1.0, "1")
    assert await says(keyed, f"{CONSTANT}/versions/champion") == (1.0, "1")
    assert await says(keyed, f"{CONSTANT}/versions/next") == (2.0, "2")
    assert await says(keyed, f"{CONSTANT}/versions/2") == (2.0, "2")
    ready = [("1", "READY", ""), ("2", "READY", "")]
    for content in (b"", b"{}", b'{"ready":false}', b'{"ready":true}', b" "):
        assert await index(keyed, content) == ready
    for bad in (
        b"[]",
        b"x",
        b'{"ready":1}',
        b'{"ready":null}',
        b'{"ready":' + b"[" * 990 + b"]" * 990,
    ):
        answer = await keyed.post("/v2/repository/index", data=bad)
        await require_refused(answer, 400)
    told = await (await keyed.get(CONSTANT)).get_json()
    assert told["versions"] == ["1", "2"]


async def test_load_lets_a_promotion_take_effect(keyed: Client, own: ModelStore) -> None:
    own.promote("constant", 2)
    assert await says(keyed) == (1.0, "1")
    answer = await keyed.post("/v2/repository/models/constant/load", headers=BEARER)
    assert (answer.status_code, await answer.get_json()) == (200, {})
    assert await says(keyed) == (2.0, "2")


async def test_a_load_that_fails_leaves_what_serves(keyed: Client, own: ModelStore) -> None:
    own.promote("constant", 2)
    (own.root / "constant" / "2" / "sample.json").write_bytes(b"damaged")
    answer = await keyed.post("/v2/repository/models/constant/load", headers=BEARER)
    await require_refused(answer, 503, "failed to load")
    assert await says(keyed) == (1.0, "1")
    for path in (f"{CONSTANT}/ready", "/v2/health/ready"):
        assert (await keyed.get(path)).status_code == 200
    assert await index(keyed, b'{"ready":true}') == [("1", "READY", "")]


async def test_an_unloaded_model_answers_no_more_until_it_is_loaded(keyed: Client) -> None:
    assert await says(keyed, f"{CONSTANT}/versions/2") == (2.0, "2")
    answer = await keyed.post("/v2/repository/models/constant/unload", json={}, headers=BEARER)
    assert (answer.status_code, await answer.get_json()) == (200, {})
    for path in (CONSTANT, f"{CONSTANT}/versions/1", f"{CONSTANT}/versions/2"):
        await require_refused(await keyed.post(f"{path}/infer", json={"inputs": []}), 503, "unloa")
        ready = await keyed.get(f"{path}/ready")
        assert (ready.status_code, (await ready.get_json())["ready"]) == (503, False)
    assert await index(keyed) == [
        ("1", "UNAVAILABLE", "unloaded"),
        ("2", "UNAVAILABLE", "unloaded"),
    ]
    assert await index(keyed, b'{"ready":true}') == []
    assert (
        await keyed.post("/v2/repository/models/constant/load", headers=BEARER)
    ).status_code == 200
    assert await says(keyed) == (1.0, "1")
    assert await says(keyed, f"{CONSTANT}/versions/2") == (2.0, "2")


async def test_a_model_that_was_published_later_can_be_loaded(
    keyed: Client, own: ModelStore
) -> None:
    await require_refused(
        await keyed.post("/v2/repository/models/line/load", headers=BEARER), 404, "line"
    )
    publish_line(own)
    answer = await keyed.post("/v2/repository/models/line/load", headers=BEARER)
    assert answer.status_code == 200
    value, version = await says(keyed, "/v2/models/line")
    assert (round(value, 9), version) == (3.0, "1")


WHO: dict[str, tuple[str, dict[str, str], int]] = {
    "the right key": (KEYS, BEARER, 200),
    "the right key in the other header": (KEYS, {"X-API-Key": KEY}, 200),
    "the right key behind a proxy that has one of its own": (
        KEYS,
        {"Authorization": "Bearer proxy", "X-API-Key": KEY},
        200,
    ),
    "a wrong key": (KEYS, {"Authorization": "Bearer wrong"}, 401),
    "an empty key": (KEYS, {"Authorization": "Bearer "}, 401),
    "the digest as the key": (KEYS, {"X-API-Key": KEYS.partition(":")[2]}, 401),
    "a password": (KEYS, {"Authorization": "Basic YTpi"}, 401),
    "no key": (KEYS, {}, 401),
    "none configured": ("", BEARER, 403),
    "none configured and none sent": ("", {}, 403),
}


@pytest.mark.parametrize(("keys", "headers", "status"), WHO.values(), ids=WHO)
async def test_only_who_has_a_key_may_load_and_unload(
    keys: str, headers: dict[str, str], status: int, own: ModelStore
) -> None:
    async with started(create_app(MODEL_STORE=own.root, RECIPES="", API_KEYS=keys)) as app:
        client = app.test_client()
        for action in ("unload", "load"):
            answer = await client.post(
                f"/v2/repository/models/constant/{action}", data=b"{}", headers=headers
            )
            if status == 200:
                assert answer.status_code == 200
            else:
                await require_refused(answer, status, "API key")
                assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        assert await says(client) == (1.0, "1")


async def test_a_load_that_brings_a_model_of_its_own_is_refused(keyed: Client) -> None:
    for name in ("config", "file:1/model.joblib"):
        content = {"parameters": {name: "{}"}}
        answer = await keyed.post(
            "/v2/repository/models/constant/load", json=content, headers=BEARER
        )
        await require_refused(answer, 400, name)


@pytest.mark.parametrize("action", ["load", "unload"])
@pytest.mark.parametrize("content", [b"[]", b"x", b'{"parameters":3}', b'{"parameters":null}'])
async def test_a_body_of_another_kind_changes_nothing(
    action: str, content: bytes, keyed: Client
) -> None:
    path = f"/v2/repository/models/constant/{action}"
    answer = await keyed.post(path, data=content, headers=BEARER)
    if action == "load" or content in (b"[]", b"x"):
        await require_refused(answer, 400)
        assert await says(keyed) == (1.0, "1")


async def test_a_model_whose_folder_was_removed_still_tells_what_it_takes(
    keyed: Client, own: ModelStore
) -> None:
    shutil.rmtree(own.root / "constant")
    assert await says(keyed) == (1.0, "1")
    told = await keyed.get(CONSTANT)
    assert (told.status_code, (await told.get_json())["versions"]) == (200, ["1"])


async def test_two_lengths_of_the_json_are_one_too_many(client: Client) -> None:
    headers = Headers([("Inference-Header-Content-Length", length) for length in ("2", "20")])
    answer = await client.post(EXAM, data=b"{}", headers=headers)
    await require_refused(answer, 400, "expected one length, got 2")


async def test_a_model_that_failed_is_unavailable_with_its_reason(own: ModelStore) -> None:
    (own.root / "constant" / "1" / "sample.json").write_bytes(b"damaged")
    publish_line(own)
    async with started(create_app(MODEL_STORE=own.root, RECIPES="", API_KEYS=KEYS)) as app:
        client = app.test_client()
        (version, state, reason), *_ = await index(client)
        assert (version, state) == ("1", "UNAVAILABLE")
        assert "bytes" in reason
        answer = await client.post(f"{CONSTANT}/infer", json={"inputs": [X1]})
        await require_refused(answer, 503, "failed to load")
        assert "Retry-After" not in answer.headers
        answer = await client.post("/v2/repository/models/constant/load", headers=BEARER)
        await require_refused(answer, 503, "failed to load")
        assert (await client.get("/v2/health/ready")).status_code == 200
        own.promote("constant", 2)
        assert (
            await client.post("/v2/repository/models/constant/load", headers=BEARER)
        ).status_code == 200
        assert await says(client) == (2.0, "2")


async def test_while_a_model_is_on_its_way_it_is_a_503_with_a_time_to_come_again(
    own: ModelStore,
) -> None:
    app = create_app(MODEL_STORE=own.root, RECIPES="")
    async with started(app) as running:
        client = running.test_client()
        context_of(app).registry.entry("later").state = State.LOADING
        answer = await client.post("/v2/models/later/infer", json={"inputs": [X1]})
        await require_refused(answer, 503, "not ready yet: loading")
        assert answer.headers["Retry-After"] == "2"
        for path in ("/v2/models/later/ready", "/v2/health/ready"):
            ready = await client.get(path)
            assert (ready.status_code, ready.headers["Retry-After"]) == (503, "2")
            assert (await ready.get_json())["ready"] is False
        found = await (await client.post("/v2/repository/index")).get_json()
        assert {"name": "later", "version": "", "state": "LOADING", "reason": "loading"} in found
        assert await says(client) == (1.0, "1")
