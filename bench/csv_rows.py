"""Rows per second of a long CSV table: the server against a plain script, and the server's memory.

The script does what anybody would: reads with `csv`, converts, predicts and writes, in chunks of as
many rows. Both get the same file; the server has it sent to it and its answer read, by HTTP.

    python bench/csv_rows.py --store models iris titanic
"""

from __future__ import annotations

import argparse
import csv
import http.client
import itertools
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from model_store import Model, ModelStore  # noqa: E402
from model_store.columns import Column  # noqa: E402
from quart_app.tables.scoring import CHUNK_ROWS  # noqa: E402

READ = 1024 * 1024


def load(store: Path, name: str) -> Model:
    """The pipeline of the version of a model that serves."""
    models = ModelStore(store)
    return models.load(models.verify(name, pickles="always"))


def write_rows(path: Path, columns: Sequence[Column], rows: int) -> None:
    """A table of values within the ranges of the training data, a tenth of those missing that may
    be."""
    generator = random.Random(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        for _ in range(rows):
            writer.writerow([value(column, generator) for column in columns])


def value(column: Column, generator: random.Random) -> object:
    """Something that a row may have in this column."""
    if column.missing and generator.random() < 0.1:
        return ""
    if column.categories:
        return generator.choice(column.categories)
    low, high = float(column.minimum or 0), float(column.maximum or 1)
    value = generator.uniform(low, high)
    return round(value, 2) if column.type == "number" else round(value)


def plain(model: Model, source: Path, target: Path) -> None:
    """The script to be measured against."""
    converters = [converter(column) for column in model.manifest.signature.columns]
    classes = model.manifest.targets[0].classes or ()
    with source.open(newline="") as file, target.open("w", newline="") as out:
        reader, writer = csv.reader(file), csv.writer(out)
        header = next(reader)
        writer.writerow([*header, "prediction", *(f"probability_{each}" for each in classes)])
        while rows := list(itertools.islice(reader, CHUNK_ROWS)):
            matrix = convert(model, header, rows, converters)
            labels = model.pipeline.predict(matrix).tolist()
            shares = model.pipeline.predict_proba(matrix).tolist()
            for row, label, share in zip(rows, labels, shares, strict=True):
                writer.writerow([*row, label, *share])


def converter(column: Column) -> Any:
    """How the script reads a cell."""
    if column.type == "category" and not column.numeric:
        missing = None if column.null == "none" else np.nan
        return lambda text: text or missing
    return lambda text: float(text) if text else np.nan


def convert(
    model: Model, header: Sequence[str], rows: Sequence[Sequence[str]], converters: Sequence[Any]
) -> Any:
    """Rows of cells as what the pipeline was fitted on."""
    values = [[read(cell) for read, cell in zip(converters, row, strict=True)] for row in rows]
    signature = model.manifest.signature
    if signature.container == "frame":
        import pandas as pd

        return pd.DataFrame(values, columns=list(header))
    return np.array(values, dtype=signature.dtype)


class Server:
    """The server of a checkout in a process of its own."""

    def __init__(
        self, store: Path, *, settings: Mapping[str, str] | None = None, root: Path = ROOT
    ) -> None:
        environment = os.environ | {
            "PYTHONPATH": str(root),
            "PYTHONUNBUFFERED": "1",
            "QUART_APP_MODEL_STORE": str(store.resolve()),
            "QUART_APP_RECIPES": "",
            "HOST": "127.0.0.1",
            "PORT": "0",
            **(settings or {}),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quart_app", "serve"],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        found = (re.search(r"http://[\d.]+:(\d+)", line) for line in self.process.stdout)
        self.port = int(next(match[1] for match in found if match))
        while self.get("/health/ready") != 200:
            time.sleep(0.1)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def get(self, path: str) -> int:
        connection = self.connect()
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
        return status

    def score(self, name: str, source: Path) -> tuple[int, float]:
        """Send a table and read its answer: its lines, and the seconds until the first of it."""
        connection = self.connect()
        begun = time.perf_counter()
        headers = {"Content-Type": "text/csv", "Content-Length": str(source.stat().st_size)}
        connection.request("POST", f"/models/{name}/predict", blocks(source), headers)
        response = connection.getresponse()
        first = time.perf_counter() - begun
        assert response.status == 200, response.read()
        lines = 0
        while block := response.read(READ):
            lines += block.count(b"\n")
        connection.close()
        return lines, first

    def memory(self, key: str) -> float:
        """`VmRSS` or `VmHWM`, the highest of it so far, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{key}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def blocks(path: Path) -> Iterator[bytes]:
    """The file in parts."""
    with path.open("rb") as file:
        while block := file.read(READ):
            yield block


def measure(store: Path, name: str, rows: int, rounds: int) -> None:
    """Print what one model does."""
    model = load(store, name)
    server = Server(store)
    ratios = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "rows.csv"), Path(folder, "answer.csv")
            small = Path(folder, "small.csv")
            write_rows(source, model.manifest.signature.columns, rows)
            write_rows(small, model.manifest.signature.columns, CHUNK_ROWS)
            server.score(name, small)
            before = server.memory("VmRSS")
            print(f"{name}: {rows} rows, {source.stat().st_size / 2**20:.1f} MiB")
            for _ in range(rounds):
                begun = time.perf_counter()
                plain(model, source, target)
                script = rows / (time.perf_counter() - begun)
                begun = time.perf_counter()
                lines, first = server.score(name, source)
                ours = rows / (time.perf_counter() - begun)
                assert lines == rows + 1, lines
                ratios.append(ours / script)
                print(
                    f"  script {script:9.0f} rows/s   server {ours:9.0f} rows/s "
                    f"(first row after {first:.2f} s)   ratio {ours / script:.2f}"
                )
            peak = server.memory("VmHWM")
            print(f"  server's memory: {before:.0f} MiB before, {peak:.0f} MiB at its highest")
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows per second of a long CSV table.")
    parser.add_argument("models", nargs="*", default=["iris"])
    parser.add_argument("--store", type=Path, default=Path("instance/models"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in options.models:
        measure(options.store, name, options.rows, options.rounds)


if __name__ == "__main__":
    main()
