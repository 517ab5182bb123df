"""What Prometheus reads."""

from __future__ import annotations

from quart import Blueprint, Response, request
from quart_schema import tag

from ..context import get_families, get_watched
from ..observe.metrics import page

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@tag({"health"})
async def metrics() -> Response:
    """The metrics, in the text format of Prometheus or OpenMetrics."""
    found = page(await get_families(), request.headers.get("Accept", ""), await get_watched())
    return Response(found.body, content_type=found.content_type)
