"""A server for trained scikit-learn pipelines: `create_app` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quart import Quart

    from .protocols.protocol import Protocol
    from .server.place import Place
    from .serving.loading import Loaded

__all__ = ["create_app"]


def create_app(
    protocols: Sequence[Protocol] = (),
    /,
    *,
    place: Place | None = None,
    loaded: Loaded | None = None,
    **settings: Any,
) -> Quart:
    """The app, as `quart_app.app.create_app` makes it.

    That is imported when it is called: the client alone needs nothing of what the server needs.
    """
    from .app import create_app
    from .server.place import ALONE

    return create_app(protocols, place=place or ALONE, loaded=loaded, **settings)
