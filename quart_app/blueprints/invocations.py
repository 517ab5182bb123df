"""The scoring protocol of MLflow and SageMaker beside its predictions: is the server there?"""

from __future__ import annotations

from quart import Blueprint, Response
from quart_schema import tag

from ..context import get_registry
from ..serving.registry import LOADING_RETRY_AFTER
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
