"""The models that are served: the way of each, and what is said of those that are not there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from model_store import ModelStore
from model_store.backend import FORM_DIFFERS
from model_store.errors import CorruptVersion, ModelNotFound, VersionNotFound
from quart_app.config import Config
from quart_app.documents import State
from quart_app.inference import InferenceRequest, NotReady
from quart_app.serving.batcher import Closed
from quart_app.serving.registry import Registry

PATIENCE = 20.0
X = np.array([[0.0], [1.0], [2.0], [3.0]])
QUESTION = InferenceRequest({"x0": (1.0,)}, rows=1)


class Gate:
    """Where a pipeline waits while it is closed; `entered` counts how often it came by."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.count = 0

    def pass_through(self) -> None:
        self.count += 1
        self.entered.release()
        assert self.opened.wait(PATIENCE)

    async def reached(self) -> None:
        """Wait until a pipeline has come by once more."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE)


class Gated(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts one number; its unpickling and its answers wait at the gates of those names."""

    loads: ClassVar[dict[str, Gate]] = {}
    answers: ClassVar[dict[str, Gate]] = {}
    exits: ClassVar[set[str]] = set()

    def __init__(self, name: str = "") -> None:
        self.name = name

    def fit(self, matrix: Any, numbers: Any) -> Gated:
        self.number_ = float(np.mean(numbers))
        return self

    def predict(self, matrix: Any) -> Any:
        if self.name in self.answers:
            self.answers[self.name].pass_through()
        return np.full(len(matrix), self.number_)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["name"] in self.exits:
            raise SystemExit("this pipeline wants to end the program")
        if state["name"] in self.loads:
            self.loads[state["name"]].pass_through()
        self.__dict__.update(state)


def publish(store: ModelStore, name: str, number: float = 1.0, *, gate: str = "") -> int:
    """Publish a pipeline that predicts `number`; returns the version."""
    pipeline = Gated(gate).fit(X, np.full(len(X), number))
    return store.publish(name, pipeline, X, np.full(len(X), number)).version


@pytest.fixture
def own(tmp_path: Path) -> ModelStore:
    """An empty store of the test's own."""
    return ModelStore(tmp_path / "own")


@pytest.fixture
def loading() -> Iterator[Gate]:
    """The closed gate before the unpickling of what was published with it; opened at the end."""
    gate = Gate()
    Gated.loads["loading"] = gate
    yield gate
    gate.opened.set()
    del Gated.loads["loading"]


@pytest.fixture
def answering() -> Iterator[Gate]:
    """The closed gate before the answers of what was published with it; opened at the end."""
    gate = Gate()
    Gated.answers["answering"] = gate
    yield gate
    gate.opened.set()
    del Gated.answers["answering"]


MakeRegistry = Callable[..., Registry]


@pytest.fixture
async def make() -> AsyncIterator[MakeRegistry]:
    """Makes registries that are closed at the end."""
    made: list[Registry] = []

    def registry(store: ModelStore, **settings: Any) -> Registry:
        found = Registry(store, Config.read({}, **settings))
        made.append(found)
        return found

    yield registry
    for registry_ in made:
        await registry_.close()


async def loaded(registry: Registry, *names: str) -> Registry:
    """The registry as after a start with these names."""
    for name in names:
        registry.entry(name)
    registry.starting = False
    for name in names:
        await registry.load(name)
    return registry


async def answer(registry: Registry, name: str, version: str | None = None) -> tuple[int, float]:
    """The version that answered, and the number."""
    response = await (await registry.servable(name, version)).infer(QUESTION)
    return response.version, response.labels.tolist()[0]


# The way of a model ---------------------------------------------------------------------


async def test_a_model_goes_from_pending_to_ready_stage_by_stage(
    own: ModelStore, make: MakeRegistry
) -> None:
    async def watch() -> None:
        while not entry.settled:
            seen.append(entry.state)
            await asyncio.sleep(0)

    publish(own, "m")
    registry = make(own)
    entry = registry.entry("m")
    seen: list[State] = []
    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await registry.load("m")
    await watching
    order = [State.PENDING, State.VERIFYING, State.LOADING, State.WARMING]
    assert set(seen) <= set(order)
    assert seen == sorted(seen, key=order.index)
    assert (entry.state, entry.reason) == (State.READY, None)
    assert entry.manifest == own.manifest("m")


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a flipped bit": (lambda folder: flip_a_bit(folder / "pipeline.joblib"), "sha256"),
    "a cut artifact": (lambda folder: cut(folder / "pipeline.joblib"), "bytes and should have"),
    "no artifact": (lambda folder: (folder / "pipeline.joblib").unlink(), "cannot be read"),
    "a flipped bit in the sample": (lambda folder: flip_a_bit(folder / "sample.json"), "sha256"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "cannot be read"),
    "a broken manifest": (lambda folder: cut(folder / "manifest.json"), "cannot be read"),
    "a newer format": (lambda folder: edit_manifest(folder, format=3), "format 3"),
    "another's manifest": (lambda folder: edit_manifest(folder, name="n"), "manifest of n"),
    "a broken head": (
        lambda folder: (folder.parent / "head.json").write_text("{"),
        "m/head.json cannot be read",
    ),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_model_fails_with_its_reason_and_stays_failed(
    damage: Callable[[Path], Any], reason: str, own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m")
    publish(own, "other")
    damage(own.root / "m" / "1")
    registry = await loaded(make(own), "m", "other")
    for _ in range(2):
        entry = registry.entries["m"]
        assert entry.state is State.FAILED
        assert entry.reason is not None
        assert reason in entry.reason
        with pytest.raises(NotReady, match="failed to load") as caught:
            await registry.servable("m")
        assert caught.value.retry_after is None
        assert reason in str(caught.value)
    assert await answer(registry, "other") == (1, 1.0)
    assert registry.ready


async def test_nothing_of_a_damaged_model_is_unpickled(
    own: ModelStore, make: MakeRegistry, loading: Gate
) -> None:
    loading.opened.set()
    publish(own, "m", gate="loading")
    before = loading.count
    flip_a_bit(own.root / "m" / "1" / "pipeline.joblib")
    await loaded(make(own), "m")
    assert loading.count == before


async def test_a_pipeline_that_ends_the_program_when_it_is_loaded_only_fails(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m", gate="exits")
    Gated.exits.add("exits")
    try:
        registry = await loaded(make(own), "m")
    finally:
        Gated.exits.clear()
    entry = registry.entries["m"]
    assert entry.state is State.FAILED
    assert entry.words is not None
    assert entry.words.endswith("SystemExit: this pipeline wants to end the program")
    assert entry.reason == "Why is in the log."


async def test_another_minor_of_scikit_learn_fails_unless_it_is_allowed(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m")
    libraries = json.loads((own.root / "m/1/manifest.json").read_text())["libraries"]
    edit_manifest(own.root / "m/1", libraries={**libraries, "scikit_learn": "0.1.0"})
    registry = await loaded(make(own), "m")
    assert registry.entries["m"].state is State.FAILED
    assert "QUART_APP_ALLOW_VERSION" in str(registry.entries["m"].reason)
    assert not registry.ready
    registry = await loaded(make(own, ALLOW_VERSION=True), "m")
    assert registry.entries["m"].state is State.READY


# Forms and pickles ----------------------------------------------------------------------


def publish_straight(store: ModelStore, name: str) -> None:
    """Publish a line, of which there is a plain form."""
    store.publish(name, LinearRegression().fit(X, 2 * X[:, 0]), X, 2 * X[:, 0])


def shift(folder: Path) -> None:
    """Add to what the plain form of a line computes, as arithmetic of another kind might."""
    path = folder / "model.bin"
    content = np.frombuffer(path.read_bytes(), dtype=np.float64).copy()
    place = json.loads((folder / "model.json").read_text())["root"]["intercept"]["offset"]
    content[place // content.itemsize] += 0.5
    path.write_bytes(content.tobytes())
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files["model.bin"]["sha256"] = hashlib.sha256(content.tobytes()).hexdigest()
    edit_manifest(folder, files=files)


@pytest.mark.parametrize("pickles", ["fallback", "never"])
async def test_a_model_with_a_plain_form_serves_whatever_became_of_its_pickle(
    pickles: str, own: ModelStore, make: MakeRegistry
) -> None:
    publish_straight(own, "m")
    flip_a_bit(own.root / "m/1/pipeline.joblib")
    libraries = json.loads((own.root / "m/1/manifest.json").read_text())["libraries"]
    edit_manifest(own.root / "m/1", libraries={**libraries, "scikit_learn": "0.1.0"})
    registry = await loaded(make(own, PICKLES=pickles), "m")
    assert (await answer(registry, "m"))[1] == pytest.approx(2.0)


async def test_without_pickles_a_model_that_has_no_plain_form_fails_and_says_why(
    own: ModelStore, make: MakeRegistry, loading: Gate
) -> None:
    loading.opened.set()
    publish(own, "m", gate="loading")
    publish_straight(own, "other")
    before = loading.count
    registry = await loaded(make(own, PICKLES="never"), "m", "other")
    entry = registry.entries["m"]
    assert entry.state is State.FAILED
    assert (entry.reason or "").startswith(
        "m version 1 is served by its pickle alone, and none is read here "
        "(QUART_APP_PICKLES=never): there is no plain form of it, since "
    )
    assert loading.count == before
    assert (await answer(registry, "other"))[1] == pytest.approx(2.0)


async def test_a_plain_form_that_answers_otherwise_here_gives_way_to_its_pipeline(
    own: ModelStore, make: MakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    publish_straight(own, "m")
    shift(own.root / "m/1")
    registry = await loaded(make(own), "m")
    assert (await answer(registry, "m"))[1] == pytest.approx(2.0)
    manifest = registry.entries["m"].manifest
    assert manifest is not None
    assert manifest.served is not None
    assert (manifest.served.by, manifest.served.reason) == ("pipeline", FORM_DIFFERS)
    assert "The plain form of m version 1 answers golden row 0 with " in caplog.text
    assert "Its pipeline is loaded instead" in caplog.text


async def test_without_pickles_a_plain_form_that_answers_otherwise_fails(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish_straight(own, "m")
    shift(own.root / "m/1")
    entry = (await loaded(make(own, PICKLES="never"), "m")).entries["m"]
    assert entry.state is State.FAILED
    assert (entry.reason or "").startswith("The plain form of m version 1 answers golden row 0 ")


async def test_a_plain_form_that_is_damaged_fails_and_its_pipeline_does_not_hide_that(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish_straight(own, "m")
    flip_a_bit(own.root / "m/1/model.bin")
    entry = (await loaded(make(own), "m")).entries["m"]
    assert entry.state is State.FAILED
    assert entry.reason == "model.bin of m version 1 is not what was published (sha256); " + (
        "publish it again."
    )


# Whether traffic should come ------------------------------------------------------------

P, L, R, F = State.PENDING, State.LOADING, State.READY, State.FAILED
READINESS: list[tuple[list[State], bool, bool]] = [
    # states, ready with READY=any, with READY=all
    ([], False, False),
    ([R], True, True),
    ([R, R], True, True),
    ([F], False, False),
    ([F, F], False, False),
    ([R, F], True, False),
    ([R, P], False, False),
    ([R, L], False, False),
    ([R, F, L], False, False),
    ([P], False, False),
    ([R, State.TRAINING], False, False),
    ([R, State.VERIFYING], False, False),
    ([R, State.WARMING], False, False),
]


@pytest.mark.parametrize(("states", "any_", "all_"), READINESS)
async def test_ready_is_when_no_model_is_on_its_way_and_one_or_all_are_ready(
    states: list[State], any_: bool, all_: bool, own: ModelStore, make: MakeRegistry
) -> None:
    for setting, expected in (("any", any_), ("all", all_)):
        registry = make(own, READY=setting)
        for i, state in enumerate(states):
            registry.entry(f"m{i}").state = state
        assert not registry.ready  # the names are not known yet
        registry.starting = False
        assert registry.ready is expected
        registry.draining = True
        assert not registry.ready


@pytest.mark.parametrize("setting", ["any", "all"])
async def test_a_model_that_was_published_later_and_fails_takes_no_traffic_away(
    setting: str, own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m")
    registry = await loaded(make(own, READY=setting), "m")
    publish(own, "later")
    flip_a_bit(own.root / "later" / "1" / "pipeline.joblib")
    with pytest.raises(NotReady, match="failed to load"):
        await registry.servable("later")
    assert registry.ready
    with pytest.raises(NotReady, match="failed to load"):
        await registry.load_again("later")
    assert registry.ready
    assert await answer(registry, "m") == (1, 1.0)
    publish(own, "later", 2.0)
    await registry.load_again("later")
    assert await answer(registry, "later") == (2, 2.0)


# Loading again --------------------------------------------------------------------------


async def test_a_model_that_is_loaded_again_serves_what_its_name_means_now(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m", 1.0)
    registry = await loaded(make(own), "m")
    publish(own, "m", 2.0)
    await registry.load_again("m")
    assert await answer(registry, "m") == (2, 2.0)


@pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGES.values()], ids=DAMAGES)
async def test_a_load_that_fails_leaves_what_serves(
    damage: Callable[[Path], Any], own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m", 1.0)
    registry = await loaded(make(own, READY="all"), "m")
    before = await registry.servable("m")
    publish(own, "m", 2.0)
    own.promote("m", 2)
    damage(own.root / "m" / "2")
    for _ in range(2):
        with pytest.raises((NotReady, CorruptVersion, VersionNotFound)):
            await registry.load_again("m")
        assert await registry.servable("m") is before
        assert await answer(registry, "m") == (1, 1.0)
        assert registry.loaded("m") is before
        assert registry.ready


async def test_a_model_that_failed_and_fails_again_says_why_it_does_now(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m", 1.0)
    artifact = own.root / "m" / "1" / "pipeline.joblib"
    content = artifact.read_bytes()
    flip_a_bit(artifact)
    registry = await loaded(make(own), "m")
    artifact.unlink()
    with pytest.raises(NotReady, match="cannot be read"):
        await registry.load_again("m")
    assert "cannot be read" in str(registry.entries["m"].reason)
    artifact.write_bytes(content)
    await registry.load_again("m")
    assert await answer(registry, "m") == (1, 1.0)


# Asking for a model ---------------------------------------------------------------------


async def test_while_the_server_starts_an_unknown_model_is_not_ready_and_then_not_there(
    own: ModelStore, make: MakeRegistry
) -> None:
    registry = make(own)
    for version in (None, "1"):
        with pytest.raises(NotReady, match="starting") as caught:
            await registry.servable("m", version)
        assert caught.value.retry_after is not None
    registry.starting = False
    for name in ("m", "../m", "", "m/1", "x" * 1000):
        with pytest.raises(ModelNotFound):
            await registry.servable(name)


async def test_a_model_on_its_way_is_not_ready_and_its_stage_is_named(
    own: ModelStore, make: MakeRegistry, loading: Gate
) -> None:
    loading.opened.set()
    publish(own, "m", gate="loading")
    loading.opened.clear()
    await loading.reached()
    registry = make(own)
    registry.entry("m")
    registry.starting = False
    with pytest.raises(NotReady, match="not ready yet: pending"):
        await registry.servable("m")
    task = asyncio.create_task(registry.load("m"))
    await loading.reached()
    with pytest.raises(NotReady, match="not ready yet: loading") as caught:
        await registry.servable("m")
    assert caught.value.retry_after is not None
    assert registry.servables == []
    loading.opened.set()
    await task
    assert await answer(registry, "m") == (1, 1.0)


async def test_another_version_and_an_alias_are_loaded_on_their_first_request_and_once(
    own: ModelStore, make: MakeRegistry
) -> None:
    for number in (1.0, 2.0, 3.0):
        publish(own, "m", number)
    own.promote("m", 2, "champion")
    own.promote("m", 3, "next")
    registry = await loaded(make(own), "m")
    assert await answer(registry, "m") == (2, 2.0)
    assert len(registry.servables) == 1
    assert await answer(registry, "m", "1") == (1, 1.0)
    assert await answer(registry, "m", "next") == (3, 3.0)
    assert len(registry.servables) == 3
    assert await registry.servable("m", "3") is await registry.servable("m", "next")
    assert await registry.servable("m", "2") is await registry.servable("m")
    assert await registry.servable("m", "champion") is await registry.servable("m")
    assert len(registry.servables) == 3
    for version in ("4", "0", "01", "nobody", "../1", ""):
        with pytest.raises(VersionNotFound):
            await registry.servable("m", version)


async def test_a_name_serves_the_version_of_the_start_until_the_next_start(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m", 1.0)
    registry = await loaded(make(own), "m")
    publish(own, "m", 2.0)
    own.promote("m", 2)
    assert await answer(registry, "m") == (1, 1.0)
    assert await answer(registry, "m", "champion") == (2, 2.0)
    assert await answer(await loaded(make(own), "m"), "m") == (2, 2.0)


async def test_a_model_that_is_published_after_the_start_is_served_at_its_first_request(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m")
    registry = await loaded(make(own), "m")
    with pytest.raises(ModelNotFound):
        await registry.servable("later")
    publish(own, "later", 5.0)
    assert await answer(registry, "later") == (1, 5.0)
    assert await answer(registry, "later", "1") == (1, 5.0)
    assert registry.ready


async def test_concurrent_first_requests_load_once_and_one_that_goes_ends_nothing(
    own: ModelStore, make: MakeRegistry, loading: Gate
) -> None:
    loading.opened.set()
    publish(own, "m", 1.0)
    publish(own, "m", 2.0, gate="loading")
    own.promote("m", 1)
    registry = await loaded(make(own), "m")
    loading.opened.clear()
    before = loading.count
    await loading.reached()
    tasks = [asyncio.create_task(registry.servable("m", "2")) for _ in range(20)]
    await loading.reached()
    assert await answer(registry, "m") == (1, 1.0)  # which goes on meanwhile
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    loading.opened.set()
    async with asyncio.timeout(PATIENCE):
        found = await asyncio.gather(*tasks[1:])
    assert len(set(map(id, found))) == 1
    assert loading.count == before + 1


async def test_who_waits_longer_than_the_deadline_is_told_and_may_come_again(
    own: ModelStore, make: MakeRegistry, loading: Gate
) -> None:
    loading.opened.set()
    publish(own, "m", 1.0)
    publish(own, "m", 2.0, gate="loading")
    own.promote("m", 1)
    registry = await loaded(make(own, DEADLINE=0.05), "m")
    loading.opened.clear()
    await loading.reached()
    for _ in range(2):
        with pytest.raises(NotReady, match="m version 2 is loading") as caught:
            await registry.servable("m", "2")
        assert caught.value.retry_after is not None
    loading.opened.set()
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                servable = await registry.servable("m", "2")
                break
            except NotReady:
                continue
    assert servable.manifest.version == 2


async def test_another_version_that_fails_says_so_and_leaves_the_one_that_serves_alone(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish(own, "m", 1.0)
    publish(own, "m", 2.0)
    own.promote("m", 1)
    flip_a_bit(own.root / "m" / "2" / "pipeline.joblib")
    registry = await loaded(make(own), "m")
    for _ in range(2):
        with pytest.raises(NotReady, match=r"m version 2 failed to load.*sha256") as caught:
            await registry.servable("m", "2")
        assert caught.value.retry_after is None
    assert await answer(registry, "m") == (1, 1.0)
    assert registry.ready


# Ending ---------------------------------------------------------------------------------


async def test_close_tells_who_waits_and_leaves_neither_task_nor_thread(
    own: ModelStore, make: MakeRegistry, answering: Gate, loading: Gate
) -> None:
    answering.opened.set()
    loading.opened.set()
    publish(own, "m", 1.0, gate="answering")
    publish(own, "m", 2.0, gate="loading")
    own.promote("m", 1)
    registry = await loaded(make(own), "m")
    servable = await registry.servable("m")
    for gate in (answering, loading):
        gate.opened.clear()
        while gate.entered.acquire(blocking=False):
            pass
    asked = [asyncio.create_task(servable.infer(QUESTION)) for _ in range(3)]
    await answering.reached()
    other = asyncio.create_task(registry.servable("m", "2"))
    await loading.reached()
    async with asyncio.timeout(PATIENCE):
        await registry.close()
        found = await asyncio.gather(*asked, other, return_exceptions=True)
    assert [type(error) for error in found] == [Closed] * 3 + [asyncio.CancelledError]
    with pytest.raises(Closed):
        await servable.infer(QUESTION)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    answering.opened.set()
    for thread in threading.enumerate():
        if thread.name.startswith("predict"):
            await asyncio.to_thread(thread.join, PATIENCE)
            assert not thread.is_alive()
