"""Requests that are sent in one go: how many are answered before somebody reads, and when."""

from __future__ import annotations

import re
import socket
import time

import pytest

from quart_app.server.turns import TURN_SECONDS, Turns

from .test_run import HTTP_SERVERS, Start, response, start

__all__ = ["start"]

ASKED = 60
SIZE = 100_000
COUNTS = """
calls = 0

async def app(scope, receive, send):
    global calls
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    await receive()
    if scope["path"] == "/count":
        body = b"%d" % calls
    else:
        calls += 1
        body = b"x" * SIZE
    head = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""
APP = f"SIZE = {SIZE}\n{COUNTS}"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_turns_come_one_after_the_other_and_at_once_where_nobody_waits() -> None:
    clock = Clock()
    turns = Turns(clock)
    assert [turns.take() for _ in range(3)] == pytest.approx([0, TURN_SECONDS, 2 * TURN_SECONDS])
    clock.now += 10 * TURN_SECONDS
    assert turns.take() == 0


@pytest.mark.process
@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_what_one_connection_has_asked_for_and_not_read_is_bounded_and_all_is_answered_at_last(
    start: Start, http_server: str
) -> None:
    server = start(APP, http_server=http_server).listening()

    def count() -> int:
        with server.connect() as connection:
            connection.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\n")
            return int(response(connection)[1])

    with socket.socket() as unread:
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        unread.settimeout(30)
        unread.connect(("127.0.0.1", server.port))
        unread.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * ASKED)
        before = -1
        while (now := count()) != before or not now:
            before = now
            time.sleep(0.5)
        assert now <= 10
        found = b""
        while found.count(b"x") < ASKED * SIZE:
            found += unread.recv(1 << 20)
    assert len(re.findall(rb"x{%d}" % SIZE, found)) == ASKED
    assert count() == ASKED


@pytest.mark.process
@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_a_thousand_requests_in_one_go_are_all_answered(start: Start, http_server: str) -> None:
    server = start(APP, http_server=http_server).listening()
    with server.connect() as connection:
        connection.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        found = b""
        while found.count(b"HTTP/1.1 200") < 1000 or not found.endswith(b"\r\n\r\n0"):
            part = connection.recv(1 << 20)
            assert part, found[-100:]
            found += part
