"""The Open Inference Protocol V2 beside its predictions: the server and its models."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, current_app, request
from quart_schema import document_response, tag

from ..about import repository
from ..context import (
    context_of,
    get_readiness,
    get_registry,
    get_until,
    load_everywhere,
    statistics_of,
    unload_everywhere,
)
from ..inference import InvalidRequest, NotReady
from ..marks import changes
from ..negotiation import json_response
from ..protocols import v2_documents
from ..protocols.json_body import kind, parse_object
from ..protocols.v2_documents import (
    ModelIndex,
    ModelMetadata,
    ModelNames,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from ..serving.registry import LOADING_RETRY_AFTER
from ..version import VERSION

blueprint = Blueprint("v2", __name__, url_prefix="/v2")


@blueprint.get("")
@tag({"v2"})
@document_response(ServerMetadata)
async def server() -> Response:
    """The server's name, version and extensions."""
    return json_response(ServerMetadata("quart-app", VERSION))


@blueprint.get("/health/live")
@tag({"v2"})
@document_response(ServerLive)
async def live() -> Response:
    """The process is alive."""
    return json_response(ServerLive())


@blueprint.get("/health/ready")
@tag({"v2"})
@document_response(ServerReady)
@document_response(ServerReady, 503)
async def ready() -> Response:
    """Traffic should come here."""
    is_ready = (await get_readiness()).ready
    response = json_response(ServerReady(is_ready), 200 if is_ready else 503)
    if not is_ready:
        response.headers["Retry-After"] = str(LOADING_RETRY_AFTER)
    return response


@blueprint.get("/models")
@tag({"v2"})
@document_response(ModelNames)
async def models() -> Response:
    """The names of the models."""
    return json_response(ModelNames(await get_registry().names()))


@blueprint.get("/models/<name>")
@blueprint.get("/models/<name>/versions/<version>")
@tag({"v2"})
@document_response(ModelMetadata)
async def model(name: str, version: str | None = None) -> Response:
    """What a model takes and what it tells."""
    servable = await get_registry().servable(name, version, until=get_until())
    return json_response(await repository.metadata(get_registry(), servable))


@blueprint.get("/models/<name>/ready")
@blueprint.get("/models/<name>/versions/<version>/ready")
@tag({"v2"})
@document_response(ModelReady)
@document_response(ModelReady, 503)
async def model_ready(name: str, version: str | None = None) -> Response:
    """Whether a model answers. A version that its first request would load is loaded."""
    try:
        await get_registry().servable(name, version, until=get_until())
    except NotReady as error:
        response = json_response(ModelReady(name, False), 503)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response
    return json_response(ModelReady(name, True))


@blueprint.get("/models/<name>/config")
@blueprint.get("/models/<name>/versions/<version>/config")
@tag({"v2"})
async def config(name: str, version: str | None = None) -> Response:
    """A model's configuration, as Triton tells it."""
    servable = await get_registry().servable(name, version, until=get_until())
    return json_response(v2_documents.config(servable.manifest))


@blueprint.get("/models/stats")
@tag({"v2"})
async def statistics() -> Response:
    """What every loaded version has done, as Triton tells it."""
    context = context_of(current_app)
    return json_response(await statistics_of(context, context.registry.servables))


@blueprint.get("/models/<name>/stats")
@blueprint.get("/models/<name>/versions/<version>/stats")
@tag({"v2"})
async def model_statistics(name: str, version: str | None = None) -> Response:
    """What a model has done since it was loaded, as Triton tells it."""
    servable = await get_registry().servable(name, version, until=get_until())
    return json_response(await statistics_of(context_of(current_app), [servable]))


@blueprint.post("/repository/index")
@tag({"v2"})
@document_response(list[ModelIndex])
async def index() -> Response:
    """Every version of every model, and its state; with `{"ready": true}` only what is ready."""
    only_ready = _flag(await _body(), "ready")
    return json_response(await repository.index(get_registry(), only_ready=only_ready))


@blueprint.post("/repository/models/<name>/load")
@tag({"v2"})
@changes
async def load(name: str) -> Response:
    """Load the version that a name means now, and let it serve. Needs an API key."""
    _refuse_files(await _body())
    await load_everywhere(context_of(current_app), name)
    return json_response({})


@blueprint.post("/repository/models/<name>/unload")
@tag({"v2"})
@changes
async def unload(name: str) -> Response:
    """Answer no more for a model, until it is loaded again. Needs an API key."""
    _members(await _body())
    await unload_everywhere(context_of(current_app), name)
    return json_response({})


async def _body() -> bytes:
    return cast(bytes, await request.get_data())


def _flag(body: bytes, name: str) -> bool:
    """A member of an object that may be absent, in a body that may be empty."""
    found = _members(body).get(name, False)
    if not isinstance(found, bool):
        raise InvalidRequest(f"{name}: expected true or false, got {found!r:.60}.")
    return found


def _members(body: bytes) -> dict[str, object]:
    """The object in a body that may be empty."""
    return parse_object(body) if body.strip() else {}


def _refuse_files(body: bytes) -> None:
    """A load may bring a model of its own in Triton; here it comes from the store."""
    parameters = _members(body).get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"parameters: expected an object, got {kind(parameters)}.")
    repository.refuse_files(parameters)
