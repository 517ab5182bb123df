"""Is the process alive, and should traffic come here: what a platform asks."""

from __future__ import annotations

from typing import Literal

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from ..context import get_readiness
from ..documents import Ready
from ..negotiation import json_response
from ..serving.registry import LOADING_RETRY_AFTER

blueprint = Blueprint("health", __name__, url_prefix="/health")


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    live: Literal[True] = True


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
    found = await get_readiness()
    response = json_response(found, 200 if found.ready else 503)
    if not found.ready:
        response.headers["Retry-After"] = str(LOADING_RETRY_AFTER)
    return response
