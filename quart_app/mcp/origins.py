"""Whether a message comes from where it may: no page of another site, and no rebound name.

A page makes its visitor's browser send messages to a server that only the visitor reaches, by its
address or by a name of the page's own that is made to lead there (DNS rebinding). Browsers say
whose page it was in `Origin`, and by which name they came in `Host`.

- A message with an `Origin` counts where CORS_ORIGINS names it, or where it is this server's own
  and an address or localhost, which nobody else can make lead here.
- On a connection from the same machine `Host` is an address or localhost, unless a proxy stands
  before the server (PROXIES): it keeps the name by which it was asked.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from ..asgi import Scope
from ..config import Config
from .messages import REFUSED, RpcError

LOCALHOST: Final = "localhost"
ANY: Final = "*"


def require_ours(scope: Scope, config: Config) -> None:
    """Do nothing where a message may be answered.

    Raises:
        RpcError
    """
    origin = host = None
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value.decode("latin-1").strip().lower()
        elif name == b"host":
            host = value.decode("latin-1").strip().lower()
    if not config.proxies and _is_local(scope) and not _is_fixed(_name(f"//{host or ''}")):
        raise RpcError(
            REFUSED,
            "Host: expected localhost or an address, since none but this machine comes here; "
            "behind a proxy set QUART_APP_PROXIES=1.",
            status=421,
        )
    if origin is not None and not _is_allowed(origin, host, config):
        raise RpcError(
            REFUSED,
            "A page of another site sent this, which QUART_APP_CORS_ORIGINS does not allow.",
            status=403,
        )


def _is_allowed(origin: str, host: str | None, config: Config) -> bool:
    if ANY in config.cors_origins or origin in config.cors_origins:
        return True
    name = _name(origin)
    return _is_fixed(name) and urlsplit(origin).netloc == host


def _is_local(scope: Scope) -> bool:
    """Whether the connection was made to an address that this machine alone reaches."""
    server = scope.get("server")
    return server is not None and _is_loopback(server[0])


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_fixed(name: str) -> bool:
    """Whether a name leads where it says, whoever asks."""
    if name == LOCALHOST or name.endswith(f".{LOCALHOST}"):
        return True
    return _address(name) is not None


def _is_loopback(name: str) -> bool:
    if name == LOCALHOST or name.endswith(f".{LOCALHOST}"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
