"""A tour of the idioms of Flask: each as a view, as its twin in Flask, and as a page on both."""

from __future__ import annotations

from typing import Final

from quart import Quart, current_app, request
from quart_schema import hide
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter

from . import pages, views

__all__ = ["register"]

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CATCH_ALL: Final = "tour.profile"


def register(app: Quart, prefix: str) -> None:
    """Serve the tour below the prefix, which may be empty; after all other routes."""
    app.register_blueprint(pages.blueprint, url_prefix=prefix or None)
    app.register_blueprint(views.blueprint, url_prefix=prefix or None)
    app.before_request(_leave_to_others)
    for endpoint, view in app.view_functions.items():
        if endpoint.partition(".")[0] in {pages.blueprint.name, views.blueprint.name}:
            hide(view)  # the document of the API is about models


async def _leave_to_others() -> None:
    """Let no name be a profile that is the address of something else, by other methods.

    Without a prefix the catch-all takes GET at every address of one part that knows no GET.
    """
    refused = isinstance(request.routing_exception, MethodNotAllowed)
    if request.endpoint != CATCH_ALL and not refused:
        return
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    others = set(adapter.allowed_methods()) - READING
    if others and _endpoint_of_get(adapter) == CATCH_ALL:
        raise MethodNotAllowed([*sorted(others), "OPTIONS"])


def _endpoint_of_get(adapter: MapAdapter) -> str | None:
    try:
        endpoint: str = adapter.match(method="GET")[0]
    except HTTPException:
        return None
    return endpoint
