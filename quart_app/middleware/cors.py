"""Which pages of other origins may ask this server: the allowed ones read its answers (CORS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asgi_cors import asgi_cors
from quart import Quart, Response

ANY: Final = "*"
HEADERS: Final = ("content-type", "authorization", "x-api-key")
"""What a page may send besides what any may: the kind of its body, which is JSON, and a key."""
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


def register(app: Quart, origins: Sequence[str]) -> None:
    """Let the pages of these origins ask the app; without any, nothing is added."""
    if not origins:
        return
    everyone = ANY in origins
    app.asgi_app = asgi_cors(  # type: ignore[method-assign]
        app.asgi_app,
        allow_all=everyone,
        hosts=() if everyone else origins,
        headers=HEADERS,
        methods=METHODS,
    )
    if not everyone:
        app.after_request(vary)


def vary(response: Response) -> Response:
    """Caches must not give an answer for one origin to another."""
    response.vary.add("Origin")
    return response
