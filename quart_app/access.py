"""Which requests need an API key: those that change what the server serves."""

from __future__ import annotations

from typing import Final

from quart import request
from quart_schema import APIKeySecurityScheme, HttpSecurityScheme
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from . import keys
from .context import get_config

SCHEMES: Final = {
    "bearer": HttpSecurityScheme(scheme="bearer"),
    "key": APIKeySecurityScheme(name="X-API-Key", in_="header"),
}
KEYS: Final[list[dict[str, list[str]]]] = [{name: []} for name in SCHEMES]
"""The one or the other, as OpenAPI has it."""


def require_key() -> str:
    """The name of the key that the current request brought.

    Raises:
        Forbidden: no keys are configured, so nobody may.
        Unauthorized: it brought none, or a wrong one.
    """
    known = get_config().api_keys
    if not known:
        raise Forbidden("This needs an API key, and the server has none configured.")
    sent = keys.sent(request.headers)
    owner = next(filter(None, map(known.owner, sent)), None)
    if owner is None:
        raise Unauthorized(
            "This needs an API key, as Authorization: Bearer or as X-API-Key"
            + (", and got one that is not known." if sent else "."),
            www_authenticate=WWWAuthenticate("bearer"),
        )
    return owner
