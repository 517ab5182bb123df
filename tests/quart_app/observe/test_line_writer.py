"""Lines that wait for a descriptor: in order, within bounds, and counted where they are dropped."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from quart_app.observe.access_log import dropped_line
from quart_app.observe.line_writer import LineWriter

LONG = 30.0


def numbered(number: int) -> bytes:
    return b'{"number":%d}\n' % number


def read_until(descriptor: int, enough: bytes) -> bytes:
    found = b""
    while enough not in found:
        found += os.read(descriptor, 65536)
    return found


def test_a_pipe_that_nobody_reads_drops_lines_and_says_how_many(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LineWriter(write, dropped_line, max_lines=1000)
    for number in range(5000):
        writer.write(numbered(number))
    dropped = writer.dropped
    assert 0 < dropped <= 4000
    lines = [json.loads(text) for text in read_until(read, b'"dropped"').splitlines()]
    assert [told["number"] for told in lines[:-1]] == list(range(5000 - dropped))
    assert lines[-1]["dropped"] == dropped
    writer.write(numbered(5000))
    writer.close(LONG)
    assert os.read(read, 4096) == numbered(5000)
    assert writer.dropped == dropped


def test_closing_waits_for_no_reader(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], dropped_line)
    for number in range(5000):
        writer.write(numbered(number))
    begun = time.monotonic()
    writer.close(0.2)
    assert time.monotonic() - begun < LONG / 2
    read_until(pipe[0], numbered(4999))


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    writer = LineWriter(write, dropped_line)
    for number in range(3000):
        writer.write(numbered(number))
    found = read_until(read, numbered(2999))
    assert found == b"".join(map(numbered, range(3000)))
    writer.close(LONG)


def test_lines_that_cannot_be_written_are_counted(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = LineWriter(full.fileno(), dropped_line)
        for number in range(7):
            writer.write(numbered(number))
        writer.close(LONG)
    assert writer.dropped == 7


def test_long_lines_are_bounded_by_their_bytes(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LineWriter(write, dropped_line, max_bytes=100_000)
    for _ in range(200):
        writer.write(b"x" * 9_999 + b"\n")
    assert 0 < writer.dropped < 200
    found = read_until(read, b'"dropped"')
    assert found.count(b"x\n") == 200 - writer.dropped
    writer.close(LONG)


def test_lines_of_many_threads_are_all_written(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("wb", buffering=0) as file:
        writer = LineWriter(file.fileno(), dropped_line)

        def write() -> None:
            for number in range(500):
                writer.write(numbered(number))

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close(LONG)
    lines = (tmp_path / "lines").read_bytes().splitlines(keepends=True)
    assert sorted(lines) == sorted(numbered(n) for n in range(500) for _ in range(8))
    assert writer.dropped == 0
