"""Challengers: which requests they get, how they are compared, and what their gates do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from quart.typing import TestAppProtocol as RunningApp
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore
from model_store.head import Gates
from quart_app import create_app
from quart_app.context import context_of
from quart_app.serving.comparison import Comparison, Distribution
from quart_app.serving.registry import Registry

from ...conftest import started

X = np.array([[0.5, 9.0], [1.0, 8.5], [1.5, 9.5], [8.0, 1.0], [8.5, 0.5], [9.5, 1.5]])
Y = np.array(["low", "low", "low", "high", "high", "high"])
ROW = {"x0": 1.0, "x1": 8.5}
PATIENCE = 20.0


class Moody(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts one number, in the mood of the moment: it raises, or takes its time."""

    moods: ClassVar[dict[str, Callable[[], object]]] = {}

    def __init__(self, name: str = "") -> None:
        self.name = name

    def fit(self, matrix: Any, numbers: Any) -> Moody:
        self.number_ = float(np.mean(numbers))
        return self

    def predict(self, matrix: Any) -> Any:
        self.moods.get(self.name, lambda: None)()
        return np.full(len(matrix), self.number_)


def publish(store: ModelStore, *, flip: bool = False) -> int:
    labels = Y[::-1] if flip else Y
    return store.publish("m", LogisticRegression().fit(X, labels), X, labels).version


def publish_moody(store: ModelStore, name: str, number: float = 1.0) -> int:
    numbers = np.full(len(X), number)
    return store.publish("m", Moody(name).fit(X, numbers), X, numbers).version


@pytest.fixture
def own(tmp_path: Any) -> ModelStore:
    """A store of the test's own."""
    return ModelStore(tmp_path / "models")


@pytest.fixture
def mood() -> Any:
    """Sets the mood of what was published with a name, until the end of the test."""
    yield Moody.moods.__setitem__
    Moody.moods.clear()


@pytest.fixture
async def app(own: ModelStore) -> AsyncIterator[Callable[..., Any]]:
    """Starts an app with this store that only looks at it when it is told to."""
    running = []

    async def start(**settings: Any) -> RunningApp:
        made = started(
            create_app(MODEL_STORE=own.root, RECIPES="", FOLLOW="0", KEYS_FOR="none", **settings)
        )
        running.append(made)
        return await made.__aenter__()

    yield start
    for each in running:
        await each.__aexit__(None, None, None)


def registry_of(app: Any) -> Registry:
    return context_of(app.app).registry


async def ask(app: RunningApp, key: str | None = None, **options: Any) -> dict[str, Any]:
    headers = {} if key is None else {"X-Route-Key": key}
    path = options.get("path", "/models/m/predict")
    response = await app.test_client().post(path, json=options.get("body", ROW), headers=headers)
    found: dict[str, Any] = await response.get_json()
    if response.status_code == 200 and "version" in found:
        assert response.headers["X-Model-Version"] == str(found["version"])
    return {**found, "status": response.status_code, "by": response.headers["X-Model-Version"]}


async def standing(app: RunningApp) -> dict[str, Any]:
    response = await app.test_client().get("/models/m/challenger")
    found: dict[str, Any] = await response.get_json()
    return found | {"status": response.status_code}


async def change(app: RunningApp, what: str, **given: Any) -> dict[str, Any]:
    response = await app.test_client().post(f"/models/m/{what}", json=given)
    found: dict[str, Any] = await response.get_json()
    return found | {"status": response.status_code}


async def until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def compared(app: RunningApp, requests: int) -> dict[str, Any]:
    """How the challenger does, once so many requests were compared."""
    await until(lambda: registry_of(app).challenges["m"].comparison.requests >= requests)
    return await standing(app)


async def test_a_canary_answers_its_share_and_each_client_stays_with_one_version(
    own: ModelStore, app: Callable[..., Any]
) -> None:
    publish(own)
    own.promote("m", publish(own))
    running = await app()
    assert "variant" not in await ask(running)
    life = await change(running, "canary", version=1, share="30%")
    assert (life["status"], life["version"], life["challenger"]["version"]) == (200, 2, 1)
    first = {key: await ask(running, key) for key in map(str, range(100))}
    again = {key: await ask(running, key) for key in first}
    by = {key: answer["variant"] for key, answer in first.items()}
    assert by == {key: answer["variant"] for key, answer in again.items()}
    assert 15 <= sum(variant == "canary" for variant in by.values()) <= 45
    versions = {"champion": 2, "canary": 1}
    assert all(answer["version"] == versions[answer["variant"]] for answer in first.values())
    await change(running, "canary", version=1, share=0.6)
    more = {key: (await ask(running, key))["variant"] for key in first}
    assert all(more[key] == "canary" for key in by if by[key] == "canary"), "they stay"
    key = next(key for key in by if by[key] == "canary")
    v2 = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 8.5]}]}
    for path, body in (
        ("/v1/models/m:predict", {"instances": [[1.0, 8.5]]}),
        ("/v2/models/m/infer", v2),
        ("/invocations", {"dataframe_records": [ROW]}),
    ):
        assert (await ask(running, key, path=path, body=body))["by"] == "1", path
    before = (await standing(running))["challenger"]["requests"]
    numbered = await ask(running, key, path="/models/m/versions/2/predict")
    assert (numbered["version"], numbered.get("variant")) == (2, None)
    assert (await standing(running))["challenger"]["requests"] == before
    await change(running, "stop")
    assert (await ask(running, key))["version"] == 2
    assert (await standing(running))["status"] == 404


async def test_a_canary_goes_on_over_a_restart(own: ModelStore, app: Callable[..., Any]) -> None:
    publish(own)
    own.promote("m", publish(own))
    own.challenge("m", 1, "canary", share=1)
    running = await app()
    await until(lambda: "m" in registry_of(running).challenges)
    assert (await ask(running))["variant"] == "canary"


async def test_a_shadow_is_compared_over_the_same_rows_and_answers_nobody(
    own: ModelStore, app: Callable[..., Any]
) -> None:
    publish(own)
    publish(own, flip=True)
    own.promote("m", 1)
    running = await app()
    await change(running, "shadow", version=2, share=0.5)
    for _ in range(20):
        assert (await ask(running))["variant"] == "champion"
    assert (await ask(running, body={"x0": "many"}))["status"] == 400
    found = await compared(running, 10)
    assert found["champion"]["requests"] == found["challenger"]["requests"] == 10
    assert found["challenger"]["errors"] == 0
    assert found["compared"]["different_share"] == 1
    assert found["compared"]["probabilities"]["mean"] > 0.5
    assert found["champion"]["p50_ms"] > 0
    assert found["challenger"]["p99_ms"] > 0


async def test_a_shadow_that_raises_is_stopped_by_its_gate_and_costs_nobody_an_answer(
    own: ModelStore, app: Callable[..., Any], mood: Callable[..., None]
) -> None:
    publish_moody(own, "good")
    publish_moody(own, "bad")
    own.promote("m", 1)
    running = await app()
    await change(running, "shadow", version=2, max_errors="1%", after=10)

    def fail() -> None:
        raise ValueError("a bad day")

    mood("bad", fail)
    begun = time.monotonic()
    for _ in range(10):
        assert (await ask(running))["prediction"] == 1.0
    await until(lambda: own.head("m").challenger is None)
    assert time.monotonic() - begun < 1.5
    last = own.history("m")[-1]
    assert (last.what, last.who) == ("gate", "gate")
    assert last.why == "100 % of its requests failed, above 1 %."


async def test_a_challenger_that_hangs_holds_up_nobody_but_itself(
    own: ModelStore, app: Callable[..., Any], mood: Callable[..., None]
) -> None:
    publish_moody(own, "good")
    publish_moody(own, "bad")
    own.promote("m", 1)
    running = await app(DEADLINE="1", THREADS="1")
    let_go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        asyncio.run_coroutine_threadsafe(let_go.wait(), loop).result(PATIENCE)

    try:
        await change(running, "shadow", version=2, max_errors="1%", after=30)
        mood("bad", hang)
        end = time.monotonic() + PATIENCE
        while own.head("m").challenger is not None:
            assert (await ask(running))["prediction"] == 1.0
            assert time.monotonic() < end
        mood("bad", lambda: None)
        await change(running, "canary", version=2, share=1)
        mood("bad", hang)
        assert (await ask(running))["status"] == 504
        assert (await ask(running))["variant"] == "champion", "all its threads hang"
    finally:
        let_go.set()


async def test_a_slow_challenger_is_stopped_and_a_good_one_promoted(
    own: ModelStore, app: Callable[..., Any], mood: Callable[..., None]
) -> None:
    publish_moody(own, "good")
    publish_moody(own, "slow")
    own.promote("m", 1)
    running = await app()
    mood("good", lambda: time.sleep(0.001))
    mood("slow", lambda: time.sleep(0.1))  # by far, since the machine may be busy
    await change(running, "shadow", version=2, max_slower="3x", after=20)
    for _ in range(21):
        await ask(running)
    await until(lambda: own.head("m").challenger is None)
    assert "times the champion's, above 3 times" in (own.history("m")[-1].why or "")
    mood("slow", lambda: None)
    await change(running, "canary", version=2, share=1, max_slower="3x", after=5, promote_after=20)
    for _ in range(20):
        assert (await ask(running))["variant"] == "canary"
    await until(lambda: own.resolve("m") == 2)
    assert own.history("m")[-1].why == "All gates held for 20 requests."
    await until(lambda: "m" not in registry_of(running).challenges)
    assert (await ask(running))["version"] == 2


async def test_rows_that_only_the_canary_refuses_are_its_error(
    own: ModelStore, app: Callable[..., Any]
) -> None:
    publish(own)
    wide = np.column_stack([X, X[:, :1]])
    version = own.publish("m", LogisticRegression().fit(wide, Y), wide, Y).version
    own.promote("m", 1)
    running = await app()
    await change(running, "canary", version=version, share=1)
    assert (await ask(running))["status"] == 400
    assert (await ask(running, body={"x0": "many"}))["status"] == 400
    errors = registry_of(running).challenges["m"].comparison.challenger
    await until(lambda: errors.errors == 1)
    await asyncio.sleep(0.1)
    assert (errors.requests, errors.errors) == (1, 1), "what neither takes is the sender's fault"


async def test_a_challenger_that_does_not_load_is_told(
    own: ModelStore, app: Callable[..., Any]
) -> None:
    publish(own)
    publish(own)
    own.promote("m", 1)
    sample = own.root / "m/2/sample.json"
    sample.write_bytes(sample.read_bytes() + b" ")
    running = await app()
    await change(running, "canary", version=2, share=1)
    assert (await ask(running))["version"] == 1
    found = await standing(running)
    assert (found["state"], found["version"]) == ("failed", 2)
    assert "publish it again" in found["reason"]
    assert own.history("m")[-1].what == "failed load"


async def test_two_servers_of_one_store_have_the_same_routes(
    own: ModelStore, app: Callable[..., Any]
) -> None:
    publish(own)
    publish(own, flip=True)
    own.promote("m", 1)
    one, other = await app(), await app()
    await change(one, "canary", version=2, share=0.5)
    await registry_of(other).follow("m")
    for key in map(str, range(40)):
        assert (await ask(one, key))["by"] == (await ask(other, key))["by"]
    await change(one, "canary", version=2, share=1, max_different=0, after=5)
    await registry_of(other).follow("m")
    for _ in range(5):
        await ask(one)
        await ask(other)
    await until(lambda: own.head("m").challenger is None)
    await registry_of(other).follow("m")
    assert "m" not in registry_of(other).challenges
    assert [change.what for change in own.history("m")].count("gate") == 1


REFUSED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no version": ("promote", {}, 400, "version: expected a number or an alias, got None"),
    "a word": ("canary", {"version": 1, "share": "much"}, 400, "share: expected a share from 0"),
    "a gate": ("shadow", {"version": 1, "max_slower": 0}, 400, "max_slower: expected how many"),
    "a stranger": ("stop", {"now": True}, 400, "Expected why, got 'now'"),
    "not there": ("promote", {"version": 9}, 404, "m has no version 9; there is 1, 2"),
    "the champion": ("canary", {"version": 2}, 409, "m version 2 serves already"),
    "nothing to stop": ("stop", {}, 409, "No version of m is tried"),
    "a list": ("rollback", {"why": []}, 400, "why: expected a text"),
}


async def test_what_cannot_be_done_is_refused_in_words(
    own: ModelStore, app: Callable[..., Any]
) -> None:
    publish(own)
    publish(own)
    running = await app()
    for what, given, status, message in REFUSED.values():
        found = await change(running, what, **given)
        assert found["status"] == status, found
        assert message in found["error"]
    assert own.head("m").generation == 2


async def test_changes_need_a_key_and_the_history_has_its_name(own: ModelStore) -> None:
    publish(own)
    publish(own)
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # secret
    async with started(
        create_app(MODEL_STORE=own.root, RECIPES="", FOLLOW="0", API_KEYS=f"ann:{digest}")
    ) as running:
        client = running.test_client()
        for what in ("promote", "rollback", "canary", "shadow", "stop"):
            assert (await client.post(f"/models/m/{what}", json={})).status_code == 401
        answer = await client.post(
            "/models/m/promote",
            json={"version": 1, "why": "it is better"},
            headers={"X-API-Key": "secret"},
        )
        assert answer.status_code == 200
        assert (await answer.get_json())["version"] == 1
        history = await (await client.get("/models/m/history")).get_json()
    assert (history[-1]["who"], history[-1]["why"]) == ("ann", "it is better")


async def test_the_page_does_what_the_api_does(own: ModelStore, app: Callable[..., Any]) -> None:
    publish(own)
    publish(own, flip=True)
    own.promote("m", 1)
    running = await app()
    client = running.test_client()
    html = {"Accept": "text/html"}
    begun = await client.post(
        "/models/m/shadow", form={"version": "2", "share": "100%", "why": "<b>"}, headers=html
    )
    assert (begun.status_code, begun.headers["Location"]) == (303, "/models/m/versions")
    for _ in range(3):
        await ask(running)
    await compared(running, 3)
    page = await (await client.get("/models/m/versions", headers=html)).get_data(as_text=True)
    assert "Version 2 as a shadow" in page
    assert "Of 3 rows that both were asked, 3 were answered differently" in page
    assert "&lt;b&gt;" in page
    assert page.count("<svg") == 3
    assert "Promote 2" in page
    await client.post("/models/m/promote", form={"version": "2"}, headers=html)
    page = await (await client.get("/models/m/versions", headers=html)).get_data(as_text=True)
    assert "as a shadow" not in page
    assert "Promote 1" in page


def test_quantiles_are_right_within_a_twentieth() -> None:
    draw = np.random.default_rng(1)
    values = np.concatenate([draw.lognormal(3, 2, 5_000), np.zeros(100)])
    found = Distribution()
    found.add_all(values)
    for share in (0.5, 0.95, 0.99):
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.06)
    assert found.quantile(0.01) == 0
    assert Distribution().quantile(0.5) is None


def test_no_gate_counts_before_its_time() -> None:
    comparison, gates = Comparison(), Gates(max_errors=0.1, after=10, promote_after=20)
    for _ in range(9):
        comparison.challenger.fail()
    assert comparison.broken(gates) is None
    comparison.challenger.fail()
    assert comparison.broken(gates) == "100 % of its requests failed, above 10 %."
    good = Comparison()
    for _ in range(20):
        assert not good.is_proven(gates)
        good.challenger.answer(1000)
    assert good.is_proven(gates)
    assert not good.is_proven(Gates(max_different=0.1, promote_after=1, after=1))
