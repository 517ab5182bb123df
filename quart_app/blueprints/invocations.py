"""The scoring protocol of MLflow and SageMaker: what `protocols.invocations` reads and writes."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, request
from quart_schema import hide, tag

from ..context import get_config, get_registry, get_until, note_asked
from ..inference import InferenceRequest, UnsupportedBody
from ..negotiation import JSON, json_bytes
from ..protocols import csv, invocations
from ..serving.registry import LOADING_RETRY_AFTER
from ..serving.select_model import choose
from ..version import VERSION

blueprint = Blueprint("invocations", __name__)

TEXT = "text/plain; charset=utf-8"


@blueprint.get("/ping")
@blueprint.get("/health")
@tag({"invocations"})
async def ping() -> Response:
    """Traffic should come here; 503 while a model is on its way."""
    if get_registry().ready:
        return Response("", content_type=TEXT)
    return Response("", 503, {"Retry-After": str(LOADING_RETRY_AFTER)}, content_type=TEXT)


@blueprint.get("/version")
@tag({"invocations"})
async def version() -> Response:
    """The version of the server, as text."""
    return Response(VERSION, content_type=TEXT)


@blueprint.post("/invocations")
@hide
async def predict() -> Response:
    """Predict for the rows in the body, by the model that `?model=` or their columns name."""
    settings, until = get_config(), get_until()
    asked = await decode()
    servable = await choose(
        get_registry(),
        asked.names,
        asked=request.args.get("model"),
        default=settings.default_model,
        until=until,
    )
    note_asked(servable, asked.rows)
    return json_bytes(invocations.encode(await servable.infer(asked, until=until)))


async def decode() -> InferenceRequest:
    """The rows of the current request, by its content type; none at all counts as JSON.

    Raises:
        InvalidRequest: also as RequestTooLarge and UnsupportedBody.
    """
    body, max_rows = cast(bytes, await request.get_data()), get_config().max_rows
    if request.mimetype in ("", JSON):
        return invocations.decode(body, max_rows=max_rows)
    if request.mimetype == csv.CONTENT_TYPE:
        return invocations.decode_csv(body, max_rows=max_rows)
    raise UnsupportedBody(
        f"Expected a body of {JSON} or {csv.CONTENT_TYPE}, got {request.mimetype}."
    )
