"""Change artifacts for some time, and report what crashed or hung.

    python -m tests.fuzz SECONDS [SUBJECT...]

A case is a subject and a number: `python -m tests.fuzz --case SUBJECT NUMBER` runs one again. Each
batch runs in a child, which a crash or a loop ends and this process does not.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from . import children
from .cases import Subject, publish
from .children import Case, Outcome
from .subjects import SUBJECTS

BATCH: Final = 200
MEMORY: Final = 3 * 1024**3


def run_cases(published: Path, cases: Sequence[Case], outcome: Outcome) -> None:
    """Run cases of the subjects that lie there, in children."""
    children.run_cases(["tests.fuzz", "--child", str(published)], cases, outcome)


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
        with tempfile.TemporaryDirectory() as folder:
            published, changed = Path(arguments[1]), Path(folder)
            children.run_here(lambda name: Subject(published, changed, name).run, MEMORY)
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
