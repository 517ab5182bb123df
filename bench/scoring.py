"""Tables of files through a model: CPU of `score` on each engine beside a loop of pyarrow alone.

Three models: `logit` of four numbers, `titanic` of mixed columns with missing values, `forest` of
100 trees. Each contender runs in processes of its own, whose CPU seconds are summed, in turns so
that all meet the same machine. `raw` reads batches with pyarrow, calls the pipeline's
`predict_proba` once, and writes the same columns; it checks nothing.

What a run costs before its first row and after its last, the start, is measured by tables of as
many files with few rows, and told apart: it does not grow with the table. All processes find
bytecode, as they do where the packages are installed.

    python bench/scoring.py --before ../other-checkout
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

ROOT: Final = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
BATCH: Final = 65_536
FILES: Final = 8
ROWS: Final = {"logit": 4_000_000, "titanic": 2_000_000, "forest": 300_000}
FEW: Final = 80
"""Rows of a table whose cost is that of the start alone."""
NAMES: Final = ("x0", "x1", "x2", "x3")
MOST_CPU: Final = {"two": 1.15, "dask": 1.25}
LEAST_SPEED: Final = {"two": 1.7, "dask": 1.6}
"""What is wanted of two workers, beside one process."""
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Spent(NamedTuple):
    """Seconds of CPU and of time, and the megabytes of the largest process."""

    cpu: float
    wall: float
    size: float


# What is measured -------------------------------------------------------------------


def prepare(folder: Path, models: list[str], rows: dict[str, int]) -> None:
    """Publish the models, and write the tables."""
    import joblib
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from model_store import ModelStore
    from model_store.recipes import RECIPES

    store = ModelStore(folder / "models")
    random = np.random.default_rng(7)
    X = random.normal(size=(2000, 4))
    y = (X.sum(axis=1) + random.normal(size=2000) > 0).astype(int)
    numeric = {
        "logit": make_pipeline(StandardScaler(), LogisticRegression()),
        "forest": RandomForestClassifier(100, max_depth=8, random_state=0),
    }
    for name in models:
        if name == "titanic":
            RECIPES["titanic"].train(store)
        else:
            store.publish(name, numeric[name].fit(X, y), X, y, feature_names=list(NAMES))
            joblib.dump((numeric[name], X, y, list(NAMES)), folder / f"{name}.joblib")
        write_table(folder / "all" / name, name, rows[name])
        write_table(folder / "few" / name, name, FEW)


def write_table(folder: Path, name: str, rows: int) -> None:
    import pyarrow
    from pyarrow import parquet

    from bench.columns import lists

    folder.mkdir(parents=True)
    each = rows // FILES
    if name == "titanic":
        columns: dict[str, Any] = {key: pyarrow.array(held) for key, held in lists(each).items()}
    else:
        values = np.random.default_rng(9).normal(size=(each, 4))
        columns = {key: pyarrow.array(values[:, place]) for place, key in enumerate(NAMES)}
    for number in range(FILES):
        ids = pyarrow.array(np.arange(number * each, (number + 1) * each))
        parquet.write_table(pyarrow.table({"id": ids} | columns), folder / f"{number}.parquet")


def raw(folder: Path, name: str, table: Path) -> None:
    """The loop that anybody would write who trusts the table."""
    import pyarrow
    from pyarrow import parquet

    from model_store import ModelStore

    pyarrow.set_cpu_count(1)
    store = ModelStore(folder / "models")
    model = store.load(store.verify(name, pickles="always"))
    signature, pipeline = model.manifest.signature, model.pipeline
    for path in sorted(table.glob("*.parquet")):
        writer = None
        for batch in parquet.ParquetFile(path).iter_batches(BATCH, use_threads=False):
            matrix = np.empty((len(batch), len(signature.columns)), dtype=signature.dtype)
            for place, column in enumerate(signature.names):
                given = batch.column(column)
                matrix[:, place] = given.to_numpy(zero_copy_only=False)
                if given.null_count:  # a text that is missing was NaN in training
                    matrix[given.is_null().to_numpy(zero_copy_only=False), place] = np.nan
            shares = pipeline.predict_proba(matrix)
            labels = pipeline.classes_[shares.argmax(axis=1)]
            added = [labels, *np.ascontiguousarray(shares.T)]
            names = [*batch.schema.names, "prediction", "probability_0", "probability_1"]
            found = pyarrow.record_batch([*batch.columns, *map(pyarrow.array, added)], names=names)
            if writer is None:
                coded = [f.name for f in found.schema if not pyarrow.types.is_floating(f.type)]
                target = folder / "raw" / path.name
                writer = parquet.ParquetWriter(target, found.schema, use_dictionary=coded)
            writer.write_batch(found)
        assert writer is not None
        writer.close()


def command(folder: Path, name: str, table: Path, *options: str) -> list[str]:
    """`score`, which writes the output anew."""
    paths = [name, str(table), str(folder / "out"), "--store", str(folder / "models")]
    return [sys.executable, "-m", "quart_app", "score", *paths, "--overwrite", "--quiet", *options]


def environment(folder: Path) -> dict[str, str]:
    """That of all processes here: they run this checkout, and keep bytecode in the folder."""
    found = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return found | {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def spent(folder: Path, arguments: list[str]) -> Spent:
    """What a command takes with all its children."""
    begun = time.monotonic()
    process = subprocess.Popen(
        arguments,
        env=environment(folder) | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    most = 0.0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        most = max(most, *map(peak, family(process.pid)))
        time.sleep(0.1)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}.")
    return Spent(used.ru_utime + used.ru_stime, time.monotonic() - begun, most)


def family(process: int) -> list[int]:
    """A process and those below it."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended
        return [process]
    return [process, *(each for child in children for each in family(int(child)))]


def peak(process: int) -> float:
    """The megabytes that a process has had at most. `ru_maxrss` would count those of the process
    that started it, before it became another program."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


# A cluster --------------------------------------------------------------------------


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[int]]]:
    """Dask's scheduler and workers, each with its nanny as by default; their processes."""
    dask = shutil.which("dask", path=str(Path(sys.executable).parent))
    assert dask is not None, "the extra dask is not installed"
    log = folder / "scheduler.log"
    options: dict[str, Any] = {"env": environment(folder), "cwd": folder, "start_new_session": True}
    with log.open("wb") as out:
        started = [
            subprocess.Popen(
                [dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
                **options,
                stdout=out,
                stderr=out,
            )
        ]
    try:
        while not (found := re.search(r"Scheduler at: +(tcp://\S+)", log.read_text())):
            time.sleep(0.2)
        for _ in range(workers):
            arguments = [dask, "worker", found[1], "--nthreads", "1", "--no-dashboard"]
            with (folder / "worker.log").open("wb") as out:
                started.append(subprocess.Popen(arguments, **options, stdout=out, stderr=out))
        yield found[1], [process.pid for process in started]
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


def cpu_of(sessions: list[int]) -> float:
    """Seconds of CPU of all processes in these sessions until now."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) in sessions:
                cells = (entry / "stat").read_text().rpartition(")")[2].split()
                total += sum(map(int, cells[11:15])) / TICKS
    return total


# CSV --------------------------------------------------------------------------------


def csv_loop(folder: Path, checkout: Path) -> float:
    """Seconds of CPU of a server's own loop over a CSV table, without HTTP, in a checkout: chunks
    of 1,000 rows are decoded, checked, answered and encoded. The model is in a store of its own,
    which that checkout has written, so any since the commit fd76c65 can be compared."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "import joblib\n"
        "from model_store import ModelStore\n"
        "try:\n"
        "    from model_store.text_rules import CSV\n"
        "except ImportError:  # as it was called at fd76c65\n"
        "    from model_store.wires import CSV\n"
        "from quart_app.inference import InferenceResponse\n"
        "from quart_app.protocols.csv import Decoder, Encoder, answers_of\n"
        "folder = Path(sys.argv[1])\n"
        "store = ModelStore(folder / 'before')\n"
        "if not (folder / 'before' / 'logit').exists():\n"
        "    pipeline, X, y, names = joblib.load(folder / 'logit.joblib')\n"
        "    store.publish('logit', pipeline, X, y, feature_names=names)\n"
        "model = store.load(store.verify('logit'))\n"
        "decoder, rows = Decoder(), []\n"
        "file = open(folder / 'logit.csv', 'rb')\n"
        "encoder, signature = None, model.manifest.signature\n"
        "begun = time.process_time()\n"
        "while data := file.read(65536):\n"
        "    rows += decoder.feed(data)\n"
        "    while len(rows) >= 1000:\n"
        "        chunk, rows = rows[:1000], rows[1000:]\n"
        "        encoder = encoder or Encoder(decoder.names, ',', model.manifest)\n"
        "        columns = dict(zip(decoder.names, zip(*chunk)))\n"
        "        columns.pop('id')\n"
        "        found = model.predict(signature.validate(columns, 1000, CSV))\n"
        "        shares = found.probabilities\n"
        "        told = InferenceResponse('1', 'm', 1, found.labels, shares, [()], None)\n"
        "        encoder.encode([*zip(*chunk), *answers_of(told), [''] * 1000])\n"
        "print(time.process_time() - begun)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=environment(folder) | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout.split()[-1])


def measure_csv(folder: Path, before: Path, turns: int) -> None:
    from pyarrow import csv, parquet

    table = parquet.read_table(folder / "all" / "logit" / "0.parquet")
    whole, few = folder / "logit.csv", folder / "few.csv"
    csv.write_csv(table, whole)
    csv.write_csv(table.slice(0, 10), few)
    ratios = []
    for _ in range(turns):
        cpu = [
            spent(folder, command(folder, "logit", path, "--workers", "1")).cpu
            for path in (whole, few)
        ]
        ratios.append(csv_loop(folder, before) / (cpu[0] - cpu[1]))
    print(f"CSV to Parquet: {statistics.median(ratios):.1f} times the server's loop before")


# All of it --------------------------------------------------------------------------


def measure(models: list[str], rows: dict[str, int], turns: int, before: Path | None) -> None:
    """Print the medians of each contender, with its start and without, and its CPU and speed beside
    those of one process."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "raw").mkdir()
        prepare(folder, models, rows)
        for model in models:
            took = _turns(folder, model, turns)
            one = took["one"]
            for contender, found in took.items():
                print(_line(model, contender, found, one, rows[model]), flush=True)
                if contender in MOST_CPU:
                    print(_from(contender, found, one, rows[model]), flush=True)
        if before is not None and "logit" in models:
            measure_csv(folder, before, turns)


class Runs(NamedTuple):
    """Those of a contender over a table, and over a few rows, one of each a turn."""

    whole: list[Spent]
    start: list[Spent]

    @property
    def typical(self) -> tuple[Spent, Spent]:
        """The medians of both."""
        whole, start = (Spent(*map(statistics.median, zip(*runs, strict=True))) for runs in self)
        return whole, start


def _line(model: str, contender: str, found: Runs, one: Runs, rows: int) -> str:
    whole, start = found.typical
    pace = rows / max(whole.cpu - start.cpu, 1e-9) / 1000
    cpu = statistics.median(
        mine.cpu / plain.cpu for mine, plain in zip(found.whole, one.whole, strict=True)
    )
    speed = statistics.median(
        plain.wall / mine.wall for mine, plain in zip(found.whole, one.whole, strict=True)
    )
    plain, plain_start = one.typical
    return (
        f"{model:<8} {contender:<5} {rows:12,} rows   {pace:6,.0f} k rows/CPU-s   "
        f"start {start.cpu:4.2f} CPU-s {start.wall:4.2f} s   whole {whole.cpu:5.1f} CPU-s "
        f"{whole.wall:5.1f} s   CPU {cpu:4.2f}, without the start "
        f"{(whole.cpu - start.cpu) / (plain.cpu - plain_start.cpu):4.2f}   "
        f"speed {speed:4.2f}, {(plain.wall - plain_start.wall) / (whole.wall - start.wall):4.2f}   "
        f"{whole.size:3.0f} MB"
    )


def _from(contender: str, found: Runs, one: Runs, rows: int) -> str:
    """From how many rows on two workers are as cheap and as fast as is wanted: both cost their
    start, and so much a row."""
    (mine, start), (plain, plain_start) = found.typical, one.typical
    most, least = MOST_CPU[contender], LEAST_SPEED[contender]
    cpu = _enough(
        start.cpu - most * plain_start.cpu,
        most * (plain.cpu - plain_start.cpu) - (mine.cpu - start.cpu),
        rows,
    )
    speed = _enough(
        least * start.wall - plain_start.wall,
        (plain.wall - plain_start.wall) - least * (mine.wall - start.wall),
        rows,
    )
    return f"{'':14} CPU at most {most} {cpu}; speed at least {least} {speed}"


def _enough(behind: float, gained: float, rows: int) -> str:
    """How many rows make up for what the start is behind, of which so many gain so much."""
    if gained <= 0:
        return "at no size"
    return f"from {max(0.0, behind / gained * rows) / 1e6:.1f} million rows on"


def _turns(folder: Path, model: str, turns: int) -> dict[str, Runs]:
    def on(table: Path) -> dict[str, Callable[[], Spent]]:
        itself = [sys.executable, __file__, "--raw", model, "--folder", str(folder)]
        return {
            "raw": lambda: spent(folder, [*itself, "--table", str(table)]),
            "one": lambda: spent(folder, command(folder, model, table, "--workers", "1")),
            "two": lambda: spent(folder, command(folder, model, table, "--workers", "2")),
            "dask": lambda: on_dask(table),
        }

    with cluster(folder, 2) as (address, sessions):
        options = ("--engine", "dask", "--scheduler", address)

        def on_dask(table: Path) -> Spent:
            before = cpu_of(sessions)
            found = spent(folder, command(folder, model, table, *options))
            return found._replace(cpu=found.cpu + cpu_of(sessions) - before)

        whole, start = (on(folder / table / model) for table in ("all", "few"))
        for run in start.values():  # Bytecode is written, and workers of Dask have all imported.
            run()
        took = {name: Runs([], []) for name in whole}
        for _ in range(turns):
            for name, runs in took.items():
                runs.start.append(start[name]())
                runs.whole.append(whole[name]())
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of tables of files through a model.")
    parser.add_argument("--models", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of rows")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--before", type=Path, help="a checkout, since fd76c65, whose server's CSV loop is compared"
    )
    parser.add_argument("--raw", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.raw:
        raw(options.folder, options.raw, options.table)
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    rows = {name: int(count * options.scale) // FILES * FILES for name, count in ROWS.items()}
    measure(options.models, rows, options.turns, options.before)


if __name__ == "__main__":
    main()
