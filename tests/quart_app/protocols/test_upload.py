"""One file in a form, in pieces of any size."""

from __future__ import annotations

import pytest

from quart_app.inference import InvalidRequest
from quart_app.protocols.upload import MAX_PENDING, Decoder


def part(disposition: str, data: bytes, *headers: str) -> bytes:
    lines = (f"Content-Disposition: form-data; {disposition}", *headers)
    return b"--xx\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


END = b"--xx--\r\n"
CHOSEN = 'name="file"; filename="rows.csv"'
ROWS = b"a,b\r\n1,2\r\n--x\r\n--xy,\r\n\r\n"


def decode(form: bytes, size: int = 1 << 20) -> tuple[bytes, str | None]:
    """The file and its name."""
    decoder = Decoder("xx")
    found = [decoder.feed(form[start : start + size]) for start in range(0, len(form), size)]
    decoder.finish()
    return b"".join(found), decoder.filename


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_the_bytes_of_the_file_come_out_as_they_are(size: int) -> None:
    form = (
        b"before\r\n"
        + part('name="other"', b"skipped")
        + part(CHOSEN, ROWS, "Content-Type: text/csv")
        + part('name="another"; filename="skipped.csv"', b"3,4")
        + END
        + b"after"
    )
    assert decode(form, size) == (ROWS, "rows.csv")


def test_a_large_file_is_never_held() -> None:
    decoder = Decoder("xx")
    decoder.feed(part(CHOSEN, b"a,b")[:-2])
    for _ in range(100):
        assert len(decoder.feed(b"1,2\n" * 20_000)) > 79_000


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (part(CHOSEN, b"") + END, (b"", "rows.csv")),
        (part('name="file"; filename=""', b"") + END, (b"", "")),
        (part('name="other"', b"x") + END, (b"", None)),
        (part('name="file"', b"a,b") + END, (b"", None)),
        (END, (b"", None)),
        (part('name="file"; filename="größe.csv"', b"a") + END, (b"a", "größe.csv")),
    ],
)
def test_a_form_may_have_no_file(form: bytes, found: tuple[bytes, str | None]) -> None:
    assert decode(form) == found


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"a,b\r\n1,2\r\n",
        part(CHOSEN, ROWS),
        part(CHOSEN, ROWS) + part(CHOSEN, ROWS) + END,
        b"--xx\r\nContent-Type: text/csv\r\n\r\na,b\r\n" + END,
        b'--xx\r\nContent-Disposition: form-data; name="file"; filename="\xff"\r\n\r\na\r\n' + END,
        b"." * (MAX_PENDING + 1) + part(CHOSEN, ROWS) + END,
        b"--xx\r\nContent-Disposition: " + b"x" * (MAX_PENDING + 1),
        part('name="other"', b"x") * 101 + END,
    ],
    ids=["empty", "csv", "cut", "twice", "bare", "latin", "preamble", "header", "parts"],
)
def test_what_is_no_such_form_is_refused(form: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(form, 4096)


@pytest.mark.parametrize("boundary", ["", "größe"])
def test_a_form_needs_a_boundary(boundary: str) -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        Decoder(boundary)
