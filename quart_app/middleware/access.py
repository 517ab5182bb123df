"""Who may ask what: API keys, rate limits, and pages of other sites, before a body is read.

A layer, so that it also covers what is answered without Quart. A refusal is an exception in the
state of the request, as those of `bodies` are, and is answered by the one table of errors.

- A page of another site may make a browser send what changes something here (CSRF). Browsers say
  whose page it was, in `Sec-Fetch-Site`, and where that is missing in `Origin`; programs send
  neither. What only reads or asks a model is never refused, and the origins that CORS allows never
  are.
- A browser sends a key by HTTP Basic once its user has entered it, and from then on with every
  request that any page makes it send. So a key that came this way counts only where the browser
  says that a page of this server sent the request, or that somebody followed a link or typed an
  address; all else is as if it had brought none. Browsers are told to ask for a key where they
  navigate to a page, and nowhere else.
- A rate is counted per key, or per address where no known key was sent; an unknown key so counts
  against the address it came from.
- A key may be for some models alone. Where the address names the model this is looked at here, and
  where the columns tell it by whoever finds it (`RequestState.models`).
- Which view needs a key is a mark on the view. The view is asked of the app's own map of addresses,
  so that no other spelling of an address goes round it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from quart import Quart
from quart_schema import APIKeySecurityScheme, HttpSecurityScheme
from werkzeug.datastructures import Headers, MIMEAccept, WWWAuthenticate
from werkzeug.exceptions import Forbidden, HTTPException, TooManyRequests, Unauthorized
from werkzeug.http import parse_accept_header

from .. import keys
from ..asgi import ASGIApp, Receive, RequestState, Scope, Send, state_of
from ..config import Config
from ..keys import Key
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

BEARER: Final = WWWAuthenticate("bearer")
BASIC: Final = WWWAuthenticate("basic", {"realm": "API key", "charset": "UTF-8"})
"""What makes a browser ask its user for the name of a key and the key. The realm has a space, since
Werkzeug quotes it only then, and RFC 9110, section 11.5, wants it quoted."""

NEEDS_KEY: Final = "This needs an API key, as Authorization: Bearer or as X-API-Key"
"""A sentence without its end."""

HTML: Final = "text/html"
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SAME_ORIGIN: Final = "same-origin"
NO_PAGE: Final = "none"
"""What `Sec-Fetch-Site` says where no page sent it: an address was typed, or a bookmark taken."""
PORTS: Final = {"http": 80, "https": 443}

UNCOUNTED: Final = ("/health", "/v2/health/", "/ping", "/metrics", "/static/", "/docs/assets/")
"""How the addresses begin that no rate holds for: what a platform asks, and the files of pages."""


class Guard:
    """Which requests need a key, and which change something."""

    def __init__(self, config: Config, app: Quart) -> None:
        self._config = config
        self._views = app.view_functions
        self._router = app.url_map.bind("localhost")
        self._keys_are_set = bool(config.api_keys)

    @property
    def is_for_predictions(self) -> bool:
        """Whether predictions need a key as well."""
        return self._config.keys_for == "predictions"

    def needs_key(self, method: str, path: str, query: bytes = b"") -> bool:
        """Whether a request is answered with a key alone."""
        if method == "OPTIONS":
            return False
        marks = self._marks(method, path)
        if self._reads(marks):
            return True
        if not self.is_for_predictions and method in READING:  # which changes nothing
            return False
        if marks.page and method != "POST" and not query:
            return False
        return self.wants_key(marks)

    def wants_key(self, marks: Marks) -> bool:
        """Whether what is marked so is answered with a key alone."""
        if self._reads(marks):
            return True
        if self._config.keys_for == "none":
            return False
        return marks.changes or (self.is_for_predictions and (marks.predicts or marks.guarded))

    def _reads(self, marks: Marks) -> bool:
        """Whether a key alone lets read what was recorded; figures of it where there are keys."""
        return marks.records or (marks.figures and self._keys_are_set)

    def changes(self, method: str, path: str) -> bool:
        """Whether something may be different afterwards."""
        if method in READING:
            return False
        marks = self._marks(method, path)
        return marks.keeps or not marks.predicts

    def require_for(self, models: Container[str] | None, method: str, path: str) -> None:
        """Do nothing where a key for these models is enough. Which model predicts is perhaps told
        by the columns; whoever finds it looks at the key again.

        Raises:
            KeyNotForModel: it is for other models.
            Forbidden: what is asked for concerns no single model.
        """
        if models is None:
            return
        marks, names = self._found(method, path)
        if "name" in names:
            keys.require_for(models, names["name"])
        elif not marks.predicts:
            raise Forbidden("This API key is for some models, and this concerns no single one.")

    def _marks(self, method: str, path: str) -> Marks:
        return self._found(method, path)[0]

    def _found(self, method: str, path: str) -> tuple[Marks, Mapping[str, Any]]:
        """The marks of the view that answers there, and what it is told by the address."""
        try:
            endpoint, names = self._router.match(path, method)
        except HTTPException:
            return NONE, {}
        marks = marks_of(self._views[endpoint])
        is_off = marks.only_with is not None and not getattr(self._config, marks.only_with)
        return (NONE if is_off else marks), names


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
            KeyNotForModel: its key is for other models.
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
        sent = _headers_with_keys(scope)
        owner = self._owner(scope, sent, state)
        if is_counted:
            self._count(scope, owner)
        if not needs_key:
            return
        if owner is None:
            self._refuse(scope, sent)
        else:
            self._guard.require_for(owner.models, method, path)
            state.models = owner.models

    def admit_call(self, scope: Scope, marks: Marks, *, is_counted: bool) -> None:
        """The same of a call that has no address of HTTP and that no browser sends, as by gRPC.

        Which models may be asked stands in its state: the call itself names its model.
        """
        needs_key = self._guard.wants_key(marks)
        if not needs_key and (self._rates is None or not is_counted):
            return
        state, sent = state_of(scope), _headers_with_keys(scope)
        owner = next(filter(None, map(self._keys.owner, keys.sent(sent))), None)
        state.key = None if owner is None else owner.name
        if is_counted:
            self._count(scope, owner)
        if not needs_key:
            return
        if owner is None:
            raise self._no_key(keys.sent(sent))
        state.models = owner.models

    def _count(self, scope: Scope, owner: Key | None) -> None:
        """Count a request against its rate."""
        if self._rates is None:
            return
        kind, who = ("client", client_of(scope)) if owner is None else ("key", owner.name)
        seconds = self._rates.hit(kind, who)
        if seconds is not None:
            raise TooManyRequests("More requests came than may.", retry_after=seconds)

    def _owner(self, scope: Scope, sent: Headers, state: RequestState) -> Key | None:
        """What is known of the key that a request brought, which its state is told."""
        owner = next(filter(None, map(self._keys.owner, keys.sent(sent))), None)
        basic = keys.sent_by_basic(sent)
        if owner is None and basic is not None and _is_of_ours(scope):
            owner = self._keys.owner_of_basic(basic)
            state.is_signed_in = owner is not None
        state.key = None if owner is None else owner.name
        return owner

    def _refuse(self, scope: Scope, sent: Headers) -> None:
        if self._keys and _navigates(scope) and _is_of_ours(scope):
            raise Unauthorized(
                "This needs an API key: its name as the name of the user, and the key as the "
                "password.",
                www_authenticate=BASIC,
            )
        by_basic = keys.sent_by_basic(sent) is not None and not keys.sent(sent)
        if not (self._keys and by_basic) or _is_of_ours(scope):
            raise self._no_key(keys.sent(sent))
        if _says_where_from(scope):
            raise Forbidden("A page of another site sent this, with a key by HTTP Basic.")
        raise Unauthorized(
            f"{NEEDS_KEY}; HTTP Basic is for this server's own pages in a browser.",
            www_authenticate=BEARER,
        )

    def _no_key(self, sent: Sequence[str]) -> HTTPException:
        """Why a request is refused that needs a key and brought none that is known."""
        if not self._keys:
            return Forbidden("This needs an API key, and the server has none configured.")
        unknown = ", and got one that is not known" if sent else ""
        return Unauthorized(f"{NEEDS_KEY}{unknown}.", www_authenticate=BEARER)

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a page sent it that is neither our own nor of an allowed origin."""
        if not _says_where_from(scope):
            return False
        if cors.ANY in self._origins or _header(scope, b"origin") in self._origins:
            return False
        return not _is_same_origin(scope) and _header(scope, b"sec-fetch-site") != NO_PAGE


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
                except (HTTPException, keys.KeyNotForModel) as refusal:
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


def _headers_with_keys(scope: Scope) -> Headers:
    return Headers(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name.lower() in CARRIERS
    )


def _is_of_ours(scope: Scope) -> bool:
    """Whether a browser says that a page of this server sent it, or that it navigates here by GET,
    which anybody's link makes it do and which changes nothing."""
    if _is_same_origin(scope):
        return True
    # No browser says `Origin` where it navigates by GET; a script that fetches has to.
    has_origin = _header(scope, b"origin") is not None
    return scope["method"] in READING and _navigates(scope) and not has_origin


def _is_same_origin(scope: Scope) -> bool:
    """Whether a browser says that a page of this very origin sent it."""
    site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
    if site is not None:
        return site == SAME_ORIGIN
    place = None if origin is None else _place(origin)
    return place is not None and place == _place(f"//{_header(scope, b'host')}", origin)


def _says_where_from(scope: Scope) -> bool:
    """Whether a browser says which page sent it."""
    return _header(scope, b"sec-fetch-site") is not None or _header(scope, b"origin") is not None


def _navigates(scope: Scope) -> bool:
    """Whether a browser is about to show the response as a page of its own. Those that do not say
    so, older ones and all by plain http, are known by what they read."""
    mode, into = _header(scope, b"sec-fetch-mode"), _header(scope, b"sec-fetch-dest")
    if mode not in {None, "navigate"} or into not in {None, "document"}:
        return False
    accept = parse_accept_header(_header(scope, b"accept") or "", MIMEAccept)
    return any(media == HTML and weight > 0 for media, weight in accept)


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
