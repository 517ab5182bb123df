"""Threads that know what they are at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from quart_app.serving.workers import Workers

PATIENCE = 20.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What calls wait for; opened at the end."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_calls_are_counted_while_they_run_and_hang_after_their_time(gate: threading.Event) -> None:
    workers = Workers(2, patience=0.05)
    assert (workers.busy, workers.hung, workers.spare, workers.exhausted) == (0, 0, True, False)
    first = workers.submit(gate.wait, PATIENCE)
    assert (workers.busy, workers.spare) == (1, True)
    second = workers.submit(gate.wait, PATIENCE)
    assert not workers.spare
    end = time.monotonic() + PATIENCE
    while workers.hung < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert workers.busy == 2
    assert workers.exhausted
    gate.set()
    assert first.result(PATIENCE)
    assert second.result(PATIENCE)
    assert (workers.busy, workers.hung, workers.spare, workers.exhausted) == (0, 0, True, False)
    workers.shutdown()


def test_a_call_that_waits_or_was_cancelled_takes_no_thread(gate: threading.Event) -> None:
    workers = Workers(1, patience=PATIENCE)
    first = workers.submit(gate.wait, PATIENCE)
    waiting = workers.submit(gate.wait, PATIENCE)
    assert waiting.cancel()
    assert not workers.spare
    gate.set()
    assert first.result(PATIENCE)
    assert workers.submit(lambda: workers.busy).result(PATIENCE) == 1
    assert (workers.busy, workers.spare) == (0, True)
    workers.shutdown()
    with pytest.raises(RuntimeError):
        workers.submit(gate.wait)
    assert workers.spare


def test_a_call_that_raises_frees_its_thread() -> None:
    workers = Workers(1, patience=PATIENCE)
    with pytest.raises(ZeroDivisionError):
        workers.submit(lambda: 1 / 0).result(PATIENCE)
    assert workers.spare
    workers.shutdown()
