"""How soon our server answers, and what memory it takes with the five bundled models, beside a bare
Quart app that imports numpy: medians of seven starts each, in turn.

python bench/start.py

Both run where the plain install is, and nothing else: libraries import what they find, quart-schema
pydantic for instance.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.contenders import SERVERS, Contender, Request, ours
from bench.processes import Running
from bench.workloads import Workload, publish
from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app.cli.lock import read_lock, read_pins
from tests.environments import environment

STARTS = 7
MOST = 1.6
"""So many times as long as the bare app a start may take,"""
MOST_MEMORY = 70
"""and so many MiB."""


def bundled(folder: Path) -> Workload:
    """The bundled models in one store, of which titanic is asked."""
    workload = publish("titanic", folder)
    for recipe in RECIPES.values():
        if recipe.name != workload.name:
            recipe.train(ModelStore(workload.store))
    return workload


def contenders(workload: Workload, python: Path) -> list[Contender]:
    """Our server and the bare app, both on Hypercorn and in this Python."""
    (server,) = (each for each in ours(workload) if each.name.endswith("hypercorn"))
    row = json.loads(server.one.body)
    numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
    total, sent = math.fsum(numbers.values()), json.dumps(numbers).encode()
    bare = Contender(
        "bare Quart with numpy",
        "bare",
        (
            str(python),
            *["-m", "hypercorn", "--bind", "127.0.0.1:{port}", "-w", "0", "-k", "uvloop"],
            APP,
        ),
        Request("/", sent, lambda answer: math.isclose(answer["prediction"], total)),
        environment={"PYTHONPATH": str(SERVERS)},
    )
    never = server.environment | {"QUART_APP_PICKLES": "never", "QUART_APP_READY": "all"}
    command = (str(python), *server.command[1:])
    return [replace(server, command=command, environment=never), bare]


APP = "quart_numpy:app"


def measured(each: Contender) -> tuple[float, float, float]:
    """The seconds until the first right answer, those of CPU that it took, and the MiB (PSS) of the
    process once all models are loaded."""
    with Running(each) as running:
        used = running.cpu()
        while each.kind == "ours" and not is_ready(running):
            time.sleep(0.05)
        return running.cold, used, running.memory()


def is_ready(running: Running) -> bool:
    try:
        urllib.request.urlopen(f"{running.url}/health/ready", timeout=30).close()
    except urllib.error.HTTPError:
        return False
    return True


def main() -> None:
    """Print the medians, and end with 1 where they are too much."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        workload = bundled(Path(folder, "models"))
        plain = environment(Path(folder, "plain"), read_pins(read_lock()))
        both = contenders(workload, plain)
        found: list[list[tuple[float, float, float]]] = [[], []]
        for _ in range(STARTS + 1):  # the first round, which fills caches, does not count
            for each, taken in zip(both, found, strict=True):
                taken.append(measured(each))
    medians = [list(map(statistics.median, zip(*taken[1:], strict=True))) for taken in found]
    for each, (seconds, used, memory) in zip(both, medians, strict=True):
        print(f"{each.name}: {seconds:.2f} s, {used:.2f} s of CPU, {memory:.1f} MiB")
    (seconds, used, memory), (bare, bare_used, _) = medians
    print(f"ratio {seconds / bare:.2f}, of CPU {used / bare_used:.2f}")
    sys.exit(seconds > MOST * bare or memory > MOST_MEMORY)


if __name__ == "__main__":
    main()
