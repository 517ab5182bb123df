"""`serve --model-name X --model-dir FOLDER`: what a platform mounts, served under the name that it
gives."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from quart_app.config import Config, ConfigError
from quart_app.mounting import PREFIX

from ..conftest import Server, serving
from ..containers import answered
from ..mounts import mounted

pytestmark = pytest.mark.process

ROWS = np.array([[25.0, "pro"], [30.0, "basic"], [40.0, "pro"], [55.0, "basic"]] * 10, object)
PIPELINE = make_pipeline(
    make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough"), LogisticRegression()
).fit(ROWS, ["stays", "leaves", "stays", "leaves"] * 10)
SAMPLE = "age,plan\n" + "".join(f"{age},{plan}\n" for age, plan in ROWS)

MLMODEL = """\
flavors:
  sklearn:
    code: null
    pickled_model: model.pkl
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  type: dataframe
"""


class Hostile:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def bare(folder: Path, file: str) -> None:
    """A model in one file, and its sample."""
    if file.endswith(".skops"):
        skops.io.dump(PIPELINE, folder / file)
    elif file.endswith(".pkl"):
        (folder / file).write_bytes(pickle.dumps(PIPELINE))
    else:
        joblib.dump(PIPELINE, folder / file)
    (folder / "sample.csv").write_text(SAMPLE)


def of_mlflow(folder: Path) -> None:
    """A folder of MLflow with an example."""
    joblib.dump(PIPELINE, folder / "model.pkl")
    (folder / "MLmodel").write_text(MLMODEL)
    example = {"columns": ["age", "plan"], "data": ROWS[:20].tolist()}
    (folder / "input_example.json").write_text(json.dumps(example))


def ask(server: Server, path: str, body: Any = None) -> tuple[int, Any]:
    return answered(f"{server.url}{path}", body)


def state(server: Server, name: str = "risk") -> dict[str, Any]:
    """What readiness says of the model."""
    return dict(ask(server, "/health/ready")[1]["models"][name])


def settled(server: Server) -> dict[str, Any]:
    """The same when the model is ready or has failed."""
    until = time.monotonic() + 300
    while (found := state(server))["state"] not in ("ready", "failed"):
        assert time.monotonic() < until, found
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def serving_folder(folder: Path, work: Path, **settings: Any) -> Iterator[Server]:
    """The command of KServe on a folder, which is mounted read only."""
    temporary = work / "tmp"
    temporary.mkdir(exist_ok=True)
    arguments = ("--model-name=risk", f"--model-dir={folder}")
    with serving(*arguments, cwd=work, TMPDIR=temporary, **settings) as server:
        yield server


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The working directory of the server."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that is mounted."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.mark.parametrize("kind", ["model.joblib", "model.pkl", "model.skops", "mlflow"])
def test_what_somebody_else_wrote_is_imported_and_answers_by_v1_and_v2(
    kind: str, folder: Path, work: Path
) -> None:
    of_mlflow(folder) if kind == "mlflow" else bare(folder, kind)
    with (
        mounted(folder, "--bind", str(folder)),
        serving_folder(read_only(folder), work) as server,
    ):
        assert ask(server, "/health/live")[0] == 200
        assert state(server)["state"] in ("pending", "importing")
        assert settled(server) == {"state": "ready"}

        row = {"instances": [{"age": 25, "plan": "pro"}, {"age": 30, "plan": "basic"}]}
        assert ask(server, "/v1/models/risk") == (200, {"name": "risk", "ready": True})
        assert ask(server, "/v1/models/risk:predict", row) == (
            200,
            {"predictions": ["stays", "leaves"]},
        )
        tensors = [
            {"name": "age", "datatype": "FP64", "shape": [1], "data": [25]},
            {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["pro"]},
        ]
        status, answer = ask(server, "/v2/models/risk/infer", {"inputs": tensors})
        assert (status, answer["model_name"]) == (200, "risk")
        assert answer["outputs"][0]["data"] == ["stays"]
        assert [path.name.startswith(PREFIX) for path in (work / "tmp").iterdir()] == [True]
        assert server.stop() == 0
    assert list((work / "tmp").iterdir()) == []


def read_only(folder: Path) -> Path:
    """A folder that was mounted on itself, which nobody can write to now."""
    subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    return folder


def test_a_folder_of_ours_is_ready_as_fast_as_a_store(
    bundled_root: Path, folder: Path, work: Path
) -> None:
    shutil.copytree(bundled_root / "exam" / "1", folder, dirs_exist_ok=True)
    with serving_folder(folder, work) as server:
        assert settled(server) == {"state": "ready"}
        assert ask(server, "/v1/models/risk:predict", {"instances": [[61.1, 17.3]]})[0] == 200
        assert ask(server, "/models")[1]["models"][0]["name"] == "risk"
        assert ask(server, "/v1/models/exam")[0] == 404
        assert list((work / "tmp").iterdir()) == []
        assert not (work / "instance").exists()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "There is no model in the folder."),
        ({"a.pkl": b"1", "b.pkl": b"1"}, "FOLDER holds several models: a.pkl, b.pkl; leave one"),
        ({"model.pkl": b"no pickle"}, "model.pkl: "),
        ({"notes.txt": b"hello"}, "FOLDER is a folder with neither MLmodel (MLflow) nor"),
        ({"MLmodel": b"flavors: {}"}, "MLmodel has the flavours none; taken are sklearn"),
    ],
    ids=["empty", "two models", "no pickle", "no model", "no flavour"],
)
def test_a_fault_is_the_state_of_the_model(
    files: dict[str, bytes], reason: str, folder: Path, work: Path
) -> None:
    for file, data in files.items():
        (folder / file).write_bytes(data)
    with serving_folder(folder, work) as server:
        found = settled(server)
        assert found["state"] == "failed"
        assert found["reason"].startswith(reason)
        assert str(folder) not in found["reason"]
        assert ask(server, "/health/live")[0] == 200
        assert ask(server, "/health/ready")[0] == 503
        assert ask(server, "/v2/models/risk/ready")[0] == 503
        assert ask(server, "/v1/models/risk:predict", {"instances": [[1]]})[0] == 503
        assert server.stop() == 0


def test_a_hostile_pickle_runs_nothing(folder: Path, work: Path) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(Hostile(work / "made")))
    with serving_folder(folder, work) as server:
        found = settled(server)
    assert found["state"] == "failed"
    assert "names posix.mkdir, which is not allowed" in found["reason"]
    assert not (work / "made").exists()


def test_a_folder_that_is_mounted_later_is_served_then(folder: Path, work: Path) -> None:
    later = folder / "later"
    with serving_folder(later, work) as server:
        assert state(server)["reason"] == "The folder of the model is not there."
        bare(folder, "model.joblib")
        (work / "whole").mkdir()
        for file in ("model.joblib", "sample.csv"):
            shutil.move(folder / file, work / "whole" / file)
        (work / "whole").rename(later)
        until = time.monotonic() + 300
        while ask(server, "/health/ready")[0] != 200:
            assert time.monotonic() < until, state(server)
            time.sleep(0.1)
        assert ask(server, "/v1/models/risk")[0] == 200


def test_a_server_that_is_told_to_end_while_it_imports_leaves_nothing(
    folder: Path, work: Path
) -> None:
    bare(folder, "model.joblib")
    with serving_folder(folder, work) as server:
        while state(server)["state"] != "importing":
            time.sleep(0.02)
        time.sleep(1)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 10
        assert children_named("model_store.importing", str(work)) == []
    assert list((work / "tmp").iterdir()) == []


def children_named(word: str, work: str) -> list[str]:
    """The processes in this working directory whose command has a word."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(process / "cwd") == work and word in (process / "cmdline").read_text():
                found.append(process.name)
    return found


def test_what_a_killed_server_left_is_removed_by_the_next(folder: Path, work: Path) -> None:
    bare(folder, "model.joblib")
    with serving_folder(folder, work) as server:
        assert settled(server) == {"state": "ready"}
        server.stop(signal.SIGKILL)
    [left] = (work / "tmp").iterdir()
    os.utime(left, (0, 0))
    with serving_folder(folder, work) as server:
        assert settled(server) == {"state": "ready"}
        assert left not in list((work / "tmp").iterdir())


def test_the_process_that_imports_may_die(
    folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare(folder, "model.joblib")
    with serving_folder(folder, work) as server:
        while not (found := children_named("model_store.importing", str(work))):
            assert state(server)["state"] != "ready"
            time.sleep(0.01)
        os.kill(int(found[0]), signal.SIGKILL)
        assert "was killed" in settled(server)["reason"]
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"MODEL_DIR": "/mnt/models"}, "MODEL_NAME is not set"),
        ({"MODEL_NAME": "risk"}, "MODEL_DIR is not set"),
        (
            {"MODEL_DIR": "/mnt/models", "MODEL_NAME": "risk", "MODEL_STORE": "models"},
            "exclude each other",
        ),
        ({"MODEL_DIR": "/mnt/models", "MODEL_NAME": "no name"}, "expected the name of a model"),
    ],
)
def test_the_settings_go_together(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Config.read({}, **settings)
    if "no name" not in settings.values():
        with pytest.raises(ConfigError, match=sentence):
            Config.read({f"QUART_APP_{name}": value for name, value in settings.items()})
