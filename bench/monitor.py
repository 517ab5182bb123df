"""How long the figures of a model in use take over a million records, and how long they hold up
the event loop.

    python -m bench.monitor [--rows 1000000] [--folder FOLDER]

It makes a model of eight columns and its records in SQLite as a server leaves them, spread over a
week, of which a tenth has its truth. With a folder they are kept, and found again. It ends with 1
where a limit is missed: 2 s of wall time with truths, 0.2 s from summaries alone, and 50 ms for
which the loop did not get its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_store import ModelStore
from quart_app.figures import Monitor, RecordState
from quart_app.memory.journal import Batch, Entry, Source, pack
from quart_app.memory.live import Live
from quart_app.memory.monitor import Question, monitor
from quart_app.memory.opened import SharedRecords, open_records
from quart_app.memory.store import Records
from quart_app.memory.versions import Versions
from quart_app.server.run import GARBAGE
from quart_app.window import DAY, HOUR, Window

NAME: Final = "bench"
NUMBERS: Final = tuple(f"number {place}" for place in range(6))
TOWNS: Final = ("Ayr", "Bonn", "Cork")
BATCH: Final = 128
EVERY_TRUTH: Final = 10
ROUNDS: Final = 5
BEAT: Final = 0.001
LIMITS: Final = {"with truths": 2.0, "from summaries": 0.2, "loop": 0.05}


def rows_of(rows: int, seed: int) -> pd.DataFrame:
    """Rows of six numbers and two categories."""
    random = np.random.default_rng(seed)
    found = {name: random.normal(place, 1 + place, rows) for place, name in enumerate(NUMBERS)}
    towns = {name: random.choice(TOWNS, rows) for name in ("from", "to")}
    return pd.DataFrame({**found, **towns})


def publish(store: ModelStore) -> None:
    """Publish a model of these columns."""
    X = rows_of(5_000, 0)
    columns = make_column_transformer(
        (StandardScaler(), [*NUMBERS]), (OneHotEncoder(), ["from", "to"])
    )
    y = X["number 0"] + np.random.default_rng(1).normal(size=len(X)) > 0
    store.publish(NAME, make_pipeline(columns, LogisticRegression()).fit(X, y), X, y)


def entries(rows: int, until: float) -> Iterator[Entry]:
    """A request for each row, spread evenly over the week before."""
    random = np.random.default_rng(2)
    columns = [values.tolist() for _, values in rows_of(rows, 3).items()]
    shares = random.uniform(0, 1, rows).tolist()
    milliseconds = random.lognormal(1, 0.5, rows).tolist()
    for row in range(rows):
        yield Entry(
            source=0,
            id=f"{row:026d}",
            at=until - 7 * DAY * (1 - row / rows),
            variant="champion",
            door="json",
            status=200,
            milliseconds=milliseconds[row],
            error=None,
            rows=1,
            columns=[[values[row]] for values in columns],
            labels=[shares[row] > 0.5],
            probabilities=[[1 - shares[row], shares[row]]],
        )


def fill(records: Records, rows: int, until: float) -> None:
    """Write the records, unpack them, and tell the truth of some."""
    source = Source(NAME, 1, "0" * 64, (*NUMBERS, "from", "to"))
    with records.session() as session:
        part: list[Entry] = []
        for entry in entries(rows, until):
            part.append(entry)
            if len(part) == BATCH:
                records.add(session, [(part[0].at, BATCH, pack(Batch([source], part)))])
                part = []
        records.add(session, [(until, len(part), pack(Batch([source], part)))] if part else [])
        records.unpack_all(session)
        session.execute(
            'INSERT INTO quart_app_truths (id, "row", at, model, truth) SELECT id, "row", at, '
            f"model, outputs FROM quart_app_predictions WHERE rowid % {EVERY_TRUTH} = 0"
        )


class Taken(NamedTuple):
    """The least wall time and CPU time of some calls, in seconds, and what the last returned."""

    wall: float
    cpu: float
    found: Monitor

    def __str__(self) -> str:
        return f"{self.wall:.3f} s, {self.cpu:.3f} s of CPU"


def timed(call: Callable[[], Monitor]) -> Taken:
    wall = cpu = float("inf")
    for _ in range(ROUNDS):
        clocks = time.perf_counter(), time.process_time()
        found = call()
        wall = min(wall, time.perf_counter() - clocks[0])
        cpu = min(cpu, time.process_time() - clocks[1])
    return Taken(wall, cpu, found)


@contextlib.asynccontextmanager
async def heartbeat(late: list[float]) -> AsyncIterator[None]:
    """Notes how late the loop is at each beat."""

    async def beat() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(BEAT)
            late.append(time.perf_counter() - begun - BEAT)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


async def held_up(url: str, store: ModelStore) -> tuple[float, float]:
    """For how long the loop did not get its turn at most, in the best of some rounds; and the same
    while nothing was asked for as long, since a busy machine is late as well."""
    live = Live(SharedRecords(open_records(url, store)), store)
    gc.freeze()
    gc.set_threshold(*GARBAGE)  # as a server does
    worst, idle = [], []
    for _ in range(ROUNDS):
        late: list[float] = []
        begun = time.perf_counter()
        async with heartbeat(late):
            await live.figures(question(), None)
        worst.append(max(late))
        late = []
        took = time.perf_counter() - begun
        async with heartbeat(late):
            await asyncio.sleep(took)
        idle.append(max(late))
    return min(worst), min(idle)


def question() -> Question:
    state = RecordState(share=1.0, reason=None)
    return Question(NAME, 1, Window.before("7d", time.time()), state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as other:
        folder = options.folder or Path(other)
        sys.exit(measure(folder, options.rows))


def measure(folder: Path, rows: int) -> int:
    """Print the figures; 1 where a limit is missed."""
    store = ModelStore(folder / "models")
    if NAME not in store.models():
        publish(store)
    file = folder / f"records-{rows}.sqlite3"
    url, versions = f"sqlite:///{file}", Versions(store)
    records = open_records(url, store)
    until = time.time() // HOUR * HOUR
    if not file.exists():
        begun = time.perf_counter()
        fill(records, rows, until)
        print(f"{rows} records written and unpacked in {time.perf_counter() - begun:.0f} s")

    def look() -> Monitor:
        return monitor(records, versions, question())

    found = {}
    taken = timed(look)
    found["with truths"], figures = taken.wall, taken.found
    print(f"{figures.requests.requests} requests, {figures.scores.rows} rows with a truth")
    print(f"all figures: {taken}")
    with records.session() as session:
        session.execute("ALTER TABLE quart_app_truths RENAME TO aside")
        session.execute("CREATE TABLE quart_app_truths AS SELECT * FROM aside LIMIT 0")
    taken = timed(look)
    found["from summaries"] = taken.wall
    with records.session() as session:
        session.execute("DROP TABLE quart_app_truths")
        session.execute("ALTER TABLE aside RENAME TO quart_app_truths")
    print(f"from summaries alone: {taken}")
    found["loop"], idle = asyncio.run(held_up(url, store))
    print(
        f"the loop was held up for {1000 * found['loop']:.0f} ms at most, beside "
        f"{1000 * idle:.0f} ms while nothing was asked"
    )
    missed = [name for name, limit in LIMITS.items() if found[name] > limit]
    for name in missed:
        print(f"limit missed: {name}: {found[name]:.3f} s, not {LIMITS[name]:g} s")
    return 1 if missed else 0


if __name__ == "__main__":
    main()
