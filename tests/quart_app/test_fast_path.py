"""The fast path: it answers as Quart does, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import pytest_asyncio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, HTTPScope
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quart import Blueprint, Quart, Request, Response, request, request_started
from quart.typing import TestAppProtocol as RunningApp
from werkzeug.datastructures import Headers

from quart_app import create_app
from quart_app.asgi import Record
from quart_app.context import context_of
from quart_app.fast_path import LARGEST
from quart_app.middleware.slow_requests import PATIENCE
from quart_app.serving.servable import Servable

from ..conftest import started

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/json"
EXAM = "/models/exam/predict"
ROW = {"X1": 61.1, "X2": 17.3}
INSTANCES = {"instances": [[61.1, 17.3], [30, 40]]}
TENSORS = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [61.1, 17.3]}]}
NAMED = TENSORS | {"id": "mine"}
BINARY = NAMED | {"parameters": {"binary_data_output": True}}
SPLIT = {"dataframe_split": {"columns": ["X1", "X2"], "data": [[61.1, 17.3]]}}


class Ask(NamedTuple):
    """A request, and whether the fast path takes it."""

    path: str
    body: object
    fast: bool
    headers: dict[str, str] = {}  # noqa: RUF012


ASKED = [
    Ask(EXAM, ROW, True),
    Ask(EXAM, [ROW, {"X1": 30, "X2": 40}], True),
    Ask(EXAM, [ROW], True, {"Accept": "*/*", "Accept-Encoding": "gzip, deflate"}),
    Ask(EXAM, ROW, True, {"Accept": JSON, "Content-Type": "Application/JSON; charset=utf-8"}),
    Ask(EXAM, ROW, False, {"Content-Encoding": "identity"}),
    Ask(EXAM, ROW, False, {"Origin": "https://elsewhere.example"}),
    Ask(EXAM, ROW, False, {"Sec-Fetch-Site": "same-origin"}),
    Ask("/models/exam/versions/1/predict", ROW, True),
    Ask("/v1/models/exam:predict", INSTANCES, True),
    Ask("/v1/models/exam:predict", INSTANCES, True, {"Content-Type": "text/plain"}),
    Ask("/v1/models/exam/versions/1:predict", INSTANCES, True),
    Ask("/v2/models/exam/infer", TENSORS, True),
    Ask("/v2/models/exam/infer", TENSORS, True, {"Accept-Encoding": "identity"}),
    Ask("/v2/models/exam/infer", NAMED, True),
    Ask("/v2/models/exam/versions/1/infer", TENSORS, True),
    Ask("/invocations", SPLIT, True),
    # What Quart answers.
    Ask(EXAM, ROW, False, {"Accept": "text/html"}),
    Ask(EXAM, ROW, False, {"Accept": "text/plain"}),
    Ask(EXAM, ROW, False, {"Accept": "Text/HTML, application/json;q=0.5"}),
    Ask(EXAM, ROW, False, {"Content-Type": "application/x-www-form-urlencoded"}),
    Ask(EXAM, ROW, False, {"Content-Type": "image/png"}),
    Ask(EXAM, ROW, False, {"Content-Encoding": "br"}),
    Ask(EXAM, ROW, False, {"Content-Encoding": "gzip"}),
    Ask(EXAM, [ROW] * 1000, False),
    Ask(f"{EXAM}?verbose=1", ROW, False),
    Ask("/invocations?model=exam", SPLIT, False),
    Ask("/v2/models/exam/infer", NAMED, False, {"Accept-Encoding": "gzip"}),
    Ask("/v2/models/exam/infer", TENSORS, False, {"Inference-Header-Content-Length": "3"}),
    Ask("/v2/models/exam/infer", BINARY, False),
    Ask("/models/exam/versions/1/2/predict", ROW, False),
    Ask("/v1/models/exam/predict", ROW, False),
    # What the fast path finds to be an error, and Quart puts in words.
    Ask(EXAM, {"X1": "much"}, False),
    Ask(EXAM, {"X1": 1, "X2": None, "X3": 2}, False),
    Ask(EXAM, "", False),
    Ask(EXAM, [], False),
    Ask("/models/titanic/predict", {}, False),
    Ask("/models/nobody/predict", ROW, False),
    Ask("/models/exam/versions/99/predict", ROW, False),
    Ask("/models/exam/versions/first/predict", ROW, False),
    Ask("/v1/models/exam:predict", {}, False),
    Ask("/v1/models/nobody:predict", INSTANCES, False),
    Ask("/v2/models/exam/infer", {"inputs": []}, False),
    Ask("/v2/models/exam/infer", TENSORS | {"outputs": [{"name": "odd"}]}, False),
    Ask("/invocations", {"instances": [[1, 2]], "inputs": {}}, False),
    Ask("/invocations", {"dataframe_records": [{"nothing": 1}]}, False),
]


class Counted(Request):
    """Quart's requests of a test."""

    made = 0

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        Counted.made += 1


def nothing() -> None:
    """A hook that somebody added."""


def made(root: Path, **others: Any) -> Quart:
    app = create_app(MODEL_STORE=root, RECIPES="", **others)
    app.request_class = Counted
    return app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fast(bundled_root: Path) -> AsyncIterator[RunningApp]:
    """The app as it is."""
    async with started(made(bundled_root, CORS_ORIGINS="https://page.example")) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quart(bundled_root: Path) -> AsyncIterator[RunningApp]:
    """The app with a hook, which only Quart calls."""
    app = made(bundled_root, CORS_ORIGINS="https://page.example")
    app.before_request(nothing)
    async with started(app) as running:
        yield running


async def ask(app: RunningApp, asked: Ask) -> tuple[int, list[tuple[str, str]], Any]:
    """Status, headers and body, without what is new in every answer."""
    headers = Headers({"Content-Type": JSON} | asked.headers)
    body = asked.body if isinstance(asked.body, str) else json.dumps(asked.body)
    answer = await app.test_client().post(asked.path, data=body, headers=headers)
    text = await answer.get_data(as_text=False)
    if answer.headers.get("Content-Encoding") == "gzip":
        # Another id is as long, and not so in gzip.
        text = gzip.decompress(text)
        answer.headers["Content-Length"] = str(len(text))
    with contextlib.suppress(ValueError):
        content = json.loads(text)
        if isinstance(content, dict) and "id" not in cast(Any, asked.body):
            content.pop("id", None)
        return answer.status_code, _told(answer), content
    return answer.status_code, _told(answer), re.sub(rb"[0-9a-f]{32}", b"", text)


def _told(answer: Any) -> list[tuple[str, str]]:
    return sorted(item for item in answer.headers.items() if item[0].lower() != "x-request-id")


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.path} {asked.headers}")
async def test_it_answers_as_quart_does_or_leaves_it_to_quart(
    fast: RunningApp, quart: RunningApp, asked: Ask
) -> None:
    before = Counted.made
    found = await ask(fast, asked)
    assert (Counted.made == before) == asked.fast
    assert found == await ask(quart, asked)
    assert Counted.made > before
    assert not asked.fast or found[0] == 200 or found[0] == 400


PATHS = (EXAM, "/v1/models/exam:predict", "/v2/models/exam/infer", "/invocations")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "1", "x"]),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
ROWS = st.fixed_dictionaries({"X1": VALUES, "X2": st.floats(0, 100)}, optional={"X3": VALUES})
BODIES = st.one_of(
    ROWS,
    st.lists(ROWS, max_size=3),
    st.builds(lambda rows: {"instances": rows}, st.lists(ROWS | VALUES, max_size=2)),
    st.builds(lambda rows: {"dataframe_records": rows}, st.lists(ROWS, max_size=2)),
    st.builds(
        lambda data, datatype: {
            "inputs": [{"name": "x", "shape": [1, 2], "datatype": datatype, "data": data}]
        },
        st.lists(st.floats(0, 100) | VALUES, min_size=2, max_size=2),
        st.sampled_from(["FP64", "FP32", "INT64", "BYTES", "BOOL"]),
    ),
    st.text(max_size=8),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(["*/*", JSON, "text/html", "text/plain, */*;q=0.1", ""]),
        "Content-Type": st.sampled_from([JSON, "application/ld+json", "text/csv", "", "json"]),
        "Accept-Encoding": st.sampled_from(["gzip", "identity", "*", "gzip;q=0", ""]),
        "Origin": st.sampled_from(["https://page.example", "null"]),
    },
)


@settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=st.sampled_from(PATHS), body=BODIES, headers=HEADERS)
async def test_whatever_is_asked_the_answer_is_that_of_quart(
    fast: RunningApp, quart: RunningApp, path: str, body: object, headers: dict[str, str]
) -> None:
    asked = Ask(path, body, True, headers)
    assert await ask(fast, asked) == await ask(quart, asked)


async def test_pages_of_an_allowed_origin_may_read_the_answer(fast: RunningApp) -> None:
    _, headers, _ = await ask(fast, Ask(EXAM, ROW, True, {"Origin": "https://page.example"}))
    assert ("access-control-allow-origin", "https://page.example") in headers
    assert ("vary", "Accept, Origin") in headers


# What was added to an app -------------------------------------------------------


@asynccontextmanager
async def answered(app: Quart) -> AsyncIterator[Response]:
    async with started(app) as running:
        yield await running.test_client().post(EXAM, json=ROW)


async def test_hooks_that_were_added_run(bundled_root: Path) -> None:
    app, seen = made(bundled_root), []

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers["X-Mark"] = request.path
        return response

    @app.teardown_request
    def note(error: BaseException | None) -> None:
        seen.append(error)

    async with answered(app) as answer:
        assert answer.headers["X-Mark"] == EXAM
        assert seen == [None]


async def test_signals_that_somebody_waits_for_are_sent(bundled_root: Path) -> None:
    app, seen = made(bundled_root), []

    def note(sender: Quart, **others: Any) -> None:
        seen.append(sender)

    with request_started.connected_to(note, app):
        async with answered(app) as answer:
            assert answer.status_code == 200
    assert seen == [app]


async def test_a_view_that_was_put_in_place_of_ours_answers(bundled_root: Path) -> None:
    app = made(bundled_root)

    async def mine(name: str, version: str | None = None) -> str:
        return f"mine: {name}"

    app.view_functions["predict.by_body"] = mine
    async with answered(app) as answer:
        assert await answer.get_data(as_text=True) == "mine: exam"


async def test_a_route_that_is_more_special_than_ours_answers(bundled_root: Path) -> None:
    app, mine = made(bundled_root), Blueprint("mine", __name__)

    @mine.post("/v2/models/exam/infer")
    async def infer() -> str:
        return "mine"

    app.register_blueprint(mine)
    async with started(app) as running:
        client = running.test_client()
        answer = await client.post("/v2/models/exam/infer", json=TENSORS)
        assert await answer.get_data(as_text=True) == "mine"


# Failures and clients that go ---------------------------------------------------


def quart_of(app: RunningApp) -> Quart:
    return cast(Any, app).app  # type: ignore[no-any-return]


@contextlib.contextmanager
def occupied(app: RunningApp) -> Iterator[None]:
    """Every thread that could predict waits for the end of the body."""
    gate, executor = threading.Event(), context_of(quart_of(app)).registry.workers
    for _ in range(executor._max_workers):
        executor.submit(gate.wait, 20)
    try:
        yield
    finally:
        gate.set()


async def exam(app: RunningApp) -> Servable:
    return await context_of(quart_of(app)).registry.servable("exam")


async def test_a_refused_request_is_asked_once(fast: RunningApp) -> None:
    servable = await exam(fast)
    before = servable.statistics.fail.count
    status, _, _ = await ask(fast, Ask(EXAM, {"X1": "much"}, False))
    assert status == 400
    assert servable.statistics.fail.count == before + 1


@pytest.mark.usefixtures("in_threads")
async def test_the_deadline_holds_and_nothing_is_predicted_twice(bundled_root: Path) -> None:
    async with started(made(bundled_root, DEADLINE=0.3)) as app:
        servable, before = await exam(app), Counted.made
        with occupied(app):
            status, _, content = await ask(app, Ask(EXAM, ROW, False))
        assert (status, content["error"]) == (504, "The model exam did not answer in time.")
        assert Counted.made == before + 1
        assert servable.statistics.fail.count == 1
        await servable.drain()
        assert servable.statistics.executions == 1  # it ran, too late to be told
        assert (await ask(app, Ask(EXAM, ROW, True)))[0] == 200


@pytest.mark.usefixtures("in_threads")
async def test_a_full_queue_is_told_with_a_time_to_come_again(bundled_root: Path) -> None:
    async with started(made(bundled_root, MAX_QUEUE_SIZE=1)) as app:
        with occupied(app):
            waiting = [asyncio.create_task(ask(app, Ask(EXAM, ROW, True))) for _ in range(4)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        status, headers, _ = done.pop().result()
        assert (status, dict(headers)["retry-after"]) == (503, "1")
        assert sorted(found[0] for found in await asyncio.gather(*waiting)) == [200, 503, 503, 503]


class Client:
    """A client that sends a request and goes away at `gone`, as the server tells the app."""

    def __init__(self, body: bytes) -> None:
        self.gone = asyncio.Event()
        self.sent: list[ASGISendEvent] = []
        self._body: bytes | None = body

    async def receive(self) -> ASGIReceiveEvent:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: ASGISendEvent) -> None:
        self.sent.append(event)


def scope() -> HTTPScope:
    return {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "method": "POST",
        "scheme": "http",
        "path": EXAM,
        "raw_path": EXAM.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"x"), (b"content-type", b"application/json")],
        "client": None,
        "server": None,
        "state": cast(Any, {}),
        "extensions": {},
    }


@pytest.mark.usefixtures("in_threads")
async def test_a_request_whose_client_has_gone_is_dropped(bundled_root: Path) -> None:
    async with started(made(bundled_root)) as app:
        servable, tasks = await exam(app), asyncio.all_tasks()
        gone, stays = Client(json.dumps(ROW).encode()), Client(json.dumps(ROW).encode())
        with occupied(app):
            first = asyncio.create_task(ask(app, Ask(EXAM, ROW, True)))
            await asyncio.sleep(0.05)
            others = [
                asyncio.create_task(quart_of(app).asgi_app(scope(), client.receive, client.send))
                for client in (gone, stays)
            ]
            gone.gone.set()
            await others[0]
            assert not gone.sent
            assert not others[1].done()
        await asyncio.gather(first, *others)
        assert stays.sent[0]["status"] == 200  # type: ignore[typeddict-item]
        assert servable.statistics.inferences == 2
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= tasks


async def test_a_body_that_is_larger_than_what_it_takes_is_whole_in_quart(
    fast: RunningApp,
) -> None:
    rows = [ROW] * (2 * LARGEST // len(json.dumps(ROW)))
    before = Counted.made
    status, _, content = await ask(fast, Ask(EXAM, rows, False))
    assert (status, len(content["predictions"])) == (200, len(rows))
    assert Counted.made == before + 1


# What the layers do for others --------------------------------------------------


class Sender(Client):
    """A client that sends its body in these parts, each of them when `next_part` is set."""

    def __init__(self, *parts: bytes) -> None:
        super().__init__(b"")
        self.next_part = asyncio.Event()
        self._parts = list(parts)

    async def receive(self) -> ASGIReceiveEvent:
        if not self._parts:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        if len(self._parts) == 1:
            await self.next_part.wait()
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts)}

    @property
    def status(self) -> int:
        return self.sent[0]["status"]  # type: ignore[typeddict-item]


@asynccontextmanager
async def recorded(root: Path, **others: Any) -> AsyncIterator[tuple[RunningApp, list[Record]]]:
    """An app, and the records of its requests."""
    records: list[Record] = []
    app = made(root, **others)
    context_of(app).observers.append(records.append)
    async with started(app) as running:
        yield running, records


async def test_a_body_in_parts_is_answered_where_it_comes_at_once(bundled_root: Path) -> None:
    body = json.dumps(ROW).encode()
    async with recorded(bundled_root) as (app, records):
        sender, before = Sender(body[:5], body[5:], b""), Counted.made
        sender.next_part.set()
        await quart_of(app).asgi_app(scope(), sender.receive, sender.send)
        assert (sender.status, Counted.made) == (200, before)
        assert [record.status for record in records] == [200]


async def test_a_body_that_does_not_come_is_given_to_the_layers_that_bound_it(
    bundled_root: Path,
) -> None:
    body = json.dumps(ROW).encode()
    async with recorded(bundled_root) as (app, records):
        sender, before = Sender(body[:5], body[5:]), Counted.made
        asked = asyncio.create_task(quart_of(app).asgi_app(scope(), sender.receive, sender.send))
        await asyncio.sleep(3 * PATIENCE)
        assert not asked.done()
        sender.next_part.set()
        await asked
        assert (sender.status, Counted.made) == (200, before + 1)
        (record,) = records
        assert (record.status, record.route) == (200, "/models/<name>/predict")
        assert record.seconds > 2 * PATIENCE


async def test_a_body_that_never_comes_is_refused_in_time(bundled_root: Path) -> None:
    async with recorded(bundled_root, DEADLINE=0.5) as (app, records):
        sender = Sender(b"{", b"}")
        asked = asyncio.create_task(quart_of(app).asgi_app(scope(), sender.receive, sender.send))
        while not records and not asked.done():
            await asyncio.sleep(0.05)
            if sender.sent:
                sender.gone.set()
                sender.next_part.set()
        await asked
        assert sender.status == 408
        assert [record.status for record in records] == [408]


async def test_a_client_that_goes_within_its_body_is_recorded_as_gone(bundled_root: Path) -> None:
    async with recorded(bundled_root) as (app, records):
        sender = Sender()
        sender.gone.set()
        await quart_of(app).asgi_app(scope(), sender.receive, sender.send)
        assert not sender.sent
        (record,) = records
        assert (record.status, record.error, record.aborted) == (499, "client_gone", True)


@pytest.mark.usefixtures("in_threads")
async def test_a_request_that_the_server_cuts_off_is_recorded(bundled_root: Path) -> None:
    async with recorded(bundled_root) as (app, records):
        client = Client(json.dumps(ROW).encode())
        with occupied(app):
            asked = asyncio.create_task(
                quart_of(app).asgi_app(scope(), client.receive, client.send)
            )
            await asyncio.sleep(0.05)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        (record,) = records
        assert (record.status, record.model, client.sent) == (500, "exam", [])


RECORDED: dict[str, tuple[object, int, str | None]] = {
    "answered": (ROW, 200, None),
    "refused": ({"X1": "much"}, 400, "invalid_rows"),
    "left to Quart": ([ROW] * 1000, 200, None),
}


@pytest.mark.parametrize(("body", "status", "error"), RECORDED.values(), ids=RECORDED)
async def test_a_request_has_one_record_whoever_answers_it(
    body: object, status: int, error: str | None, bundled_root: Path
) -> None:
    async with recorded(bundled_root, PROXIES=1) as (app, records):
        headers = {"X-Forwarded-For": "192.0.2.1, 192.0.2.7", "X-Request-ID": "mine"}
        answer = await app.test_client().post(EXAM, json=body, headers=headers)
        (record,) = records
        assert answer.headers["X-Request-ID"] == "mine"
        assert (record.status, record.error) == (status, error)
        assert (record.client, record.request_id) == ("192.0.2.7", "mine")
        assert (record.method, record.path) == ("POST", EXAM)
        assert record.route == "/models/<name>/predict"
        assert record.bytes == len(await answer.get_data(as_text=False))
        assert 0 < record.seconds < 10


async def test_a_rate_counts_a_request_once_whoever_answers_it(bundled_root: Path) -> None:
    async with started(made(bundled_root, RATE_LIMIT="3/hour")) as app:
        client, statuses = app.test_client(), []
        for body in (ROW, {"X1": "much"}, [ROW] * 1000, ROW):
            statuses.append((await client.post(EXAM, json=body)).status_code)
        assert statuses == [200, 400, 200, 429]


async def test_where_predictions_need_a_key_the_fast_path_asks_for_it(bundled_root: Path) -> None:
    key = f"ann:{hashlib.sha256(b'secret').hexdigest()}"
    async with started(made(bundled_root, KEYS_FOR="predictions", API_KEYS=key)) as app:
        client, before = app.test_client(), Counted.made
        assert (
            await client.post(EXAM, json=ROW, headers={"X-API-Key": "secret"})
        ).status_code == 200
        assert Counted.made == before
        for headers in ({}, {"X-API-Key": "other"}):
            assert (await client.post(EXAM, json=ROW, headers=headers)).status_code == 401


async def test_with_any_origin_allowed_every_answer_says_so(bundled_root: Path) -> None:
    async with started(made(bundled_root, CORS_ORIGINS="*")) as app:
        before = Counted.made
        fast = await app.test_client().post(EXAM, json=ROW)
        assert Counted.made == before
        slow = await app.test_client().post(EXAM, json=ROW, headers={"Origin": "https://a.example"})
        assert Counted.made == before + 1
        told = [
            {name: value for name, value in each.headers.items() if name.startswith("access-")}
            for each in (fast, slow)
        ]
        assert told[0] == told[1]
        assert told[0]["access-control-allow-origin"] == "*"


@pytest.mark.usefixtures("in_threads")
async def test_more_requests_than_may_be_in_flight_are_refused(bundled_root: Path) -> None:
    async with started(made(bundled_root, MAX_REQUESTS=2)) as app:
        with occupied(app):
            waiting = [asyncio.create_task(ask(app, Ask(EXAM, ROW, True))) for _ in range(4)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result()[0] for task in done} == {503}
        found = await asyncio.gather(*waiting)
        assert sorted(status for status, _, _ in found) == [200, 200, 503, 503]
