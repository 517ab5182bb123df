"""The protocols that are served: one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from . import invocations, native, v1, v2_protocol
from .protocol import Protocol, first_part

BUNDLED: Final = (
    native.PROTOCOL,
    v2_protocol.PROTOCOL,
    v1.PROTOCOL,
    v1.EXPLAINING,
    invocations.PROTOCOL,
)


class Protocols:
    """The protocols of one app: the bundled ones and `others`."""

    def __init__(self, others: Iterable[Protocol] = ()) -> None:
        self._all = (*BUNDLED, *others)
        self._by_place = {place: each for each in self._all for place in each.places}

    def __iter__(self) -> Iterator[Protocol]:
        return iter(self._all)

    def at(self, path: str) -> Protocol:
        """The protocol of an address, also of one where nothing is; else the native one."""
        return self._by_place.get(first_part(path), native.PROTOCOL)
