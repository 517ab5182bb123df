"""Content codings of bodies: gzip, and deflate, which is the zlib format (RFC 9110, 8.4.1).

Nothing is inflated beyond a limit, however little was sent.
"""

from __future__ import annotations

import zlib
from typing import Final

from ..inference import InvalidRequest, UnsupportedBody, too_large

WINDOWS: Final = {
    "gzip": zlib.MAX_WBITS | 16,
    "x-gzip": zlib.MAX_WBITS | 16,
    "deflate": zlib.MAX_WBITS,
}
"""What zlib is told to read or write each coding."""

LEVEL: Final = 1
"""The quickest: answers are numbers, which hardly get smaller by more effort."""


class Inflater:
    """Inflates a body in parts, up to `limit` bytes in all.

    Raises:
        UnsupportedBody: the coding is not known.
    """

    def __init__(self, coding: str, limit: int) -> None:
        if coding not in WINDOWS:
            raise UnsupportedBody(
                f"Content-Encoding: expected gzip, deflate or none, got {coding!r:.60}."
            )
        self._coding = coding
        self._left = limit
        self._limit = limit
        self._zlib = zlib.decompressobj(WINDOWS[coding])

    def feed(self, data: bytes) -> bytes:
        """What a part of the body holds.

        Raises:
            InvalidRequest: it is not of this coding.
            RequestTooLarge: it holds more than the limit.
        """
        parts = []
        while data:
            if self._zlib.eof:
                if self._coding == "deflate":
                    raise InvalidRequest("Bytes follow the deflated body.")
                # A gzip file may have several members (RFC 1952, 2.2).
                self._zlib = zlib.decompressobj(WINDOWS[self._coding])
            parts.append(self._inflate(data))
            data = self._zlib.unused_data
        return b"".join(parts)

    def finish(self) -> None:
        """Say that nothing follows.

        Raises:
            InvalidRequest: the body ends before its coding does.
        """
        if not self._zlib.eof:
            raise InvalidRequest(f"The body ends within its {self._coding} coding.")

    def _inflate(self, data: bytes) -> bytes:
        try:
            found = self._zlib.decompress(data, self._left + 1)
        except zlib.error:
            raise InvalidRequest(
                f"The body is not {self._coding}, which its header says."
            ) from None
        self._left -= len(found)
        if self._left < 0:
            raise too_large(
                f"A body of this kind may have {self._limit} bytes, inflated", self._limit
            )
        return found


def deflate(body: bytes, coding: str) -> bytes:
    """A whole body in a coding of `WINDOWS`."""
    compressor = zlib.compressobj(LEVEL, wbits=WINDOWS[coding])
    return compressor.compress(body) + compressor.flush()
