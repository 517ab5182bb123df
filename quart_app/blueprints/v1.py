"""The protocol V1: what `protocols.v1` reads and writes, at its routes."""

from __future__ import annotations

import asyncio
from typing import cast

from quart import Blueprint, Response, request
from quart.blueprints import BlueprintSetupState
from quart_schema import document_response, hide, tag
from werkzeug.routing import BaseConverter

from ..context import get_config, get_registry, get_until, note_asked
from ..negotiation import json_bytes, json_response
from ..protocols import v1
from ..protocols.v2_documents import ModelNames, ModelReady

blueprint = Blueprint("v1", __name__, url_prefix="/v1/models")


class Unspoken(BaseConverter):
    """A part of the path without a verb such as `:predict`, which stands after it."""

    regex = "[^/:]+"


@blueprint.record
def _register_converter(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["unspoken"] = Unspoken


@blueprint.get("")
@tag({"v1"})
@document_response(ModelNames)
async def models() -> Response:
    """The names of the models."""
    registry = get_registry()
    stored = await asyncio.to_thread(registry.store.models)
    return json_response(ModelNames(sorted({*registry.entries, *stored})))


@blueprint.get("/<unspoken:name>")
@blueprint.get("/<unspoken:name>/versions/<unspoken:version>")
@tag({"v1"})
@document_response(ModelReady)
async def model(name: str, version: str | None = None) -> Response:
    """Whether a model answers."""
    await get_registry().servable(name, version, until=get_until())
    return json_response(ModelReady(name, True))


@blueprint.post("/<unspoken:name>:predict")
@blueprint.post("/<unspoken:name>/versions/<unspoken:version>:predict")
@hide
async def predict(name: str, version: str | None = None) -> Response:
    """Predict for the instances or inputs in the body, whatever its content type."""
    asked = v1.decode(cast(bytes, await request.get_data()), max_rows=get_config().max_rows)
    until = get_until()
    servable = await get_registry().servable(name, version, until=until)
    note_asked(servable, asked.rows)
    return json_bytes(v1.encode(await servable.infer(asked, until=until)))
