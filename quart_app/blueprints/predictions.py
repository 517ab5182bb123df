"""The addresses at which each protocol predicts, where no view of its own serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import cast

from quart import Quart, Response, request
from quart_schema import hide

from ..answering import LARGE
from ..context import get_answering, get_call
from ..marks import marks_of, speaks
from ..middleware.compression import WINDOWS, deflate
from ..protocols.protocol import Protocol, Reply
from ..serving.threads import run_aside

View = Callable[..., Awaitable[Response]]


def register(app: Quart, protocols: Iterable[Protocol]) -> None:
    """Serve the routes of the protocols; to be called after all blueprints."""
    served = [marks_of(view).protocol for view in app.view_functions.values()]
    for protocol in protocols:
        if protocol not in served:
            view = _view(protocol)
            for route in protocol.routes:
                app.add_url_rule(route, f"{protocol.name}.predict", view, methods=["POST"])


def _view(protocol: Protocol) -> View:
    @speaks(protocol)
    @hide  # the document of the API has an operation for each model
    async def predict(name: str | None = None, version: str | None = None) -> Response:
        reply = await get_answering().answer(protocol, await get_call(name, version))
        return await respond(protocol, reply)

    predict.__doc__ = f"{protocol.summary}."
    return predict


async def respond(protocol: Protocol, reply: Reply) -> Response:
    """A reply as a response, compressed where the protocol and the client like that."""
    response = Response(reply.body, content_type=reply.content_type)
    for header, value in reply.headers:
        response.headers[header] = value
    for header in protocol.vary:
        response.vary.add(header)
    return await _compressed(response) if "Accept-Encoding" in protocol.vary else response


async def _compressed(response: Response) -> Response:
    """The response in the coding that the client likes best of those that it takes."""
    coding = request.accept_encodings.best_match(["identity", "gzip", "deflate"])
    if coding in WINDOWS:
        body = cast(bytes, await response.get_data())
        response.set_data(await run_aside(partial(deflate, body, coding), large=len(body) > LARGE))
        response.content_encoding = coding
    return response
