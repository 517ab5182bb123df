"""What a head may say, and how many requests are answered at a time."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.exceptions import (
    HTTPVersionNotSupported,
    NotImplemented,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)

from quart_app.inference import InvalidRequest, NotReady
from quart_app.middleware.limits import HEAD_BYTES, HEADERS, TARGET_BYTES, InFlight, fault_of

LENGTH = (b"content-length", b"5")
CHUNKED = (b"transfer-encoding", b"chunked")


def head(
    *headers: tuple[bytes, bytes],
    path: bytes = b"/",
    query: bytes = b"",
    version: str = "2",
) -> Any:
    return {
        "type": "http",
        "http_version": version,
        "raw_path": path,
        "query_string": query,
        "headers": list(headers),
    }


def host(*values: bytes, version: str = "1.1") -> Any:
    return head(*[(b"host", value) for value in values], version=version)


@pytest.mark.parametrize(
    "scope",
    [
        head(),
        head(LENGTH),
        head(CHUNKED),
        head(*[(b"x", b"y")] * HEADERS),
        head((b"x", b"y" * (HEAD_BYTES - 5))),
        head(path=b"/" * 10, query=b"q" * (TARGET_BYTES - 10)),
        host(version="1.0"),
        host(b""),
        host(b"localhost"),
        host(b"a_b-c.example.org.:8000"),
        host(b"127.0.0.1:80"),
        host(b"[::1]:8000"),
        host(b"xn--bcher-kva.example"),
        host(b"b%C3%BCcher.example", version="3"),
        head((b"transfer-encoding", b"Chunked")),
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
        (head((b"transfer-encoding", b"gzip, chunked")), NotImplemented),
        (head((b"transfer-encoding", b"identity")), NotImplemented),
        (host(), InvalidRequest),
        (host(b"x", b"x"), InvalidRequest),
        (host(b"x", b"y", version="1.0"), InvalidRequest),
        *(
            (host(each), InvalidRequest)
            for each in (
                b"a b<script>",
                b"a/b",
                b"a@b",
                b"a\xff",
                b"a:b",
                b"[::1",
                b"%zz",
                b"a:1:2",
            )
        ),
        (host(b"x", version="0.9"), InvalidRequest),
        (host(b"x", version="1.2"), HTTPVersionNotSupported),
        (host(b"x", version="3.0"), HTTPVersionNotSupported),
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
