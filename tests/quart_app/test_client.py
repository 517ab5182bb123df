"""The client and its command: against a running server, and against a peer that behaves oddly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import pickle
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from model_store import Fault, ModelStore
from model_store.recipes import RECIPES
from quart_app.cli.main import cli
from quart_app.client import (
    AsyncClient,
    ClientError,
    Denied,
    NotFound,
    Prediction,
    Predictions,
    Rejected,
    ServerError,
    Timeout,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)

from ..conftest import Server, serving
from ..kinds import AWKWARD, passengers

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent.parent
COLUMNS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
VIRGINICA = dict(zip(COLUMNS, (6.3, 3.3, 6.0, 2.5), strict=True))
SETOSA = dict(zip(COLUMNS, (5.1, 3.5, 1.4, 0.2), strict=True))
GUARD = 5.0
"""Seconds after which a test that hangs fails."""


@pytest.fixture(scope="module")
def server(kinds_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of iris and of the models of `tests.kinds`."""
    root = tmp_path_factory.mktemp("client")
    store = ModelStore(shutil.copytree(kinds_root, root / "models"))
    RECIPES["iris"].train(store)
    store.record("iris", share=1.0)
    with serving(cwd=root, QUART_APP_MODEL_STORE=store.root) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as found:
        yield found


# A peer that answers as it was told -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Handler = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Peer:
    """What a server of this test has received; `came` is set when it has the first request."""

    port: int
    requests: list[Request] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def peer(*answers: bytes | Handler, port: int = 0) -> AsyncIterator[Peer]:
    """A server that gives each answer once and then the last one for good, each on a connection of
    its own, which it closes after it."""
    left = list(answers)
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            request = await read(reader)
            found.requests.append(request)
            found.came.set()
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, bytes):
                if "transfer-encoding" in request.headers:
                    await read_chunks(reader)
                writer.write(answer)
                await writer.drain()
            else:
                await answer(request, reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", port)
    found = Peer(listening.sockets[0].getsockname()[1])
    async with listening:
        yield found
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read(reader: asyncio.StreamReader) -> Request:
    """A request with its body; of a chunked one the head alone."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)


def http(status: int, body: bytes | object = b"", **headers: str) -> bytes:
    """An answer; what is no bytes is its JSON."""
    given = {"Connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if not isinstance(body, bytes):
        given["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    given["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Odd\r\n{lines}\r\n".encode() + body


async def never(request: Request, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """No answer, until the client goes."""
    await reader.read()


ANSWER = {"prediction": 1, "probabilities": None, "model": "a", "version": 1, "id": "x"}
GOOD = http(200, ANSWER)
BUSY = {"error": "The server is busy; try again in a moment."}


async def ask(found: Peer, **options: Any) -> Prediction:
    async with asyncio.timeout(GUARD), AsyncClient(found.url, **options) as client:
        return await client.predict("a", {"x": 1})


# Predictions ----------------------------------------------------------------------------


async def test_one_row_gets_one_prediction(client: AsyncClient, server: Server) -> None:
    found = await client.predict("iris", VIRGINICA)
    assert isinstance(found, Prediction)
    assert (found.prediction, found.model, found.version) == ("virginica", "iris", 1)
    assert isinstance(found.probabilities, dict)
    assert set(found.probabilities) == {"setosa", "versicolor", "virginica"}
    assert math.isclose(sum(found.probabilities.values()), 1)
    assert len(found.id) == 32
    with pytest.raises(AttributeError):
        found.prediction = "setosa"  # type: ignore[misc]


async def test_many_rows_get_as_many_in_their_order(client: AsyncClient) -> None:
    found = await client.predict_many("iris", [VIRGINICA, SETOSA])
    assert isinstance(found, Predictions)
    assert found.predictions == ["virginica", "setosa"]
    one = await client.predict("iris", SETOSA)
    assert found.probabilities is not None
    assert found.probabilities[1] == pytest.approx(one.probabilities)


async def test_columns_of_arrays_are_rows_as_well(client: AsyncClient) -> None:
    frame = passengers()
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    rows = frame.to_dict("records")
    found = await client.predict_many("mixed", columns)
    assert found.predictions == (await client.predict_many("mixed", rows)).predictions
    assert len(found.predictions) == len(frame)
    assert set(found.predictions) == {0, 1}
    with pytest.raises(ValueError, match="shorter"):
        await client.predict_many("iris", {"a": [1, 2], "b": [1]})


async def test_of_several_targets_there_are_lists(client: AsyncClient) -> None:
    found = await client.predict("several", {"x0": 2, "x1": -2})
    assert found.prediction == ["warm", "calm"]
    assert isinstance(found.probabilities, list)
    assert [set(shares) for shares in found.probabilities] == [{"cold", "warm"}, {"calm", "storm"}]
    numbers = await client.predict_many("numbers", [{"x0": 1, "x1": 2}])
    assert numbers.predictions == [pytest.approx([7, 10])]
    assert numbers.probabilities is None


async def test_a_version_is_asked_by_number_or_alias(client: AsyncClient) -> None:
    assert (await client.predict("iris", SETOSA, version=1)).version == 1
    with pytest.raises(NotFound, match="no version 9") as caught:
        await client.predict("iris", SETOSA, version=9)
    assert caught.value.status == 404
    with pytest.raises(NotFound, match="no alias 'best'"):
        await client.predict_many("iris", [SETOSA], version="best")


async def test_many_calls_run_at_a_time(client: AsyncClient) -> None:
    rows = [VIRGINICA, SETOSA] * 20
    found = await asyncio.gather(*(client.predict("iris", row) for row in rows))
    assert [each.prediction for each in found] == ["virginica", "setosa"] * 20


async def test_values_of_numpy_and_pandas_go_as_json_has_them() -> None:
    day = np.datetime64("1912-04-10T12:30:00")
    row = {
        "float": np.float32(1.5),
        "integer": np.int64(2**40),
        "truth": np.bool_(True),
        "text": np.str_("größe"),
        "date": date(1912, 4, 10),
        "moment": day,
        "nanoseconds": day.astype("datetime64[ns]"),
        "stamp": pd.Timestamp("1912-04-10 12:30"),
        "never": np.datetime64("NaT"),
        "not at all": pd.NaT,
        "none": None,
    }
    noon = "1912-04-10T12:30:00"
    async with peer(GOOD) as found, AsyncClient(found.url) as client:
        await client.predict("a", row)
        values = (1.5, 2**40, True, "größe", "1912-04-10", noon, noon, noon, None, None, None)
        assert found.requests[0].json == dict(zip(row, values, strict=True))
        await client.predict("a", {"x": np.float64("nan")})
        assert math.isnan(found.requests[1].json["x"])
        for value in (object(), {1, 2}, np.complex128(1), pd.NA):
            with pytest.raises(TypeError, match="JSON"):
                await client.predict("a", {"x": value})
        with pytest.raises(TypeError, match="predict_many"):
            await client.predict("a", [{"x": 1}])  # type: ignore[arg-type]
    assert len(found.requests) == 2


async def test_nan_is_a_missing_value_and_infinity_a_fault(client: AsyncClient) -> None:
    row: dict[str, Any] = passengers().to_dict("records")[1]
    missing = await client.predict("mixed", row | {"age": None})
    nan = await client.predict("mixed", row | {"age": math.nan})
    assert nan.probabilities == missing.probabilities
    with pytest.raises(Rejected, match="age: expected a finite number, got Infinity"):
        await client.predict("mixed", row | {"age": math.inf})


# What the server is, and what it has ----------------------------------------------------


async def test_models_are_described(client: AsyncClient) -> None:
    described = {model.name: model for model in await client.models()}
    assert sorted(described) == sorted(
        ["iris", "mixed", "objects", "several", "numbers", "awkward", "many"]
    )
    iris = await client.model("iris")
    assert iris == described["iris"]
    assert [column.name for column in iris.inputs] == list(COLUMNS)
    assert (iris.version, iris.versions, iris.state) == (1, [1], "ready")
    with pytest.raises(NotFound, match="There is no model 'nobody'"):
        await client.model("nobody")


async def test_a_running_server_is_live_and_ready(client: AsyncClient) -> None:
    assert await client.live()
    assert await client.ready()


async def test_a_server_that_starts_is_live_and_not_ready() -> None:
    starting = http(503, {"ready": False, "status": "starting", "models": {}}, Retry_After="60")
    live = http(200, {"live": True})
    async with peer(live, starting) as found, AsyncClient(found.url, timeout=GUARD) as client:
        assert await client.live()
        assert not await client.ready()
    assert [request.path for request in found.requests] == ["/health/live", "/health/ready"]


async def test_nothing_that_listens_is_neither_live_nor_not() -> None:
    async with asyncio.timeout(GUARD), AsyncClient(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(Unreachable, match="takes no connection"):
            await client.live()
        with pytest.raises(Unreachable, match="takes no connection"):
            await client.ready()


# Errors ---------------------------------------------------------------------------------


async def test_all_that_does_not_fit_is_told_by_row_and_column(client: AsyncClient) -> None:
    with pytest.raises(Rejected) as caught:
        await client.predict_many("iris", [VIRGINICA, VIRGINICA | {COLUMNS[1]: "wide"}])
    assert caught.value.status == 400
    assert caught.value.details == (Fault(1, COLUMNS[1], "a number", '"wide"'),)
    assert str(caught.value) == 'row 1, sepal width (cm): expected a number, got "wide"'
    with pytest.raises(Rejected, match="at least one row") as empty:
        await client.predict_many("iris", [])
    assert empty.value.details == ()


STATUSES: dict[int, type[ClientError]] = {
    400: Rejected,
    401: Denied,
    403: Denied,
    404: NotFound,
    405: Rejected,
    408: Timeout,
    413: Rejected,
    415: Rejected,
    429: Unavailable,
    500: ServerError,
    502: ServerError,
    503: Unavailable,
    504: Timeout,
    204: UnexpectedAnswer,
    304: UnexpectedAnswer,
}
WITHOUT_BODY = {204, 304}


async def test_a_status_is_an_error_with_the_sentence_of_the_server() -> None:
    answers = [
        http(status, b"" if status in WITHOUT_BODY else {"error": "So it is."})
        for status in STATUSES
    ]
    async with peer(*answers) as found, AsyncClient(found.url, timeout=GUARD) as client:
        for status, kind in STATUSES.items():
            with pytest.raises(ClientError) as caught:
                await client.predict("a", {"x": 1})
            error = caught.value
            assert (type(error), error.status) == (kind, status)
            assert str(error) == "So it is." or status in WITHOUT_BODY
            again = pickle.loads(pickle.dumps(error))
            assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
    assert len(found.requests) == len(STATUSES)


PAGE = b"<html><title>502  Bad\n Gateway</title></html>"

# The answer, the error, and words of its message.
ODD: dict[str, tuple[bytes, type[ClientError], str]] = {
    "a page": (http(200, PAGE), UnexpectedAnswer, "answered 200 with what a quart-app does not"),
    "a proxy's page": (http(502, PAGE), ServerError, r"beginning '<html><title>502 Bad Gateway<"),
    "a page of nothing": (http(404, PAGE), NotFound, "answered 404 with what"),
    "nothing": (http(200), UnexpectedAnswer, "beginning ''"),
    "other JSON": (http(200, {"prediction": 1}), UnexpectedAnswer, "answered 200"),
    "another error": (http(400, {"detail": "No."}), Rejected, "answered 400"),
    "a list": (http(200, [ANSWER]), UnexpectedAnswer, "answered 200"),
    "not UTF-8": (http(200, b'{"model": "\xff"}'), UnexpectedAnswer, "beginning '{"),
    "nested deeply": (http(200, b"[" * 100_000), UnexpectedAnswer, r"beginning '\[\[\["),
    "elsewhere": (http(301, Location="https://b/"), UnexpectedAnswer, "elsewhere.*'https://b/'"),
    "no gzip": (http(200, b"{}", Content_Encoding="gzip"), UnexpectedAnswer, "Content-Encoding"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Unreachable, "The connection to .* was lost"),
    "half of it": (GOOD[:-5], Unreachable, "The connection to .* was lost"),
}


@pytest.mark.parametrize(("answer", "kind", "words"), ODD.values(), ids=ODD)
async def test_an_odd_answer_is_a_clear_error(
    answer: bytes, kind: type[ClientError], words: str
) -> None:
    async with peer(answer) as found:
        with pytest.raises(kind, match=words):
            await ask(found, retries=0)


# Tries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_asked_again_after_the_time_it_names(status: int) -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    busy = [http(status, BUSY, Retry_After=text) for text in ("0", past)]
    async with peer(*busy, GOOD) as found:
        assert (await ask(found)).prediction == 1
    assert [request.json for request in found.requests] == [{"x": 1}] * 3


async def test_the_wait_is_as_long_as_the_server_says() -> None:
    loop = asyncio.get_running_loop()
    async with peer(http(503, BUSY, Retry_After="1"), GOOD) as found:
        began = loop.time()
        await ask(found)
        assert loop.time() - began >= 1


@pytest.mark.parametrize("retries", [0, 2])
async def test_tries_end_at_their_number(retries: int) -> None:
    async with peer(http(503, BUSY, Retry_After="0")) as found:
        with pytest.raises(Unavailable, match="The server is busy") as caught:
            await ask(found, retries=retries)
    assert caught.value.retry_after == 0
    assert len(found.requests) == retries + 1


async def test_without_a_time_there_is_no_other_try() -> None:
    times = ["", "soon", "-1", "1e3", "²", "Mon, 99 Foo 2024 00:00:00 GMT"]
    answer = http(503, BUSY, Retry_After="@")
    answers = [http(503, BUSY), *(answer.replace(b"@", time.encode("latin-1")) for time in times)]
    async with peer(*answers) as found, AsyncClient(found.url, timeout=GUARD) as client:
        for _ in answers:
            with pytest.raises(Unavailable) as caught:
                await client.predict("a", {"x": 1})
            assert caught.value.retry_after is None
    assert len(found.requests) == len(answers)


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for text, least, most in (("60", 60, 60), (later, 3500, 3600), ("9" * 400, 1e300, math.inf)):
        async with peer(http(503, BUSY, Retry_After=text)) as found:
            with pytest.raises(Unavailable) as caught:
                await ask(found, timeout=30)
        assert caught.value.retry_after is not None
        assert least <= caught.value.retry_after <= most
        assert len(found.requests) == 1


async def test_a_server_that_comes_up_a_little_later_is_reached() -> None:
    port = free_port()
    async with asyncio.timeout(GUARD), AsyncClient(f"http://127.0.0.1:{port}") as client:
        call = asyncio.create_task(client.predict("a", {"x": 1}))
        await asyncio.sleep(0.1)
        assert not call.done()
        async with peer(GOOD, port=port) as found:
            assert (await call).prediction == 1
    assert len(found.requests) == 1


async def test_a_lost_connection_is_tried_again() -> None:
    async with peer(b"", GOOD) as found:
        assert (await ask(found)).prediction == 1
    assert len(found.requests) == 2


async def test_a_server_that_is_nowhere_is_unreachable() -> None:
    url = f"http://user:secret@127.0.0.1:{free_port()}/behind"
    async with asyncio.timeout(GUARD), AsyncClient(url, retries=1) as client:
        with pytest.raises(Unreachable) as caught:
            await client.predict("a", {})
    assert caught.value.status is None
    assert str(caught.value).startswith(f"http://{url.rpartition('@')[2]} takes no connection: ")


async def test_the_deadline_holds_over_all_tries() -> None:
    async with peer(http(503, BUSY, Retry_After="0"), never) as found:
        with pytest.raises(Timeout, match=r"gave no answer within 0.2 s\.") as caught:
            await ask(found, timeout=0.2)
    assert caught.value.status is None
    assert len(found.requests) == 2


async def test_a_cancelled_call_ends_at_once_and_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def watch(_: Request, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        closed.set()

    async with peer(watch) as found, asyncio.timeout(GUARD), AsyncClient(found.url) as client:
        call = asyncio.create_task(client.predict("a", {"x": 1}))
        await found.came.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await closed.wait()


async def test_a_call_that_waits_for_its_next_try_can_be_cancelled() -> None:
    busy = http(503, BUSY, Retry_After="60")
    async with peer(busy) as found, AsyncClient(found.url, timeout=1000) as client:
        call = asyncio.create_task(client.predict("a", {"x": 1}))
        await found.came.wait()
        await asyncio.sleep(0.05)
        assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, GUARD)
    assert len(found.requests) == 1


# Addresses and keys ---------------------------------------------------------------------


async def test_a_server_may_lie_below_a_path_and_names_are_quoted() -> None:
    async with peer(GOOD) as found, AsyncClient(f"{found.url}/behind/") as client:
        await client.predict("a/b ü?", {}, version="next#")
        await client.predict("a", {})
    assert [request.path for request in found.requests] == [
        "/behind/models/a%2Fb%20%C3%BC%3F/versions/next%23/predict",
        "/behind/models/a/predict",
    ]


async def test_the_key_is_sent_and_never_shown() -> None:
    async with peer(http(401, {"error": "No."})) as found:
        client = AsyncClient(found.url, api_key="s3cret")
        with pytest.raises(Denied) as caught:
            await client.predict("a", {})
        await client.aclose()
    assert found.requests[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in f"{caught.value!r} {client!r} {vars(client)!r}"


@pytest.mark.parametrize("key", ["", "two words", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    with pytest.raises(ValueError, match=r"^An API key is of visible ASCII characters\.$"):
        AsyncClient("http://127.0.0.1", api_key=key)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "localhost", "ftp://a", "http://", "http://a:b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"Expected an address such as http://127\.0\.0\.1:8000"):
        AsyncClient(url)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": math.nan}, {"retries": -1}])
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="timeout above 0"):
        AsyncClient("http://127.0.0.1", **options)


# CSV ------------------------------------------------------------------------------------

CSV_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/csv; charset=utf-8\r\nConnection: close\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readline(), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """All that is left of a chunked body."""
    parts = []
    while part := await read_chunk(reader):
        parts.append(part)
    return b"".join(parts)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def echo(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = await read_chunks(reader)
    writer.write(CSV_HEAD + chunk(body) + chunk(b""))
    await writer.drain()


async def collect(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


async def test_a_table_flows_both_ways_without_being_held() -> None:
    sent, received = asyncio.Event(), asyncio.Event()

    async def table() -> AsyncIterator[bytes]:
        yield b"x\n1\n"
        await sent.wait()  # until the server has the first part
        yield b"2\n"

    async def answer(_: Request, reader: asyncio.StreamReader, writer: Any) -> None:
        assert await read_chunk(reader) == b"x\n1\n"
        sent.set()
        assert await read_chunks(reader) == b"2\n"
        writer.write(CSV_HEAD + chunk(b"x,prediction\n1,0\n"))
        await received.wait()  # until the client has the first part
        writer.write(chunk(b"2,1\n") + chunk(b""))
        await writer.drain()

    parts = []
    async with asyncio.timeout(GUARD), peer(answer) as found, AsyncClient(found.url) as client:
        async for part in client.predict_csv("a", table(), version=2):
            parts.append(part)
            received.set()
    assert parts == [b"x,prediction\n1,0\n", b"2,1\n"]
    request = found.requests[0]
    assert (request.method, request.path) == ("POST", "/models/a/versions/2/predict")
    assert request.headers["content-type"] == "text/csv"


async def test_a_file_is_sent_anew_with_each_try(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"x\n" + b"1\n" * 400_000)

    async def busy(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_chunks(reader)
        writer.write(http(503, BUSY, Retry_After="0"))

    async with asyncio.timeout(GUARD), peer(busy, echo) as found, AsyncClient(found.url) as client:
        assert await collect(client.predict_csv("a", path)) == path.read_bytes()
        assert await collect(client.predict_csv("a", str(path))) == path.read_bytes()
        with pytest.raises(FileNotFoundError):
            await collect(client.predict_csv("a", tmp_path / "none.csv"))
    assert len(found.requests) == 4


async def test_chunks_that_were_taken_are_not_sent_again() -> None:
    taken = 0

    async def table() -> AsyncIterator[bytes]:
        nonlocal taken
        taken += 1
        yield b"x\n1\n"

    async def busy(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_chunks(reader)
        writer.write(http(503, BUSY, Retry_After="0"))

    async with asyncio.timeout(GUARD), peer(busy, echo) as found, AsyncClient(found.url) as client:
        with pytest.raises(Unavailable):
            await collect(client.predict_csv("a", table()))
    assert (taken, len(found.requests)) == (1, 1)


async def test_chunks_that_were_not_taken_wait_for_the_server() -> None:
    port = free_port()

    async def table() -> AsyncIterator[bytes]:
        yield b"x\n1\n"

    async with asyncio.timeout(GUARD), AsyncClient(f"http://127.0.0.1:{port}") as client:
        call = asyncio.create_task(collect(client.predict_csv("a", table())))
        await asyncio.sleep(0.1)
        async with peer(echo, port=port):
            assert await call == b"x\n1\n"


async def test_a_table_that_does_not_fit_is_told_like_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"x\nmany\n")
    fault = {"row": 0, "column": "x", "expected": "a number", "got": '"many"'}
    body = {"error": 'row 0, x: expected a number, got "many"', "details": [fault]}
    async with peer(http(400, body)) as found, AsyncClient(found.url) as client:
        with pytest.raises(Rejected, match="row 0, x: expected a number") as caught:
            await collect(client.predict_csv("a", path))
    assert caught.value.details == (Fault(**fault),)  # type: ignore[arg-type]


async def test_a_table_that_stops_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"x\n1\n")
    head = CSV_HEAD + chunk(b"x,prediction\n")

    async def silent(_: Request, reader: asyncio.StreamReader, writer: Any) -> None:
        await read_chunks(reader)
        writer.write(head)
        await reader.read()

    async with peer(head, silent) as found, AsyncClient(found.url, timeout=0.3) as client:
        for kind, words in ((Unreachable, "was lost"), (Timeout, "no answer within")):
            parts = client.predict_csv("a", path)
            assert await anext(parts) == b"x,prediction\n"
            with pytest.raises(kind, match=words):
                await asyncio.wait_for(anext(parts), GUARD)
    assert len(found.requests) == 2


async def test_an_answer_to_csv_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"x\n1\n")
    page = http(200, PAGE, Content_Type="text/html")
    async with peer(page) as found, AsyncClient(found.url) as client:
        with pytest.raises(UnexpectedAnswer, match="answered text/html to text/csv"):
            await collect(client.predict_csv("a", path))


async def test_a_running_server_answers_a_table(client: AsyncClient, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [VIRGINICA, SETOSA] * 2000
    lines = [",".join(COLUMNS), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    found = (await collect(client.predict_csv("iris", path))).decode().splitlines()
    assert found[0].startswith(f"{lines[0]},prediction,")
    assert len(found) == len(lines)
    for line, answered, row in zip(lines[1:], found[1:], rows, strict=True):
        assert answered.startswith(f"{line},{'virginica' if row is VIRGINICA else 'setosa'},")
    path.write_text(f"{lines[0]}\n{lines[1]}\n6,wide,6,2\n")
    with pytest.raises(Rejected) as caught:
        await collect(client.predict_csv("iris", path, version=1))
    assert [(fault.row, fault.column) for fault in caught.value.details] == [(1, COLUMNS[1])]
    with pytest.raises(NotFound, match="nobody"):
        await collect(client.predict_csv("nobody", path))


# The command ----------------------------------------------------------------------------

FLOWER = tuple(f"{name}={value}" for name, value in VIRGINICA.items())


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(cli, ["predict", *arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_command_tells_a_person(server: Server) -> None:
    result = run(server.url, "iris", *FLOWER)
    assert (result.exit_code, result.stderr) == (0, "")
    first, *shares, last = result.stdout.splitlines()
    assert first == "species: virginica"
    assert [line.split()[0] for line in shares] == ["virginica", "versicolor", "setosa"]
    assert last == "iris version 1"


def test_the_command_prints_json(server: Server) -> None:
    result = run(server.url, "iris", *FLOWER, "--json", "--version", "1")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    request = urllib.request.Request(
        f"{server.url}/models/iris/predict",
        json.dumps(VIRGINICA).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=GUARD) as response:
        answer = json.load(response)
    assert found | {"id": ""} == answer | {"id": ""}


def test_the_command_tells_each_target_with_its_unit(server: Server) -> None:
    found = run(server.url, "several", "x0=2", "x1=-2").stdout.splitlines()
    assert [line for line in found if not line.startswith(" ")] == [
        "water: warm",
        "Wind at sea: calm",
        "several version 1",
    ]
    found = run(server.url, "numbers", "x0=1", "x1=2").stdout.splitlines()
    assert found == ["mass: 7 kg", "length: 10", "numbers version 1"]


def test_texts_become_values_of_every_kind(server: Server) -> None:
    row: dict[str, Any] = passengers().to_dict("records")[1]
    row |= {"boarded": row["boarded"].isoformat(), "woken": row["woken"].isoformat()}
    assert isinstance(row["alone"], bool)
    for age, text in ((41.5, "41.5"), (4e1, " 4e1 "), (None, "")):
        texts = {**row, "age": text, "alone": str(row["alone"]).lower()}
        result = run(server.url, "mixed", *(f"{n}={v}" for n, v in texts.items()), "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["probabilities"] == answer(
            server, "mixed", row | {"age": age}
        )


def answer(server: Server, name: str, row: dict[str, Any]) -> Any:
    async def probabilities() -> Any:
        async with AsyncClient(server.url) as client:
            return (await client.predict(name, row)).probabilities

    return asyncio.run(probabilities())


def test_awkward_names_of_columns_are_found(server: Server) -> None:
    values = [f"{name}={number}" for number, name in enumerate(AWKWARD)]
    result = run(server.url, "awkward", *values, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["prediction"] == pytest.approx(
        sum(number * (number + 1) for number in range(len(AWKWARD)))
    )


async def test_values_go_as_texts_by_the_names_of_the_description() -> None:
    types = {"a": "number", "a=b": "integer", "c": "boolean", "d": "text", "e": "category"}
    absent = dict.fromkeys(("label", "unit", "description", "minimum", "maximum", "typical"))
    inputs = [
        {"name": name, "type": kind, "categories": None, "open": False, "missing": True, **absent}
        for name, kind in types.items()
    ]
    described = {"name": "m", "version": 1, "versions": [1], "aliases": {}, "state": "ready"}
    values = ("a=1e1", "a=b=-2", "c= False", "d=3", "e=4", "f=5=6")
    async with peer(http(200, described | {"inputs": inputs}), GOOD) as found:
        result = await asyncio.to_thread(run, found.url, "m", *values)
    assert result.exit_code == 0, result.stderr
    sent = found.requests[1].json
    assert sent == {"a": "1e1", "a=b": "-2", "c": " False", "d": "3", "e": "4", "f": "5=6"}
    async with peer(http(200, described), GOOD) as found:  # while it is on its way
        result = await asyncio.to_thread(run, found.url, "m", "a=1e1", "c=")
    assert result.exit_code == 0, result.stderr
    assert found.requests[1].json == {"a": "1e1", "c": None}


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (("nobody",), ["There is no model 'nobody'; the models are: "]),
        (("iris", *FLOWER, "--version", "9"), ["iris has no version 9"]),
        (("iris", *FLOWER, "x=1"), ["x: expected one of the columns sepal length (cm), "]),
        (("mixed",), [f"{name}: expected " for name in passengers().columns]),
        (
            ("iris", *FLOWER[:3], "petal width (cm)=wide"),
            ['petal width (cm): expected a number, got "wide"'],
        ),
    ],
    ids=["a model", "a version", "a column", "no values", "a word"],
)
def test_what_does_not_fit_is_told_on_stderr_and_ends_with_1(
    arguments: tuple[str, ...], sentences: list[str], server: Server
) -> None:
    result = run(server.url, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert len(lines) == len(sentences)
    for line, sentence in zip(lines, sentences, strict=True):
        assert line.startswith(f"Error: {sentence}")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("http://127.0.0.1:1",),
        ("127.0.0.1:8000", "iris"),
        ("http://127.0.0.1:1", "iris", "petal"),
        ("http://127.0.0.1:1", "iris", "--timeout", "0"),
        ("http://127.0.0.1:1", "iris", "--api-key-file", "/no/such/file"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_ends_with_2(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_a_value_that_is_given_twice_ends_with_2(server: Server) -> None:
    result = run(server.url, "several", "x0=1", "x0=2")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "Error: there are two values of 'x0'"


def test_the_key_comes_from_a_file(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("s3cret\n")
    for given, stdin in ((str(path), None), ("-", "s3cret\n")):
        result = run(server.url, "iris", *FLOWER, "--api-key-file", given, stdin=stdin)
        assert result.exit_code == 0
    path.write_text("two words\n")
    result = run(server.url, "iris", "--api-key-file", str(path))
    assert result.exit_code == 2
    assert "visible ASCII" in result.stderr
    assert "two words" not in result.stderr


def test_a_server_that_is_nowhere_ends_the_command_with_1() -> None:
    result = run(f"http://127.0.0.1:{free_port()}", "iris", "--timeout", "0.3")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "takes no connection" in result.stderr


# Without httpx --------------------------------------------------------------------------


def test_without_httpx_there_are_the_app_and_its_commands_and_a_hint_how_to_install_it() -> None:
    # None in sys.modules is how the import system marks a module that is not to be found.
    script = (
        "import sys, quart_app, quart_app.cli.main\n"
        "assert 'httpx' not in sys.modules\n"
        "sys.modules['httpx'] = None\n"
        "try: import quart_app.client\n"
        "except ImportError as error: print(error)\n"
        "sys.argv[1:] = ['predict', 'http://127.0.0.1:1', 'iris']\n"
        "quart_app.cli.main.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    sentence = "The client needs httpx, which this installs: pip install 'quart-app[client]'"
    assert (ended.returncode, ended.stdout) == (1, f"{sentence}\n")
    assert ended.stderr == f"Error: {sentence}\n"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# What turned out true --------------------------------------------------------------------


async def test_what_turned_out_true_is_told_one_by_one_or_at_once(client: AsyncClient) -> None:
    alone = await client.predict("iris", VIRGINICA)
    many = await client.predict_many("iris", [VIRGINICA, SETOSA])
    first = await client.feedback("iris", {"id": alone.id, "truth": np.str_("versicolor")})
    assert (first.kept, first.replaced, first.unknown) == (1, 0, [])
    truths = [{"id": many.id, "row": row, "truth": "setosa"} for row in range(3)]
    told = await client.feedback("iris", [{"id": alone.id, "truth": "virginica"}, *truths])
    assert (told.kept, told.replaced) == (4, 1)
    assert [(place.id, place.row) for place in told.unknown] == [(many.id, 2)]
    with pytest.raises(Rejected) as raised:
        await client.feedback("iris", {"id": alone.id, "truth": "rose"})
    assert raised.value.details == (
        Fault(0, "truth", "one of setosa, versicolor, virginica", '"rose"'),
    )
    with pytest.raises(Rejected, match="Predictions of mixed are not recorded"):
        await client.feedback("mixed", {"id": "x", "truth": 1})
