"""Who asks, as far as addresses tell: what rates and places are counted by."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

from ..asgi import Scope, state_of

ROUTE_KEY: Final = b"x-route-key"
"""The header by which a client says what keeps it with one version."""

KEY_CARRIERS: Final = (b"x-api-key", b"authorization")

IPV6_PREFIX: Final = 64
"""The bits of an IPv6 address that tell its network: one client has all addresses in it."""


def client_of(scope: Scope) -> str:
    """The address that a request came from; of IPv6 the network, since a client has many."""
    host: str = (scope.get("client") or ("", 0))[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> (128 - IPV6_PREFIX):x}"


def route_key(scope: Scope) -> str:
    """What keeps the client of a request with one version while a canary is tried: the header
    X-Route-Key, else its API key, else its address."""
    headers = dict(scope["headers"])
    if sent := headers.get(ROUTE_KEY):
        return str(sent, "latin-1")
    if owner := state_of(scope).key:
        return f"key {owner}"
    for carrier in KEY_CARRIERS:
        if carrier in headers:
            return str(headers[carrier], "latin-1")
    return client_of(scope)
