"""Is the process alive, and should traffic come here: what a platform asks."""

from __future__ import annotations

from typing import Literal

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from ..context import get_registry
from ..documents import State
from ..negotiation import json_response
from ..serving.registry import LOADING_RETRY_AFTER, Registry

blueprint = Blueprint("health", __name__, url_prefix="/health")


Phase = Literal["starting", "serving", "hung", "draining", "memory"]


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    live: Literal[True] = True


class ModelState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a model is on its way, and why it failed where it did."""

    state: State
    reason: str | None = None


class Ready(msgspec.Struct, frozen=True):
    """Whether traffic should come here, in what phase the server is, and where each model is.

    The phase is `hung` when no thread is left that predicts, and `memory` when the process takes
    too much of it and is to end.
    """

    ready: bool
    status: Phase
    models: dict[str, ModelState]


@blueprint.get("/live")
@tag({"health"})
@document_response(Live)
async def live() -> Response:
    """The process is alive."""
    return json_response(Live())


@blueprint.get("/ready")
@tag({"health"})
@document_response(Ready)
@document_response(Ready, 503)
async def ready() -> Response:
    """Traffic should come here; 503 while a model is on its way, and before the server stops."""
    registry = get_registry()
    response = json_response(_state_of(registry), 200 if registry.ready else 503)
    if not registry.ready:
        response.headers["Retry-After"] = str(LOADING_RETRY_AFTER)
    return response


def _state_of(registry: Registry) -> Ready:
    status: Phase = "serving"
    if registry.out_of_memory:
        status = "memory"
    elif registry.draining:
        status = "draining"
    elif registry.waiting:
        status = "starting"
    elif registry.workers.exhausted:
        status = "hung"
    later = {name: entry for (name, _), entry in registry.others.items()}
    states = {
        name: ModelState(entry.state, entry.reason)
        for name, entry in sorted((later | registry.entries).items())
    }
    return Ready(registry.ready, status, states)
