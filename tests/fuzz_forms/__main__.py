"""Change forms for some time, read and ask them, and report what crashed, hung or went wrong.

    python -m tests.fuzz_forms SECONDS [SUBJECT...]

A case is a subject and a number: `python -m tests.fuzz_forms --case SUBJECT NUMBER` runs one again.
Each batch runs in a child with little memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from ..fuzz import children
from ..fuzz.children import Outcome
from .cases import Subject

BATCH: Final = 500
MEMORY: Final = 1024**3


def run_cases(saved: Path, cases: Sequence[children.Case], outcome: Outcome) -> None:
    """Run cases of the forms that lie there, in children."""
    children.run_cases(["tests.fuzz_forms", "--child", str(saved)], cases, outcome)


def fuzz(seconds: float, names: Sequence[str]) -> Outcome:
    """Go round the forms until the time is over. Without names it is all of them."""
    from .subjects import save_all

    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        saved = save_all(Path(folder))
        until = time.monotonic() + seconds
        for first in count(0, BATCH):
            for name in names or saved:
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
        root = Path(arguments[1])
        children.run_here(lambda name: Subject(root, name).run, MEMORY)
        return 0
    if arguments[0] == "--case":
        from .subjects import save_all

        with tempfile.TemporaryDirectory() as folder:
            save_all(Path(folder))
            print(Subject(Path(folder), arguments[1]).run(int(arguments[2])))
        return 0
    outcome = fuzz(float(arguments[0]), arguments[1:])
    total = sum(outcome.counts.values())
    print(f"{total} forms: {dict(outcome.counts)}, and {len(outcome.faults)} faults")
    return bool(outcome.faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
