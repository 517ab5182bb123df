"""The pages of the tour: the list of its stops, and a page for each."""

from __future__ import annotations

import asyncio
from typing import Final

from quart import Blueprint, Response, render_template, request, url_for
from quart.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound

from ...negotiation import html_response
from .stops import STOPS, Address, Command

blueprint = Blueprint("tour_pages", __name__)

INDEX_WITHOUT_PREFIX: Final = "/tour/"


async def index() -> Response:
    """The stops, in their order."""
    return html_response(await render_template("tour/index.html", stops=STOPS))


@blueprint.get("/stops/<name>")
async def stop(name: str) -> Response:
    """What a stop answers, its source here and in Flask, and what changed."""
    number = next((number for number, stop in enumerate(STOPS) if stop.name == name), None)
    if number is None:
        raise NotFound
    found = STOPS[number]
    page = await render_template(
        "tour/stop.html",
        stop=found,
        number=number + 1,
        count=len(STOPS),
        addresses=[_path(address) for address in found.addresses],
        commands=[_curl(command) for command in found.commands],
        # Python reads them from files.
        quart_source=await asyncio.to_thread(found.quart_source),
        flask_source=await asyncio.to_thread(found.flask_source),
        previous=STOPS[number - 1] if number else None,
        following=STOPS[number + 1] if number + 1 < len(STOPS) else None,
    )
    return html_response(page)


@blueprint.record
def _register_index(state: BlueprintSetupState) -> None:
    """The address `/` is the models' where the tour has no prefix."""
    state.add_url_rule("/" if state.url_prefix else INDEX_WITHOUT_PREFIX, "index", index)


def _path(address: Address) -> str:
    return url_for(address.endpoint, **address.values)


def _curl(command: Command) -> str:
    """The command for a shell, to this server."""
    method = "" if command.method == "GET" else f"-X {command.method} "
    body = f" -H 'Content-Type: application/json' -d '{command.body}'" if command.body else ""
    return f"curl -i {method}{request.host_url.rstrip('/')}{_path(command.address)}{body}"
