"""From the first moment to the last: what a start does, what it says meanwhile, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import importlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client
from sklearn.linear_model import LinearRegression

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.config import Config
from quart_app.context import context_of
from quart_app.documents import State
from quart_app.serving.batcher import Closed
from quart_app.serving.registry import Registry
from quart_app.startup import running

from ..conftest import Server, started
from .serving.test_registry import (
    PATIENCE,
    QUESTION,
    Gate,
    answer,
    answering,
    flip_a_bit,
    loading,
    own,
    publish,
)

pytestmark = pytest.mark.process

__all__ = ["answering", "loading", "own"]  # fixtures

ROOT = Path(__file__).parent.parent.parent
HTML = {"Accept": "text/html"}


def registry_of(app: Quart) -> Registry:
    return context_of(app).registry


def states(app: Quart) -> dict[str, str]:
    return {name: str(entry.state) for name, entry in registry_of(app).entries.items()}


async def get(client: Client, path: str, **headers: str) -> tuple[int, Any]:
    response = await client.get(path, headers=headers)
    return response.status_code, json.loads(await response.get_data())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a state has no event
            await asyncio.sleep(0.001)


def children() -> set[int]:
    """The processes that this one has started, dead or alive."""
    stats = (path.read_text() for path in Path("/proc").glob("[0-9]*/stat"))
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = [(int(stat.split()[0]), stat.rpartition(")")[2].split()) for stat in stats]
        return {pid for pid, (_, parent, *_) in fields if int(parent) == os.getpid()}
    return children()  # one ended while they were read


@pytest.fixture
def has_children() -> Callable[[], bool]:
    """Whether the test has started a process that is not gone; other tests may have left some."""
    before = children()
    return lambda: bool(children() - before)


# While models are loading ---------------------------------------------------------------


async def test_while_a_model_loads_live_is_200_and_ready_503_with_the_stage_of_each(
    own: ModelStore, loading: Gate
) -> None:
    loading.opened.set()
    publish(own, "a", gate="loading")
    publish(own, "b", 2.0)
    loading.opened.clear()
    await loading.reached()
    app = create_app(MODEL_STORE=own.root)
    async with app.test_app() as test_app:
        client = test_app.test_client()
        await loading.reached()
        assert await get(client, "/health/live") == (200, {"live": True})
        models = {"a": {"state": "loading"}, "b": {"state": "pending"}}
        expected = {"ready": False, "status": "starting", "models": models}
        assert await get(client, "/health/ready") == (503, expected)
        for name, stage in (("a", "loading"), ("b", "pending")):
            status, content = await get(client, f"/models/{name}/predict?x0=1")
            assert (status, content) == (
                503,
                {"error": f"The model {name} is not ready yet: {stage}."},
            )
            page = await client.get(f"/models/{name}", headers=HTML)
            assert page.status_code == 503
            assert stage.encode() in await page.get_data()
        assert (await get(client, "/models/nobody/predict?x0=1"))[0] == 404
        loading.opened.set()
        await registry_of(app).started.wait()
        models = {"a": {"state": "ready"}, "b": {"state": "ready"}}
        expected = {"ready": True, "status": "serving", "models": models}
        assert await get(client, "/health/ready") == (200, expected)
        assert (await get(client, "/models/b/predict?x0=1"))[1]["prediction"] == 2.0


async def test_before_the_names_are_known_the_server_is_starting(own: ModelStore) -> None:
    publish(own, "m")
    app = create_app(MODEL_STORE=own.root)  # outside its lifespan, nothing has begun
    client = app.test_client()
    expected = {"ready": False, "status": "starting", "models": {}}
    assert await get(client, "/health/ready") == (503, expected)
    assert (await get(client, "/health/live"))[0] == 200
    status, content = await get(client, "/models/m/predict?x0=1")
    assert (status, content) == (503, {"error": "The server is starting."})


@pytest.mark.parametrize(("ready", "status"), [("any", 200), ("all", 503)])
async def test_a_failed_model_stays_visible_with_its_reason(
    ready: str, status: int, own: ModelStore
) -> None:
    publish(own, "bad")
    publish(own, "good")
    flip_a_bit(own.root / "bad" / "1" / "pipeline.joblib")
    async with started(create_app(MODEL_STORE=own.root, READY=ready)) as app:
        client = app.test_client()
        for _ in range(2):
            found, content = await get(client, "/health/ready")
            assert found == status
            assert content["ready"] is (status == 200)
            assert content["status"] == "serving"
            assert content["models"]["good"] == {"state": "ready"}
            assert content["models"]["bad"]["state"] == "failed"
            assert "sha256" in content["models"]["bad"]["reason"]
        refused = await client.get("/models/bad/predict?x0=1")
        assert refused.status_code == 503
        assert "Retry-After" not in refused.headers
        assert (await client.get("/models/good/predict?x0=1")).status_code == 200
        page = await (await client.get("/", headers=HTML)).get_data()
        assert b"bad" in page
        assert b"failed" in page


async def test_a_model_whose_head_is_broken_is_shown_as_failed_beside_the_others(
    own: ModelStore,
) -> None:
    publish(own, "bad")
    publish(own, "good")
    (own.root / "bad" / "head.json").write_text("{")
    async with started(create_app(MODEL_STORE=own.root)) as app:
        client = app.test_client()
        status, content = await get(client, "/models")
        assert status == 200
        assert [model["state"] for model in content["models"]] == ["failed", "ready"]
        assert "bad/head.json cannot be read" in content["models"][0]["reason"]
        assert (await get(client, "/models/bad"))[1] == content["models"][0]
        page = await client.get("/", headers=HTML)
        assert page.status_code == 200
        assert b"bad/head.json cannot be read" in await page.get_data()


async def test_a_store_that_cannot_be_read_is_logged_at_once_and_never_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    async with started(create_app(MODEL_STORE=loop)) as app:
        assert "start-up failed" in caplog.text
        assert "Too many levels of symbolic links" in caplog.text
        assert await get(app.test_client(), "/health/ready") == (
            503,
            {"ready": False, "status": "serving", "models": {}},
        )
        assert (await get(app.test_client(), "/health/live"))[0] == 200


# Which models are trained ---------------------------------------------------------------


async def test_an_empty_store_wants_every_recipe_unless_told_otherwise(
    own: ModelStore, has_children: Callable[[], bool]
) -> None:
    app = create_app(MODEL_STORE=own.root)
    async with app.test_app():
        await until(lambda: "training" in states(app).values())
        assert states(app).keys() == RECIPES.keys()
        assert set(states(app).values()) == {"training", "pending"}
    assert not has_children()


@pytest.mark.parametrize("recipes", ["", ","])
async def test_no_recipes_means_that_nothing_is_trained(
    recipes: str, own: ModelStore, has_children: Callable[[], bool]
) -> None:
    app = create_app(MODEL_STORE=own.root, RECIPES=recipes)
    async with started(app) as running_app:
        assert states(app) == {}
        assert not has_children()
        expected = {"ready": False, "status": "serving", "models": {}}
        assert await get(running_app.test_client(), "/health/ready") == (503, expected)
    assert not own.root.exists()


def publish_forged(store: ModelStore) -> None:
    """Put two models into the store; the first has nodes with a field that none has."""
    X = np.arange(20.0)[:, np.newaxis]
    for name in ("forged", "good"):
        store.publish(name, LinearRegression().fit(X, X[:, 0]), X, X[:, 0])
    folder = store.root / "forged" / "1"
    steps = [{"kind": "chain", "steps": [], "forged": place} for place in range(9)]
    root = {"kind": "pipeline", "steps": steps, "last": {}}
    header = json.dumps({"format": 1, "columns": 1, "root": root})
    (folder / "model.json").write_text(header)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    digest = hashlib.sha256(header.encode()).hexdigest()
    manifest["files"]["model.json"] = {"size": len(header), "sha256": digest}
    (folder / "manifest.json").write_text(json.dumps(manifest))


async def test_nothing_stays_in_memory_of_a_form_that_failed(own: ModelStore) -> None:
    publish_forged(own)
    app = create_app(MODEL_STORE=own.root, RECIPES="")
    gc.disable()  # as good as it is until a server has started
    try:
        async with started(app):
            assert states(app) == {"forged": "failed", "good": "ready"}
            gc.unfreeze()
            held = [each for each in gc.get_objects() if type(each) is dict and "forged" in each]
            assert not [each for each in held if each["forged"] in range(9)]
    finally:
        gc.enable()


async def test_what_is_loaded_is_no_work_for_the_collector_while_it_is_served(
    bundled_root: Path,
) -> None:
    async with started(create_app(MODEL_STORE=bundled_root, RECIPES="")):
        assert len(gc.get_objects()) < gc.get_freeze_count()
    assert gc.get_freeze_count() == 0


async def test_garbage_is_collected_seldom_until_all_apps_have_started(bundled_root: Path) -> None:
    before = gc.get_threshold()
    apps = [create_app(MODEL_STORE=bundled_root, RECIPES="") for _ in range(2)]
    async with apps[0].test_app(), apps[1].test_app():
        await asyncio.sleep(0)
        registries = [context_of(app).registry for app in apps]
        assert all(registry.waiting for registry in registries)
        assert gc.get_threshold()[0] > 10 * before[0]
        for registry in registries:
            await registry.started.wait()
        assert gc.get_threshold() == before


@pytest.mark.parametrize("recipes", [None, "", "exam", "iris,exam"])
async def test_what_is_published_is_not_trained_again(
    recipes: str | None, store: ModelStore
) -> None:
    app = create_app(MODEL_STORE=store.root, RECIPES=recipes)
    async with started(app):
        assert states(app) == dict.fromkeys(sorted(RECIPES), "ready")
    assert [store.versions(name) for name in RECIPES] == [[1]] * len(RECIPES)


async def test_a_missing_recipe_is_trained_in_a_child_process_and_becomes_ready(
    own: ModelStore, has_children: Callable[[], bool]
) -> None:
    publish(own, "m")
    app = create_app(MODEL_STORE=own.root, RECIPES="exam")
    async with app.test_app() as test_app:
        await until(lambda: states(app).get("exam") == "training")
        await until(has_children)
        client = test_app.test_client()
        status, content = await get(client, "/health/ready")
        assert (status, content["models"]["exam"]) == (503, {"state": "training"})
        assert (await get(client, "/models/m/predict?x0=1"))[0] == 200
        assert own.models() == ["m"]
        await registry_of(app).started.wait()
        assert states(app) == {"exam": "ready", "m": "ready"}
        status, content = await get(client, "/models/exam/predict?X1=90&X2=90")
        assert (status, content["prediction"], content["version"]) == (200, 1, 1)
    assert own.models() == ["exam", "m"]
    assert not has_children()


async def test_a_first_training_that_was_interrupted_goes_on_at_the_next_start(
    own: ModelStore,
) -> None:
    app = create_app(MODEL_STORE=own.root)
    async with app.test_app():
        await until(lambda: states(app).get("iris") == "ready")
    assert own.models() == ["iris"]
    app = create_app(MODEL_STORE=own.root)
    async with started(app):
        assert states(app) == dict.fromkeys(sorted(RECIPES), "ready")
    assert [own.versions(name) for name in RECIPES] == [[1]] * len(RECIPES)
    own.remove("exam", 1)
    app = create_app(MODEL_STORE=own.root)
    async with started(app):
        assert states(app) == dict.fromkeys(sorted(RECIPES.keys() - {"exam"}), "ready")


async def test_a_training_that_fails_gives_the_model_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    app = create_app(MODEL_STORE=file / "models", RECIPES="exam")
    async with started(app):
        entry = registry_of(app).entries["exam"]
        assert entry.state is State.FAILED
        assert "cannot be written: Not a directory" in str(entry.words)


async def test_a_start_that_is_cancelled_kills_the_child_that_trains(
    own: ModelStore, has_children: Callable[[], bool]
) -> None:
    app = create_app(MODEL_STORE=own.root, RECIPES="exam")
    async with app.test_app():
        await until(has_children)
        assert states(app) == {"exam": "training"}
    assert not has_children()
    assert own.models() == []
    assert registry_of(app).started.is_set()


# The end --------------------------------------------------------------------------------


async def test_a_shutdown_while_a_model_loads_does_not_wait_for_it(
    own: ModelStore, loading: Gate
) -> None:
    loading.opened.set()
    publish(own, "m", gate="loading")
    loading.opened.clear()
    await loading.reached()
    app = create_app(MODEL_STORE=own.root)
    async with asyncio.timeout(PATIENCE / 2):
        async with app.test_app():
            await loading.reached()
        assert states(app) == {"m": "loading"}
        assert registry_of(app).started.is_set()
    assert not loading.opened.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_on_the_way_out_what_was_asked_is_answered(own: ModelStore, answering: Gate) -> None:
    answering.opened.set()
    publish(own, "m", 3.0, gate="answering")
    config = Config(model_store=own.root)
    registry = Registry(own, config)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(running(registry, config))
        await registry.started.wait()
        while answering.entered.acquire(blocking=False):
            pass
        answering.opened.clear()
        asked = [asyncio.create_task(answer(registry, "m")) for _ in range(3)]
        await answering.reached()
        ending = asyncio.create_task(stack.aclose())
        await asyncio.sleep(0)
        assert not ending.done()
        answering.opened.set()
        assert await asyncio.gather(*asked) == [(1, 3.0)] * 3
        await ending
    with pytest.raises(Closed):
        await registry.servables[0].infer(QUESTION)


async def test_on_the_way_out_an_answer_that_does_not_come_is_not_waited_for(
    own: ModelStore, answering: Gate
) -> None:
    answering.opened.set()
    publish(own, "m", gate="answering")
    config = Config(model_store=own.root)
    registry = Registry(own, config)
    async with asyncio.timeout(PATIENCE / 2):
        async with running(registry, config):
            await registry.started.wait()
            answering.opened.clear()
            asked = asyncio.create_task(answer(registry, "m"))
            await asyncio.sleep(0)
        with pytest.raises(Closed):
            await asked
    assert not answering.opened.is_set()


SLOW_PIPELINE = """
import os, time
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

class Slow(RegressorMixin, BaseEstimator):
    def __init__(self, gate=""):
        self.gate = gate

    def fit(self, X, y):
        self.number_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.number_)

    def __setstate__(self, state):
        while os.path.exists(state["gate"]):
            time.sleep(0.01)
        self.__dict__.update(state)
"""


def status_and_json(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_process_that_is_told_to_end_while_a_model_loads_ends_at_once_with_0(
    own: ModelStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[..., AbstractContextManager[Server]],
) -> None:
    (tmp_path / "slow_pipeline.py").write_text(SLOW_PIPELINE)
    monkeypatch.syspath_prepend(tmp_path)
    slow_pipeline = importlib.import_module("slow_pipeline")

    gate = tmp_path / "gate"
    X = np.array([[0.0], [1.0]])
    pipeline = slow_pipeline.Slow(str(gate)).fit(X, X[:, 0])
    own.publish("slow", pipeline, X, X[:, 0], code=tmp_path / "slow_pipeline.py")
    gate.touch()
    with serve("--store", str(own.root), cwd=tmp_path, PYTHONPATH=str(ROOT)) as server:
        content: dict[str, Any] = {}
        while content.get("models") != {"slow": {"state": "loading"}}:
            assert server.process.poll() is None
            status, content = status_and_json(f"{server.url}/health/ready")
            assert (status, content["ready"]) == (503, False)
        assert status_and_json(f"{server.url}/health/live") == (200, {"live": True})
        assert server.stop(timeout=PATIENCE / 2) == 0
    assert gate.exists()
    sys.modules.pop("slow_pipeline")
