"""What recording all predictions costs, and whether it keeps up.

Two servers of the same kind run on the same core, one of which records. Each is loaded in turn,
with SQLite as it is new and with a million records in it. Then one is sent 2,000 rows a second for
a minute, on SQLite and on PostgreSQL where its URL is given; not one may be dropped.

    python -m bench.recording [--postgres URL] [--rows 1000000] [--sustain 60]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from model_store import ModelStore
from quart_app.memory.database import Database
from quart_app.memory.journal import Batch, Entry, Source, pack
from quart_app.memory.store import Records

from .contenders import Contender, Request, ours
from .load import Load, load
from .processes import Running
from .workloads import Workload, publish

CONNECTIONS = 32
BATCH_ROWS = 1_000
RATE = 2_000
REQUEST_ROWS = 20
DAY = 86_400


def recording(contender: Contender, url: str, rows: int) -> Contender:
    """The same server, which records all that it answers."""
    settings = {
        "QUART_APP_RECORD": "1",
        "DATABASE_URL": url,
        "QUART_APP_RECORD_MAX_ROWS": str(10 * rows),
    }
    return replace(
        contender,
        name=f"{contender.name}, recording",
        environment=contender.environment | settings,
    )


def fill(url: str, workload: Workload, rows: int) -> None:
    """Put so many records of the last days into a database."""
    records = Records(Database.at(url))
    manifest = ModelStore(workload.store).manifest(workload.name)
    source = Source(manifest.name, manifest.version, "0" * 64, workload.columns)
    columns = [list(column) for column in zip(*workload.rows[:BATCH_ROWS], strict=True)]
    now = time.time()
    with records.session() as session:
        for number in range(0, rows, BATCH_ROWS):
            at = now - 7 * DAY * (1 - number / rows)
            entry = Entry(
                source=0,
                id=f"{int(at * 1000):012x}{number:020x}",
                at=at,
                variant="champion",
                door="json",
                status=200,
                milliseconds=1.0,
                error=None,
                rows=BATCH_ROWS,
                columns=columns,
                labels=workload.labels[:BATCH_ROWS],
                probabilities=[[0.2, 0.3, 0.5]] * BATCH_ROWS,
            )
            records.add(session, [(at, BATCH_ROWS, pack(Batch([source], [entry])))])
            records.unpack(session)


def counted(server: Running) -> dict[str, float]:
    """The metrics of records of a server."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    values = (line.rpartition(" ") for line in lines if line.startswith("quart_app_records"))
    return {name: float(value) for name, _, value in values}


def dropped(server: Running) -> float:
    """Rows that a server did not record."""
    return sum(n for name, n in counted(server).items() if "_dropped_total{" in name)


@contextlib.contextmanager
def pair(contender: Contender, url: str, rows: int) -> Iterator[tuple[Running, Running]]:
    """A server that records nothing, and one that records all."""
    with Running(contender) as off, Running(recording(contender, url, rows)) as on:
        yield off, on


def compare(contender: Contender, url: str, rows: int, rounds: int, seconds: float) -> None:
    """Print how a server that records does beside one that does not."""
    with pair(contender, url, max(rows, 1_000_000)) as (off, on):
        loads: dict[Running, list[Load]] = {off: [], on: []}
        for server in (off, on):
            load(server, CONNECTIONS, 1)
        for _ in range(rounds):
            for server, found in loads.items():
                found.append(load(server, CONNECTIONS, seconds))
        rate, cpu, p99 = (
            _median(loads[on], field) / _median(loads[off], field)
            for field in ("rate", "cpu", "p99")
        )
        print(
            f"{contender.name}, {rows:,} records: {rate:.2f} of the requests per second "
            f"({_median(loads[off], 'rate'):.0f} without), {1 / cpu:.2f} by the CPU of a request, "
            f"p99 x {p99:.2f}; {dropped(on):.0f} rows dropped",
            flush=True,
        )


def _median(loads: list[Load], field: str) -> float:
    return float(statistics.median(getattr(each, field) for each in loads))


def sustain(contender: Contender, url: str, workload: Workload, seconds: float) -> None:
    """Print whether all of so many rows a second are recorded."""
    rows = workload.rows[:REQUEST_ROWS]
    body = json.dumps([dict(zip(workload.columns, row, strict=True)) for row in rows]).encode()
    request = Request(contender.one.path, body, lambda answer: True)
    with Running(recording(contender, url, 1_000_000)) as server:
        before = counted(server)["quart_app_records_kept_total"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        begun, sent = time.monotonic(), 0
        headers = {"Content-Type": "application/json"}
        while (elapsed := time.monotonic() - begun) < seconds:
            if sent * REQUEST_ROWS > elapsed * RATE:
                time.sleep(0.002)
                continue
            connection.request("POST", request.path, request.body, headers)
            connection.getresponse().read()
            sent += 1
        took = time.monotonic() - begun
        time.sleep(2)
        kept = counted(server)["quart_app_records_kept_total"] - before
        print(
            f"{contender.name}, {url.partition(':')[0]}: {sent * REQUEST_ROWS / took:.0f} rows/s "
            f"for {took:.0f} s, {sent * REQUEST_ROWS} sent, {kept:.0f} kept, "
            f"{dropped(server):.0f} dropped",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--rows", type=int, default=1_000_000, help="records that are there")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--sustain", type=float, default=60, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        workload = publish("logistic", folder)
        servers = ours(workload)
        for rows in sorted({0, options.rows}):
            for number, contender in enumerate(servers):
                url = f"sqlite:///{folder}/{number}-{rows}.sqlite3"
                fill(url, workload, rows)
                compare(contender, url, rows, options.rounds, options.seconds)
        if options.sustain:
            urls = [f"sqlite:///{folder}/sustained.sqlite3"]
            for url in urls + ([options.postgres] if options.postgres else []):
                sustain(servers[-1], url, workload, options.sustain)


if __name__ == "__main__":
    main()
