"""Change artifacts for some time, and report what crashed or hung.

    python -m tests.fuzz SECONDS [SUBJECT...]

A case is a subject and a number: `python -m tests.fuzz --case SUBJECT NUMBER` runs one again. Each
batch runs in a child, which a crash or a loop ends and this process does not.
"""

from __future__ import annotations

import contextlib
import json
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
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from .cases import Subject, publish
from .subjects import SUBJECTS

BATCH: Final = 200
PATIENCE: Final = 180
"""Seconds after which a case hangs."""
MEMORY: Final = 3 * 1024**3


Case = tuple[str, int]
"""A subject, and the number of a change to it."""


@dataclass
class Outcome:
    """How often cases ended in each way, and those that ended as none may."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_cases(published: Path, cases: Sequence[Case], outcome: Outcome) -> None:
    """Run cases in children; one that dies is followed by another, for the cases behind."""
    done = 0
    while done < len(cases):
        done += _run_child(published, cases[done:], outcome)


def _run_child(published: Path, cases: Sequence[Case], outcome: Outcome) -> int:
    """How many of the cases are done with, the one that ended the child among them."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", "--child", str(published)]
    # More threads than processors would wait for one another longer than for a loop.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryFile() as stderr,
        tempfile.TemporaryFile() as stdin,
        subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=environment
        ) as child,
    ):
        stdin.write(json.dumps(cases).encode())
        stdin.seek(0)
        done, end = _watch(child, cases, outcome)
        if done == len(cases):
            return done
        stderr.seek(0)
        name, number = cases[done]
        outcome.faults.append(f"{name} {number}: {end}{_where(stderr.read())}")
        return done + 1


def _where(stderr: bytes) -> str:
    """The innermost lines that a crash happened in."""
    frames = re.findall(rb'File ".*?([^/]+)", line (\d+) in', stderr)[:3]
    return "".join(f" < {file.decode()}:{line.decode()}" for file, line in frames)


def _watch(
    child: subprocess.Popen[bytes], cases: Sequence[Case], outcome: Outcome
) -> tuple[int, str]:
    """How many cases the child had done when it ended, and how it ended."""
    assert child.stdout is not None
    done, data = 0, b""
    while True:
        if not select.select([child.stdout], [], [], PATIENCE)[0]:
            child.kill()
            return done, "it hangs"
        piece = os.read(child.stdout.fileno(), 65536)
        if not piece:
            break
        *lines, data = (data + piece).split(b"\n")
        for line in lines:
            _note(cases[done], line.decode(), outcome)
            done += 1
    code = child.wait()
    return done, signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _note(case: Case, line: str, outcome: Outcome) -> None:
    outcome.counts[line.split(":")[0]] += 1
    if line.startswith("fault"):
        outcome.faults.append(f"{case[0]} {case[1]}: {line}")


def run_here(published: Path, cases: Sequence[Case]) -> None:
    """Run cases in this process, one line each. What a pipeline itself prints goes nowhere."""
    results = os.dup(sys.stdout.fileno())
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for name, numbers in groupby(cases, key=itemgetter(0)):
            subject = Subject(published, Path(folder), name)
            for _, number in numbers:
                try:
                    result = subject.run(number)
                except Exception as error:
                    result = f"fault: {type(error).__name__}: {error!s:.200}".replace("\n", " ")
                os.write(results, f"{result}\n".encode())


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
                cases = [(name, number) for number in range(first, first + BATCH)]
                run_cases(Path(folder), cases, outcome)
                for fault in outcome.faults[known:]:
                    print(fault, flush=True)
    return outcome


def main(arguments: Sequence[str]) -> int:
    if arguments[0] == "--child":
        run_here(Path(arguments[1]), [(name, number) for name, number in json.load(sys.stdin)])
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
