"""A server of plain forms alone: what it imports, and that it needs nothing that pipelines do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store import ModelStore
from model_store.prover import BLOCKED
from quart_app.cli.lock import read_lock, read_pins, without
from quart_app.extras import PIPELINES

from ..environments import environment

pytestmark = pytest.mark.process

ROOT: Final = Path(__file__).parent.parent.parent
READS_PICKLES: Final = {
    *("loader", "opcodes", "pickles", "reconstruct", "room", "soundness", "stand_ins", "trust"),
}
"""What of ours a server goes without that reads none."""
NODES: Final = ["model_store", "plain", "nodes"]


@pytest.fixture(scope="module")
def plain_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of models with plain forms alone."""
    store = ModelStore(tmp_path_factory.mktemp("plain"))
    random = np.random.default_rng(5)
    X = random.normal(size=(60, 3)).round(2)
    names = ["length", "width", "height"]
    line = LinearRegression().fit(X, X @ [1.0, 2.0, 3.0])
    store.publish("line", line, X, X @ [1.0, 2.0, 3.0], feature_names=names)
    y = np.where(X[:, 0] > 0, "long", "short")
    classes = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    store.publish("classes", classes, X, y, feature_names=names)
    for name in store.models():
        assert store.verify(name).form is not None
    return store.root


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with what our lock pins, but for what pipelines need."""
    names = read_pins(without(read_lock(), PIPELINES))
    assert not set(names) & {"scikit-learn", "scipy", "joblib", "pandas", "threadpoolctl"}
    return environment(tmp_path_factory.mktemp("bare") / "env", names)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(bare: Path, tmp_path: Path) -> Run:
    """Runs something of ours with that Python."""

    def in_it(
        *arguments: Any, check: bool = True, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [bare, "-m", *map(str, arguments)],
            cwd=tmp_path,
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **settings},
            capture_output=True,
            text=True,
            check=check,
        )

    return in_it


def test_that_environment_has_no_scikit_learn(run: Run) -> None:
    failed = run("sklearn", check=False)
    assert "No module named sklearn" in failed.stderr


@pytest.mark.parametrize("pickles", ["fallback", "never"])
@pytest.mark.parametrize("models", ["plain_root", "bundled_root"])
def test_it_answers_at_every_door_where_no_scikit_learn_is_installed(
    models: str, pickles: str, run: Run, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(models)
    done = run("tests.every_door", root, json.dumps({"PICKLES": pickles}))
    assert "model_store.plain" in done.stdout.split()
    assert done.stderr == ""


def test_where_it_is_installed_nothing_of_it_is_imported_nor_what_reads_pickles(
    plain_root: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.every_door", plain_root, "{}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = [name.split(".") for name in done.stdout.split()]
    assert not {name for name, *_ in modules} & {*BLOCKED, "threadpoolctl", "narwhals"}
    ours = {name[1] for name in modules if name[0] == "model_store" and name[1:]}
    assert not ours & READS_PICKLES
    nodes = {name[3] for name in modules if name[:3] == NODES and name[3:]}
    assert nodes == {"columns", "linear", "numbers", "single_precision"}


# Commands -------------------------------------------------------------------------------


def test_the_store_is_listed_shown_and_verified_there(run: Run, plain_root: Path) -> None:
    models = ("quart_app", "models", "--store", plain_root)
    listed = run(*models, "list").stdout.splitlines()[2:]
    assert [line.split() for line in listed] == [
        ["classes", "1", "1", "plain"],
        ["line", "1", "1", "plain"],
    ]
    assert "answered by   plain data: it gave the answers of" in run(*models, "show", "line").stdout
    verified = run(*models, "verify", "line").stdout
    assert verified.startswith(
        "line: verified, its plain form, which goes on serving; its pipeline was not tried: "
        "line version 1 was trained with scikit-learn "
    )
    assert "and none is installed; install scikit-learn " in verified


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "exam"], "scikit-learn is not installed, so nothing is trained here."),
        (["import", "a.pkl"], "scikit-learn is not installed, so no pipeline is read here."),
        (["inspect", "a.pkl"], "scikit-learn is not installed, so no pipeline is read here."),
    ],
)
def test_what_needs_it_says_so_there(arguments: list[str], sentence: str, run: Run) -> None:
    failed = run("quart_app", "models", *arguments, check=False)
    assert (failed.returncode, failed.stderr) == (1, f"Error: {sentence}\n")


def test_what_is_to_be_trained_and_what_has_no_form_fails_there_with_a_sentence(
    run: Run, plain_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(plain_root, tmp_path / "models")
    manifest = tmp_path / "models" / "line" / "1" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_bytes()), "served": None}))
    asked = ("quart_app", "get", "/health/ready", "--store", "models")
    models = json.loads(run(*asked, QUART_APP_RECIPES="exam").stdout)["models"]
    assert models["classes"] == {"state": "ready"}
    assert models["exam"] == {
        "state": "failed",
        "reason": "scikit-learn is not installed, so nothing is trained here.",
    }
    assert models["line"]["state"] == "failed"
    assert "and none is installed; install scikit-learn " in models["line"]["reason"]
