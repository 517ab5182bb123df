"""CPU time of the reasons for one row, beside shap where that is installed and computes the same.

    python -m bench.reasons

It ends with 1 where one takes longer than its limit, which is 1.3 times what a prototype took on
the machine of docs/performance.md; or where base value and contributions are not the answer.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from model_store.draft import manifest_of
from model_store.inspection import Inspection
from model_store.plain import read, write
from model_store.plain.pack import pack
from model_store.reasons.clock import Clock
from model_store.reasons.explainer import Explainer, explainer
from model_store.reasons.scales import Scale
from model_store.recipes import RECIPES

ROUNDS: Final = 7
ALLOWED: Final = 1.3
BACKGROUND: Final = 100


class Case(NamedTuple):
    """A fitted pipeline with its data, what is explained of it, and the microseconds of a row that
    a prototype took."""

    name: str
    pipeline: Any
    data: tuple[Any, Any]
    scale: Scale
    prototype: float
    trees: bool = True


def cases() -> list[Case]:
    iris: tuple[Any, Any] = load_iris(return_X_y=True)
    ten: tuple[Any, Any] = make_classification(2000, 10, n_informative=6, random_state=0)
    titanic = RECIPES["titanic"]
    passengers = titanic.data()
    of_titanic = passengers.X, passengers.y
    logistic = titanic.pipeline().fit(passengers.X, passengers.y)
    forest = RandomForestClassifier(100, random_state=0)
    return [
        Case("iris, forest of 100", forest.fit(*iris), iris, "probability", 90),
        Case(
            "10 columns, 100 boosted trees",
            GradientBoostingClassifier(random_state=0).fit(*ten),
            ten,
            "log-odds",
            136,
        ),
        Case(
            "10 columns, forest of 100, full depth",
            RandomForestClassifier(100, random_state=0).fit(*ten),
            ten,
            "probability",
            1700,
        ),
        Case("titanic", logistic, of_titanic, "log-odds", 24, trees=False),
        Case("titanic", logistic, of_titanic, "probability", 58, trees=False),
    ]


def best(call: Callable[[], object]) -> float:
    """Microseconds of CPU of a call, at its best."""
    started = time.process_time()
    call()
    calls = max(3, int(0.05 / max(time.process_time() - started, 1e-5)))
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(calls):
            call()
        found.append((time.process_time() - started) / calls)
    return min(found) * 1e6


def explained(case: Case) -> tuple[Explainer, Any, Any, float]:
    """What explains the case, its background, a row, and the milliseconds that it took to make."""
    inspection = Inspection.of_data(case.pipeline, *case.data)
    form = read(*write(pack(case.pipeline, inspection.signature)))
    assert inspection.drawn is not None
    background = inspection.drawn[:BACKGROUND]
    started = time.process_time()
    found = explainer(form, manifest_of("bench", inspection), background, case.scale)
    prepared = (time.process_time() - started) * 1e3
    return found, background, inspection.golden[:1], prepared


def of_shap(case: Case, background: Any, row: Any) -> float | None:
    """Microseconds of shap for the same trees and rows."""
    if not case.trees or find_spec("shap") is None:
        return None
    import shap

    by = shap.TreeExplainer(
        case.pipeline,
        data=np.asarray(background, dtype=np.float64),
        feature_perturbation="interventional",
    )
    rows = np.asarray(row, dtype=np.float64)
    return best(lambda: by.shap_values(rows, check_additivity=False))


def main() -> int:
    warnings.simplefilter("ignore")
    print("model, scale: µs of a row (limit), ms to prepare, µs of shap")
    return int(not all(list(map(is_fast, cases()))))


def is_fast(case: Case) -> bool:
    """Whether a case keeps within its limit and adds up; what it takes is printed."""
    found, background, row, prepared = explained(case)
    outputs = np.array([[1]])
    taken = best(lambda: found.shares(row, outputs, Clock()))
    shares = found.shares(row, outputs, Clock()).contributions[0, 0]
    off = abs(found.base[1] + shares.sum() - found.said(row)[0, 1])
    limit = ALLOWED * case.prototype
    theirs = of_shap(case, background, row)
    beside = "" if theirs is None else f", shap {theirs:.0f}"
    print(f"{case.name}, {case.scale}: {taken:.0f} ({limit:.0f}), {prepared:.0f} ms{beside}")
    return bool(taken <= limit and off <= 1e-9)


if __name__ == "__main__":
    sys.exit(main())
