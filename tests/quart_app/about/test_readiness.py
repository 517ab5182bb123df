"""When a server of several workers is ready."""

from __future__ import annotations

import pytest

from quart_app.about.readiness import together
from quart_app.documents import ModelState, Phase, Ready, State

READY = Ready(True, "serving", {"m": ModelState(State.READY)})
STARTING = Ready(False, "starting", {"m": ModelState(State.LOADING)})
HUNG = Ready(False, "hung", {"m": ModelState(State.READY)})
DRAINING = Ready(False, "draining", {"m": ModelState(State.READY)})
MEMORY = Ready(False, "memory", {"m": ModelState(State.READY)})
FAILED = Ready(False, "serving", {"m": ModelState(State.FAILED, "It is damaged.")})


@pytest.mark.parametrize(
    ("found", "started", "ready", "status"),
    [
        ([READY, READY], False, True, "serving"),
        ([READY, None], False, False, "starting"),
        ([READY, STARTING], False, False, "starting"),
        ([READY, None], True, True, "serving"),
        ([READY, DRAINING], True, True, "serving"),
        ([READY, MEMORY], True, True, "serving"),
        ([READY, HUNG], True, False, "hung"),
        ([READY, FAILED], True, False, "serving"),
        ([DRAINING, DRAINING], True, False, "draining"),
        ([DRAINING, None], True, False, "draining"),
        ([MEMORY, MEMORY], True, False, "memory"),
    ],
)
def test_all_that_answer_and_stay_must_be_ready_and_at_the_start_none_may_be_missing(
    found: list[Ready | None], started: bool, ready: bool, status: Phase
) -> None:
    told = together(dict(enumerate(found)), 2, started=started)
    assert (told.ready, told.status) == (ready, status)
    assert told.workers == {
        slot: None if each is None else each.status for slot, each in enumerate(found)
    }


def test_a_model_is_said_to_be_where_it_is_farthest_from_being_ready() -> None:
    told = together({0: READY, 1: FAILED}, 2, started=True)
    assert told.models == {"m": ModelState(State.FAILED, "It is damaged.")}
