"""The batcher: whoever submits is answered with its own rows, or told why not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import math
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_store import Model, ModelStore
from model_store.recipes import RECIPES
from quart_app.config import Config
from quart_app.inference import InferenceRequest, InferenceResponse
from quart_app.serving.batcher import LOOK_AGAIN, Batcher, Closed, QueueFull
from quart_app.serving.servable import Servable
from quart_app.serving.workers import Workers

from ...drawing import Row, as_trained, drawn_rows

Array = NDArray[np.float64]
Answer = Array | BaseException
PATIENCE = 20.0
THREADS = "batcher-test"


class Culprit(Exception):
    """What `Predict` raises on a row that it does not like."""


class Predict:
    """Doubles each value, fails on a batch with a negative one, and keeps what it was asked.

    While `gate` is clear it waits; `entered` counts the calls.
    """

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, rows: Array) -> Array:
        self.batches.append(rows[:, 0].tolist())
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        if (rows < 0).any():
            raise Culprit(f"negative: {rows[rows < 0].tolist()}")
        return rows * 2

    async def running(self) -> None:
        """Wait until one more call has begun."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE)


def rows(*values: float) -> Array:
    return np.array([[value] for value in values], dtype=np.float64)


@pytest.fixture
def predict() -> Iterator[Predict]:
    found = Predict()
    yield found
    found.gate.set()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2, thread_name_prefix=THREADS) as pool:
        yield pool


@pytest.fixture
async def batcher(predict: Predict, executor: ThreadPoolExecutor) -> AsyncIterator[Batcher[Array]]:
    """A batcher that is closed at the end, with all tasks of the test ended."""
    found = Batcher(predict, executor)
    yield found
    predict.gate.set()
    await found.close()


async def submit_all(
    batcher: Batcher[Array], requests: Sequence[Array]
) -> list[asyncio.Task[Array]]:
    """The requests, submitted in this order, of which none is answered yet."""
    tasks = [asyncio.create_task(batcher.submit(request)) for request in requests]
    await asyncio.sleep(0)
    return tasks


async def answers(tasks: Sequence[asyncio.Task[Array]]) -> list[Answer]:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*tasks, return_exceptions=True)


def assert_doubled(answer: Answer, request: Array) -> None:
    assert isinstance(answer, np.ndarray), answer
    np.testing.assert_array_equal(answer, request * 2)


def nothing_is_left(batcher: Batcher[Array]) -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()} and not batcher._waiting_rows


# When a batch runs ----------------------------------------------------------------------


class NoTimers(asyncio.SelectorEventLoop):
    """An event loop on which nothing can be put off."""

    def call_at(self, *arguments: Any, **options: Any) -> NoReturn:  # type: ignore[override]
        raise AssertionError("a timer was set")


def test_a_request_that_finds_it_idle_runs_at_once_without_a_timer(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    async def ask_twice() -> None:
        batcher = Batcher(predict, executor)
        assert_doubled(await batcher.submit(rows(1)), rows(1))
        assert_doubled(await batcher.submit(rows(2, 3)), rows(2, 3))
        await batcher.close()

    with asyncio.Runner(loop_factory=NoTimers) as runner:
        runner.run(ask_twice())
    assert predict.batches == [[1], [2, 3]]


async def test_what_arrives_while_a_batch_runs_forms_the_next_one(
    batcher: Batcher[Array], predict: Predict
) -> None:
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(1)])
    await predict.running()
    requests = [rows(2), rows(3, 4), rows(5)]
    tasks += await submit_all(batcher, requests)
    assert predict.batches == [[1]]
    predict.gate.set()
    for answer, request in zip(await answers(tasks), [rows(1), *requests], strict=True):
        assert_doubled(answer, request)
    assert predict.batches == [[1], [2, 3, 4, 5]]


BATCHES: dict[str, tuple[int, list[int], list[list[int]]]] = {
    "all fit": (8, [1, 2, 3], [[1, 2, 3]]),
    "exactly full": (4, [2, 2, 2, 2], [[2, 2], [2, 2]]),
    "rows are counted, not requests": (4, [3, 2, 1, 1], [[3], [2, 1, 1]]),
    "a larger request is a batch of its own": (4, [1, 9, 1], [[1], [9], [1]]),
    "one at a time": (1, [1, 1, 2, 1], [[1], [1], [2], [1]]),
    "in the order they came": (4, [1, 4, 1, 2], [[1], [4], [1, 2]]),
}


@pytest.mark.parametrize(("size", "counts", "batches"), BATCHES.values(), ids=BATCHES)
async def test_a_batch_has_at_most_max_batch_size_rows(
    size: int,
    counts: list[int],
    batches: list[list[int]],
    predict: Predict,
    executor: ThreadPoolExecutor,
) -> None:
    batcher = Batcher(predict, executor, max_batch_size=size)
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(0)])
    await predict.running()
    requests = [rows(*[i + 1.0] * count) for i, count in enumerate(counts)]
    tasks += await submit_all(batcher, requests)
    predict.gate.set()
    for answer, request in zip(await answers(tasks), [rows(0), *requests], strict=True):
        assert_doubled(answer, request)
    found = [[batch.count(value) for value in dict.fromkeys(batch)] for batch in predict.batches]
    assert found == [[1], *batches]


# The bound of the queue -----------------------------------------------------------------


async def test_rows_beyond_the_bound_are_refused_and_the_others_answered(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    batcher = Batcher(predict, executor, max_queue_size=3)
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(0)])
    await predict.running()
    tasks += await submit_all(batcher, [rows(1, 2), rows(3)])
    for refused in (rows(4), rows(4, 5)):
        with pytest.raises(QueueFull):
            await batcher.submit(refused)
    predict.gate.set()
    requests = [rows(0), rows(1, 2), rows(3)]
    for answer, request in zip(await answers(tasks), requests, strict=True):
        assert_doubled(answer, request)
    assert_doubled(await batcher.submit(rows(4)), rows(4))


async def test_one_request_is_taken_however_large_when_none_wait(
    predict: Predict, executor: ThreadPoolExecutor
) -> None:
    batcher = Batcher(predict, executor, max_batch_size=4, max_queue_size=3)
    large = rows(*range(100))
    assert_doubled(await batcher.submit(large), large)
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(0)])
    await predict.running()
    await predict.running()
    tasks += await submit_all(batcher, [large])  # one runs, none waits
    with pytest.raises(QueueFull):
        await batcher.submit(rows(1))
    predict.gate.set()
    for answer, request in zip(await answers(tasks), [rows(0), large], strict=True):
        assert_doubled(answer, request)


# Callers that go away -------------------------------------------------------------------


@pytest.mark.parametrize("position", range(5))
async def test_a_caller_that_goes_while_it_waits_is_dropped_from_its_batch(
    position: int, batcher: Batcher[Array], predict: Predict
) -> None:
    predict.gate.clear()
    first = await submit_all(batcher, [rows(9)])
    await predict.running()
    requests = [rows(i, i + 0.5) for i in range(5)]
    tasks = await submit_all(batcher, requests)
    tasks[position].cancel()
    predict.gate.set()
    found = await answers(tasks)
    assert isinstance(found.pop(position), asyncio.CancelledError)
    requests.pop(position)
    for answer, request in zip(found, requests, strict=True):
        assert_doubled(answer, request)
    assert predict.batches == [[9], np.concatenate(requests)[:, 0].tolist()]
    await answers(first)
    await batcher.drain()
    assert nothing_is_left(batcher)


@pytest.mark.parametrize("position", range(5))
async def test_a_caller_that_goes_while_its_batch_runs_takes_only_itself(
    position: int, batcher: Batcher[Array], predict: Predict
) -> None:
    predict.gate.clear()
    requests = [rows(i, i + 0.5) for i in range(5)]
    tasks = await submit_all(batcher, requests)
    await predict.running()
    tasks[position].cancel()
    predict.gate.set()
    found = await answers(tasks)
    assert isinstance(found.pop(position), asyncio.CancelledError)
    requests.pop(position)
    for answer, request in zip(found, requests, strict=True):
        assert_doubled(answer, request)
    await batcher.drain()
    assert nothing_is_left(batcher)


async def test_when_all_callers_of_a_batch_have_gone_it_is_not_run(
    batcher: Batcher[Array], predict: Predict
) -> None:
    predict.gate.clear()
    first = await submit_all(batcher, [rows(9)])
    await predict.running()
    for task in (tasks := await submit_all(batcher, [rows(1), rows(2)])):
        task.cancel()
    predict.gate.set()
    await answers([*first, *tasks])
    await batcher.drain()
    assert predict.batches == [[9]]
    assert nothing_is_left(batcher)
    assert_doubled(await batcher.submit(rows(3)), rows(3))


@pytest.mark.parametrize("seed", range(4))
async def test_of_500_at_once_those_that_stay_are_answered_and_nothing_is_left(
    seed: int, predict: Predict
) -> None:
    draw = random.Random(seed)
    executor = ThreadPoolExecutor(2, thread_name_prefix=THREADS)
    batcher = Batcher(predict, executor, max_batch_size=16)
    requests = [rows(*[float(i)] * draw.randint(1, 5)) for i in range(500)]
    tasks = await submit_all(batcher, requests)
    goers = set(draw.sample(range(500), 200))
    for i in draw.sample(sorted(goers), 200):
        tasks[i].cancel()
        if draw.random() < 0.3:  # some go later, while batches run
            await asyncio.wait(tasks[i + 1 :][:1] or tasks[:1], timeout=0.001)
    for i, answer in enumerate(await answers(tasks)):
        if i in goers and isinstance(answer, asyncio.CancelledError):
            continue  # whoever was answered before it could go has its answer
        assert_doubled(answer, requests[i])
    async with asyncio.timeout(PATIENCE):
        await batcher.drain()
    assert nothing_is_left(batcher)
    executor.shutdown()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]


# Batches that fail ----------------------------------------------------------------------


@pytest.mark.parametrize("culprits", [{0}, {2}, {4}, {1, 3}, {0, 1, 2, 3, 4}])
async def test_when_a_batch_fails_each_runs_alone_and_only_the_culprits_fail(
    culprits: set[int], batcher: Batcher[Array], predict: Predict
) -> None:
    requests = [rows(i + 1, -i - 1) if i in culprits else rows(i + 1) for i in range(5)]
    tasks = await submit_all(batcher, requests)
    for i, answer in enumerate(await answers(tasks)):
        if i in culprits:
            assert isinstance(answer, Culprit)
            assert str(answer) == f"negative: [{-i - 1.0}]"
        else:
            assert_doubled(answer, requests[i])
    assert predict.batches[1:] == [request[:, 0].tolist() for request in requests]
    await batcher.drain()
    assert nothing_is_left(batcher)


async def test_a_request_that_fails_alone_is_not_run_twice(
    batcher: Batcher[Array], predict: Predict
) -> None:
    with pytest.raises(Culprit):
        await batcher.submit(rows(-1))
    assert predict.batches == [[-1]]
    assert_doubled(await batcher.submit(rows(1)), rows(1))


async def test_who_goes_while_a_failed_batch_is_retried_is_not_run_again(
    batcher: Batcher[Array], predict: Predict
) -> None:
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(1), rows(-2), rows(3)])
    await predict.running()
    tasks[0].cancel()
    predict.gate.set()
    gone, culprit, other = await answers(tasks)
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(culprit, Culprit)
    assert_doubled(other, rows(3))
    assert predict.batches == [[1, -2, 3], [-2], [3]]


class OfNoKind(BaseException):
    pass


UNCARRIED: list[BaseException] = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    OfNoKind(),
    StopIteration(),
    asyncio.CancelledError(),
    concurrent.futures.CancelledError(),
]


@pytest.mark.parametrize("error", UNCARRIED, ids=lambda error: type(error).__name__)
async def test_what_no_future_carries_strands_nobody_and_ends_nothing(
    error: BaseException, executor: ThreadPoolExecutor
) -> None:
    def predict(asked: Array) -> Array:
        if (asked < 0).any():
            raise error
        return asked * 2

    batcher: Batcher[Array] = Batcher(predict, executor)
    requests = [rows(1), rows(-2), rows(3)]
    first, culprit, last = await answers(await submit_all(batcher, requests))
    assert_doubled(first, rows(1))
    assert isinstance(culprit, RuntimeError)
    assert type(error).__name__ in str(culprit)
    assert_doubled(last, rows(3))
    assert_doubled(await batcher.submit(rows(4)), rows(4))


WRONG_ANSWERS: dict[str, tuple[Callable[[Array], Any], type[Exception]]] = {
    "too few": (lambda asked: asked[1:], RuntimeError),
    "too many": (lambda asked: np.concatenate([asked, asked]), RuntimeError),
    "none": (lambda asked: asked[:0], RuntimeError),
    "nothing at all": (lambda asked: None, TypeError),
}


@pytest.mark.parametrize(("wrong", "error"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
async def test_an_answer_of_another_length_is_a_failure_and_nobody_gets_the_rows_of_another(
    wrong: Callable[[Array], Any], error: type[Exception], executor: ThreadPoolExecutor
) -> None:
    batcher: Batcher[Array] = Batcher(
        lambda asked: wrong(asked) if (asked < 0).any() else asked * 2, executor
    )
    requests = [rows(1, 2), rows(-3), rows(4)]
    first, culprit, last = await answers(await submit_all(batcher, requests))
    assert_doubled(first, requests[0])
    assert isinstance(culprit, error)
    assert_doubled(last, requests[2])


async def test_rows_that_do_not_go_together_are_answered_alone(
    batcher: Batcher[Array],
) -> None:
    requests = [rows(1), np.array([[1.0, 2.0]]), rows(3)]
    found = await answers(await submit_all(batcher, requests))
    for answer, request in zip(found, requests, strict=True):
        assert_doubled(answer, request)


# Ending ---------------------------------------------------------------------------------


async def test_close_tells_who_waits_and_whose_batch_runs(
    batcher: Batcher[Array], predict: Predict
) -> None:
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(1), rows(2)])
    await predict.running()
    tasks += await submit_all(batcher, [rows(3), rows(4)])
    async with asyncio.timeout(PATIENCE):
        await batcher.close()
    assert [type(answer) for answer in await answers(tasks)] == [Closed] * 4
    with pytest.raises(Closed):
        await batcher.submit(rows(5))
    assert nothing_is_left(batcher)


async def test_close_tells_those_whose_batch_has_not_begun(
    batcher: Batcher[Array], predict: Predict
) -> None:
    tasks = await submit_all(batcher, [rows(1), rows(2)])
    async with asyncio.timeout(PATIENCE):
        await batcher.close()
    assert [type(answer) for answer in await answers(tasks)] == [Closed] * 2
    assert predict.batches == []
    assert nothing_is_left(batcher)


async def test_close_tells_those_who_are_retried_alone(executor: ThreadPoolExecutor) -> None:
    def predict(asked: Array) -> Array:
        if (asked < 0).any():
            raise Culprit
        retried.set()
        assert gate.wait(PATIENCE)
        return asked

    retried, gate = threading.Event(), threading.Event()
    batcher = Batcher(predict, executor)
    tasks = await submit_all(batcher, [rows(-1), rows(2), rows(3)])
    assert await asyncio.to_thread(retried.wait, PATIENCE)
    async with asyncio.timeout(PATIENCE):
        await batcher.close()
    gate.set()
    assert [type(answer) for answer in await answers(tasks)] == [Culprit, Closed, Closed]


async def test_close_of_an_idle_batcher_ends_at_once_and_twice_is_once(
    batcher: Batcher[Array],
) -> None:
    await batcher.submit(rows(1))
    async with asyncio.timeout(PATIENCE):
        await batcher.close()
        await asyncio.gather(batcher.close(), batcher.close())
    with pytest.raises(Closed):
        await batcher.submit(rows(1))


async def test_drain_waits_for_what_runs_and_what_waits(
    batcher: Batcher[Array], predict: Predict
) -> None:
    await batcher.drain()
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(1)])
    await predict.running()
    tasks += await submit_all(batcher, [rows(2)])
    drained = asyncio.create_task(batcher.drain())
    await asyncio.sleep(0)
    assert not drained.done()
    predict.gate.set()
    async with asyncio.timeout(PATIENCE):
        await drained
    assert predict.batches == [[1], [2]]
    assert all(isinstance(answer, np.ndarray) for answer in await answers(tasks))


async def test_a_drain_that_is_given_up_stops_nothing(
    batcher: Batcher[Array], predict: Predict
) -> None:
    predict.gate.clear()
    tasks = await submit_all(batcher, [rows(1)])
    await predict.running()
    drained = asyncio.create_task(batcher.drain())
    await asyncio.sleep(0)
    drained.cancel()
    await asyncio.wait([drained])
    predict.gate.set()
    assert_doubled((await answers(tasks))[0], rows(1))


async def test_an_executor_that_was_shut_down_strands_nobody(predict: Predict) -> None:
    executor = ThreadPoolExecutor(1, thread_name_prefix=THREADS)
    batcher = Batcher(predict, executor)
    occupied = threading.Event()
    executor.submit(occupied.wait, PATIENCE)
    tasks = await submit_all(batcher, [rows(1)])
    await asyncio.sleep(0)
    tasks += await submit_all(batcher, [rows(2)])
    executor.shutdown(wait=False, cancel_futures=True)
    occupied.set()
    cancelled, waited = await answers(tasks)
    assert isinstance(cancelled, Closed)
    assert isinstance(waited, Closed)
    with pytest.raises(RuntimeError):
        await batcher.submit(rows(3))
    assert nothing_is_left(batcher)


# The rule -------------------------------------------------------------------------------

SHARED = ThreadPoolExecutor(2, thread_name_prefix="batcher-property")


async def test_a_batch_that_takes_too_long_is_overtaken_and_answered_all_the_same() -> None:
    gate = threading.Event()

    def answer(asked: Array) -> Array:
        if asked[0, 0] == 1:
            assert gate.wait(PATIENCE)
        return asked * 2

    with ThreadPoolExecutor(2) as executor:
        batcher = Batcher(answer, executor, patience=0.05)
        slow = asyncio.create_task(batcher.submit(rows(1)))
        await asyncio.sleep(0)
        others = [asyncio.create_task(batcher.submit(rows(n))) for n in (2, 3)]
        async with asyncio.timeout(PATIENCE):
            assert [(await other).tolist() for other in others] == [[[4]], [[6]]]
        assert not slow.done()
        draining = asyncio.create_task(batcher.drain())
        await asyncio.sleep(0.01)
        assert not draining.done()
        gate.set()
        assert (await slow).tolist() == [[2]]
        await draining
        await batcher.close()


async def test_a_batch_that_was_overtaken_and_fails_is_run_again_one_by_one() -> None:
    gate = threading.Event()

    def answer(asked: Array) -> Array:
        if len(asked) == 2:
            assert gate.wait(PATIENCE)
            raise Culprit
        return asked * 2

    with ThreadPoolExecutor(2) as executor:
        batcher = Batcher(answer, executor, patience=0.05)
        slow = [asyncio.create_task(batcher.submit(rows(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            assert (await batcher.submit(rows(3))).tolist() == [[6]]
            gate.set()
            assert [(await one).tolist() for one in slow] == [[[2]], [[4]]]
            await batcher.drain()


async def test_close_tells_those_whose_batch_was_overtaken() -> None:
    entered, gate = threading.Event(), threading.Event()

    def answer(asked: Array) -> Array:
        entered.set()
        assert asked[0, 0] != 1 or gate.wait(PATIENCE)
        return asked

    with ThreadPoolExecutor(2) as executor:
        batcher = Batcher(answer, executor, patience=0.05)
        slow = asyncio.create_task(batcher.submit(rows(1)))
        await asyncio.to_thread(entered.wait, PATIENCE)  # or both would be one batch
        await batcher.submit(rows(2))
        await batcher.close()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(Closed):
                await slow
        gate.set()


async def test_without_a_spare_thread_nothing_is_overtaken_until_there_is_one() -> None:
    gate, spare = threading.Event(), False

    def answer(asked: Array) -> Array:
        assert asked[0, 0] != 1 or gate.wait(PATIENCE)
        return asked

    with ThreadPoolExecutor(2) as executor:
        batcher = Batcher(answer, executor, patience=0.02, spare=lambda: spare)
        slow = asyncio.create_task(batcher.submit(rows(1)))
        await asyncio.sleep(0)
        other = asyncio.create_task(batcher.submit(rows(2)))
        await asyncio.sleep(0.2)
        assert not other.done()
        spare = True
        async with asyncio.timeout(PATIENCE):
            await other
        assert not slow.done()
        gate.set()
        await slow
        await batcher.close()


async def test_who_is_run_again_alone_is_not_held_up_by_another_of_its_batch() -> None:
    gate = threading.Event()

    def answer(asked: Array) -> Array:
        if len(asked) > 1:
            raise Culprit
        assert asked[0, 0] != 1 or gate.wait(PATIENCE)
        return asked * 2

    with ThreadPoolExecutor(2) as executor:
        batcher = Batcher(answer, executor, patience=0.02)
        slow, other = await submit_all(batcher, [rows(1), rows(2)])
        async with asyncio.timeout(PATIENCE):
            assert (await other).tolist() == [[4]]
            assert not slow.done()
            gate.set()
            assert (await slow).tolist() == [[2]]
        await batcher.close()


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    async def put_forward(self, seconds: float) -> None:
        """Let so much time pass at once, and run the timers that are due then."""
        self.ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)


# Of two requests the first hangs: whether both come at once, in a batch that fails; the patience;
# which of them has a deadline.
PLACES: dict[str, tuple[bool, float, int]] = {
    "it runs": (False, math.inf, 0),
    "it waits": (False, math.inf, 1),
    "it is to be run again alone": (True, math.inf, 1),
    "its batch was overtaken": (False, 0.01, 0),
}


@pytest.mark.parametrize(("at_once", "patience", "which"), PLACES.values(), ids=PLACES)
def test_a_request_fails_at_its_deadline_and_not_before_wherever_it_is(
    at_once: bool, patience: float, which: int
) -> None:
    entered, gate = threading.Event(), threading.Event()

    def answer(asked: Array) -> Array:
        if len(asked) > 1:
            raise Culprit
        if asked[0, 0] == 1:
            entered.set()
            assert gate.wait(PATIENCE)
        return asked

    async def run() -> None:
        with ThreadPoolExecutor(2) as executor:
            batcher = Batcher(answer, executor, patience=patience)
            until = [clock.time() + 1000 if which == i else None for i in range(2)]
            slow = asyncio.create_task(batcher.submit(rows(1), until=until[0]))
            if not at_once:
                assert await asyncio.to_thread(entered.wait, PATIENCE)
            other = asyncio.create_task(batcher.submit(rows(2), until=until[1]))
            assert await asyncio.to_thread(entered.wait, PATIENCE)
            if patience < math.inf:
                await other
            asked = (slow, other)[which]
            await clock.put_forward(999)
            assert not asked.done()
            await clock.put_forward(1 + LOOK_AGAIN)
            assert asked.done()
            assert isinstance(asked.exception(), TimeoutError)
            gate.set()
            await batcher.drain()
            await batcher.close()

    clock = Clock()
    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        runner.run(run())


# How many rows a batch may have, how many each request has, how many requests are taken where a
# batch takes 50 ms and a turn may be 220 ms away.
TURNS: dict[str, tuple[int, int, int]] = {
    "a row a batch": (1, 1, 5),
    "two requests a batch": (2, 1, 9),
    "each request more than a batch": (2, 7, 5),
}


@pytest.mark.parametrize(("size", "count", "taken"), TURNS.values(), ids=TURNS)
async def test_a_request_whose_turn_would_be_further_away_than_max_wait_is_refused(
    size: int, count: int, taken: int, predict: Predict
) -> None:
    with ThreadPoolExecutor(1) as executor:
        batcher = await _with_a_pace_of_50_ms(predict, executor, size=size, max_wait=0.22)
        predict.gate.clear()
        tasks = await submit_all(batcher, [rows(0)])
        await predict.running()
        tasks += await submit_all(batcher, [rows(*[n] * count) for n in range(20)])
        refused = [task.done() for task in tasks]
        assert refused == [False] * (1 + taken) + [True] * (20 - taken)
        predict.gate.set()
        found = await answers(tasks)
        assert [isinstance(one, QueueFull) for one in found] == refused
        await batcher.submit(rows(0))
        await batcher.close()


async def _with_a_pace_of_50_ms(
    predict: Predict, executor: Executor, *, size: int, max_wait: float
) -> Batcher[Array]:
    """A batcher whose one batch so far took longer than its patience, which is what then counts."""
    batcher = Batcher(
        predict,
        executor,
        max_batch_size=size,
        max_wait=max_wait,
        patience=0.05,
        spare=lambda: False,
    )
    predict.gate.clear()
    slow = asyncio.create_task(batcher.submit(rows(0)))
    await predict.running()
    await asyncio.sleep(0.3)
    predict.gate.set()
    await slow
    return batcher


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    size=st.integers(1, 20),
    pauses=st.sets(st.integers(0, 39)),
)
def test_any_sequence_of_requests_gives_each_what_it_gets_alone(
    counts: list[int], size: int, pauses: set[int]
) -> None:
    async def run() -> list[Answer]:
        batcher = Batcher(predict, SHARED, max_batch_size=size)
        tasks = []
        for i, request in enumerate(requests):
            tasks += await submit_all(batcher, [request])
            if i in pauses:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        found = await answers(tasks)
        await batcher.drain()
        assert nothing_is_left(batcher)
        return found

    predict = Predict()
    requests = [np.full((count, 1), float(i)) for i, count in enumerate(counts)]
    for answer, request in zip(asyncio.run(run()), requests, strict=True):
        assert_doubled(answer, request)
    for batch in predict.batches:
        assert len(batch) <= size or len(set(batch)) == 1
    asked = [value for batch in predict.batches for value in batch]
    assert asked == np.concatenate(requests)[:, 0].tolist()


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["submit", "submit a culprit"]), st.integers(1, 4)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("wait for an answer"), st.just(0)),
        st.tuples(st.just("let the loop turn"), st.just(0)),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=100)
@given(steps=STEPS, size=st.integers(1, 8), close=st.booleans())
def test_whatever_is_submitted_cancelled_failing_or_closed_everyone_is_settled(
    steps: list[Step], size: int, close: bool
) -> None:
    async def run() -> list[Answer]:
        batcher = Batcher(predict, SHARED, max_batch_size=size)
        tasks: list[asyncio.Task[Array]] = []
        for kind, number in steps:
            if kind.startswith("submit"):
                sign = -1.0 if "culprit" in kind else 1.0
                requests.append(np.full((number, 1), sign * (len(requests) + 1)))
                tasks += await submit_all(batcher, requests[-1:])
            elif kind == "cancel" and number < len(tasks) and tasks[number].cancel():
                cancelled.add(number)
            elif kind == "wait for an answer" and tasks:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)
        if close:
            await batcher.close()
        found = await answers(tasks)
        await batcher.drain()
        assert nothing_is_left(batcher)
        return found

    predict = Predict()
    requests: list[Array] = []
    cancelled: set[int] = set()
    for i, (answer, request) in enumerate(zip(asyncio.run(run()), requests, strict=True)):
        if i in cancelled:
            assert isinstance(answer, asyncio.CancelledError)
        elif close and isinstance(answer, Closed):
            continue
        elif request[0, 0] < 0:
            assert isinstance(answer, Culprit)
        else:
            assert_doubled(answer, request)


# The same through a servable of a real model --------------------------------------------


@pytest.fixture(scope="module")
def load(bundled_root: Path) -> Callable[[str], Model]:
    """Gives a bundled model by its name."""
    store = ModelStore(bundled_root)
    return functools.cache(lambda name: store.load(store.verify(name, pickles="always")))


class Watched:
    """A pipeline, and of how many rows at a time it was asked."""

    def __init__(self, pipeline: Any) -> None:
        self.sizes: list[int] = []
        self._pipeline = pipeline

    def predict(self, matrix: Array) -> Any:
        self.sizes.append(len(matrix))
        return self._pipeline.predict(matrix)

    def predict_proba(self, matrix: Array) -> Any:
        self.sizes.append(len(matrix))
        return self._pipeline.predict_proba(matrix)


def as_request(model: Model, rows: list[Row]) -> InferenceRequest:
    columns = {name: [row[name] for row in rows] for name in model.manifest.signature.names}
    return InferenceRequest(columns, rows=len(rows), many=True)


def assert_agree(
    batched: InferenceResponse, labels: NDArray[Any], probabilities: Array | None
) -> None:
    if labels.dtype.kind == "f":
        np.testing.assert_allclose(batched.labels, labels, rtol=1e-12, atol=0)
    else:
        assert batched.labels.tolist() == labels.tolist()
    assert (batched.probabilities is None) == (probabilities is None)
    if batched.probabilities is not None and probabilities is not None:
        # What scikit-learn takes from 1 has the last bit of 1, however small it is.
        (shares,) = batched.probabilities
        np.testing.assert_allclose(shares, probabilities, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", RECIPES)
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(1, 6), min_size=2, max_size=8))
def test_a_model_answers_batched_and_alone_alike(
    name: str, seed: int, counts: list[int], load: Callable[[str], Model]
) -> None:
    async def run() -> list[InferenceResponse]:
        workers = Workers(1, patience=PATIENCE)
        servable = Servable(
            Model(model.manifest, watched, model.sample), workers, Config(), validator=SHARED
        )
        batched = await asyncio.gather(*(servable.infer(request) for request in requests))
        await servable.close()
        workers.shutdown()
        return batched

    model = load(name)
    watched = Watched(model.pipeline)
    parts = [drawn_rows(model.manifest, seed + i, count) for i, count in enumerate(counts)]
    requests = [as_request(model, part) for part in parts]
    for response, part in zip(asyncio.run(run()), parts, strict=True):
        alone = [model.predict(as_trained(model.manifest, [row])) for row in part]
        labels = np.concatenate([one.labels for one in alone])
        shares = [one.probabilities[0] for one in alone if one.probabilities is not None]
        assert_agree(response, labels, np.concatenate(shares) if shares else None)
    assert set(watched.sizes) == {sum(counts)}
