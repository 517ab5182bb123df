"""What a head may say, and how many requests are answered at a time."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.exceptions import RequestHeaderFieldsTooLarge, RequestURITooLarge

from quart_app.inference import InvalidRequest, NotReady
from quart_app.middleware.limits import HEAD_BYTES, HEADERS, TARGET_BYTES, InFlight, fault_of

LENGTH = (b"content-length", b"5")
CHUNKED = (b"transfer-encoding", b"chunked")


def head(*headers: tuple[bytes, bytes], path: bytes = b"/", query: bytes = b"") -> Any:
    return {"type": "http", "raw_path": path, "query_string": query, "headers": list(headers)}


@pytest.mark.parametrize(
    "scope",
    [
        head(),
        head(LENGTH),
        head(CHUNKED),
        head(*[(b"x", b"y")] * HEADERS),
        head((b"x", b"y" * (HEAD_BYTES - 5))),
        head(path=b"/" * 10, query=b"q" * (TARGET_BYTES - 10)),
    ],
)
def test_a_head_within_its_bounds_has_no_fault(scope: Any) -> None:
    assert fault_of(scope) is None


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        (head(*[(b"x", b"y")] * (HEADERS + 1)), RequestHeaderFieldsTooLarge),
        (head((b"x", b"y" * (HEAD_BYTES - 4))), RequestHeaderFieldsTooLarge),
        (head(path=b"/" * 11, query=b"q" * (TARGET_BYTES - 10)), RequestURITooLarge),
        (head(LENGTH, LENGTH), InvalidRequest),
        (head(LENGTH, CHUNKED), InvalidRequest),
        (head(CHUNKED, CHUNKED), InvalidRequest),
    ],
)
def test_what_is_beyond_them_is_a_fault(scope: Any, kind: type[Exception]) -> None:
    assert isinstance(fault_of(scope), kind)


def test_as_many_as_may_be_enter_and_those_who_leave_make_room() -> None:
    in_flight = InFlight(2)
    assert [in_flight.enter() is None for _ in range(3)] == [True, True, False]
    assert in_flight.requests == 3
    in_flight.leave()
    assert isinstance(in_flight.enter(), NotReady)
    in_flight.leave()
    in_flight.leave()
    assert in_flight.enter() is None
    in_flight.leave()
    in_flight.leave()
    assert in_flight.requests == 0
