"""The Model Context Protocol: its messages, and a page for a person who opens the address."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, render_template, request, url_for
from quart_schema import hide
from werkzeug.exceptions import MethodNotAllowed

from ..answering import Call
from ..asgi import Scope
from ..context import Context, get_call, get_config, get_registry
from ..fast_path import Elsewhere
from ..inference import UnsupportedBody
from ..marks import mark, speaks
from ..mcp.server import Server
from ..negotiation import JSON, html_response, json_bytes, varied, wants_html
from ..protocols.mcp import PATH, PROTOCOL


def blueprint(context: Context) -> Blueprint:
    """The views, with a server of the app's own behind them."""
    found = Blueprint("mcp", __name__)
    server = Server(context.registry, context.answering, context.config, context.tracing)

    async def answers(scope: Scope, call: Call) -> bytes:
        """What the fast path sends: what has the status 200."""
        outcome = await server.answer(scope, call)
        if outcome.status != 200:
            raise Elsewhere
        return outcome.body

    @found.post(PATH)
    @speaks(PROTOCOL)
    @mark(answers=answers)
    @hide
    async def message() -> Response:
        """Answer a message of the Model Context Protocol."""
        if request.mimetype not in ("", JSON):
            raise UnsupportedBody(f"Expected a body of {JSON}, got {request.mimetype}.")
        outcome = await server.answer(cast(Scope, request.scope), await get_call())
        return json_bytes(outcome.body, outcome.status)

    found.get(PATH)(page)
    return found


@hide
async def page() -> Response:
    """Say to a person what to paste into which client."""
    if not wants_html(request):
        raise MethodNotAllowed(valid_methods=["POST"])
    shown = await render_template(
        "pages/mcp.html",
        url=url_for("mcp.message", _external=True),
        needs_key=get_config().keys_for == "predictions",
        models=[name for name, each in get_registry().entries.items() if each.servable],
    )
    return varied(html_response(shown))
