"""Where it listens, what it calls that, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import socket

import pytest

from quart_app.server.sockets import BindError, bind, url

LONG = 20
IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")


def test_without_settings_it_binds_127_0_0_1_8000() -> None:
    with contextlib.suppress(BindError), bind(None, None) as sock:
        assert url(sock) == "http://127.0.0.1:8000"


def test_a_port_alone_binds_all_interfaces_of_both_families() -> None:
    with bind(None, 0) as sock:
        port = sock.getsockname()[1]
        assert port != 0
        assert url(sock) == f"http://localhost:{port}"
        for host in ["127.0.0.1"] + ["::1"] * socket.has_dualstack_ipv6():
            socket.create_connection((host, port), timeout=LONG).close()


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "localhost"),
        ("", "localhost"),
        pytest.param("::1", "[::1]", marks=IPV6),
        pytest.param("::", "localhost", marks=IPV6),
    ],
)
def test_the_url_is_one_a_browser_opens(host: str, shown: str) -> None:
    with bind(host, 0) as sock:
        port = sock.getsockname()[1]
        assert url(sock) == f"http://{shown}:{port}"
        socket.create_connection((shown.strip("[]"), port), timeout=LONG).close()


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_a_port_in_use_is_a_sentence(host: str | None) -> None:
    with bind(host, 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(BindError) as caught:
            bind(host, port)
    assert str(caught.value) == (
        f"Port {port} on {host or 'all interfaces'} is in use; "
        "set PORT to another or stop the other program."
    )


@pytest.mark.parametrize(
    ("host", "port", "sentence"),
    [
        ("192.0.2.1", 0, "192.0.2.1 is no address of this machine; set HOST to one that is."),
        ("a..b", 0, "No host is called 'a..b'; set HOST to an address of this machine."),
        ("127.0.0.1", 65536, "Port 65536 does not exist; set PORT to a number from 0 to 65535."),
        (None, -1, "Port -1 does not exist; set PORT to a number from 0 to 65535."),
    ],
)
def test_an_address_that_cannot_be_bound_is_a_sentence(
    host: str | None, port: int, sentence: str
) -> None:
    with pytest.raises(BindError) as caught:
        bind(host, port)
    assert str(caught.value) == sentence


def test_a_port_can_be_bound_again_at_once() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            sock.accept()[0].close()  # the side that closes first keeps the port in TIME_WAIT
            assert client.recv(1) == b""
    bind("127.0.0.1", port).close()
