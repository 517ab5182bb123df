"""Cases that run in child processes, which a crash or a loop ends and the parent does not."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Final

PATIENCE: Final = 180
"""Seconds after which a case hangs."""

Case = tuple[str, int]
"""A subject, and the number of a change to it."""

Run = Callable[[int], str]
"""Runs the case of a number, and says in a word how it ended; raises where it may not end so."""


@dataclass
class Outcome:
    """How often cases ended in each way, and those that ended as none may."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_cases(arguments: Sequence[str], cases: Sequence[Case], outcome: Outcome) -> None:
    """Run cases in children, which are `python -m ARGUMENTS` and are given them on stdin; one that
    dies is followed by another, for the cases behind."""
    done = 0
    while done < len(cases):
        done += _run_child(arguments, cases[done:], outcome)


def _run_child(arguments: Sequence[str], cases: Sequence[Case], outcome: Outcome) -> int:
    """How many of the cases are done with, the one that ended the child among them."""
    command = [sys.executable, "-X", "faulthandler", "-m", *arguments]
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


def run_here(runs: Callable[[str], Run], memory: int) -> None:
    """Run the cases on stdin in this process, which gets so many bytes, and print a line of each.
    `runs` makes what runs the cases of a subject. What a case itself prints goes nowhere."""
    cases = json.load(sys.stdin)
    results = os.dup(sys.stdout.fileno())
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for name, numbers in groupby(cases, key=itemgetter(0)):
        run = runs(name)
        for _, number in numbers:
            try:
                result = run(number)
            except Exception as error:
                result = f"fault: {type(error).__name__}: {error!s:.200}".replace("\n", " ")
            os.write(results, f"{result}\n".encode())
