"""Bodies in a content coding: whole, in parts, cut off, too large, and of another coding."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_app.inference import InvalidRequest, RequestTooLarge, UnsupportedBody
from quart_app.middleware.compression import Inflater, deflate

BODY = bytes(range(256)) * 40
CODED = {
    "gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "x-gzip": gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]),
}


def inflated(coding: str, parts: list[bytes], limit: int = len(BODY)) -> bytes:
    inflater = Inflater(coding, limit)
    found = b"".join(inflater.feed(part) for part in parts)
    inflater.finish()
    return found


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_body_is_the_same_in_parts_of_any_size(coding: str, size: int) -> None:
    body = CODED[coding]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    assert inflated(coding, parts) == BODY


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(body=st.binary(max_size=500))
def test_what_is_deflated_here_is_inflated_here_and_by_the_standard_library(
    coding: str, body: bytes
) -> None:
    coded = deflate(body, coding)
    assert inflated(coding, [coded]) == body
    assert (gzip.decompress(coded) if coding == "gzip" else zlib.decompress(coded)) == body


@pytest.mark.parametrize("coding", CODED)
def test_a_body_that_is_cut_off_anywhere_is_refused(coding: str) -> None:
    whole = CODED[coding]
    for end in range(0, len(whole), 37):
        if whole[:end] == gzip.compress(BODY[:99]):
            continue  # a gzip file of one member is whole
        with pytest.raises(InvalidRequest, match="ends within"):
            inflated(coding, [whole[:end]])


@pytest.mark.parametrize("coding", CODED)
def test_not_a_byte_more_than_the_limit_comes_out(coding: str) -> None:
    assert inflated(coding, [CODED[coding]], len(BODY)) == BODY
    with pytest.raises(RequestTooLarge, match=f"{len(BODY) - 1} bytes, inflated"):
        inflated(coding, [CODED[coding]], len(BODY) - 1)


def test_a_bomb_is_refused_after_its_first_bytes() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    with pytest.raises(RequestTooLarge):
        Inflater("gzip", 1000).feed(bomb)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"plain"),
        ("deflate", b"plain"),
        ("gzip", zlib.compress(BODY)),
        ("deflate", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY) + b"more"),
        ("deflate", zlib.compress(BODY) + b"more"),
        ("gzip", gzip.compress(BODY)[:-8] + bytes(8)),
    ],
)
def test_what_is_not_of_its_coding_is_refused(coding: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        inflated(coding, [body])


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "identity;q=1", ""])
def test_another_coding_is_not_spoken(coding: str) -> None:
    with pytest.raises(UnsupportedBody, match="expected gzip, deflate or none"):
        Inflater(coding, 10)
