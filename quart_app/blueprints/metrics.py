"""What Prometheus reads."""

from __future__ import annotations

from quart import Blueprint, Response, request
from quart_schema import tag

from ..context import get_metrics, get_watched

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@tag({"health"})
async def metrics() -> Response:
    """The metrics, in the text format of Prometheus or OpenMetrics."""
    page = get_metrics().page(request.headers.get("Accept", ""), await get_watched())
    return Response(page.body, content_type=page.content_type)
