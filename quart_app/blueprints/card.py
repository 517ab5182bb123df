"""The card of a model as JSON."""

from __future__ import annotations

import asyncio

from quart import Blueprint, Response
from quart_schema import document_response, tag

from model_store.errors import ModelNotFound

from ..about.card import Card, read_card
from ..context import get_registry, get_until
from ..documents import ErrorBody
from ..negotiation import json_response

blueprint = Blueprint("card", __name__, url_prefix="/models/<name>")


@blueprint.get("/card")
@blueprint.get("/versions/<version>/card")
@tag({"models"})
@document_response(Card)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 503)
async def card(name: str, version: str | None = None) -> Response:
    """The card of a model or of one version: its data, its score, and which version serves.

    A version that is not loaded is not loaded for this.
    """
    registry = get_registry()
    entry = registry.entries.get(name)
    serving = None if entry is None else entry.manifest
    try:
        found = await asyncio.to_thread(read_card, registry.store, name, version, serving)
    except ModelNotFound:
        # It may be on its way, which the registry says.
        await registry.servable(name, version, until=get_until())
        raise
    return json_response(found)
