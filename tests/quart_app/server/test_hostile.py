"""Requests that no client sends by accident, at the raw socket, and connections that break."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ...conftest import STDERR, Server, serving

pytestmark = pytest.mark.process

LONG = 15.0
HOST = b"Host: x\r\n"
BODY = json.dumps({"X1": 61.1, "X2": 17.3}).encode()
POST = b"POST /models/exam/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CSV = b"POST /models/exam/predict HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
HANDSHAKE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def posted(body: bytes, headers: bytes = b"") -> bytes:
    return POST + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(parts: Iterable[bytes], size: bytes = b"%x", trailers: bytes = b"") -> bytes:
    """A body in chunks, and the header that says so."""
    chunks = b"".join(size % len(part) + b"\r\n" + part + b"\r\n" for part in parts)
    return CHUNKED + b"\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


def bytes_of(content: bytes) -> list[bytes]:
    return [content[i : i + 1] for i in range(len(content))]


GOOD = posted(BODY, b"Connection: close\r\n")
CLOSE = b"Connection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# What is sent, and the statuses that it may get; none where the connection may just close.
REQUESTS: dict[str, tuple[bytes, set[int]]] = {
    "a length and chunks": (
        POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + LIVE + HOST + b"\r\n",
        {400},
    ),
    "chunks and a length, in no chunk": (POST + CHUNKED + b"Content-Length: 5\r\n\r\nhello", {400}),
    "a length and chunks that do not come": (
        POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n",
        {400},
    ),
    "two lengths": (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", {400}),
    "one length twice": (
        POST + b"Content-Length: 5\r\nX: a\r\ncontent-length: 5\r\n\r\nhello",
        {400},
    ),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\nhello", {400}),
    "a length below 0": (POST + b"Content-Length: -5\r\n\r\n", {400}),
    "a length with a sign": (POST + b"Content-Length: +5\r\n\r\nhello", {400}),
    "a length of 30 digits": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", {400}),
    "an unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", {400, 501}),
    "chunked twice": (POST + CHUNKED * 2 + b"\r\n0\r\n\r\n", {400, 501}),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n", {400}),
    "a chunk of no size": (POST + CHUNKED + b"\r\nzz\r\n", {400}),
    "line ends in the path": (b"GET /a%0d%0ab%00 HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    "a header on two lines": (LIVE + HOST + b"X: a\r\n b\r\n\r\n", {400}),
    "a header on two lines, by a tab": (LIVE + HOST + b"X: a\r\n\tb\r\n\r\n", {400}),
    "bare line feeds": (b"GET /health/live HTTP/1.1\nHost: x\n\n", {400}),
    "one bare line feed": (LIVE + b"Host: x\n\r\n", {400}),
    "a method in small letters": (b"get /health/live HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a method in mixed letters": (b"Get /health/live HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "no version": (b"GET /health/live\r\n\r\n", {400}),
    "no version of a prediction": (
        POST.replace(b" HTTP/1.1", b"") + b"Content-Length: 2\r\n\r\n{}",
        {400},
    ),
    "a version 0.9": (b"GET /health/live HTTP/0.9\r\n" + HOST + b"\r\n", {400, 505}),
    "a version 1.2": (b"GET /health/live HTTP/1.2\r\n" + HOST + b"\r\n", {400, 505}),
    "a version 3.0": (b"GET /health/live HTTP/3.0\r\n" + HOST + b"\r\n", {400, 505}),
    "a version 1.2 of a prediction": (
        POST.replace(b"1.1", b"1.2") + b"Content-Length: 2\r\n\r\n{}",
        {400, 505},
    ),
    "a coding beside chunked": (
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        {501},
    ),
    "a chunk extension without end": (POST + CHUNKED + b"\r\n1;" + b"a" * 1_000_000, {431}),
    "extensions of a kilobyte": (
        POST + chunked([b" "] * 1000, b"%x;" + b"a" * 1000),
        {400},
    ),
    "sizes of twenty digits": (
        POST + chunked([b" "] * 50_000, b"%020x"),
        {400},
    ),
    "sizes of eight digits": (
        POST + CLOSE + chunked([*bytes_of(BODY), *[b" "] * 9000], b"%08x"),
        {200},
    ),
    "a chunk for each byte": (POST + CLOSE + chunked(bytes_of(BODY)), {200}),
    "spaces behind it, a chunk for each": (
        POST + CLOSE + chunked([BODY, *[b" "] * 20_000]),
        {200},
    ),
    "a chunk for each byte of a body that is refused": (
        POST + CLOSE + b"Content-Encoding: br\r\n" + chunked([b" "] * 5000),
        {415},
    ),
    "a chunk for each line of a table": (
        CSV + CLOSE + chunked([b"X1,X2\n", *[b"61.1,17.3\n"] * 3000]),
        {200},
    ),
    "a trailer or two": (
        POST + CLOSE + chunked([BODY], trailers=b"Host: y\r\nExpect: 100-continue\r\n"),
        {200},
    ),
    "2,000 trailers": (POST + CLOSE + chunked([BODY], trailers=b"X: a\r\n" * 2000), {431}),
    "a trailer without end": (
        POST + CHUNKED + b"\r\n0\r\n" + b"X: a\r\n" * 200_000,
        {400, 431},
    ),
    "a body that is too large and waits": (
        POST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
        {413},
    ),
    "a table that is too large and waits": (
        CSV + b"Expect: 100-continue\r\nContent-Length: 9999999999\r\n\r\n",
        {413},
    ),
    "a body in an unknown coding that waits": (
        POST + b"Content-Encoding: br\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        {415},
    ),
    "a key twice": (posted(b'{"X1": 61.1, "X2": 17.3, "X1": 90}'), {400}),
    "HTTP/2 from the start": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), set()),
    "the beginning of its first word": (b"P", set()),
    "an upgrade to HTTP/2": (LIVE + HOST + UPGRADE + b"\r\n", {200}),
    "an upgrade whose settings are none": (
        LIVE + HOST + UPGRADE.replace(b"AAMAAABk", b"AAMA") + b"\r\n",
        {200},
    ),
    "more after the last request": (
        posted(BODY, b"Connection: close\r\n") + b"\r\n" + LIVE + HOST + b"\r\n",
        {200},
    ),
    "more after a request in HTTP/1.0": (
        b"GET /health/live HTTP/1.0\r\n\r\n" + LIVE + HOST + b"\r\n",
        {200},
    ),
    "frames after a handshake": (LIVE + HOST + HANDSHAKE + b"\r\n" + b"\x81\x00" * 9, {400, 403}),
    "a version 2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", {400, 505}),
    "a handshake that is none": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        {400},
    ),
    "an absurd method": (b"FOO-BAR! / HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "a method of 5,000 letters": (b"A" * 5000 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "a tunnel": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", {404, 405}),
    "a null byte in the path": (b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a null byte in a value": (LIVE + HOST + b"X: a\0b\r\n\r\n", {400}),
    "a null byte in a name": (LIVE + HOST + b"X\0: a\r\n\r\n", {400}),
    "no host": (LIVE + b"\r\n", {400}),
    "two hosts": (LIVE + HOST * 2 + b"\r\n", {400}),
    "a host that is none": (LIVE + b"Host: \xff a:99999999/\r\n\r\n", {400}),
    "a host with a tag": (LIVE + b"Host: a b<script>\r\n\r\n", {400}),
    "a host that is none, of a prediction": (
        GOOD.replace(b"Host: x", b"Host: a b<script>"),
        {400},
    ),
    "no host of a prediction": (GOOD.replace(HOST, b""), {400}),
    "two hosts of a prediction": (GOOD.replace(HOST, HOST * 2), {400}),
    "bytes above 127": (
        b"GET / HTTP/1.1\r\n"
        + HOST
        + b"Accept: \xff;q=\xe9\r\nCookie: \xff\r\nRange: \xff\r\n\r\n",
        {200},
    ),
    "a header of 100 KB": (LIVE + HOST + b"X: " + b"a" * 100_000 + b"\r\n\r\n", {431}),
    "a header of 20 KB": (LIVE + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n", {431}),
    "1,000 headers": (
        LIVE + HOST + b"".join(b"X%d: a\r\n" % i for i in range(999)) + b"\r\n",
        {431},
    ),
    "an address of 60 KB": (
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        {414, 431},
    ),
    "a file of 300 letters": (
        b"GET /static/" + b"a" * 300 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        {404},
    ),
    "lists within 100,000 lists": (posted(b"[" * 100_000 + b"]" * 100_000), {400}),
    "objects within 100,000": (posted(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), {400}),
    "no UTF-8": (posted(b'{"X1": "\xff"}'), {400}),
    "a number of 5,000 digits": (posted(b'{"X1": 1' + b"0" * 5000 + b"}"), {400}),
    "a coding that it has not": (posted(b"abc", b"Content-Encoding: gzip\r\n"), {400}),
    "an unknown expectation": (posted(BODY, b"Expect: 200-maybe\r\n"), {200, 400, 417}),
    "a version of 30 digits": (
        b"GET /models/exam/versions/"
        + b"9" * 30
        + b"/predict?X1=1&X2=2 HTTP/1.1\r\n"
        + HOST
        + b"\r\n",
        {404},
    ),
    "all bytes": (bytes(range(256)) * 4, {400}),
    "the beginning of TLS": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500,
        {400},
    ),
}


OF_UVICORN: dict[str, set[int]] = {
    "HTTP/2 from the start": {400},
    "frames after a handshake": {200},
    "a handshake that is none": {200},
    "an absurd method": {400},
    "a method of 5,000 letters": {400},
    "a tunnel": {400},
}
"""Where Uvicorn answers otherwise: it takes known methods only, and ignores an upgrade."""


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def server(
    request: pytest.FixtureRequest, bundled_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with serving(
        "--server",
        request.param,
        cwd=tmp_path_factory.mktemp("hostile"),
        QUART_APP_MODEL_STORE=bundled_root,
        QUART_APP_KEEP_ALIVE=1,
    ) as running:
        running.wait_until_ready()
        yield running


def connect(server: Server, source: str = "127.0.0.1") -> socket.socket:
    address = ("127.0.0.1", server.port)
    return socket.create_connection(address, timeout=LONG, source_address=(source, 0))


def sent(server: Server, request: bytes, source: str = "127.0.0.1") -> bytes:
    """All that comes back until the connection is closed; a TimeoutError if it is not."""
    found = b""
    with connect(server, source) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(request)
        while part := connection.recv(65536):
            found += part
    return found


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def test_each_hostile_request_has_one_answer_or_none_and_the_next_good_one_is_answered(
    server: Server, request: pytest.FixtureRequest
) -> None:
    otherwise = OF_UVICORN if "uvicorn" in request.node.name else {}
    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        found = pool.map(lambda request: sent(server, request[0]), REQUESTS.values())
        for (name, (_, expected)), answer in zip(REQUESTS.items(), found, strict=True):
            allowed = [[status] for status in otherwise.get(name, expected)] or [[]]
            assert statuses(answer) in allowed, (name, answer[:200])
    assert statuses(sent(server, GOOD)) == [200]


def test_who_sends_no_more_still_gets_an_answer(server: Server) -> None:
    for request in GOOD, LIVE + HOST + b"\r\n", b"GET /models HTTP/1.1\r\n" + HOST + b"\r\n":
        for _ in range(5):
            with connect(server) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_body_is_asked_for_by_who_waits_to_be_asked_and_is_answered(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(POST + b"Expect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY + GOOD)
        answers = b""
        while part := connection.recv(65536):
            answers += part
        assert statuses(answers) == [200, 200]


def test_who_begins_many_tables_and_stalls_keeps_out_nobody_else(server: Server) -> None:
    form = (
        b"POST /models/exam/file HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nX1,X2\n'
    )
    begun = CSV + b"Content-Length: 1000000\r\n\r\nX1,X2\n1,2\n"
    table = b"X1,X2\n61.1,17.3\n"
    small = CSV + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(table) + table
    for beginning in begun, form:
        with contextlib.ExitStack() as stalled:
            while statuses(sent(server, small)) != [503]:
                stalled.enter_context(connect(server)).sendall(beginning)
            for _ in range(2):
                assert statuses(sent(server, small, source="127.0.0.2")) == [200]
    until(lambda: statuses(sent(server, small)) == [200])


def test_tables_in_gzip_have_their_disk_together(bundled_root: Path, tmp_path: Path) -> None:
    bomb = gzip.compress(b"X1,X2\n" + b"1,2\n" * 2_400_000)
    table = CSV + b"Connection: close\r\nContent-Encoding: gzip\r\n"
    request = table + b"Content-Length: %d\r\n\r\n" % len(bomb)
    with (
        serving(
            cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root, QUART_APP_MAX_CSV_BYTES=10_000_000
        ) as server,
        contextlib.ExitStack() as others,
    ):
        server.wait_until_ready()
        for _ in range(2):  # all but the last bytes
            others.enter_context(connect(server)).sendall(request + bomb[:-10])
        until(lambda: disk(server) > 19_000_000)
        assert statuses(sent(server, request + bomb)) == [503]
        others.close()
        until(lambda: disk(server) == 0)


def test_a_head_that_is_refused_is_answered_before_its_body_is_there(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(POST + b"X: a\r\n" * 101 + b"Content-Length: 100000\r\n\r\n")
        assert connection.recv(20).startswith(b"HTTP/1.1 431 ")
        connection.sendall(b"x" * 100_000)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        assert b"connection: close" in answer.lower()


def breaks(server: Server, part: bytes, *, reads: int = 0, resets: bool) -> None:
    """Send this and go away, with a reset or as if all were well."""
    with connect(server) as connection:
        if resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(ConnectionError):
            connection.sendall(part)
            if reads:
                connection.recv(reads)


MANY = json.dumps([{"X1": 61.1, "X2": 17.3}] * 5000).encode()
STAGES = {
    "before the first byte": (b"", 0),
    "in the first word": (b"P", 0),
    "within the head": (GOOD[:40], 0),
    "within the body": (GOOD[:-5], 0),
    "within a chunk": (POST + CHUNKED + b"\r\n5\r\nab", 0),
    "before the answer": (posted(MANY), 0),
    "within the answer": (posted(MANY), 10),
    "within a table": (CSV + b"Content-Length: 600\r\n\r\nX1,X2\n1,2\n", 0),
    "within a refused body": (POST + b"Content-Length: 60000000\r\n\r\n" + b"x" * 3_000_000, 0),
    "while one of many is answered": (posted(BODY) * 20, 0),
    "in HTTP/2": (LIVE + HOST + UPGRADE + b"\r\n", 0),
}


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_of_connections_that_break_at_any_stage_no_file_descriptor_is_left(
    bundled_root: Path, tmp_path: Path
) -> None:
    with serving(
        cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root, QUART_APP_KEEP_ALIVE=1000
    ) as server:
        server.wait_until_ready()
        before = open_files(server)
        for _ in range(5):
            for part, reads in STAGES.values():
                for resets in (False, True):
                    breaks(server, part, reads=reads, resets=resets)
        until(lambda: open_files(server) <= before)
        assert statuses(sent(server, GOOD)) == [200]
        assert server.stop() == 0
    assert "Traceback" not in (tmp_path / STDERR).read_text()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def disk(server: Server) -> int:
    """Bytes of temporary files, which have no name, that the server has open."""
    found = 0
    for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += file.stat().st_size if "(deleted)" in os.readlink(file) else 0
    return found


def held(server: Server) -> float:
    """Megabytes of memory that are the server's."""
    told = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    found = re.search(r"Pss: +(\d+)", told)
    assert found is not None
    return int(found[1]) / 1000


def test_nothing_is_kept_of_bodies_that_are_refused_however_often_they_come(
    server: Server,
) -> None:
    tensors = (
        b"POST /v2/models/exam/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Encoding: gzip\r\nInference-Header-Content-Length: 9\r\n"
    )
    for size, status in (16_000_000, 400), (40_000_000, 413):
        bomb = gzip.compress(bytes(size))
        request = tensors + b"Content-Length: %d\r\n\r\n" % len(bomb) + bomb
        most = held(server) + 12
        for _ in range(6):
            assert statuses(sent(server, request)) == [status]
        until(lambda most=most: held(server) < most)  # type: ignore[misc]


def test_of_uvicorn_many_requests_at_once_whose_client_has_gone_leave_no_traceback(
    bundled_root: Path, tmp_path: Path
) -> None:
    with serving("--server", "uvicorn", cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root) as server:
        server.wait_until_ready()
        for resets in (True, False) * 5:
            breaks(server, posted(BODY) * 50, resets=resets)
        assert statuses(sent(server, GOOD)) == [200]
        assert server.stop() == 0
    assert "Traceback" not in (tmp_path / STDERR).read_text()
