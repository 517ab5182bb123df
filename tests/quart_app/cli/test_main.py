"""The commands: in this process where possible, else as processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app.cli.main import cli
from quart_app.keys import Keys
from quart_app.version import VERSION

from ..conftest import Command, Ended

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]


def run(*arguments: str, store: ModelStore | None = None, **variables: str | None) -> Result:
    """A command in this process, which must not end in an exception of ours."""
    given = {} if store is None else {"QUART_APP_MODEL_STORE": str(store.root)}
    result = CliRunner().invoke(cli, arguments, env={**given, **variables})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def run_json(*arguments: str, store: ModelStore) -> Any:
    result = run(*arguments, "--json", store=store)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def process(*arguments: str, stdin: str = "", **variables: str) -> Ended:
    """`python -m quart_app` in an environment without settings but these."""
    environment = {key: val for key, val in os.environ.items() if not key.startswith("QUART_APP_")}
    ended = subprocess.run(
        [sys.executable, "-m", "quart_app", *arguments],
        cwd=ROOT,
        env={**environment, **variables},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in ended.stderr + ended.stdout
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def empty(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "empty")


@pytest.fixture
def two(store: ModelStore) -> ModelStore:
    """A store whose exam has two versions."""
    RECIPES["exam"].train(store)
    return store


# models list, show ----------------------------------------------------------------------


def test_list_shows_each_model_with_what_serves_and_its_scores(two: ModelStore) -> None:
    two.promote("exam", 1)
    two.promote("exam", 2, "next")
    result = run("models", "list", store=two)
    assert result.exit_code == 0
    place, head, *lines = result.stdout.splitlines()
    assert place == f"Models in {two.root}"
    assert head.split() == ["NAME", "SERVES", "VERSIONS", "ALIASES", "BY", "SCORES"]
    assert [line.split()[0] for line in lines] == sorted(RECIPES)
    accuracy = two.manifest("exam").metrics["accuracy"]
    assert re.match(
        rf"exam +1 +1, 2 +champion=1, next=2 +plain +accuracy {accuracy:.3f} ± 0", lines[2]
    )
    assert result.stderr == ""


async def test_list_as_json_is_what_get_models_answers_but_for_the_state(
    bundled: ModelStore, client: Client
) -> None:
    found = run_json("models", "list", store=bundled)
    answered = (await (await client.get("/models")).json)["models"]
    assert all(model.pop("update") is None for model in answered)  # of a server alone
    assert found == [{**model, "state": "published"} for model in answered]
    assert [model["name"] for model in found] == sorted(RECIPES)
    for model in found:
        manifest = bundled.manifest(model["name"])
        assert (model["version"], model["versions"], model["aliases"]) == (1, [1], {})
        assert model["task"] == manifest.task
        assert model["metrics"] == manifest.metrics
        assert [column["name"] for column in model["inputs"]] == list(manifest.signature.names)


@pytest.mark.parametrize("damage", [b"{", None], ids=["a broken manifest", "no manifest"])
def test_list_says_of_a_damaged_model_that_it_failed_and_why(
    damage: bytes | None, two: ModelStore
) -> None:
    manifest = two.root / "exam" / "2" / "manifest.json"
    manifest.unlink() if damage is None else manifest.write_bytes(damage)
    states = {model["name"]: model for model in run_json("models", "list", store=two)}
    failed = states.pop("exam")
    assert (failed["state"], failed["version"], failed["versions"]) == ("failed", None, [1, 2])
    assert "cannot be read" in failed["reason"]
    assert {model["state"] for model in states.values()} == {"published"}
    assert f"failed: {failed['reason']}" in run("models", "list", store=two).stdout


def test_list_of_an_empty_store_says_how_to_fill_it(empty: ModelStore) -> None:
    result = run("models", "list", store=empty)
    assert result.exit_code == 0
    assert "models train iris" in result.stdout
    assert run_json("models", "list", store=empty) == []
    assert not empty.root.exists()


def test_the_option_goes_before_the_variable(bundled: ModelStore, empty: ModelStore) -> None:
    result = run("models", "--store", str(bundled.root), "list", store=empty)
    assert f"Models in {bundled.root}" in result.stdout
    assert "iris" in result.stdout


def test_show_tells_the_manifest(two: ModelStore) -> None:
    result = run("models", "show", "exam", store=two)
    assert result.exit_code == 0
    manifest = two.manifest("exam")
    for words in (
        "exam version 2",
        str(two.root / "exam" / "2"),
        "tells         result: 0, 1",
        str(manifest.notice),
        f"scikit-learn {manifest.libraries.scikit_learn}",
        "answered by   plain data: it gave the answers of the pipeline",
        "X1",
        "X2",
    ):
        assert words in result.stdout
    assert "exam version 1" in run("models", "show", "exam", "--version", "1", store=two).stdout


@pytest.mark.parametrize("name", RECIPES)
def test_show_as_json_is_the_manifest(name: str, bundled: ModelStore) -> None:
    found = run_json("models", "show", name, store=bundled)
    assert found == json.loads((bundled.root / name / "1" / "manifest.json").read_text())


# models train, verify -------------------------------------------------------------------


def test_train_publishes_the_next_version_and_tells_its_progress_on_stderr(
    empty: ModelStore,
) -> None:
    result = run("models", "train", "exam", store=empty)
    assert result.exit_code == 0
    scores = r"accuracy 0\.\d+ ± 0\.\d+, accuracy_of_the_majority 0\.\d+"
    assert re.fullmatch(rf"exam version 1 published: {scores}\n", result.stdout)
    steps = result.stderr.splitlines()
    assert steps[-1] == "exam: publishing"
    assert all(step.startswith("exam: ") for step in steps)
    found = run_json("models", "train", "exam", store=empty)
    assert [(model["name"], model["version"]) for model in found] == [("exam", 2)]
    assert empty.versions("exam") == [1, 2]


def test_train_with_an_unknown_recipe_trains_none(empty: ModelStore) -> None:
    result = run("models", "train", "exam", "nonsense", store=empty)
    assert result.exit_code == 2
    assert (
        "there is no recipe 'nonsense'; there are iris, exam, diabetes, blood-donation, titanic"
        in result.stderr
    )
    assert not empty.root.exists()


VERIFIED = {True: "verified, its plain form and its pipeline", False: "verified, its pipeline"}


def test_verify_proves_one_model_or_all(bundled: ModelStore) -> None:
    result = run("models", "verify", store=bundled)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{name}: {VERIFIED[bundled.verify(name).form is not None]}" for name in sorted(RECIPES)
    ]
    assert "iris: loading its plain form\niris: replaying the golden rows" in result.stderr
    assert "iris: loading its pipeline\niris: replaying the golden rows" in result.stderr
    result = run("models", "verify", "iris", "--version", "1", store=bundled)
    assert (result.exit_code, result.stdout) == (0, f"iris: {VERIFIED[True]}\n")
    proven = ["plain form", "pipeline"]
    assert run_json("models", "verify", "iris", store=bundled) == [
        {"name": "iris", "version": 1, "error": None, "proven": proven, "untried": None}
    ]


def test_verify_names_the_damaged_one_and_goes_on_with_the_others(store: ModelStore) -> None:
    artifact = store.root / "exam" / "1" / "pipeline.joblib"
    artifact.write_bytes(artifact.read_bytes()[:-1])
    result = run("models", "verify", store=store)
    assert result.exit_code == 1
    found = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    exam = found.pop("exam")
    assert re.match(r"pipeline\.joblib of exam version 1 has \d+ bytes", exam)
    assert exam.endswith(" Its plain form is verified.")
    assert found.keys() == RECIPES.keys() - {"exam"}
    assert all(told.startswith("verified, ") for told in found.values())
    result = run("models", "verify", "--json", store=store)
    assert result.exit_code == 1
    assert [bool(model["error"]) for model in json.loads(result.stdout)] == [
        name == "exam" for name in sorted(RECIPES)
    ]


# models promote, rollback, remove -------------------------------------------------------


def test_promote_and_rollback_say_which_version_serves(two: ModelStore) -> None:
    said = {
        ("promote", "exam", "1"): "champion of exam is version 1.\n",
        ("rollback", "exam"): "champion of exam is version 2.\n",
        ("promote", "exam", "1", "--alias", "next"): "next of exam is version 1.\n",
        ("promote", "exam", "next"): "champion of exam is version 1.\n",
    }
    for arguments, sentence in said.items():
        result = run("models", *arguments, store=two)
        assert (result.exit_code, result.stdout) == (0, sentence)
    assert two.aliases("exam") == {"champion": 1, "next": 1}


def test_remove_asks_first_and_removes_for_good(two: ModelStore) -> None:
    command = ("models", "remove", "exam", "1")
    result = CliRunner().invoke(
        cli, command, input="n\n", env={"QUART_APP_MODEL_STORE": str(two.root)}
    )
    assert result.exit_code == 1
    assert "Remove exam version 1 for good?" in result.output
    assert two.versions("exam") == [1, 2]
    result = run(*command, "--yes", store=two)
    assert (result.exit_code, result.stdout) == (0, "exam version 1 is removed.\n")
    assert two.versions("exam") == [2]


def test_remove_without_anyone_to_ask_removes_nothing(two: ModelStore) -> None:
    ended = process("models", "--store", str(two.root), "remove", "exam", "1")
    assert ended.code == 1
    assert two.versions("exam") == [1, 2]


# get ------------------------------------------------------------------------------------


def test_get_prints_the_body_alone(bundled: ModelStore) -> None:
    result = run("get", "/health/live", store=bundled)
    assert (result.exit_code, result.stdout) == (0, '{"live":true}\n')
    result = run("get", "/models/exam/predict?X1=90&X2=90", store=bundled)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["prediction"] == 1
    result = run("get", "/health/ready", "--store", str(bundled.root), QUART_APP_RECIPES="")
    assert json.loads(result.stdout)["ready"] is True


def test_get_sends_the_headers_that_were_given(bundled: ModelStore) -> None:
    assert run("get", "/", store=bundled).stdout.startswith("{")
    page = run("get", "/", "-H", "Accept: text/html", "--header", "X-A:b", store=bundled)
    assert page.exit_code == 0
    assert page.stdout.lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/models/x", 404), ("/models/exam/predict?X1=1", 400)]
)
def test_get_of_an_error_prints_it_and_ends_with_1(
    path: str, status: int, bundled: ModelStore
) -> None:
    result = run("get", path, store=bundled)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]
    assert result.stderr == f"Status {status}\n"


@pytest.mark.parametrize(
    "arguments",
    [("get",), ("get", "health"), ("get", "/", "-H", "nothing"), ("get", "/", "-H", ": b")],
)
def test_get_that_was_called_wrongly_ends_with_2(
    arguments: tuple[str, ...], empty: ModelStore
) -> None:
    assert run(*arguments, store=empty).exit_code == 2


# Exit codes, as a shell sees them -------------------------------------------------------

# Arguments after `models --store <the bundled ones>`, the code, and a word of the sentence.
FAILURES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "show an unknown model": (("show", "nobody"), 1, "There is no model 'nobody'"),
    "show an unknown version": (("show", "iris", "--version", "9"), 1, "no version 9"),
    "show an unknown alias": (("show", "iris", "--version", "best"), 1, "no alias 'best'"),
    "promote an unknown model": (("promote", "nobody", "1"), 1, "no model 'nobody'"),
    "promote an unknown version": (("promote", "iris", "9"), 1, "no version 9"),
    "promote to a number": (("promote", "iris", "1", "--alias", "2"), 1, "'2' is no alias"),
    "roll an unknown model back": (("rollback", "nobody"), 1, "no model 'nobody'"),
    "roll the only version back": (("rollback", "iris"), 1, "no version to go back to"),
    "remove an unknown version": (("remove", "iris", "9", "--yes"), 1, "no version 9"),
    "train what there is not": (("train", "nobody"), 2, "no recipe 'nobody'"),
    "train nothing": (("train",), 2, "Missing argument"),
    "an unknown command": (("nonsense",), 2, "No such command 'nonsense'"),
    "an unknown option": (("list", "--nonsense"), 2, "No such option"),
    "too many arguments": (("rollback", "iris", "1"), 2, "unexpected extra argument"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), FAILURES.values(), ids=FAILURES)
def test_a_command_that_fails_says_so_in_a_sentence_on_stderr(
    arguments: tuple[str, ...], code: int, words: str, bundled_root: Path, command: Command
) -> None:
    ended = command("models", "--store", str(bundled_root), *arguments)
    assert (ended.code, ended.stdout) == (code, "")
    *_, sentence = ended.stderr.splitlines()
    assert sentence.startswith("Error: ")
    assert words in sentence
    if code == 1:
        assert ended.stderr == f"{sentence}\n"


def test_verify_of_an_unknown_model_ends_with_1(bundled_root: Path, command: Command) -> None:
    ended = command("models", "--store", str(bundled_root), "verify", "nobody")
    assert ended.code == 1
    assert "nobody: There is no model 'nobody'" in ended.stdout


def test_a_store_that_cannot_be_written_is_a_sentence(tmp_path: Path, command: Command) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    ended = command("models", "--store", str(file / "models"), "train", "exam")
    assert (ended.code, ended.stdout) == (1, "")
    *_, sentence = ended.stderr.splitlines()
    assert sentence.startswith("Error: The store")
    assert "Not a directory" in sentence


def test_a_store_that_cannot_be_read_is_a_sentence(tmp_path: Path, command: Command) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    ended = command("models", "--store", str(loop), "list")
    assert (ended.code, ended.stdout) == (1, "")
    assert re.fullmatch(r"Error: .*Too many levels of symbolic links.*\n", ended.stderr)


SETTING_SENTENCE = "Error: QUART_APP_READY: expected any or all, got 'maybe'."


@pytest.mark.parametrize(
    "arguments",
    [("models", "list"), ("get", "/health/live"), ("serve", "--port", "0"), ("routes",)],
    ids=" ".join,
)
def test_a_bad_setting_ends_a_command_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = process(
        *arguments, QUART_APP_READY="maybe", QUART_APP_MODEL_STORE=str(tmp_path / "none")
    )
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1] == SETTING_SENTENCE


def test_a_bad_setting_does_not_take_the_help_away(tmp_path: Path) -> None:
    ended = process("--help", QUART_APP_READY="maybe")
    assert ended.code == 0
    assert ended.stderr.strip() == SETTING_SENTENCE
    for command in ("serve", "models", "get", "predict", "routes", "shell"):
        assert re.search(rf"^  {command} +\S", ended.stdout, re.MULTILINE)
    assert process("--version", QUART_APP_READY="maybe").stdout == f"quart-app, version {VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("-h",), 0),
        (("serve", "-h"), 0),
        (("models", "train", "--help"), 0),
        (("--version",), 0),
        (("routes",), 0),
        ((), 2),
        (("nonsense",), 2),
        (("serve", "nonsense"), 2),
        (("serve", "--port", "http"), 2),
        (("serve", "--port", "65536"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_help_goes_to_stdout_with_0_and_wrong_usage_to_stderr_with_2(
    arguments: tuple[str, ...], code: int, empty: ModelStore
) -> None:
    result = run(*arguments, store=empty, QUART_APP_READY=None)
    assert result.exit_code == code
    assert bool(result.stdout) is (code == 0)
    assert bool(result.stderr) is (code != 0)


def test_routes_lists_what_is_served(empty: ModelStore) -> None:
    listed = run("routes", store=empty).stdout
    for path in ("/health/live", "/health/ready", "/models/<name>/predict", "/openapi.json"):
        assert path in listed


def test_progress_goes_to_stderr_and_json_alone_to_stdout(tmp_path: Path) -> None:
    root = str(tmp_path / "models")
    ended = process("models", "--store", root, "train", "exam", "--json")
    assert ended.code == 0
    assert [model["name"] for model in json.loads(ended.stdout)] == ["exam"]
    assert "exam: publishing" in ended.stderr.splitlines()
    ended = process("get", "/models", "--store", root)
    assert ended.code == 0
    assert [model["name"] for model in json.loads(ended.stdout)["models"]] == ["exam"]
    assert ended.stderr == ""


def test_a_reader_that_goes_away_is_no_traceback(bundled_root: Path) -> None:
    command = [sys.executable, "-m", "quart_app", "models", "--store", str(bundled_root), "list"]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_verify_allows_another_version_by_the_setting_that_its_error_names(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.root / "exam" / "1" / "manifest.json"
    content = json.loads(path.read_bytes())
    content["libraries"]["scikit_learn"] = "1.2.3"
    path.write_text(json.dumps(content))
    arguments = ["models", "--store", str(store.root), "verify", "exam"]
    served = CliRunner().invoke(cli, arguments)
    assert served.exit_code == 0
    assert (
        "exam: verified, its plain form, which goes on serving; its pipeline was not tried: "
        "exam version 1 was trained with scikit-learn 1.2.3, and "
    ) in served.output
    content["served"] = None
    path.write_text(json.dumps(content))
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 1
    assert "QUART_APP_ALLOW_VERSION=true" in refused.output
    monkeypatch.setenv("QUART_APP_ALLOW_VERSION", "true")
    allowed = CliRunner().invoke(cli, arguments)
    assert allowed.exit_code == 0
    assert "exam: verified, its pipeline" in allowed.output


def test_a_new_key_goes_to_stdout_with_its_line_for_the_setting() -> None:
    result = run("keys", "new", "deploy")
    assert result.exit_code == 0
    key, line = result.stdout.splitlines()
    owner = Keys.parse(line).owner(key)
    assert owner is not None
    assert (owner.name, owner.models) == ("deploy", None)
    assert key not in result.stderr


def test_a_new_key_for_some_models_says_so_in_its_line() -> None:
    result = run("keys", "new", "deploy", "--model", "exam", "--model", "iris")
    key, line = result.stdout.splitlines()
    assert line.endswith(":exam+iris")
    owner = Keys.parse(line).owner(key)
    assert owner is not None
    assert owner.models == ("exam", "iris")
    refused = run("keys", "new", "deploy", "--model", "exam+iris")
    assert (refused.exit_code, refused.stdout) == (2, "")


@pytest.mark.parametrize("name", ["", "a:b", "a,b", "-a\n", "x" * 65])
def test_a_key_of_a_name_that_the_setting_does_not_take_is_not_made(name: str) -> None:
    result = run("keys", "new", "--", name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "letters, digits" in result.stderr
