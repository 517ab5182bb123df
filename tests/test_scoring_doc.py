"""docs/scoring.md: its commands, its Python and its cluster are run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from model_store import ModelStore
from quart_app.cli.score import progress_line, score

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/scoring.md").read_text()

PASSENGERS = """pclass,sex,age,sibsp,parch,fare,embarked
1,female,29,0,0,211.34,S
3,male,,1,0,7.75,Q
2,male,old,0,0,13,S
3,female,2,1,1,10.46,S
1,male,47,1,0,52,
2,female,30,0,0,12.35,Q
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(bundled_root: Path, tmp_path: Path) -> Path:
    shutil.copytree(bundled_root, tmp_path / "instance" / "models")
    (tmp_path / "passengers.csv").write_text(PASSENGERS)
    return tmp_path


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = re.sub("^quart-app ", f"{sys.executable} -m quart_app ", command)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.process
def test_the_commands_and_the_python_of_the_document_run(folder: Path) -> None:
    (console,) = blocks("console")
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        if command.startswith("pip "):
            continue
        done = run(command, folder)
        pattern = ".*?".join(map(re.escape, output.strip().split("...")))
        assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), done.stdout + done.stderr
        assert done.returncode == 3
    files = sorted(path.name for path in (folder / "scored").iterdir())
    assert [f"`{name}`" for name in files] == sorted(re.findall(r"^\| (`[^`]+`)", PAGE, re.M)[:3])
    for script in blocks("python"):
        subprocess.run(
            [sys.executable, "-c", script], cwd=folder, env={"PYTHONPATH": str(ROOT)}, check=True
        )


@pytest.mark.process
def test_the_cluster_of_the_document_runs(folder: Path) -> None:
    dask = Path(sys.executable).parent / "dask"
    if not dask.exists():
        pytest.skip("the extra dask is not installed")
    cluster, asked = blocks("text")
    scheduler, worker = cluster.splitlines()
    log = folder / "scheduler.log"
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str) -> None:
        with log.open("ab") as out:
            started.append(
                subprocess.Popen(
                    [str(dask), *command.split()[1:], "--no-dashboard"],
                    stdout=out,
                    stderr=out,
                    cwd=folder,
                    env=os.environ | {"PYTHONPATH": str(ROOT)},
                    start_new_session=True,
                )
            )

    try:
        start(scheduler.replace("8786", "0 --host 127.0.0.1"))
        deadline = time.monotonic() + 60
        while not (found := re.search(r"Scheduler at: +(tcp://\S+)", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        start(worker.replace("tcp://scheduler:8786", found[1]).replace("--nworkers 8", ""))
        command = asked.strip().replace("tcp://scheduler:8786", found[1])
        command = command.replace("s3://bucket/in", "passengers.csv").replace("s3://bucket/", "")
        done = run(command, folder)
        assert done.returncode == 3, done.stderr
        assert (folder / "out" / "_SUCCESS").exists()
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_document_names_every_option_that_the_command_has() -> None:
    options = {
        name
        for parameter in score.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    common = {"--store", "--allow-version", "--pickles", "--version"}
    assert {name for name in options - common if name not in PAGE} == set()


@pytest.mark.process
def test_a_dry_run_writes_nothing_and_a_wrong_call_ends_with_2(folder: Path) -> None:
    done = run("quart-app score titanic passengers.csv out --dry-run", folder)
    assert done.returncode == 0
    assert "part-passengers-00000.parquet of passengers.csv" in done.stdout
    assert "prediction (int64)" in done.stdout
    assert not (folder / "out").exists()
    for arguments, said in {
        "nobody passengers.csv out": "There is no model 'nobody'",
        "titanic nothing.csv out": "There is no file or folder nothing.csv.",
        "exam passengers.csv out": "has not the columns of exam: it lacks X1, X2",
        "titanic passengers.csv out --engine dask": "needs the address of a scheduler",
        "titanic passengers.csv out --resume --overwrite": "expected one of both",
        "titanic passengers.csv out --max-errors some": "expected a number of rows",
    }.items():
        done = run(f"quart-app score {arguments}", folder)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    done = run("quart-app score titanic passengers.csv out --errors stop --json", folder)
    assert done.returncode == 1
    assert "Row 2 of passengers.csv" in done.stderr
    assert '"missing": 1' in done.stdout
    assert ModelStore(folder / "instance/models").models()


def test_progress_tells_rows_pace_and_what_is_left() -> None:
    assert progress_line(250, 1000, 200, 10.0) == "250 of 1,000 rows (25%), 20 rows/s, 0:38 left"
    assert progress_line(1000, 1000, 1000, 10.0) == "1,000 of 1,000 rows (100%), 100 rows/s"
    assert progress_line(5000, None, 5000, 2.0) == "5,000 rows, 2,500 rows/s"
    assert progress_line(0, 36_000_000, 0, 0.0) == "0 of 36,000,000 rows (0%), 0 rows/s"
