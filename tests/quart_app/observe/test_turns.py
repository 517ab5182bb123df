"""Lines of several processes to one pipe, however long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quart_app.observe.access_log import dropped_line
from quart_app.observe.line_writer import LineWriter
from quart_app.observe.turns import Turns

LONG = 30.0

SCRIPT = """
import sys
from pathlib import Path
from quart_app.observe.access_log import dropped_line
from quart_app.observe.line_writer import LineWriter
from quart_app.observe.turns import Turns
who, folder = sys.argv[1].encode(), Path(sys.argv[2])
writer = LineWriter(1, dropped_line, turns=Turns(folder, 1))
for number in range(300):
    writer.write(who * (30_000 if number % 7 == 0 else 50) + b"\\n")
writer.close(30)
"""


@pytest.mark.process
def test_long_lines_of_several_processes_are_whole(tmp_path: Path) -> None:
    read, write = os.pipe()
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, who, str(tmp_path)], stdout=write)
        for who in "abcd"
    ]
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        lines = pipe.read().splitlines()
    assert [process.wait(LONG) for process in processes] == [0] * 4
    assert len(lines) == 4 * 300
    assert {len(line) for line in lines} == {50, 30_000}
    assert all(len({*line}) == 1 for line in lines)


def test_a_line_that_a_dead_process_did_not_end_is_ended_before_the_next(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    read, write = pipe
    dead = Turns(tmp_path, write)
    with dead.turn(alone=True) as turn:
        os.write(write, b"half")
        turn.cut = True
    writers = [LineWriter(write, dropped_line, turns=Turns(tmp_path, write)) for _ in range(2)]
    for writer in writers:
        writer.write(b"whole\n")
        writer.close(LONG)
    assert os.read(read, 4096) == b"half\nwhole\nwhole\n"


def test_a_short_line_waits_for_a_long_one_and_not_for_a_short_one(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    one, other = Turns(tmp_path, pipe[1]), Turns(tmp_path, pipe[1])
    written = threading.Event()

    def short() -> None:
        with other.turn(alone=False):
            written.set()

    with one.turn(alone=False):
        threading.Thread(target=short).start()
        assert written.wait(LONG)
    written.clear()
    with one.turn(alone=True) as turn:
        waiting = threading.Thread(target=short)
        waiting.start()
        assert not written.wait(0.1)
        turn.cut = False
    assert written.wait(LONG)
    waiting.join(LONG)
