"""Who gets HTML, who plain text and who JSON, and answers of these kinds.

HTML goes only to who names text/html in Accept, or posts a form without a preference; so curl and
every protocol client get JSON without asking.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec
from quart import Request, Response
from werkzeug.sansio.response import Response as BaseResponse

from .protocols import native, plain
from .protocols.protocol import Reply

JSON: Final = native.CONTENT_TYPE
HTML: Final = "text/html"
TEXT: Final = plain.CONTENT_TYPE
AnyResponse = TypeVar("AnyResponse", bound=BaseResponse)

Kind = Literal["page", "text", "json"]

FORMS: Final = frozenset(native.FORMS)


def wants_html(request: Request) -> bool:
    """Whether this client reads pages."""
    accept = _accepted(request)
    if HTML in accept:
        return accept[HTML] > 0 and accept[HTML] >= accept.get(JSON, 0)
    return not accept.keys() - {"*/*"} and request.mimetype in FORMS


def wants_text(request: Request) -> bool:
    """Whether this client likes plain text better than pages and JSON."""
    accept = _accepted(request)
    return accept.get(TEXT, 0) > max(accept.get(HTML, 0), accept.get(JSON, 0))


def kind_wanted(request: Request, *, usual: Literal["page", "json"]) -> Kind:
    """What this client reads; the usual kind where it has no preference and sends no body."""
    if wants_html(request):
        return "page"
    if wants_text(request):
        return "text"
    none = not _accepted(request).keys() - {"*/*"} and not request.mimetype
    return usual if none else "json"


def _accepted(request: Request) -> dict[str, float]:
    return {_media_type(value): weight for value, weight in request.accept_mimetypes}


def _media_type(value: str) -> str:
    """Without its parameters; names of media types have no case (RFC 9110, section 8.3.1)."""
    return value.partition(";")[0].strip().lower()


def json_response(content: Any, status: int = 200) -> Response:
    """The content, which msgspec can encode, as a JSON answer."""
    return json_bytes(msgspec.json.encode(content), status)


def json_bytes(body: bytes, status: int = 200) -> Response:
    """JSON that is encoded already, as an answer."""
    return Response(body, status=status, content_type=JSON)


def json_reply(reply: Reply) -> Response:
    """What a protocol that speaks JSON replies, as a response."""
    return json_bytes(reply.body)


def html_response(page: str, status: int = 200) -> Response:
    """A page as an answer."""
    return Response(page, status=status, content_type="text/html; charset=utf-8")


def text_response(text: str, status: int = 200) -> Response:
    """Plain text as an answer."""
    return Response(text, status=status, content_type=f"{TEXT}; charset=utf-8")


def varied(response: AnyResponse) -> AnyResponse:
    """Say to caches that the answer depends on Accept."""
    response.vary.add("Accept")
    return response
