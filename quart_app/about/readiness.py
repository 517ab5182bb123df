"""Whether traffic should come to this server: as one worker sees it, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..documents import ModelState, Phase, Ready, State
from ..serving.registry import Registry

LEAVING: Final = frozenset({"draining", "memory"})
"""The phases of a worker that ends."""

WORST_FIRST: Final = (
    State.FAILED,
    State.UNLOADED,
    State.PENDING,
    State.TRAINING,
    State.VERIFYING,
    State.LOADING,
    State.WARMING,
    State.READY,
)


def readiness(registry: Registry) -> Ready:
    """As this worker sees it."""
    later = {name: entry for (name, _), entry in registry.others.items()}
    states = {
        name: ModelState(entry.state, entry.reason)
        for name, entry in sorted((later | registry.entries).items())
    }
    return Ready(registry.ready, _phase(registry), states)


def _phase(registry: Registry) -> Phase:
    if registry.out_of_memory:
        return "memory"
    if registry.draining:
        return "draining"
    if registry.waiting:
        return "starting"
    return "hung" if registry.workers.exhausted else "serving"


def together(found: Mapping[int, Ready | None], workers: int, *, started: bool) -> Ready:
    """As all see it, each by its slot; None of one that does not answer.

    All that answer must be ready, but for those that end: these are replaced, as those are that do
    not answer, and what the others answer must not be taken from the clients meanwhile. Until the
    server has `started`, which is when every slot was ready once, none may be missing.
    """
    phases = {slot: each.status if (each := found.get(slot)) else None for slot in range(workers)}
    answering = [each for each in found.values() if each is not None]
    staying = [each for each in answering if each.status not in LEAVING]
    asked = staying or answering
    ready = bool(staying) and all(each.ready for each in staying)
    complete = started or len(staying) == workers
    status: Phase = "starting"
    if complete or not staying:
        status = next((each.status for each in asked if not each.ready), "serving")
    return Ready(ready and complete, status, _worst(asked), phases)


def _worst(found: list[Ready]) -> dict[str, ModelState]:
    """Each model as the worker has it where it is farthest from being ready."""
    states: dict[str, ModelState] = {}
    for each in found:
        for name, state in each.models.items():
            before = states.get(name)
            if before is None or _rank(state) < _rank(before):
                states[name] = state
    return dict(sorted(states.items()))


def _rank(state: ModelState) -> int:
    return WORST_FIRST.index(state.state)
