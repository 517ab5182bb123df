"""Which pages of other origins may ask this server: the allowed ones read its answers (CORS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asgi_cors import asgi_cors
from quart import Response

from ..asgi import ASGIApp, Layer

ANY: Final = "*"
HEADERS: Final = (
    *("content-type", "authorization", "x-api-key"),
    *("mcp-protocol-version", "mcp-method", "mcp-name"),
)
"""What a page may send besides what any may: the kind of its body, which is JSON, a key, and what
the Model Context Protocol has in the head."""
METHODS: Final = ("GET", "POST", "PUT", "DELETE")


def on_every_answer(origins: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The headers that the middleware adds to each answer, whoever asked."""
    if ANY not in origins:
        return []
    return [
        (b"access-control-allow-origin", ANY.encode()),
        (b"access-control-allow-headers", ", ".join(HEADERS).encode()),
        (b"access-control-allow-methods", ", ".join(METHODS).encode()),
    ]


def layer(origins: Sequence[str]) -> Layer:
    """Let the pages of these origins ask the app; without any, nothing is added."""
    everyone = ANY in origins

    def allowed(app: ASGIApp) -> ASGIApp:
        if not origins:
            return app
        found: ASGIApp = asgi_cors(
            app,
            allow_all=everyone,
            hosts=() if everyone else origins,
            headers=HEADERS,
            methods=METHODS,
        )
        return found

    return allowed


def varies(origins: Sequence[str]) -> bool:
    """Whether a response depends on the origin that asks."""
    return bool(origins) and ANY not in origins


async def vary(response: Response) -> Response:
    """Say to caches that a response for one origin is not for another.

    Asynchronous, though it waits for nothing: Quart runs a synchronous hook in a thread.
    """
    response.vary.add("Origin")
    return response
