"""Change boosters for some time, and report what crashed or hung.

    python -m tests.fuzz_boosters SECONDS

Each batch runs in a child, which a crash or a loop ends and this process does not.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import numpy as np

from model_store import pickles
from model_store.errors import ModelStoreError
from model_store.soundness.check import require_sound
from model_store.trust import Trust

from ..fuzz import children
from ..fuzz.children import Case, Outcome
from ..fuzz.mutation import seed_of
from .mutation import model_of, mutated, pickle_with
from .subjects import SUBJECTS, fitted

BATCH: Final = 200
MEMORY: Final = 6 * 1024**3
SENTENCE: Final = "sentence"
ANSWER: Final = "answer"
ERROR: Final = "error"


def run_cases(cases: Sequence[Case], outcome: Outcome) -> None:
    """Run cases of the subjects in children."""
    children.run_cases(["tests.fuzz_boosters", "--child"], cases, outcome)


def runs(name: str) -> children.Run:
    """What runs the cases of a subject."""
    estimator, X = fitted(name)
    model = model_of(estimator)

    def run(number: int) -> str:
        random = np.random.default_rng(seed_of(name, number))
        return outcome_of(pickle_with(estimator, mutated(estimator, model, random)), X)

    return run


def outcome_of(data: bytes, X: Any) -> str:
    """How it ends to read a pickle and to ask it for rows; raises what is no end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = pickles.load(data, Trust())
            require_sound(found, Trust())
        except ModelStoreError:
            return SENTENCE
        try:
            found.predict(X)
            getattr(found, "predict_proba", found.predict)(X[:1])
            pickles.load(_dumped(found), Trust())
        except Exception:  # As a server answers with a sentence whatever a pipeline raises.
            return ERROR
    return ANSWER


def _dumped(found: Any) -> bytes:
    import pickle

    return pickle.dumps(found)


def main(arguments: Sequence[str]) -> int:
    if arguments[0] == "--child":
        children.run_here(runs, MEMORY)
        return 0
    outcome = Outcome()
    until = time.monotonic() + float(arguments[0])
    for first in count(0, BATCH):
        for name in SUBJECTS:
            if time.monotonic() > until:
                print(f"{dict(outcome.counts)}, and {outcome.faults}")
                return bool(outcome.faults)
            run_cases([(name, number) for number in range(first, first + BATCH)], outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
