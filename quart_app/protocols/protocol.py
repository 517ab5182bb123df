"""What a protocol is: one value, which the server reads wherever it needs to know of one.

A module of a protocol has `decode` and `encode`, pure functions between bytes and requests, and a
`PROTOCOL` that says where it is served and how it differs from others. `registry.py` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec

from model_store import Column

from ..inference import InferenceRequest, InferenceResponse

JSON: Final = "application/json"

Headers = Mapping[bytes, bytes]
"""Header names in lower case; of a header that repeats, the first value."""


class Limits(NamedTuple):
    """How much a request may bring: rows of JSON, rows of tensors in bytes, and the bytes of a body
    in JSON, of a form, and of tensors in bytes."""

    rows: int
    tensor_rows: int
    json_bytes: int
    form_bytes: int
    tensor_bytes: int


class Payload(msgspec.Struct, frozen=True):
    """The body of a request and what its head says of it.

    `headers` are raw, with names in lower case. `columns` are those of the model, for a protocol
    that is `model_first`.
    """

    body: bytes | bytearray
    content_type: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()
    columns: Sequence[Column] = ()

    @property
    def mimetype(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower() if self.content_type else ""

    def sent(self, name: str) -> list[str]:
        """Every value of a header."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for header, value in self.headers if header == wanted]


class Reply(msgspec.Struct, frozen=True):
    """The body of a response and what its head says of it."""

    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def json_limit(headers: Headers, limits: Limits) -> int:
    """The bytes of a body that is JSON, whatever its head says."""
    return limits.json_bytes


@dataclass(frozen=True)
class Protocol:
    """How requests for predictions are spoken.

    `routes` are the patterns of the addresses that take them by POST, with `<name>` and `<version>`
    where the address names a model; where it does not, the columns of the rows do. `decode` raises
    `InvalidRequest` and its kinds. `model_first` says that it needs the columns of the model, so
    that the model is found before. `error` makes the content of a response to what failed from the
    message and the status; None lets the client choose between a page, text and JSON.

    `body_limit` is how many bytes a body may have. `content_types` are those that `decode` takes,
    with none it looks at no type. `reply_type` is the content type of the responses. `vary` are the
    request headers that they depend on; with Accept-Encoding among them they are compressed for who
    likes that. `raw_header` is the header of bodies that are kept as they come, not copied into the
    request.

    `namespace` are first parts of other addresses where errors have the shape of this protocol.
    `summary` and `error_schema`, a JSON schema with a title, are for the API's documentation.
    `recorded_as` is what records of predictions call it, where that is not its name.
    """

    name: str
    routes: tuple[str, ...]
    decode: Callable[[Payload, Limits], InferenceRequest]
    encode: Callable[[InferenceResponse, InferenceRequest], Reply]
    error: Callable[[str, int], object] | None = None
    body_limit: Callable[[Headers, Limits], int] = json_limit
    content_types: tuple[str, ...] = ()
    vary: tuple[str, ...] = ()
    model_first: bool = False
    reply_type: str = JSON
    raw_header: bytes | None = None
    namespace: tuple[str, ...] = ()
    summary: str = "Predict"
    error_schema: Mapping[str, Any] | None = None
    recorded_as: str = ""

    @property
    def door(self) -> str:
        """What records of predictions call it."""
        return self.recorded_as or self.name

    @property
    def places(self) -> frozenset[str]:
        """First parts of the addresses where errors have the shape of this protocol."""
        return frozenset(map(first_part, self.routes)) | frozenset(self.namespace)

    def serves(self, path: str) -> bool:
        """Whether a path is one of its routes, written without detours."""
        return self._pattern.fullmatch(path) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = [re.sub(r"<[^>]*>", "[^/]+", route) for route in self.routes]
        return re.compile("|".join(parts))


def first_part(path: str) -> str:
    """What stands between the first two slashes of a path."""
    return path.split("/", 2)[1] if "/" in path else ""
