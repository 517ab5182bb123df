"""Folders for platforms: what is in them, what they refuse, and that they run as a platform runs
them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from model_store import ModelStore, ModelStoreError
from model_store.manifest import MANIFEST
from model_store.recipes import RECIPES
from quart_app.cli import footprint
from quart_app.cli.deployment import RECORD, Deployment, DeploymentError, Platform
from quart_app.cli.lock import read_lock, read_pins, without
from quart_app.cli.main import cli
from quart_app.config import SETTINGS
from quart_app.extras import PIPELINES, TOUR
from quart_app.keys import Keys
from quart_app.server.options import OPTIONS

from ...environments import environment

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/deploying.md").read_text()
EXAM = "/models/exam/predict?X1=61.1&X2=17.3"
PLAIN = without(read_lock(), (*TOUR, *PIPELINES))
"""What is required where no pickle is read."""

PIPELINE_CODE = """
import numpy as np
import scipy.special
from pluggy import PluginManager
from sklearn.base import BaseEstimator, TransformerMixin

class Cut(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self
    def transform(self, X):
        return scipy.special.expit(X)
"""


@pytest.fixture(scope="module")
def exam(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A store whose exam has two versions, the first of which serves; not to be written to."""
    root = tmp_path_factory.mktemp("exam")
    shutil.copytree(bundled_root / "exam", root / "exam")
    store = ModelStore(root)
    RECIPES["exam"].train(store)
    store.promote("exam", 1)
    store.promote("exam", 1, "steady")
    store.promote("exam", 2, "next")
    return store


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {path: data for path, data in found.items() if "__pycache__" not in path}


def written(platform: Platform, store: ModelStore, folder: Path, *names: str) -> Path:
    Deployment.of(platform, store, names).write(folder)
    return folder


@pytest.fixture(scope="module")
def heroku(exam: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was deployed for Heroku."""
    return written("heroku", exam, tmp_path_factory.mktemp("heroku") / "app")


# What is in it --------------------------------------------------------------------------


def test_what_serves_is_taken_along_byte_for_byte_with_its_aliases(
    exam: ModelStore, tmp_path: Path
) -> None:
    copy = ModelStore(written("heroku", exam, tmp_path / "out") / "models")

    assert copy.models() == ["exam"]
    assert copy.versions("exam") == [1]
    assert copy.aliases("exam") == {"champion": 1, "steady": 1}
    assert contents(copy.root / "exam/1") == contents(exam.root / "exam/1")
    assert copy.verify("exam").manifest == exam.manifest("exam", 1)


def test_chosen_models_alone_are_taken_along(bundled: ModelStore, tmp_path: Path) -> None:
    folder = written("heroku", bundled, tmp_path / "out", "iris", "exam")

    assert ModelStore(folder / "models").models() == ["exam", "iris"]


def test_all_are_by_default(bundled: ModelStore, tmp_path: Path) -> None:
    folder = written("docker", bundled, tmp_path / "out")

    assert ModelStore(folder / "models").models() == sorted(RECIPES)


@pytest.mark.parametrize("platform", ["heroku", "docker"])
def test_the_files_are_the_same_each_time(
    platform: Platform, exam: ModelStore, tmp_path: Path
) -> None:
    first = contents(written(platform, exam, tmp_path / "first"))
    second = contents(written(platform, exam, tmp_path / "second"))
    again = contents(written(platform, exam, tmp_path / "first"))

    assert first == second == again


def test_heroku_finds_its_files_and_one_lock(exam: ModelStore, tmp_path: Path) -> None:
    folder = written("heroku", exam, tmp_path / "out")

    assert (folder / "Procfile").read_text() == (
        "web: python -m quart_app serve --store models --keep-alive 95 --no-tour --no-mcp "
        "--pickles never --max-memory 460M\n"
    )
    assert (folder / ".python-version").read_text() == "{}.{}\n".format(*sys.version_info)
    assert (folder / "requirements.txt").read_text() == PLAIN
    assert not {"poetry.lock", "Pipfile.lock", "uv.lock", "pyproject.toml", "Dockerfile"} & set(
        contents(folder)
    )


def test_the_program_lies_in_it_as_in_a_wheel(exam: ModelStore, tmp_path: Path) -> None:
    found = contents(written("heroku", exam, tmp_path / "out"))

    for folder, inside in (("quart_app", "quart_app"), ("templates", "quart_app/templates")):
        for path, data in contents(ROOT / folder).items():
            assert found[f"{inside}/{path}"] == data
    assert found["model_store/store.py"] == (ROOT / "model_store/store.py").read_bytes()


def test_the_record_lists_what_was_written(exam: ModelStore, tmp_path: Path) -> None:
    folder = written("heroku", exam, tmp_path / "out")

    record = json.loads((folder / RECORD).read_text())

    assert set(record["files"]) == set(contents(folder)) - {RECORD}
    found = exam.manifest("exam", 1).files["pipeline.joblib"].sha256
    assert record["files"]["models/exam/1/pipeline.joblib"] == found


def test_the_image_runs_as_nobody_and_takes_the_signal_itself(
    exam: ModelStore, tmp_path: Path
) -> None:
    folder = written("docker", exam, tmp_path / "out")
    lines = dict(
        line.split(" ", 1)
        for line in (folder / "Dockerfile").read_text().splitlines()
        if not line.startswith(("#", "COPY", "RUN", " "))
    )

    assert lines["FROM"] == "python:{}.{}-slim".format(*sys.version_info)
    assert lines["USER"] == "10001:10001"
    assert lines["STOPSIGNAL"] == "SIGTERM"
    assert "PORT=8000" in lines["ENV"]
    command = (
        "python -m quart_app serve --store models --keep-alive 95 --no-tour --no-mcp "
        "--pickles never --max-memory 460M"
    )
    assert json.loads(lines["CMD"]) == command.split()
    ignored = (folder / ".dockerignore").read_text().splitlines()
    assert {".git", RECORD, "Dockerfile", "instance"} <= set(ignored)
    assert not {path.split("/")[0] for path in contents(folder)} & {"Procfile", ".slugignore"}


def test_a_deployed_folder_can_deploy_itself(heroku: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from model_store import ModelStore\n"
        "from quart_app.cli.deployment import Deployment\n"
        "Deployment.of('heroku', ModelStore('models')).write(Path(sys.argv[1]))\n"
    )

    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "again"], cwd=heroku, env={}, check=True
    )

    assert contents(tmp_path / "again") == contents(heroku)


@pytest.mark.parametrize("platform", ["heroku", "docker"])
def test_the_tour_comes_along_when_it_is_asked_for_with_what_it_needs(
    platform: Platform, exam: ModelStore, tmp_path: Path
) -> None:
    result = deploy("--tour", platform=platform, store=exam, to=tmp_path / "out")

    assert result.exit_code == 0, result.output
    found = contents(tmp_path / "out")
    assert found["requirements.txt"].decode() == without(read_lock(), PIPELINES)
    assert b"--no-tour" not in found["Procfile" if platform == "heroku" else "Dockerfile"]
    with_models = written(platform, exam, tmp_path / "without")
    assert set(found) == set(contents(with_models))


# Requirements ---------------------------------------------------------------------------


def publish_frame(store: ModelStore) -> None:
    """Publish a model that was fitted on a DataFrame."""
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 1.0, 5.0]})
    store.publish("frame", LinearRegression().fit(X, [1.0, 2.0, 3.0]), X, [1.0, 2.0, 3.0])


def forget_form(store: ModelStore, name: str, **libraries: str) -> None:
    """Make of version 1 one that was published before there were plain forms."""
    path = store.root / name / "1" / MANIFEST
    told = json.loads(path.read_bytes())
    del told["served"]
    path.write_text(json.dumps(told | {"libraries": told["libraries"] | libraries}))


def test_a_model_with_a_plain_form_brings_nothing(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    publish_frame(store)

    deployment = Deployment.of("docker", store)

    assert deployment.plain
    assert deployment.requirements() == PLAIN
    assert not {"scikit-learn", "scipy", "joblib", "threadpoolctl", "pandas", "narwhals"} & set(
        read_pins(PLAIN)
    )


def test_beside_one_without_it_brings_nothing_either(exam: ModelStore, tmp_path: Path) -> None:
    store = ModelStore(shutil.copytree(exam.root, tmp_path / "models"))
    publish_frame(store)
    forget_form(store, "exam")

    deployment = Deployment.of("docker", store)

    assert not deployment.plain
    assert "--pickles" not in deployment.command
    assert deployment.requirements() == without(read_lock(), TOUR)


def test_a_model_that_was_fitted_on_a_frame_brings_pandas(tmp_path: Path) -> None:
    import pandas as pd

    store = ModelStore(tmp_path / "models")
    publish_frame(store)
    forget_form(store, "frame")

    deployment = Deployment.of("docker", store)
    text = deployment.requirements()
    deployment.write(tmp_path / "out")

    pins = read_pins(text)
    assert read_pins(without(read_lock(), TOUR)).items() < pins.items()
    assert "gmpy2" not in pins
    assert pins["pandas"] == pd.__version__
    assert "python-dateutil" in pins  # which pandas itself needs
    assert "pytest" not in pins  # which is an extra of it
    assert "--hash" not in text
    assert "--require-hashes" not in (tmp_path / "out/Dockerfile").read_text()


def test_a_model_that_needs_a_module_of_nobodys_is_refused_with_the_way_out(
    kinds: ModelStore, tmp_path: Path
) -> None:
    deployment = Deployment.of("heroku", kinds, ["mixed"])

    with pytest.raises(DeploymentError, match=r"mixed version 1 needs tests, .* as `code`"):
        deployment.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_own_code_of_a_pipeline_imports_comes_along(tmp_path: Path) -> None:
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    (tmp_path / "cutting.py").write_text(PIPELINE_CODE)
    sys.path.insert(0, str(tmp_path))
    try:
        from cutting import Cut  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    X = np.arange(20.0).reshape(10, 2)
    pipeline = make_pipeline(Cut(), LogisticRegression()).fit(X, [0, 1] * 5)
    store = ModelStore(tmp_path / "models")
    store.publish("cut", pipeline, X, [0, 1] * 5, code=tmp_path / "cutting.py")

    deployment = Deployment.of("heroku", store)
    deployment.write(tmp_path / "out")

    locked = read_pins(without(read_lock(), TOUR))
    more = set(read_pins(deployment.requirements())) - set(locked)
    assert more == {"pluggy"}
    assert (tmp_path / "out/models/cut/1/cutting.py").read_text() == PIPELINE_CODE


def test_packages_of_the_operators_come_along_as_they_are_installed(exam: ModelStore) -> None:
    text = Deployment.of("heroku", exam, packages=["Psycopg"]).requirements()

    assert re.search(r"^psycopg==3\.", text, re.MULTILINE)
    with pytest.raises(DeploymentError, match="no-such-thing is not installed here"):
        Deployment.of("heroku", exam, packages=["no-such-thing"]).requirements()


# Refusals -------------------------------------------------------------------------------


def deploy(*arguments: str, store: ModelStore, to: Path, platform: Platform = "heroku") -> Result:
    options = ["--dir", str(to), "--store", str(store.root), *arguments]
    return CliRunner().invoke(cli, ["deploy", platform, *options])


def test_a_folder_of_somebody_else_is_left_alone(exam: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    deployment = Deployment.of("heroku", exam)

    with pytest.raises(DeploymentError, match="--force"):
        deployment.write(tmp_path)
    assert contents(tmp_path) == {"notes.txt": b"mine"}

    deployment.write(tmp_path, force=True)
    assert contents(tmp_path)["notes.txt"] == b"mine"
    assert (tmp_path / "Procfile").exists()


def test_a_new_repository_is_empty(exam: ModelStore, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    written("heroku", exam, tmp_path)

    assert (tmp_path / ".git/HEAD").exists()
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    mine = {path for path in contents(tmp_path) if not path.startswith(".git/")}
    assert set(listed.stdout.split()) == mine


def test_what_was_changed_is_not_written_over(exam: ModelStore, tmp_path: Path) -> None:
    folder = written("heroku", exam, tmp_path / "out")
    (folder / "Procfile").write_text("web: mine\n")
    deployment = Deployment.of("heroku", exam)

    with pytest.raises(DeploymentError, match="Procfile is not as it was written"):
        deployment.write(folder)
    assert (folder / "Procfile").read_text() == "web: mine\n"

    deployment.write(folder, force=True)
    assert "quart_app serve" in (folder / "Procfile").read_text()


def test_what_is_not_written_any_more_goes_and_what_was_added_stays(
    bundled: ModelStore, tmp_path: Path
) -> None:
    folder = written("heroku", bundled, tmp_path / "out", "iris", "exam")
    (folder / "README.md").write_text("ours")

    written("docker", bundled, folder, "iris")

    assert ModelStore(folder / "models").models() == ["iris"]
    assert not (folder / "models/exam").exists()
    assert not (folder / "Procfile").exists()
    assert (folder / "README.md").read_text() == "ours"


def test_a_record_that_leads_out_of_the_folder_removes_nothing_there(
    exam: ModelStore, tmp_path: Path
) -> None:
    folder = written("heroku", exam, tmp_path / "out")
    outside = tmp_path / "outside"
    outside.write_text("mine")
    record = json.loads((folder / RECORD).read_text())
    record["files"] |= {"../outside": "", str(outside): ""}
    (folder / RECORD).write_text(json.dumps(record))

    Deployment.of("heroku", exam).write(folder, force=True)

    assert outside.read_text() == "mine"


def test_an_unknown_model_is_named(exam: ModelStore, tmp_path: Path) -> None:
    result = deploy("--model", "nothing", store=exam, to=tmp_path / "out")

    assert "There is no model 'nothing'; the models are: exam." in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    result = deploy(store=ModelStore(tmp_path / "none"), to=tmp_path / "out")

    assert (result.exit_code, "There are no models in" in result.stderr) == (1, True)
    assert not (tmp_path / "out").exists()


def test_a_model_for_another_scikit_learn_is_refused_unless_it_is_allowed(
    exam: ModelStore, tmp_path: Path
) -> None:
    store = ModelStore(shutil.copytree(exam.root, tmp_path / "models"))
    forget_form(store, "exam", scikit_learn="1.5.2")

    with pytest.raises(ModelStoreError, match=r"scikit-learn 1\.5\.2"):
        Deployment.of("heroku", store)
    allowed = Deployment.of("heroku", store, allow_version=True)

    assert "--allow-version" in allowed.command


def test_with_a_plain_form_a_model_for_another_scikit_learn_is_taken_along(
    exam: ModelStore, tmp_path: Path
) -> None:
    store = ModelStore(shutil.copytree(exam.root, tmp_path / "models"))
    path = store.root / "exam/1" / MANIFEST
    path.write_text(re.sub(r'("scikit_learn": *)"[^"]+"', r'\1"1.5.2"', path.read_text()))

    deployment = Deployment.of("heroku", store)

    assert deployment.plain
    assert "--allow-version" not in deployment.command


@pytest.mark.parametrize("file", ["model.bin", "pipeline.joblib", "sample.json", MANIFEST])
def test_a_damaged_store_changes_nothing(file: str, exam: ModelStore, tmp_path: Path) -> None:
    store = ModelStore(shutil.copytree(exam.root, tmp_path / "models"))
    folder = written("heroku", store, tmp_path / "out")
    before = contents(folder)
    path = store.root / "exam/1" / file
    path.write_bytes(path.read_bytes()[:-9])

    result = deploy(store=store, to=folder)

    assert type(result.exception).__name__ == "CorruptVersion"
    assert contents(folder) == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"models", "out"}


def test_a_model_that_is_damaged_after_it_was_proven_is_refused(
    exam: ModelStore, tmp_path: Path
) -> None:
    store = ModelStore(shutil.copytree(exam.root, tmp_path / "models"))
    deployment = Deployment.of("heroku", store)
    artifact = store.root / "exam/1/pipeline.joblib"
    artifact.write_bytes(artifact.read_bytes()[::-1])

    with pytest.raises(Exception, match="sha256"):
        deployment.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


# The guide ------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_guide_names_settings_that_there_are() -> None:
    named = set(re.findall(r"\bQUART_APP_[A-Z_]+", GUIDE)) | {"DATABASE_URL", "PORT"}

    assert len(named) > 8
    assert named <= {setting.variable for setting in SETTINGS}


def test_the_guide_lets_every_platform_wait_for_the_drain_and_ask_for_readiness(
    exam: ModelStore, tmp_path: Path
) -> None:
    (fly,) = map(tomllib.loads, blocks("toml"))
    (dokku,) = map(json.loads, blocks("json"))
    (render,) = blocks("yaml")
    image = (written("docker", exam, tmp_path / "image") / "Dockerfile").read_text()

    delay = re.search(r"maxShutdownDelaySeconds: (\d+)", render)
    stop = re.search(r"--stop-timeout (\d+)", GUIDE)
    assert delay is not None
    assert stop is not None
    for seconds in (fly["kill_timeout"], delay[1], stop[1]):
        assert int(seconds) > OPTIONS.shutdown.watchdog
    assert f"PORT={fly['http_service']['internal_port']}\n" in image
    (check,) = fly["http_service"]["checks"]
    (startup,) = dokku["healthchecks"]["web"]
    assert check["path"] == startup["path"] == "/health/ready"
    assert "healthCheckPath: /health/ready\n" in render


def test_the_guide_shows_what_the_setting_of_keys_holds() -> None:
    (block,) = blocks("console")
    command, digest = block.removeprefix("$ ").splitlines()

    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == digest
    assert Keys.parse(f"me:{digest}").owner("the key itself") is not None


def test_the_guide_lists_what_is_in_the_folder(exam: ModelStore, tmp_path: Path) -> None:
    section = GUIDE.split("## What is in the folder")[1].split("\n## ")[0]
    listed = {
        name.rstrip("/")
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    }

    there = {
        path.split("/")[0]
        for platform in ("heroku", "docker")
        for path in contents(written(platform, exam, tmp_path / platform))
    }

    assert listed | {RECORD} == there


# Running --------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def commands(folder: Path) -> dict[str, list[str]]:
    """The command of the Procfile, as two kinds of platform start it."""
    line = (folder / "Procfile").read_text().strip()
    command = line.removeprefix("web: ")
    return {
        "heroku": ["bash", "-c", f"exec {command}"],
        "dokku": ["sh", "-c", f"exec $(eval echo {command})"],
    }


@contextlib.contextmanager
def started(
    command: list[str], folder: Path, tmp_path: Path, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A platform's process: a group of its own, what the folder requires installed and no more, an
    environment without ours, and $PORT."""
    required = read_pins((folder / "requirements.txt").read_text())
    installed = environment(tmp_path / "installed", required).parent
    variables = {"PATH": f"{installed}:/usr/bin:/bin", "PORT": str(port)}
    process = subprocess.Popen(command, cwd=folder, env=variables, start_new_session=True)
    try:
        wait_until_ready(process, port)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the process has ended"
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5).close()
            return
        time.sleep(0.05)
    raise AssertionError("the process did not get ready")


@pytest.mark.parametrize("platform", ["heroku", "dokku"])
def test_the_procfile_runs_as_the_platform_runs_it(
    platform: str, heroku: Path, tmp_path: Path
) -> None:
    port = free_port()
    with started(commands(heroku)[platform], heroku, tmp_path, port) as process:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{EXAM}", timeout=30) as answer:
            found = json.load(answer)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/tour/tasks", timeout=30)
        os.killpg(process.pid, signal.SIGTERM)
        code = process.wait(30)

    assert (found["prediction"], found["model"], found["version"]) == (0, "exam", 1)
    assert code == 0
    assert not list((tmp_path / "installed").glob("lib/*/site-packages/sklearn"))


def test_a_pipeline_runs_with_what_the_folder_requires_for_it(
    exam: ModelStore, tmp_path: Path
) -> None:
    store = ModelStore(shutil.copytree(exam.root, tmp_path / "models"))
    forget_form(store, "exam")
    folder, port = written("heroku", store, tmp_path / "out"), free_port()
    with (
        started(commands(folder)["heroku"], folder, tmp_path, port),
        urllib.request.urlopen(f"http://127.0.0.1:{port}{EXAM}", timeout=30) as answer,
    ):
        found = json.load(answer)

    assert (found["prediction"], found["version"]) == (0, 1)
    assert list((tmp_path / "installed").glob("lib/*/site-packages/sklearn"))


class Answering(BaseHTTPRequestHandler):
    """A server whose process answers at one path, or says that it does not live."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/health/live" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_of_the_image_tells_whether_the_server_answers(
    status: int | None, healthy: bool, exam: ModelStore, tmp_path: Path
) -> None:
    text = (written("docker", exam, tmp_path / "image") / "Dockerfile").read_text()
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    _, *arguments = json.loads(found[1])

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.status = status  # type: ignore[attr-defined]
        port = server.server_port
        if status is None:
            server.server_close()
        else:
            threading.Thread(target=server.handle_request).start()
        checked = subprocess.run(
            [sys.executable, *arguments], env={"PORT": str(port)}, stderr=subprocess.DEVNULL
        )

    assert (checked.returncode == 0) is healthy


# The forecast ---------------------------------------------------------------------------


def test_the_command_forecasts_and_says_what_comes_next(exam: ModelStore, tmp_path: Path) -> None:
    result = deploy(store=exam, to=tmp_path / "an app")

    assert result.exit_code == 0, result.output
    assert "with exam version 1" in result.stdout
    assert "scikit-learn stays here: all have plain forms" in result.stdout
    slug = re.search(r"Slug: about (\d+) MB of 500 MB once compressed", result.stdout)
    memory = re.search(r"Memory: (\d+) MiB of 512 MiB", result.stdout)
    assert slug is not None
    assert 40 < int(slug[1]) < 110
    assert memory is not None
    assert 40 < int(memory[1]) < 100
    _, steps = result.stdout.split("Type next:\n\n")
    assert [line.strip() for line in steps.splitlines()] == [
        f"cd '{tmp_path / 'an app'}'",
        "git init --initial-branch main",
        "heroku create",
        "git add --all",
        'git commit --message "Deploy"',
        "git push heroku HEAD:main",
    ]
    assert not (tmp_path / "an app/instance").exists()


def test_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(100_000))
    (tmp_path / "zeros").write_bytes(bytes(1_000_000))

    noise = footprint.size_of([tmp_path / "noise"])
    both = footprint.size_of([tmp_path / "noise", tmp_path / "zeros", tmp_path / "absent"])

    assert noise.installed == 100_000
    assert 99_000 < noise.compressed < 101_000
    assert both.installed == 1_100_000
    assert both.compressed < 120_000


def test_what_is_not_installed_here_is_said_not_to_be_counted(tmp_path: Path) -> None:
    import numpy

    pins = {"numpy": numpy.__version__, "scipy": "0.0.1", "no-such-thing": "1"}

    slug = footprint.Slug.of(tmp_path, [], pins)

    assert slug.unmeasured == ["scipy", "no-such-thing"]
    assert slug.packages.installed > 20 * footprint.MB


def test_a_model_that_does_not_load_there_is_named(exam: ModelStore, tmp_path: Path) -> None:
    deployment = Deployment.of("heroku", exam)
    deployment.write(tmp_path / "out")
    (tmp_path / "out/models/exam/1/sample.json").write_text("{}")

    memory = footprint.measure(tmp_path / "out", deployment.command)

    assert memory.resident is not None
    assert memory.failed is not None
    assert "sample.json of exam version 1" in memory.failed["exam"]


def test_a_program_that_does_not_start_is_not_measured(tmp_path: Path) -> None:
    memory = footprint.measure(tmp_path, ["python", "-c", "raise SystemExit(3)"])

    assert (memory.resident, memory.reason) == (None, "the program ended with 3")
