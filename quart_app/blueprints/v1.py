"""The protocol V1 beside its predictions: which models there are."""

from __future__ import annotations

from quart import Blueprint, Response
from quart.blueprints import BlueprintSetupState
from quart_schema import document_response, tag
from werkzeug.routing import BaseConverter

from ..context import get_registry, get_until
from ..negotiation import json_response
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
    return json_response(ModelNames(await get_registry().names()))


@blueprint.get("/<unspoken:name>")
@blueprint.get("/<unspoken:name>/versions/<unspoken:version>")
@tag({"v1"})
@document_response(ModelReady)
async def model(name: str, version: str | None = None) -> Response:
    """Whether a model answers."""
    await get_registry().servable(name, version, until=get_until())
    return json_response(ModelReady(name, True))
