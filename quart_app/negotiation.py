"""Who gets HTML and who JSON, and JSON answers made of msgspec structures.

HTML goes only to who names text/html in Accept, or posts a form without a preference; so curl and
every protocol client get JSON without asking.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from quart import Request, Response
from werkzeug.sansio.response import Response as BaseResponse

from .protocols import form, native

JSON: Final = native.CONTENT_TYPE
HTML: Final = "text/html"
AnyResponse = TypeVar("AnyResponse", bound=BaseResponse)

FORMS: Final = frozenset({form.CONTENT_TYPE, form.MULTIPART})


def wants_html(request: Request) -> bool:
    """Whether this client reads pages."""
    accept = {_media_type(value): weight for value, weight in request.accept_mimetypes}
    if HTML in accept:
        return accept[HTML] > 0 and accept[HTML] >= accept.get(JSON, 0)
    no_preference = not accept or set(accept) == {"*/*"}
    return no_preference and request.mimetype in FORMS


def _media_type(value: str) -> str:
    """Without its parameters; names of media types have no case (RFC 9110, section 8.3.1)."""
    return value.partition(";")[0].strip().lower()


def json_response(content: Any, status: int = 200) -> Response:
    """The content, which msgspec can encode, as a JSON answer."""
    return json_bytes(msgspec.json.encode(content), status)


def json_bytes(body: bytes, status: int = 200) -> Response:
    """JSON that is encoded already, as an answer."""
    return Response(body, status=status, content_type=JSON)


def html_response(page: str, status: int = 200) -> Response:
    """A page as an answer."""
    return Response(page, status=status, content_type="text/html; charset=utf-8")


def varied(response: AnyResponse) -> AnyResponse:
    """Say to caches that the answer depends on Accept."""
    response.vary.add("Accept")
    return response
