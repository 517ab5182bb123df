"""stdout and stderr as queues of lines: nothing is lost on the way, and nothing waits."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_app.observe.access_log import dropped_line
from quart_app.observe.line_writer import LineWriter
from quart_app.observe.standard_streams import MAX_LINE, Lines

ROOT = Path(__file__).parent.parent.parent.parent
LONG = 30.0


@given(pieces=st.lists(st.text(st.sampled_from("ab\n é€"), max_size=20)))
def test_what_is_written_in_pieces_arrives_as_it_is(pieces: list[str]) -> None:
    read, write = os.pipe()
    lines = Lines(LineWriter(write, dropped_line))
    text = io.TextIOWrapper(lines, "utf-8", write_through=True)  # type: ignore[type-var]
    for piece in pieces:
        print(piece, end="", file=text, flush=True)
    lines.end()
    os.close(write)
    whole = "".join(pieces)
    with os.fdopen(read, encoding="utf-8", newline="") as file:
        assert file.read() == whole + ("" if whole[-1:] in {"", "\n"} else "\n")


def test_a_line_without_an_end_is_not_kept_for_ever(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb", buffering=0) as file:
        lines = Lines(LineWriter(file.fileno(), dropped_line))
        for _ in range(10):
            lines.write(b"x" * (MAX_LINE // 2))
        lines.end()
    written = (tmp_path / "out").read_bytes()
    assert written.count(b"x") == 5 * MAX_LINE
    assert max(map(len, written.splitlines())) <= 2 * MAX_LINE


def run(script: str, *redirections: str) -> subprocess.CompletedProcess[str]:
    """A script that has queued its streams, by bash."""
    head = (
        "from quart_app.observe.standard_streams import queued\n"
        "from quart_app.server.inherited import hold_descriptors\n"
    )
    body = f"{head}hold_descriptors()\nwith queued() as stdout:\n{textwrap.indent(script, '    ')}"
    return subprocess.run(
        ["bash", "-c", f'exec "$@" {" ".join(redirections)}', "bash", sys.executable, "-c", body],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONG,
    )


@pytest.mark.process
def test_all_that_is_printed_logged_and_warned_of_is_written_by_the_end() -> None:
    ended = run(
        "import logging, sys, warnings\n"
        "logging.basicConfig(format='%(message)s')\n"
        "print('printed', 'in pieces')\n"
        "print('without an end', end='')\n"
        "sys.stdout.buffer.write(b'; bytes')\n"
        "logging.warning('logged')\n"
        "warnings.warn('warned')\n"
        "assert sys.stdout.fileno() == 1 and not sys.stdout.isatty()\n"
    )
    assert ended.stdout == "printed in pieces\nwithout an end; bytes\n"
    assert ended.stderr.startswith("logged\n")
    assert "UserWarning: warned" in ended.stderr
    assert ended.returncode == 0


@pytest.mark.process
def test_streams_that_nobody_reads_do_not_wait() -> None:
    read, write = os.pipe()
    try:
        with subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys\n"
                "from quart_app.observe.standard_streams import queued\n"
                "with queued():\n"
                "    for _ in range(20_000):\n"
                "        print('x' * 100)\n"
                "        print('y' * 100, file=sys.stderr)\n",
            ],
            cwd=ROOT,
            stdout=write,
            stderr=write,
        ) as process:
            assert process.wait(LONG) == 0
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.process
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_takes_nothing_and_its_number_is_held(closed: str) -> None:
    ended = run(
        "import logging, os, sys\n"
        "logging.basicConfig()\n"
        "logging.warning('logged')\n"
        "print('printed')\n"
        "assert os.open('/', os.O_RDONLY) > 2\n"
        "assert (stdout is None) == (sys.stdout is None)\n",
        closed,
    )
    assert ended.returncode == 0
    assert ended.stdout == ("" if " >&-" in f" {closed}" else "printed\n")
