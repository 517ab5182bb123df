"""What holds for every request, whoever answers it: from whom it is, its id, safe headers.

The outermost ASGI middleware of ours but for those that watch. It writes into the scope itself, so
that they see what it found.

- `client` and `scheme` are what the last of our own proxies tell (`PROXIES`). Each of them adds the
  address that it was asked from at the end of X-Forwarded-For; what stands further left was said by
  anybody. X-Forwarded-Host is never believed: Host is what browsers take the answer to be from.
- `path` is a path, also where the request named a whole URL (RFC 9112, section 3.2.2), so that all
  layers read the same address.
- The id of a request is its own where that cannot be mistaken for anything else in a log.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ..asgi import ASGIApp, Message, RawHeaders, Receive, RequestState, Scope, Send, state_of
from ..negotiation import JSON
from ..random_ids import RandomIds

_JSON: Final = JSON.encode()
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ADDRESS: Final = re.compile(r"\[(?P<v6>[^\]]+)\](:\d+)?|(?P<v4>[^:]+):\d+")

POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
"""Nothing comes from elsewhere, and no script or style stands in a page."""

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
MODEL_VERSION: Final = b"x-model-version"
"""The header that says which version of a model answered."""

HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    NOSNIFF,
    (b"referrer-policy", b"same-origin"),  # addresses may have the values of a row in the query
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""On every answer that has no such header of its own. No Strict-Transport-Security: TLS ends at the
platform's router, and such a promise outlives the app on that host.

A prediction in JSON is no document, so that of these it has `NOSNIFF` alone: to write headers is a
good part of what it costs a server."""


class CommonHeaders:
    """Gives `app` each request with what is known of it, and its responses their headers."""

    def __init__(self, app: ASGIApp, proxies: int) -> None:
        self._app = app
        self._proxies = proxies
        self._ids = RandomIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not scope["path"].startswith("/"):
            scope["path"] = _path(scope["path"])
        if self._proxies:
            apply_forwarded(scope, self._proxies)
        sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
        request_id = identify(state_of(scope), sent[0] if len(sent) == 1 else None, self._ids)

        async def send_with_headers(event: Message) -> None:
            if event["type"] == "http.response.start":
                own = [*event.get("headers", ())]
                safe = (NOSNIFF,) if _is_prediction(scope, event["status"], own) else HEADERS
                added = (*safe, (b"x-request-id", request_id), *_version(scope))
                event["headers"] = _completed(own, added)
            await send(event)

        await self._app(scope, receive, send_with_headers)


def _version(scope: Scope) -> RawHeaders:
    record = state_of(scope).record
    version = None if record is None else record.version
    return () if version is None else ((MODEL_VERSION, b"%d" % version),)


def identify(state: RequestState, sent: bytes | None, ids: RandomIds) -> bytes:
    """Give the request its id: the one that was sent where it is well-formed, else a new one."""
    well_formed = sent is not None and _ID.fullmatch(sent)
    request_id = sent.decode() if sent is not None and well_formed else ids.new()
    state.request_id = request_id
    return request_id.encode()


def _is_prediction(scope: Scope, status: int, headers: RawHeaders) -> bool:
    """Whether it may be one: what a POST was answered with in JSON."""
    if scope["method"] != "POST" or status != 200:
        return False
    return any(name.lower() == b"content-type" and value == _JSON for name, value in headers)


def _completed(own: RawHeaders, added: RawHeaders) -> list[tuple[bytes, bytes]]:
    headers = [*own]
    names = {name.lower() for name, _ in headers}
    headers += [header for header in added if header[0] not in names]
    return headers


def _path(target: str) -> str:
    """The path in a URL that was sent in the place of one."""
    try:
        path = urlsplit(target).path
    except ValueError:
        path = target
    return f"/{path.lstrip('/')}"


def apply_forwarded(scope: Scope, proxies: int) -> None:
    """Take the client's address and the scheme from what the last `proxies` hops added."""
    hops = _listed(scope["headers"], b"x-forwarded-for")
    address = _address(hops[-proxies]) if len(hops) >= proxies else None
    if address is not None:
        scope["client"] = (address, 0)
    # Many proxies replace this one and do not add to it; the last is by one of ours in any case.
    schemes = _listed(scope["headers"], b"x-forwarded-proto")
    if schemes and (scheme := schemes[-min(proxies, len(schemes))].lower()) in {"http", "https"}:
        scope["scheme"] = scheme


def _listed(headers: RawHeaders, wanted: bytes) -> list[str]:
    """The members of a header that is a list, from all its lines."""
    values = [value.decode("latin-1") for name, value in headers if name == wanted]
    return [member.strip() for value in values for member in value.split(",")]


def _address(hop: str) -> str | None:
    """The address in a member of X-Forwarded-For, without a port; None where it is none."""
    found = _ADDRESS.fullmatch(hop)
    host = (found["v6"] or found["v4"]) if found else hop
    try:
        return str(ip_address(host))
    except ValueError:
        return None
