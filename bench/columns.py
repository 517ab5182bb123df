"""CPU time of a table from its columns to the matrix and to the prediction, by what holds it.

The table is of the kind of `titanic`, with missing values: numbers, integers, categories. Another
checkout may be measured beside this one, in turns, so that both meet the same machine.

    python bench/columns.py --before ../other-checkout
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
HOLDERS = ("lists", "numpy", "arrow")
STEPS = ("matrix", "answer")
CALLS = 5
"""Calls of each step in a turn, of which the quickest counts."""

Columns = Mapping[str, Any]


def lists(rows: int) -> dict[str, list[Any]]:
    """Passengers, a fifth without an age and a twentieth without a port."""
    random = np.random.default_rng(7)

    def missing(values: list[Any], share: float) -> list[Any]:
        gaps = random.random(rows) < share
        return [None if gap else value for value, gap in zip(values, gaps, strict=True)]

    return {
        "pclass": random.integers(1, 4, rows).tolist(),
        "sex": random.choice(["female", "male"], rows).tolist(),
        "age": missing(random.uniform(0.5, 80, rows).round(1).tolist(), 0.2),
        "sibsp": random.integers(0, 6, rows).tolist(),
        "parch": random.integers(0, 4, rows).tolist(),
        "fare": random.uniform(0, 500, rows).round(4).tolist(),
        "embarked": missing(random.choice(["C", "Q", "S"], rows).tolist(), 0.05),
    }


def held(holder: str, columns: Mapping[str, list[Any]]) -> Columns:
    """The same values in lists, in numpy arrays, or in Arrow arrays."""
    if holder == "arrow":
        import pyarrow

        return {name: pyarrow.array(values) for name, values in columns.items()}
    if holder == "numpy":
        return {name: _array(values) for name, values in columns.items()}
    return columns


def _array(values: list[Any]) -> Any:
    if any(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    return np.array(values, dtype=float) if None in values else np.array(values)


def turn(store: Path, holder: str, rows: int) -> dict[str, float]:
    """Microseconds of CPU for a row, in this process and by the checkout that it imports."""
    from model_store import ModelStore

    models = ModelStore(store)
    model = models.load(models.verify("titanic"))
    signature = model.manifest.signature
    columns = held(holder, lists(rows))

    def answer() -> object:
        if hasattr(model, "answer"):
            return model.answer(columns, rows)
        return model.predict(signature.validate(columns, rows))

    steps: dict[str, Callable[[], object]] = {
        "matrix": lambda: signature.validate(columns, rows),
        "answer": answer,
    }
    return {name: _quickest(step) / rows * 1e6 for name, step in steps.items()}


def _quickest(step: Callable[[], object]) -> float:
    took = []
    for _ in range(CALLS):
        begun = time.process_time()
        step()
        took.append(time.process_time() - begun)
    return min(took)


def run(checkout: Path, store: Path, holder: str, rows: int) -> dict[str, float]:
    """A turn in a process of its own, with the modules of a checkout."""
    arguments = [__file__, "--turn", holder, "--store", str(store), "--rows", str(rows)]
    output = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    found: dict[str, float] = json.loads(output)
    return found


def measure(before: Path | None, rows: int, turns: int) -> None:
    """Print the medians, and how many times as fast as from lists before, or here, each is."""
    contenders = [(holder, ROOT, holder) for holder in HOLDERS]
    if before is not None:
        contenders.insert(0, ("lists, before", before, "lists"))
    took: dict[str, list[dict[str, float]]] = {title: [] for title, *_ in contenders}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _train(Path(folder))
        for _ in range(turns):
            for title, checkout, holder in contenders:
                took[title].append(run(checkout, Path(folder), holder, rows))
    base = took[contenders[0][0]]
    print(f"{rows:,} rows, µs of CPU a row; times as fast as {contenders[0][0]}")
    for title, found in took.items():
        cells = []
        for step in STEPS:
            mine = statistics.median(each[step] for each in found)
            ratio = statistics.median(
                old[step] / new[step] for old, new in zip(base, found, strict=True)
            )
            cells.append(f"{step} {mine:6.3f} ({ratio:4.1f})")
        print(f"  {title:<14} {'   '.join(cells)}")


def _train(store: Path) -> None:
    sys.path.insert(0, str(ROOT))
    from model_store import ModelStore
    from model_store.recipes import RECIPES

    RECIPES["titanic"].train(ModelStore(store))


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of columns to a prediction.")
    parser.add_argument("--before", type=Path, help="another checkout, measured from lists")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--turn", choices=HOLDERS, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn is not None:
        print(json.dumps(turn(options.store, options.turn, options.rows)))
    else:
        measure(options.before, options.rows, options.turns)


if __name__ == "__main__":
    main()
