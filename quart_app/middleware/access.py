"""Who may ask what: API keys, rate limits, and pages of other sites, before a body is read.

An ASGI middleware, so that it also covers what is answered without Quart. A refusal is an exception
in the scope, as those of `bodies` are, and is answered by the one table of errors.

- A page of another site may make a browser send what changes something here (CSRF). Browsers say
  whose page it was, in `Sec-Fetch-Site`, and where that is missing in `Origin`; programs send
  neither. What only reads or asks a model is never refused, and the origins that CORS allows never
  are.
- A rate is counted per key, or per address where no known key was sent; an unknown key so counts
  against the address it came from.
- Which view needs a key is asked of the app's own map of addresses, so that no other spelling of an
  address goes round it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPScope,
    Scope,
)
from quart import Quart
from quart_schema import APIKeySecurityScheme, HttpSecurityScheme
from werkzeug.datastructures import Headers, WWWAuthenticate
from werkzeug.exceptions import Forbidden, HTTPException, TooManyRequests, Unauthorized
from werkzeug.routing import Map

from .. import keys
from ..config import Config
from . import cors
from .bodies import REFUSAL

if TYPE_CHECKING:
    from .rates import Rates

SCHEMES: Final = {
    "bearer": HttpSecurityScheme(scheme="bearer"),
    "key": APIKeySecurityScheme(name="X-API-Key", in_="header"),
}
KEYS: Final[list[dict[str, list[str]]]] = [{name: []} for name in SCHEMES]
"""The one or the other, as OpenAPI has it."""

KEY: Final = "quart_app.key"
"""Where the scope has the name of the key that was sent, None where none is known."""

CHANGES: Final = frozenset({"v2.load", "v2.unload"})
PREDICTIONS: Final = frozenset(
    {
        "classic.classify",
        "classic.ml_model",
        "classic.predict",
        "classic.predict_api",
        "files.download",
        "files.job",
        "files.stop",
        "files.upload",
        "invocations.predict",
        "pages.ask",
        "pages.home",
        "predict.by_body",
        "predict.by_query",
        "v1.predict",
        "v2.infer",
    }
)
"""The endpoints that predict, or hand out what was predicted."""
ASKING: Final = frozenset(each for each in PREDICTIONS if not each.startswith("files."))
"""Those of them that leave nothing behind: any page may send them, as it may a link."""
FORMS: Final = frozenset({"classic.ml_model", "pages.home"})
"""Those of them that are mere pages while the address has no query."""

CARRIERS: Final = frozenset({b"authorization", b"x-api-key"})
"""The headers in which a key may come."""

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE: Final = frozenset({"same-origin", "none"})
PORTS: Final = {"http": 80, "https": 443}

UNCOUNTED: Final = ("/health", "/v2/health/", "/ping", "/metrics", "/static/", "/docs/assets/")
"""How the addresses begin that no rate holds for: what a platform asks, and the files of pages."""
IPV6_PREFIX: Final = 64
"""The bits of an IPv6 address that tell its network: one client has all addresses in it."""


class Guard:
    """Which requests need a key, and which change something."""

    def __init__(self, config: Config, addresses: Map) -> None:
        self._changes_only = config.keys_for == "changes"
        self._endpoints: Collection[str] = ()
        if config.keys_for != "none":
            self._endpoints = CHANGES if self._changes_only else CHANGES | PREDICTIONS
        if not config.classic:
            self._endpoints = set(self._endpoints) - {"pages.ask", "pages.home"}
        self._router = addresses.bind("localhost")

    @property
    def is_for_predictions(self) -> bool:
        """Whether predictions need a key as well."""
        return "v2.infer" in self._endpoints

    def needs_key(self, method: str, path: str, query: bytes = b"") -> bool:
        if not self._endpoints or method == "OPTIONS":
            return False
        if self._changes_only and not path.endswith("load"):  # spares most requests the router
            return False
        endpoint = self._endpoint(method, path)
        if endpoint in FORMS and method != "POST" and not query:
            return False
        return endpoint in self._endpoints

    def changes(self, method: str, path: str) -> bool:
        """Whether something may be different afterwards."""
        return method not in READING and self._endpoint(method, path) not in ASKING

    def _endpoint(self, method: str, path: str) -> str | None:
        try:
            return cast(str, self._router.match(path, method)[0])
        except HTTPException:
            return None


class Access:
    """Gives `app` each request, with a refusal in the scope where it may not be answered."""

    def __init__(self, app: ASGIFramework, config: Config, addresses: Map) -> None:
        self._app = app
        self._keys = config.api_keys
        self._guard = Guard(config, addresses)
        self._origins = frozenset(config.cors_origins)
        self._rates = _rates(config.rate_limit)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        # What was refused or admitted before, by the fast path, is not counted again.
        if scope["type"] == "http" and REFUSAL not in scope and KEY not in scope:
            try:
                self.admit(scope)
            except HTTPException as refusal:
                cast(dict[str, Any], scope)[REFUSAL] = refusal
        await self._app(scope, receive, send)

    @property
    def is_open(self) -> bool:
        """Whether every program may ask every model, as often as it likes."""
        return self._rates is None and not self._guard.is_for_predictions

    def admit(self, scope: HTTPScope) -> None:
        """Do nothing where the request may be answered.

        Raises:
            Forbidden: a page of another site sent it, or nobody has a key.
            TooManyRequests: the rate is used up.
            Unauthorized: it brought no key, or a wrong one.
        """
        method, path = scope["method"], scope["path"]
        if self._is_foreign(scope) and self._guard.changes(method, path):
            raise Forbidden("A page of another site sent this, which CORS_ORIGINS does not allow.")
        is_counted = self._rates is not None and _is_counted(method, path)
        needs_key = self._guard.needs_key(method, path, scope["query_string"])
        if not is_counted and not needs_key:
            return
        sent = _keys_sent(scope)
        owner = next(filter(None, map(self._keys.owner, sent)), None)
        cast(dict[str, Any], scope)[KEY] = owner
        if is_counted and self._rates is not None:
            seconds = self._rates.hit("key" if owner else "client", owner or _client(scope))
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

    def _is_foreign(self, scope: HTTPScope) -> bool:
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


def register(app: Quart, config: Config) -> Access:
    """Let the app have only what may be answered, and refusals."""
    access = Access(app.asgi_app, config, app.url_map)
    app.asgi_app = access  # type: ignore[method-assign]
    return access


def _rates(limits: Sequence[str]) -> Rates | None:
    if not limits:
        return None
    # Imported where it is needed only: it takes a tenth of a second.
    from .rates import Rates

    return Rates(limits)


def _is_counted(method: str, path: str) -> bool:
    return method not in {"GET", "HEAD"} or not path.startswith(UNCOUNTED)


def _keys_sent(scope: HTTPScope) -> list[str]:
    return keys.sent(
        Headers(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.lower() in CARRIERS
        )
    )


def _client(scope: HTTPScope) -> str:
    """The address that a request came from; of IPv6 the network, since a client has many."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> (128 - IPV6_PREFIX):x}"


def _header(scope: HTTPScope, name: bytes) -> str | None:
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
