"""A server for trained scikit-learn pipelines: `create_app` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quart import Quart

    from .protocols.protocol import Protocol

__all__ = ["create_app"]


def create_app(protocols: Sequence[Protocol] = (), /, **settings: Any) -> Quart:
    """The app, as `quart_app.app.create_app` makes it.

    That is imported when it is called: the client alone needs nothing of what the server needs.
    """
    from . import app

    return app.create_app(protocols, **settings)
