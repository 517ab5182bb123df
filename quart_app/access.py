"""Which requests need an API key: those that change what the server serves."""

from __future__ import annotations

from quart import request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from . import keys
from .context import get_config


def require_key() -> str:
    """The name of the key that the current request brought.

    Raises:
        Forbidden: no keys are configured, so nobody may.
        Unauthorized: it brought none, or a wrong one.
    """
    known = get_config().api_keys
    if not known:
        raise Forbidden("This needs an API key, and the server has none configured.")
    key = keys.sent(request.headers)
    owner = None if key is None else known.owner(key)
    if owner is None:
        raise Unauthorized(
            "This needs an API key, as Authorization: Bearer or as X-API-Key"
            + ("." if key is None else ", and got one that is not known."),
            www_authenticate=WWWAuthenticate("bearer"),
        )
    return owner
