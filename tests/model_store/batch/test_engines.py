"""Runs whose workers, driver and disk fail: what is there at the end is right, or said to be
missing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from model_store import ModelStore
from model_store.batch.api import score
from model_store.batch.record import Summary

from .test_run import result, rows_of, write, written

ROOT = Path(__file__).parents[3]
PARTS = 40
ROWS = 20_000

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for part in range(PARTS):
        write(folder, f"{part:02}.parquet", rows_of(ROWS, part * ROWS))
    return folder


def begun(root: Path, tables: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    """The command, in a process group of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "quart_app", "score", "whole", str(tables), str(output)),
            *("--store", str(root), "--json", *options),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(root: Path, tables: Path, output: Path, *options: str) -> tuple[int, Any, str]:
    process = begun(root, tables, output, *options)
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out) if out else None, err


def until_parts(output: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(output.glob("part-*"))) >= count:
            return
        time.sleep(0.01)


def children(process: int) -> list[int]:
    """The processes of its group that are not itself and do not watch over others."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            command = (entry / "cmdline").read_bytes()
            if pid != process and os.getpgid(pid) == process and b"resource_tracker" not in command:
                found.append(pid)
    return found


def require_whole(output: Path) -> None:
    assert result(output).column("id").to_pylist() == list(range(PARTS * ROWS))
    assert not [name for name in written(output) if "/." in f"/{name}"]
    assert (output / "_SUCCESS").exists()


def test_a_killed_worker_ends_a_run_in_a_sentence_and_a_killed_driver_in_none(
    root: Path, tables: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    draw = random.Random(3)
    for attempt in range(3):
        options = ["--workers", "2", *(["--resume"] if attempt else [])]
        process = begun(root, tables, output, *options)
        there = len(list(output.glob("part-*"))) if output.exists() else 0
        until_parts(output, there + 1 + draw.randrange(2), process)
        victims = children(process.pid) if attempt != 1 else [process.pid]
        if victims and process.poll() is None:
            os.kill(draw.choice(victims), signal.SIGKILL)
        process.wait(120)
        deadline = time.monotonic() + 60
        while children(process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not children(process.pid)  # which would wait some minutes for work
        _, err = process.communicate()
        if attempt != 1 and process.returncode:
            assert process.returncode == 1
            assert "run again with --resume" in err
    code, summary, _ = finished(root, tables, output, "--resume", "--workers", "2")
    assert (code, summary["rows"], summary["parts"]) == (0, PARTS * ROWS, PARTS)
    require_whole(output)


def test_a_run_imports_neither_pandas_nor_scikit_learn(
    root: Path, tables: Path, tmp_path: Path
) -> None:
    """They cost each worker more than all else that it imports."""
    script = (
        "import sys\n"
        "from model_store import score\n"
        "done = score('whole', sys.argv[1], sys.argv[2], store=sys.argv[3], workers=1)\n"
        "print(done.complete, {'pandas', 'sklearn', 'scipy'} & {*sys.modules})\n"
    )
    table = tables / "00.parquet"
    arguments = [sys.executable, "-c", script, str(table), str(tmp_path / "out"), str(root)]
    told = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told == "True set()\n"


def test_an_interrupt_leaves_what_is_done_and_says_how_to_go_on(
    root: Path, tables: Path, tmp_path: Path
) -> None:
    process = begun(root, tables, tmp_path / "out", "--workers", "1")
    until_parts(tmp_path / "out", 1, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "running it again with --resume" in err
    assert not [name for name in written(tmp_path / "out") if name.startswith(".")]


def test_a_full_disk_ends_a_run_in_a_sentence_and_leaves_no_temporary_file(
    root: Path, tables: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a disk can be mounted by root alone")
    try:
        code, summary, err = finished(root, tables, disk / "out", "--workers", "2")
        assert (code, summary["rows"] < PARTS * ROWS) == (1, True)
        assert "No space left on device" in err
        assert not [name for name in written(disk / "out") if name.startswith(".")]
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        code, _, _ = finished(root, tables, disk / "out", "--workers", "2", "--resume")
        assert code == 0
        require_whole(disk / "out")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


# On Dask --------------------------------------------------------------------------


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers, by Dask's own two commands; the scheduler is the first."""
    dask = shutil.which("dask", path=str(Path(sys.executable).parent))
    if dask is None:
        pytest.skip("the extra dask is not installed")
    log = folder / "scheduler.log"
    with log.open("wb") as out:
        scheduler = subprocess.Popen(
            [dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
            stdout=out,
            stderr=out,
            cwd=folder,
        )
    processes = [scheduler]
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"Scheduler at: +(tcp://\S+)", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        for worker in range(workers):
            with (folder / f"worker-{worker}.log").open("wb") as out:
                processes.append(
                    subprocess.Popen(
                        [dask, "worker", found[1], "--nthreads", "1", "--no-dashboard"],
                        stdout=out,
                        stderr=out,
                        cwd=folder,
                        env=os.environ | {"PYTHONPATH": str(ROOT)},
                        start_new_session=True,
                    )
                )
        yield found[1], processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()


def test_a_killed_worker_costs_nothing_on_dask_and_a_killed_scheduler_a_sentence(
    root: Path, tables: Path, tmp_path: Path
) -> None:
    with cluster(tmp_path, 2) as (address, processes):
        options = ("--engine", "dask", "--scheduler", address)
        process = begun(root, tables, tmp_path / "out", *options)
        until_parts(tmp_path / "out", 2, process)
        victims = children(processes[1].pid)  # the nanny's own, which it starts again
        assert victims or process.poll() is not None
        if victims:
            os.kill(victims[0], signal.SIGKILL)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        require_whole(tmp_path / "out")

        process = begun(root, tables, tmp_path / "again", *options)
        until_parts(tmp_path / "again", 1, process)
        processes[0].kill()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "run again with --resume" in err
    code, _, _ = finished(root, tables, tmp_path / "again", "--resume", "--workers", "1")
    assert code == 0
    require_whole(tmp_path / "again")


def test_a_cluster_that_has_lost_its_workers_for_good_ends_a_run_in_a_sentence(
    models: ModelStore, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    from model_store.batch import engines

    with cluster(tmp_path, 1) as (address, processes):

        def kill(rows: int, total: int | None) -> None:
            if rows:
                monkeypatch.setattr(engines, "WORKERS_WAIT", 1)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(processes[1].pid, signal.SIGKILL)

        done = score(
            "whole",
            tables,
            tmp_path / "out",
            store=models,
            engine="dask",
            scheduler=address,
            progress=kill,
        )
    assert isinstance(done, Summary)
    assert (done.complete, done.parts + done.missing) == (False, PARTS)
    assert done.reason is not None
    assert "has no workers; start some, and run again with --resume" in done.reason


# In a bucket ----------------------------------------------------------------------


def test_a_run_from_bucket_to_bucket(
    models: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    from pyarrow import fs

    try:
        bucket = fs.S3FileSystem(
            region="us-east-1",
            endpoint_override=f"http://{host}:{port}",
            allow_bucket_creation=True,
        )
        bucket.create_dir("tables")
        for number in range(3):
            pq.write_table(
                rows_of(100, 100 * number), f"tables/in/day={number}/x.parquet", filesystem=bucket
            )
        address = "s3://tables/in?region=us-east-1"
        output = "s3://tables/out?region=us-east-1"
        done = score("classes", address, output, store=models, workers=1)
        assert isinstance(done, Summary)
        assert (done.rows, done.complete) == (300, True)
        infos = bucket.get_file_info(fs.FileSelector("tables/out", recursive=True))
        assert sorted(info.path for info in infos if info.type == fs.FileType.File) == [
            "tables/out/_SUCCESS",
            "tables/out/_score.json",
            *(f"tables/out/day={number}/part-x-00000.parquet" for number in range(3)),
        ]
        path = "tables/out/day=2/part-x-00000.parquet"
        part = pq.read_table(path, filesystem=bucket, partitioning=None)
        assert part.column("id").to_pylist() == list(range(200, 300))
        bucket.delete_file("tables/out/day=1/part-x-00000.parquet")
        again = score("classes", address, output, store=models, resume=True, workers=1)
        assert (again.complete, again.resumed) == (True, 2)
        record = json.loads(bucket.open_input_stream("tables/out/_score.json").read())
        etags = {each["etag"] for each in record["inputs"]}
        assert len(etags) == 3
        assert all(re.fullmatch(r'"?[0-9a-f]{32}(-[0-9]+)?"?', etag) for etag in etags)
        pq.write_table(rows_of(100, 7), "tables/in/day=1/x.parquet", filesystem=bucket)
        with pytest.raises(Exception, match=r"the input \(day=1/x.parquet\) changed"):
            score("classes", address, output, store=models, resume=True, workers=1)
    finally:
        server.stop()
