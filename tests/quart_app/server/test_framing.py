"""What a body costs beside its data, and h11's chunks as turns have them."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_app.server.connections import CHUNKS_A_TURN, _Requests
from quart_app.server.framing import FREE_BYTES, MAX_LINES, SMALL, TIMES, Framing, lines_of

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "is_over"),
    [
        ([], False),
        ([1] * 9, False),
        ([1] * 10, True),
        ([SMALL - 1] * 10, True),
        ([SMALL] * 100, False),
        ([1, SMALL] * 9, False),
        ([1, SMALL] * 10, True),
    ],
)
def test_a_turn_is_over_after_so_many_small_parts_and_large_ones_do_not_count(
    parts: list[int], is_over: bool
) -> None:
    framing = Framing(10)
    for part in parts:
        framing.add_data(part)
    assert framing.is_turn_over == is_over
    framing.begin_turn()
    assert not framing.is_turn_over


@pytest.mark.parametrize(
    ("data", "framing", "is_too_much"),
    [
        (0, FREE_BYTES, False),
        (0, FREE_BYTES + 1, True),
        (1000, FREE_BYTES + 1000 * TIMES, False),
        (1000, FREE_BYTES + 1000 * TIMES + 1, True),
        (10**6, 5 * 10**6, False),  # a chunk for each byte
        (10**6, 12 * 10**6, False),  # and its size in eight digits
    ],
)
def test_a_body_may_have_so_much_framing_for_its_data(
    data: int, framing: int, is_too_much: bool
) -> None:
    found = Framing(10)
    found.add_read(data + framing)
    found.add_data(data)
    assert found.is_too_much == is_too_much


@pytest.mark.parametrize(
    ("received", "lines"),
    [
        (b"", 0),
        (b"\r\n", 0),
        (b"\r\n" + b"x\r\n" * 999, 0),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 3),
        (b"x\r\n" * 999, 999),
        (b"x\r\n" * 300 + b"\r\n", 300),
        (b"x\n" * 300 + b"\n" + b"x\n" * 300, 300),
        (b"x\r\n\r\n" + b"x\r\n" * 999, 1),
    ],
)
def test_the_lines_before_an_empty_one_are_counted_where_there_are_many(
    received: bytes, lines: int
) -> None:
    assert lines_of(received) == lines


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=2 * SMALL), max_size=20),
    times=st.integers(1, 3 * CHUNKS_A_TURN),
    trailers=st.sampled_from([b"", b"X: a\r\nY: b\r\n"]),
    size=st.integers(50, 5000),
)
def test_chunks_in_turns_are_the_body_that_was_sent_and_what_follows_it_is_the_next_request(
    chunks: list[bytes], times: int, trailers: bytes, size: int
) -> None:
    body = b"".join(chunks) + b"." * times
    sent = HEAD + b"".join(map(chunk, [*chunks, *[b"."] * times])) + b"0\r\n" + trailers + b"\r\n"
    sent += NEXT
    requests = _Requests(h11.SERVER)
    found = b""
    ends = 0
    for start in range(0, len(sent), size):
        requests.receive_data(sent[start : start + size])
        while (event := requests.next_event()) is not h11.PAUSED:
            if isinstance(event, h11.Data):
                found += event.data
            ends += isinstance(event, h11.EndOfMessage)
            if event is h11.NEED_DATA:
                if not requests.is_turn_over:
                    break
                requests.begin_turn()
    assert (found, ends) == (body, 1)
    requests.send(h11.Response(status_code=204, headers=[]))
    requests.send(h11.EndOfMessage())
    requests.start_next_cycle()
    assert requests.next_event().target == b"/next"


def test_one_turn_gives_small_chunks_as_one_part_and_no_more_than_its_own() -> None:
    requests = _Requests(h11.SERVER)
    requests.receive_data(HEAD + chunk(b".") * (CHUNKS_A_TURN + 5))
    assert isinstance(requests.next_event(), h11.Request)
    assert requests.next_event().data == b"." * CHUNKS_A_TURN
    assert requests.next_event() is h11.NEED_DATA
    assert requests.is_turn_over
    requests.begin_turn()
    assert requests.next_event().data == b"." * 5


LINES = b"X: a\r\n" * (MAX_LINES + 1)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + LINES + b"\r\n", 431),
        (HEAD + chunk(b"x") + b"0\r\n" + LINES + b"\r\n", 431),
        (HEAD + chunk(b"x") + b"0\r\n" + LINES, 431),
        (HEAD + (b"1;" + b"a" * 9000 + b"\r\nx\r\n") * 20, 400),
    ],
    ids=["a head", "trailers", "trailers without end", "extensions"],
)
def test_what_is_no_data_is_refused_when_there_is_too_much_of_it(sent: bytes, status: int) -> None:
    requests = _Requests(h11.SERVER, max_incomplete_event_size=10**6)
    requests.receive_data(sent)
    with pytest.raises(h11.RemoteProtocolError) as raised:
        list(iter(requests.next_event, h11.NEED_DATA))
    assert raised.value.error_status_hint == status
