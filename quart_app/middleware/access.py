"""Who may ask what: API keys, rate limits, and pages of other sites, before a body is read.

A layer, so that it also covers what is answered without Quart. A refusal is an exception in the
state of the request, as those of `bodies` are, and is answered by the one table of errors.

- A page of another site may make a browser send what changes something here (CSRF). Browsers say
  whose page it was, in `Sec-Fetch-Site`, and where that is missing in `Origin`; programs send
  neither. What only reads or asks a model is never refused, and the origins that CORS allows never
  are.
- A rate is counted per key, or per address where no known key was sent; an unknown key so counts
  against the address it came from.
- Which view needs a key is a mark on the view. The view is asked of the app's own map of addresses,
  so that no other spelling of an address goes round it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from quart import Quart
from quart_schema import APIKeySecurityScheme, HttpSecurityScheme
from werkzeug.datastructures import Headers, WWWAuthenticate
from werkzeug.exceptions import Forbidden, HTTPException, TooManyRequests, Unauthorized

from .. import keys
from ..asgi import ASGIApp, Receive, Scope, Send, state_of
from ..config import Config
from ..marks import NONE, Marks, marks_of
from . import cors
from .clients import client_of

if TYPE_CHECKING:
    from .rates import Rates

SCHEMES: Final = {
    "bearer": HttpSecurityScheme(scheme="bearer"),
    "key": APIKeySecurityScheme(name="X-API-Key", in_="header"),
}
KEYS: Final[list[dict[str, list[str]]]] = [{name: []} for name in SCHEMES]
"""The one or the other, as OpenAPI has it."""

CARRIERS: Final = frozenset({b"authorization", b"x-api-key"})
"""The headers in which a key may come."""

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE: Final = frozenset({"same-origin", "none"})
PORTS: Final = {"http": 80, "https": 443}

UNCOUNTED: Final = ("/health", "/v2/health/", "/ping", "/metrics", "/static/", "/docs/assets/")
"""How the addresses begin that no rate holds for: what a platform asks, and the files of pages."""


class Guard:
    """Which requests need a key, and which change something."""

    def __init__(self, config: Config, app: Quart) -> None:
        self._config = config
        self._views = app.view_functions
        self._router = app.url_map.bind("localhost")

    @property
    def is_for_predictions(self) -> bool:
        """Whether predictions need a key as well."""
        return self._config.keys_for == "predictions"

    def needs_key(self, method: str, path: str, query: bytes = b"") -> bool:
        if self._config.keys_for == "none" or method == "OPTIONS":
            return False
        if not self.is_for_predictions and method in READING:  # which changes nothing
            return False
        marks = self._marks(method, path)
        if marks.page and method != "POST" and not query:
            return False
        return marks.changes or (self.is_for_predictions and (marks.predicts or marks.guarded))

    def changes(self, method: str, path: str) -> bool:
        """Whether something may be different afterwards."""
        if method in READING:
            return False
        marks = self._marks(method, path)
        return marks.keeps or not marks.predicts

    def _marks(self, method: str, path: str) -> Marks:
        """The marks of the view that answers there."""
        try:
            endpoint = self._router.match(path, method)[0]
        except HTTPException:
            return NONE
        marks = marks_of(self._views[endpoint])
        is_off = marks.only_with is not None and not getattr(self._config, marks.only_with)
        return NONE if is_off else marks


class Access:
    """Says who may ask. Belongs to one app."""

    def __init__(self, config: Config, app: Quart) -> None:
        self._keys = config.api_keys
        self._guard = Guard(config, app)
        self._origins = frozenset(config.cors_origins)
        self._rates = _rates(config.rate_limit)

    @property
    def is_open(self) -> bool:
        """Whether every program may ask every model, as often as it likes."""
        return self._rates is None and not self._guard.is_for_predictions

    def admit(self, scope: Scope) -> None:
        """Do nothing where the request may be answered.

        Raises:
            Forbidden: a page of another site sent it, or nobody has a key.
            TooManyRequests: the rate is used up.
            Unauthorized: it brought no key, or a wrong one.
        """
        state = state_of(scope)
        state.admitted = True
        method, path = scope["method"], scope["path"]
        if self._is_foreign(scope) and self._guard.changes(method, path):
            raise Forbidden("A page of another site sent this, which CORS_ORIGINS does not allow.")
        is_counted = self._rates is not None and _is_counted(method, path)
        needs_key = self._guard.needs_key(method, path, scope["query_string"])
        if not is_counted and not needs_key:
            return
        sent = _keys_sent(scope)
        owner = state.key = next(filter(None, map(self._keys.owner, sent)), None)
        if is_counted and self._rates is not None:
            seconds = self._rates.hit("key" if owner else "client", owner or client_of(scope))
            if seconds is not None:
                raise TooManyRequests("More requests came than may.", retry_after=seconds)
        if needs_key and owner is None:
            self._refuse(was_sent=bool(sent))

    def _refuse(self, *, was_sent: bool) -> None:
        if not self._keys:
            raise Forbidden("This needs an API key, and the server has none configured.")
        raise Unauthorized(
            "This needs an API key, as Authorization: Bearer or as X-API-Key"
            + (", and got one that is not known." if was_sent else "."),
            www_authenticate=WWWAuthenticate("bearer"),
        )

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a page sent it that is neither our own nor of an allowed origin."""
        site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
        if site is None and origin is None:
            return False
        if cors.ANY in self._origins or origin in self._origins:
            return False
        if site is not None:
            return site not in OWN_SITE
        place = _place(origin or "")
        return place is None or place != _place(f"//{_header(scope, b'host')}", origin)


class AccessLayer:
    """Gives `app` each request, with a refusal in its state where it may not be answered."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            state = state_of(scope)
            # What the fast path refused or admitted before is not counted again.
            if state.refusal is None and not state.admitted:
                try:
                    self._access.admit(scope)
                except HTTPException as refusal:
                    state.refusal = refusal
        await self._app(scope, receive, send)


def _rates(limits: Sequence[str]) -> Rates | None:
    if not limits:
        return None
    # Imported where it is needed only: it takes a tenth of a second.
    from .rates import Rates

    return Rates(limits)


def _is_counted(method: str, path: str) -> bool:
    return method not in {"GET", "HEAD"} or not path.startswith(UNCOUNTED)


def _keys_sent(scope: Scope) -> list[str]:
    return keys.sent(
        Headers(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.lower() in CARRIERS
        )
    )


def _header(scope: Scope, name: bytes) -> str | None:
    """All values of a header as one; None where there is none."""
    found = [value for key, value in scope["headers"] if key.lower() == name]
    return b", ".join(found).decode("latin-1").strip().lower() if found else None


def _place(url: str, like: str | None = None) -> tuple[str | None, int | None] | None:
    """The host and the port of a URL, the usual port being that of `like`; None of no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(urlsplit(like or url).scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None
