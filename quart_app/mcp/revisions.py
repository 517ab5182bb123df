"""The revisions of the protocol, two eras of it on one route, and what their headers have to say.

Until 2025-11-25 a client opens with `initialize` and names the revision in a header afterwards.
Since 2026-07-28 there is no opening: each request names the revision in its `_meta`, and its head
repeats that, the method and the name of the tool, so that proxies need not read the body. The
checks and their order are those of the official SDK (`mcp/shared/inbound.py` of 2.3).

Source: https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from ..protocols.protocol import Payload
from .messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    Message,
    Params,
    RpcError,
    text_in,
)

MODERN: Final = ("2026-07-28",)
LEGACY: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED: Final = (*MODERN, *LEGACY)

DISCOVER: Final = "server/discover"
CALL: Final = "tools/call"

VERSION_HEADER: Final = "mcp-protocol-version"
METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"

_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")


class _Meta(msgspec.Struct):
    version: Any = msgspec.field(default=UNSET, name=VERSION_KEY)
    capabilities: Raw | msgspec.UnsetType = msgspec.field(default=UNSET, name=CAPABILITIES_KEY)


_metas: Final = msgspec.json.Decoder(_Meta)


def is_modern(message: Message, params: Params, payload: Payload) -> bool:
    """Whether a message is of the era without an opening.

    Raises:
        RpcError: it is not as its era has it.
    """
    meta = _meta_of(params)
    version = _header(payload, VERSION_HEADER)
    names_none = meta is None or meta.version is UNSET
    if names_none and message.method != DISCOVER and (version is None or version in LEGACY):
        return False
    if message.id is None:
        if version is not None and version not in SUPPORTED:
            raise _unsupported(version)
        return True
    _require_modern(message.method, params, payload, meta)
    return True


def _require_modern(method: str, params: Params, payload: Payload, meta: _Meta | None) -> None:
    if meta is None:
        raise RpcError(INVALID_PARAMS, "params._meta: expected an object.")
    for key, value in ((VERSION_KEY, meta.version), (CAPABILITIES_KEY, meta.capabilities)):
        if value is UNSET:
            raise RpcError(INVALID_PARAMS, f"params._meta: {key} is missing.")
    _require_same(VERSION_HEADER, _header(payload, VERSION_HEADER), meta.version)
    _require_same(METHOD_HEADER, _header(payload, METHOD_HEADER), method)
    if method == CALL and params.name is not UNSET:
        name = _decoded(_header(payload, NAME_HEADER))
        _require_same(NAME_HEADER, name, text_in(params.name))
    if meta.version not in MODERN:
        raise _unsupported(meta.version)


def negotiated(requested: str | None) -> str:
    """The revision of a client that opens with `initialize`."""
    return requested if requested in LEGACY else LEGACY[0]


def _unsupported(requested: str) -> RpcError:
    return RpcError(
        UNSUPPORTED_VERSION,
        f"This revision is not spoken here; expected one of {', '.join(SUPPORTED)}.",
        data={"supported": list(SUPPORTED), "requested": requested},
    )


def _require_same(header: str, value: str | None, sent: object) -> None:
    if value is None or value != sent:
        said = "is missing" if value is None else "says something else than the body"
        raise RpcError(HEADER_MISMATCH, f"The header {header} {said}.")


def _header(payload: Payload, name: str) -> str | None:
    """A header.

    Raises:
        RpcError: it came more than once, so that readers may disagree.
    """
    found = payload.sent(name)
    if len(found) > 1:
        raise RpcError(HEADER_MISMATCH, f"The header {name} stands there more than once.")
    return found[0].strip() if found else None


def _decoded(value: str | None) -> str | None:
    """A header that may be in base64, since headers hold ASCII alone."""
    found = None if value is None else _ENCODED.fullmatch(value)
    if found is None:
        return value
    try:
        return base64.b64decode(found[1], validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _meta_of(params: Params) -> _Meta | None:
    """What a message says of itself; None where that is no object."""
    sent = params.meta
    if sent is UNSET:
        return _Meta()
    try:
        return _metas.decode(sent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
