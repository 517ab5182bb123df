"""A registry that follows its store: swaps, what they leave, and what fails."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from model_store import ModelStore
from model_store.metadata import Metadata
from quart_app.documents import State
from quart_app.inference import NotReady
from quart_app.serving import room
from quart_app.serving.cycles import holds_cycles
from quart_app.serving.follower import Follower
from quart_app.serving.registry import Registry

from .test_registry import (
    QUESTION,
    Gate,
    MakeRegistry,
    answer,
    answering,
    loaded,
    loading,
    make,
    own,
    publish,
)

__all__ = ["answering", "loading", "make", "own"]

X = np.array([[0.0], [1.0], [2.0], [3.0]])


def publish_plain(store: ModelStore, number: float, name: str = "m") -> int:
    """A version with a plain form, which answers with this number."""
    y = np.full(len(X), number)
    return store.publish(name, LinearRegression().fit(X, y), X, y).version


def publish_behind(gate: Gate, store: ModelStore, name: str, number: float, kind: str) -> int:
    """A version that waits at the gate, which is closed from now on."""
    gate.opened.set()
    version = publish(store, name, number, gate=kind)
    close(gate)
    return version


def close(gate: Gate) -> None:
    gate.opened.clear()
    while gate.entered.acquire(blocking=False):
        pass


async def following(registry: Registry) -> Follower:
    """One that has looked once."""
    follower = Follower(registry, 0.01)
    follower._stamps = dict.fromkeys(registry.entries)
    await follower.look()
    return follower


async def test_what_is_done_to_the_store_is_served_after_the_next_look(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own), "m")
    follower = await following(registry)
    assert await answer(registry, "m") == (1, 1.0)
    publish_plain(own, 2)
    assert await answer(registry, "m") == (1, 1.0)
    await follower.look()
    assert await answer(registry, "m") == (2, 2.0)
    own.promote("m", 1)
    await follower.look()
    assert await answer(registry, "m") == (1, 1.0)
    own.edit("m", 1, Metadata(title="Mine"))
    before = await registry.servable("m")
    await follower.look()
    after = await registry.servable("m")
    assert (after.manifest.title, after.manifest.revision) == ("Mine", 2)
    assert after._model.form is before._model.form, "words alone load nothing"
    publish_plain(own, 3, "late")
    assert registry.loaded("late") is None
    await follower.look()
    assert registry.loaded("late") is not None, "a later model takes the fast path"
    own.remove("late", 1)
    await follower.look()
    assert "late" not in registry.entries


async def test_requests_are_answered_by_what_they_were_given_to(
    own: ModelStore, make: MakeRegistry, answering: Gate
) -> None:
    publish_behind(answering, own, "m", 1, "answering")
    answering.opened.set()
    registry = await loaded(make(own, KEEP_FORMER="0"), "m")
    follower = await following(registry)
    close(answering)
    asking = asyncio.create_task(answer(registry, "m"))
    await answering.reached()
    publish_plain(own, 2)
    await follower.look()
    assert await answer(registry, "m") == (2, 2.0)
    draining = asyncio.create_task(registry.drain())
    await asyncio.sleep(0.05)
    assert not asking.done()
    assert not draining.done()
    answering.opened.set()
    assert await asking == (1, 1.0)
    await draining


async def test_a_load_beside_keeps_nobody_waiting_and_the_server_ready(
    own: ModelStore, make: MakeRegistry, loading: Gate
) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own), "m")
    follower = await following(registry)
    publish_behind(loading, own, "m", 2, "loading")
    publish_behind(loading, own, "new", 3, "loading")
    looking = asyncio.create_task(follower.look())
    await loading.reached()
    update = registry.entries["m"].update
    assert update is not None
    assert (update.version, update.state) == (2, "loading")
    assert registry.ready
    assert await answer(registry, "m") == (1, 1.0)
    loading.opened.set()
    await looking
    assert await answer(registry, "m") == (2, 2.0)
    assert await answer(registry, "new") == (1, 3.0)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_no_clock_decides_what_serves(
    hours: int, own: ModelStore, make: MakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own), "m")
    follower = await following(registry)

    def off() -> str:
        return (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="milliseconds")

    # A publisher whose clock is off, also by what its files say.
    with monkeypatch.context() as publisher:
        publisher.setattr("model_store.head.now", off)
        publish_plain(own, 2)
        then = time.time() + 3600 * hours
        for path in (own.root / "m").rglob("*"):
            os.utime(path, (then, then))
    await follower.look()
    assert await answer(registry, "m") == (2, 2.0)
    # Then one whose clock is right, and a server whose own is set meanwhile.
    publish_plain(own, 3)
    real = time.time
    with monkeypatch.context() as server:
        server.setattr(time, "time", lambda: real() + 3600 * hours)
        await follower.look()
        registry.expire()
        assert await answer(registry, "m") == (3, 3.0)
        assert (await registry.servable("m", "2")) is registry._former["m"].servable
        own.rollback("m")
        await follower.look()
        assert await answer(registry, "m") == (2, 2.0)
    changes = own.history("m")
    assert [each.what for each in changes] == ["publish", "publish", "publish", "rollback"]
    assert [each.generation for each in changes] == [1, 2, 3, 4]


def damage(store: ModelStore, version: int) -> None:
    path = store.root / "m" / str(version) / "sample.json"
    path.write_bytes(path.read_bytes() + b" ")


async def test_a_load_that_fails_leaves_what_serves_and_is_told(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own, READY="all"), "m")
    follower = await following(registry)
    publish_plain(own, 2)
    damage(own, 2)
    for _ in range(3):
        await follower.look()
    assert await answer(registry, "m") == (1, 1.0)
    update = registry.entries["m"].update
    assert update is not None
    assert (update.version, update.state) == (2, "failed")
    assert update.reason is not None
    assert "publish it again" in update.reason
    assert registry.ready
    assert registry.failed_updates == 1, "it is not tried again until the head changes"
    assert [change.what for change in own.history("m")] == ["publish", "publish", "failed load"]
    (own.root / "m" / "head.json").write_text("{")
    await follower.look()
    assert await answer(registry, "m") == (1, 1.0)


async def test_a_rollback_needs_no_load_as_long_as_the_former_champion_is_kept(
    own: ModelStore, make: MakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own), "m")
    first = await registry.servable("m")
    follower = await following(registry)
    publish_plain(own, 2)
    await follower.look()
    monkeypatch.setattr(own.__class__, "verify", None)
    own.rollback("m")
    await follower.look()
    assert await registry.servable("m") is first
    assert (await registry.servable("m", "2")).manifest.version == 2
    registry.release()
    with pytest.raises(NotReady):
        await registry.servable("m", "2")


async def test_what_is_kept_for_a_rollback_goes_after_its_time(
    own: ModelStore, make: MakeRegistry
) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own, KEEP_FORMER="0.05"), "m")
    follower = await following(registry)
    model = weakref.ref(await registry.servable("m"))
    publish_plain(own, 2)
    await follower.look()
    registry.expire()
    assert model() is not None
    await asyncio.sleep(0.06)
    registry.expire()
    await asyncio.sleep(0.01)
    assert model() is None, "nothing holds it, and no collection is needed"


async def test_other_versions_go_least_recently_used_first(
    own: ModelStore, make: MakeRegistry
) -> None:
    for number in range(5):
        publish_plain(own, number)
    registry = await loaded(make(own, MAX_LOADED="2"), "m")
    for version in ("1", "2", "1", "3"):
        assert (await answer(registry, "m", version))[0] == int(version)
        await asyncio.sleep(0.01)
    assert [version for _, version in registry.others] == [1, 3]
    assert await answer(registry, "m", "2") == (2, 1.0)
    assert [version for _, version in registry.others] == [3, 2]


@pytest.mark.process
async def test_five_hundred_swaps_and_loads_leave_no_model_behind(
    own: ModelStore, make: MakeRegistry
) -> None:
    for number in range(3):
        publish_plain(own, number)
    registry = await loaded(make(own, MAX_LOADED="1", KEEP_FORMER="0"), "m")
    follower = await following(registry)
    models: list[Any] = []
    gc.disable()
    try:
        for round_ in range(250):
            own.promote("m", 1 + round_ % 2)
            await follower.look()
            models.append(weakref.ref(await registry.servable("m")))
            models.append(weakref.ref(await registry.servable("m", str(2 + round_ % 2))))
        await asyncio.sleep(0.05)
        assert registry.swaps == 250
        assert sum(model() is not None for model in models[:-4]) == 0
    finally:
        gc.enable()


async def test_with_swap_after_the_old_version_goes_first_where_there_is_no_room(
    own: ModelStore, make: MakeRegistry, monkeypatch: pytest.MonkeyPatch, loading: Gate
) -> None:
    publish_plain(own, 1)
    beside, after = await loaded(make(own), "m"), await loaded(make(own, SWAP="after"), "m")
    publish_behind(loading, own, "m", 2, "loading")
    monkeypatch.setattr(room, "memory_here", lambda: 1)
    await beside.follow("m")
    update = beside.entries["m"].update
    assert update is not None
    assert "There is not the memory to load version 2" in (update.reason or "")
    assert await answer(beside, "m") == (1, 1.0)
    going = asyncio.create_task(after.follow("m"))
    await loading.reached()
    with pytest.raises(NotReady, match="not ready yet: loading"):
        await after.servable("m")
    assert after.ready
    loading.opened.set()
    await going
    assert await answer(after, "m") == (2, 2.0)
    publish_plain(own, 3)
    damage(own, 3)
    await after.follow("m")
    assert await answer(after, "m") == (2, 2.0)


async def test_looking_at_a_hundred_idle_models_costs_next_to_nothing(
    own: ModelStore, make: MakeRegistry, tmp_path: Path
) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own), "m")
    follower = await following(registry)
    names = [f"m{i}" for i in range(100)]
    for name in names:
        (own.root / name).mkdir()
        (own.root / name / "head.json").write_bytes((own.root / "m/head.json").read_bytes())
    follower._stamps |= {name: own.stamp(name) for name in names}
    begun = time.process_time()
    for _ in range(10):
        await follower.look()
    share = (time.process_time() - begun) / 10 / 2
    assert registry.entries.keys() == {"m"}
    assert share < 0.01, "of a core, with a look every two seconds"


async def test_a_model_that_was_unloaded_stays_so(own: ModelStore, make: MakeRegistry) -> None:
    publish_plain(own, 1)
    registry = await loaded(make(own), "m")
    follower = await following(registry)
    await registry.unload("m")
    publish_plain(own, 2)
    await follower.look()
    assert registry.entries["m"].state is State.UNLOADED
    await registry.load_again("m")
    assert (await (await registry.servable("m")).infer(QUESTION)).version == 2


def test_circles_are_found_wherever_they_are() -> None:
    class Thing:
        pass

    one, other = Thing(), Thing()
    one.parts = [other, {"x": other}]  # type: ignore[attr-defined]
    assert not holds_cycles(one)
    other.back = (one,)  # type: ignore[attr-defined]
    assert holds_cycles(one)
    assert holds_cycles(other)
    assert not holds_cycles(LinearRegression().fit(X, X[:, 0]))
