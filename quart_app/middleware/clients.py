"""Who asks, as far as addresses tell: what rates and places are counted by."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

from ..asgi import Scope

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
