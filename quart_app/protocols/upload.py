"""One file in a form (RFC 7578), piece by piece: what comes out are the bytes of the file alone."""

from __future__ import annotations

from typing import Final

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData, State

from ..inference import InvalidRequest
from .form import MULTIPART

FIELD: Final = "file"
"""The field that holds the file. Others are skipped."""

MAX_PARTS: Final = 100
FED_AT_ONCE: Final = 64 * 1024
MAX_PENDING: Final = 2 * FED_AT_ONCE
"""Bytes that may wait for their end: those of a part's headers, or before the first part."""


class Decoder:
    """Takes the bytes of a form in pieces of any size and gives those of its file.

    `filename` is what the sender calls the file, empty where none was chosen, None where the form
    has no such field.
    """

    def __init__(self, boundary: str) -> None:
        """Raises InvalidRequest: there is no boundary."""
        self.filename: str | None = None
        if not boundary or not boundary.isascii():
            raise InvalidRequest(f"A form that comes as {MULTIPART} needs a boundary.")
        self._decoder = MultipartDecoder(boundary.encode(), MAX_PENDING, max_parts=MAX_PARTS)
        self._taken = False

    def feed(self, data: bytes) -> bytes:
        """The bytes of the file in this piece.

        Raises:
            InvalidRequest: it is no such form, or has more than one file.
        """
        found = []
        for start in range(0, len(data), FED_AT_ONCE):
            if self._decoder.state is State.EPILOGUE:
                break
            found.append(self._receive(data[start : start + FED_AT_ONCE]))
        return b"".join(found)

    def finish(self) -> None:
        """Raises InvalidRequest: the form has no end."""
        self._receive(None)

    def _receive(self, data: bytes | None) -> bytes:
        found = []
        try:
            self._decoder.receive_data(data)
            while not isinstance(event := self._decoder.next_event(), NeedData | Epilogue):
                if isinstance(event, File | Field):
                    self._begin(event)
                elif isinstance(event, Data) and self._taken:
                    found.append(event.data)
        except RequestEntityTooLarge:
            raise InvalidRequest("The form has too many parts, or too long headers.") from None
        except ValueError as error:
            raise InvalidRequest(f"The form is not {MULTIPART}: {error}.") from None
        return b"".join(found)

    def _begin(self, part: File | Field) -> None:
        self._taken = isinstance(part, File) and part.name == FIELD
        if isinstance(part, File) and self._taken:
            if self.filename is not None:
                raise InvalidRequest("Expected one file, got more.")
            self.filename = part.filename
