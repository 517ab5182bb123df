"""Change artifacts for some time, and report what crashed or hung.

    python -m tests.fuzz SECONDS [SUBJECT...]

A case is a subject and a number: `python -m tests.fuzz --case SUBJECT NUMBER` runs one again. Each
batch runs in a child, which a crash or a loop ends and this process does not.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from .cases import Subject, publish
from .subjects import SUBJECTS

BATCH: Final = 200
PATIENCE: Final = 180
"""Seconds after which a case hangs."""
MEMORY: Final = 3 * 1024**3


@dataclass
class Outcome:
    """How often cases ended in each way, and those that ended as none may."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_batch(published: Path, name: str, first: int, size: int, outcome: Outcome) -> None:
    """Run cases of one subject in children; one that dies is followed by another."""
    begun = first
    while begun < first + size:
        begun = _run_child(published, name, begun, first + size, outcome)


def _run_child(published: Path, name: str, first: int, end: int, outcome: Outcome) -> int:
    """The number of the case that the next child begins with."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", "--child"]
    command += [str(published), name, str(first), str(end)]
    # More threads than processors would wait for one another longer than for a loop.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment)
        at, end_of_it = _watch(child, name, first, end, outcome)
        if at < end:
            stderr.seek(0)
            outcome.faults.append(f"{name} {at}: {end_of_it}{_where(stderr.read())}")
            return at + 1
    return end


def _where(stderr: bytes) -> str:
    """The innermost lines of ours or scikit-learn's that a crash happened in."""
    frames = re.findall(rb'File ".*?([^/]+)", line (\d+) in (\w+)', stderr)[:3]
    return "".join(f" < {file.decode()}:{line.decode()}" for file, line, _ in frames)


def _watch(
    child: subprocess.Popen[bytes], name: str, first: int, end: int, outcome: Outcome
) -> tuple[int, str]:
    """The case that a child was at when it ended, and how it ended."""
    assert child.stdout is not None
    at, data = first, b""
    try:
        while True:
            if not select.select([child.stdout], [], [], PATIENCE)[0]:
                return at, "it hangs"
            piece = os.read(child.stdout.fileno(), 65536)
            if not piece:
                break
            *lines, data = (data + piece).split(b"\n")
            for line in lines:
                at = _note(name, at, line.decode(), outcome)
    finally:
        child.kill()
        code = child.wait()
    return at, signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _note(name: str, at: int, line: str, outcome: Outcome) -> int:
    if line == "ready":
        return at
    outcome.counts[line.split(":")[0]] += 1
    if line.startswith("fault"):
        outcome.faults.append(f"{name} {at}: {line}")
    return at + 1


def child(published: Path, name: str, first: int, end: int) -> None:
    """Run cases, one line each."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(published, Path(folder), name)
        print("ready", flush=True)
        for number in range(first, end):
            try:
                print(subject.run(number), flush=True)
            except Exception as error:
                print(
                    f"fault: {type(error).__name__}: {error!s:.200}".replace("\n", " "), flush=True
                )


def fuzz(seconds: float, names: Sequence[str]) -> Outcome:
    """Go round the subjects until the time is over."""
    outcome = Outcome()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            publish(Path(folder), name)
        for first in count(0, BATCH):
            for name in names:
                if time.monotonic() > until:
                    return outcome
                known = len(outcome.faults)
                run_batch(Path(folder), name, first, BATCH, outcome)
                for fault in outcome.faults[known:]:
                    print(fault, flush=True)
    return outcome


def main(arguments: Sequence[str]) -> int:
    if arguments[0] == "--child":
        child(Path(arguments[1]), arguments[2], int(arguments[3]), int(arguments[4]))
        return 0
    if arguments[0] == "--case":
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            publish(Path("published"), arguments[1])
            print(Subject(Path("published"), Path("changed"), arguments[1]).run(int(arguments[2])))
        return 0
    outcome = fuzz(float(arguments[0]), arguments[1:] or list(SUBJECTS))
    total = sum(outcome.counts.values())
    print(f"{total} artifacts: {dict(outcome.counts)}, and {len(outcome.faults)} faults")
    return bool(outcome.faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
