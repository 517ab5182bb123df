"""Which estimators a process can answer with that was forked of one that has answered with them.

    python -m tests.forked

In an environment in which native code has one thread, as loaders have (`server.concurrency`). Each
is read from its pickle, asked, and asked again in a fork. Prints those that hang, that answer
otherwise, or that have left threads behind; then the exit code is 1.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.corpus import Case, X, Y, estimators, plain_pipelines

SECONDS = 20.0
GUESTS = {
    "xgboost": ("XGBClassifier", "XGBRegressor"),
    "lightgbm": ("LGBMClassifier", "LGBMRegressor"),
    "catboost": ("CatBoostClassifier", "CatBoostRegressor"),
}


def guests() -> Iterator[Case]:
    """Estimators of other packages, where these are installed."""
    for package, names in GUESTS.items():
        if importlib.util.find_spec(package) is not None:
            module = importlib.import_module(package)
            for name in names:
                quiet = {"verbose": False, "iterations": 5} if package == "catboost" else {}
                yield name, getattr(module, name)(**quiet).fit(X, Y), X


def answered(model: Any, rows: Any) -> bytes:
    """What it answers, as bytes that can be compared."""
    for method in ("predict_proba", "predict", "transform"):
        if hasattr(model, method):
            answer = getattr(model, method)(rows)
            dense = answer.toarray() if hasattr(answer, "toarray") else answer
            return pickle.dumps(np.asarray(dense).tolist())
    return b""


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def fault(model: Any, rows: Any) -> str | None:
    """What is wrong with the answer of a fork."""
    before = threads()
    try:
        here = answered(model, rows)
    except Exception:
        return None  # it answers nobody
    if threads() > before:
        return f"{threads() - before} threads are left"
    child = os.fork()
    if not child:
        signal.alarm(int(SECONDS))
        os._exit(0 if answered(model, rows) == here else 3)
    deadline = time.monotonic() + 2 * SECONDS
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return None if code == 0 else f"the fork ended with {code}"
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "the fork hangs"


def main() -> int:
    """Go through all; the exit code."""
    warnings.simplefilter("ignore")
    count, faults = 0, 0
    for case in (estimators(), plain_pipelines(), guests()):
        for name, model, rows in case:
            try:
                loaded = pickle.loads(pickle.dumps(model))
            except Exception:
                continue
            count += 1
            if (found := fault(loaded, rows)) is not None:
                faults += 1
                print(f"{name}: {found}", flush=True)
    print(f"{count} estimators, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
