"""Calls of predict in the event loop: which are made there, and what stops that."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store import Model, ModelStore
from quart_app.serving import batcher as batcher_module
from quart_app.serving import short_calls
from quart_app.serving.batcher import MOST_TURNS, Batch, Batcher, QueueFull
from quart_app.serving.short_calls import ShortCalls, most_rows

Array = NDArray[np.float64]
MOST = 4


class Predict:
    """Doubles each value, and keeps in which thread it was asked for how many rows. It fails on a
    negative one, and takes the seconds of the first value where that is below 1."""

    def __init__(self) -> None:
        self.calls: list[tuple[bool, int]] = []

    def __call__(self, rows: Array) -> Array:
        in_loop = threading.current_thread() is threading.main_thread()
        self.calls.append((in_loop, len(rows)))
        if (rows < 0).any():
            raise ValueError(f"negative: {rows[rows < 0].tolist()}")
        if rows[0, 0] < 1:
            time.sleep(rows[0, 0])
        return rows * 2


def rows(*values: float) -> Array:
    return np.array([[value] for value in values])


def keep_busy() -> None:
    """Give the loop something to do in this turn."""
    time.sleep(2 * batcher_module.IDLE_NS / 1e9)


@pytest.fixture
def predict() -> Predict:
    return Predict()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@asynccontextmanager
async def batching(
    predict: Predict, executor: ThreadPoolExecutor, **options: Any
) -> AsyncIterator[Batcher[Array]]:
    batcher = Batcher(predict, executor, short=ShortCalls(predict, MOST), **options)
    yield batcher
    await batcher.close()


async def test_few_rows_are_predicted_in_the_loop_and_more_in_a_thread(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    seen: list[Batch] = []
    async with batching(predict, executor, observe=seen.append) as batcher:
        for count in (1, MOST, MOST + 1):
            asked = rows(*range(1, count + 1))
            np.testing.assert_array_equal(await batcher.submit(asked), asked * 2)
        await batcher.drain()
    assert predict.calls == [(True, 1), (True, MOST), (False, MOST + 1)]
    assert [(each.rows, each.requests) for each in seen] == [(1, 1), (MOST, 1), (MOST + 1, 1)]


async def test_requests_of_one_turn_share_a_call_in_the_loop_each_with_its_own_answer(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    async with batching(predict, executor) as batcher:
        asked = [rows(1), rows(2, 3), rows(4)]
        for found, mine in zip(
            await asyncio.gather(*map(batcher.submit, asked)), asked, strict=True
        ):
            np.testing.assert_array_equal(found, mine * 2)
    assert predict.calls == [(True, 4)]


async def test_what_the_next_turns_of_a_busy_loop_bring_shares_that_call(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    async def later(turns: int) -> Array:
        for _ in range(turns):
            keep_busy()
            await asyncio.sleep(0)
        return await batcher.submit(rows(1 + turns))

    async with batching(predict, executor) as batcher:
        turns = range(MOST)
        found = await asyncio.gather(*map(later, turns))
        assert [each[0, 0] for each in found] == [2 * (1 + each) for each in turns]
    assert len(predict.calls) < MOST <= MOST_TURNS
    assert all(in_loop for in_loop, _ in predict.calls)


async def test_a_failure_in_the_loop_is_that_of_the_culprit_alone_and_found_in_a_thread(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    async with batching(predict, executor) as batcher:
        tasks = [asyncio.create_task(batcher.submit(rows(value))) for value in (1, -1)]
        np.testing.assert_array_equal(await tasks[0], rows(2))
        with pytest.raises(ValueError, match="negative"):
            await tasks[1]
        await batcher.drain()
    assert (True, 2) in predict.calls
    assert (False, 2) in predict.calls


async def test_a_cancelled_caller_takes_no_other_with_it(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    async with batching(predict, executor) as batcher:
        gone = asyncio.create_task(batcher.submit(rows(1)))
        stays = asyncio.create_task(batcher.submit(rows(2)))
        await asyncio.sleep(0)
        gone.cancel()
        np.testing.assert_array_equal(await stays, rows(4))
        assert gone.cancelled()
    assert predict.calls == [(True, 1)]


async def test_what_waits_for_a_turn_in_the_loop_counts_as_waiting(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    async with batching(predict, executor, max_queue_size=2, max_batch_size=1) as batcher:
        tasks = [asyncio.create_task(batcher.submit(rows(1 + each))) for each in range(2)]
        await asyncio.sleep(0)
        assert batcher.waiting_rows == 2
        with pytest.raises(QueueFull):
            await batcher.submit(rows(3))
        assert [each[0, 0] for each in await asyncio.gather(*tasks)] == [2, 4]
    assert predict.calls == [(True, 1), (True, 1)]


async def test_slow_calls_go_to_the_thread_and_come_back_after_a_pause(
    predict: Predict, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_calls, "PAUSE", 0.05)
    async with batching(predict, executor) as batcher:
        while (True, 1) in predict.calls[-1:] or not predict.calls:
            await batcher.submit(rows(0.01))
            assert len(predict.calls) < short_calls.MEMORY
        assert predict.calls[-1] == (False, 1)
        await asyncio.sleep(0.06)
        await batcher.submit(rows(2))
        assert predict.calls[-1] == (True, 1)


def test_one_slow_call_among_quick_ones_stops_nothing() -> None:
    short = ShortCalls(Predict(), MOST)
    for _ in range(3):
        short(rows(1))
    short(rows(0.01))
    assert short.take(MOST)
    assert not short.take(MOST + 1)


def trained(store: ModelStore, pipeline: Any) -> Model:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 3))
    y = (X[:, 0] > 0).astype(int)
    store.publish("m", pipeline.fit(X, y), X, y)
    return store.load(store.verify("m"))


STEADY: dict[str, tuple[Any, bool]] = {
    "scaled logistic": (make_pipeline(StandardScaler(), LogisticRegression()), True),
    "a few trees": (RandomForestClassifier(3, random_state=0), True),
    "neighbours": (KNeighborsClassifier(), False),
}


@pytest.mark.parametrize("name", STEADY)
def test_a_form_is_asked_in_the_loop_where_its_time_follows_from_its_rows(
    name: str, tmp_path: Any
) -> None:
    pipeline, steady = STEADY[name]
    model = trained(ModelStore(tmp_path), pipeline)
    assert model.form is not None
    assert model.is_steady == steady
    if not steady:
        assert most_rows(model) == 0


def test_a_model_gets_as_many_rows_in_the_loop_as_it_predicts_in_a_short_time(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained(ModelStore(tmp_path), LogisticRegression())
    monkeypatch.setattr(short_calls, "SHORT_NS", 10**9)
    assert most_rows(model) == max(short_calls.ROWS)
    monkeypatch.setattr(short_calls, "SHORT_NS", 0)
    assert most_rows(model) == 0
