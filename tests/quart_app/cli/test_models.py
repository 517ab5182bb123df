"""The commands that take pipelines in: import, inspect, edit, and train on a table."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import sklearn
from click.testing import CliRunner, Result
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from model_store import ModelStore
from quart_app import create_app
from quart_app.cli.main import cli

from ...conftest import started
from ..conftest import Command

pytestmark = pytest.mark.process

X, Y = load_iris(return_X_y=True)


def run(*arguments: str, store: ModelStore, **variables: str) -> Result:
    result = CliRunner().invoke(
        cli, arguments, env={"QUART_APP_MODEL_STORE": str(store.root), **variables}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def empty(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def iris(tmp_path: Path) -> str:
    """The file of a pipeline."""
    path = tmp_path / "my iris.joblib"
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, Y), path)
    return str(path)


def test_import_shows_the_columns_the_first_answers_and_the_page(
    iris: str, empty: ModelStore
) -> None:
    result = run("models", "import", iris, store=empty, PORT="9123")
    assert result.exit_code == 0
    first, *lines = result.stdout.splitlines()
    assert first == (
        "my-iris version 1 published: StandardScaler → LogisticRegression, tells the prediction: "
        "0, 1, 2"
    )
    assert "COLUMN  TYPE    VALUES  TYPICAL  UNIT" in lines
    assert re.search(r"^x0 +number +5\.84333$", result.stdout, re.MULTILINE)
    assert lines[-1] == "Its page: http://127.0.0.1:9123/models/my-iris"
    steps = [line.removeprefix("my-iris: ") for line in result.stderr.splitlines()]
    assert steps[:3] == ["reading", "loading", "asking for the first predictions"]
    assert steps[-2] == "putting its plain form to the proof"
    assert re.fullmatch(r"writing \d\.\d MB", steps[-1])
    golden = lines[lines.index("Golden rows, with what it answers:") + 2 :][1:9]
    model = empty.load(empty.verify("my-iris"))
    told = [line.split()[-1] for line in golden if line]
    assert told == [str(label) for label in model.predict(model.golden_rows()).labels]


async def test_what_was_imported_is_served(iris: str, empty: ModelStore) -> None:
    assert run("models", "import", iris, "--name", "iris", store=empty).exit_code == 0
    async with started(create_app(MODEL_STORE=empty.root, RECIPES="")) as app:
        row = dict(zip(("x0", "x1", "x2", "x3"), X[0].tolist(), strict=True))
        answer = await app.test_client().post("/models/iris/predict", json=row)
        assert (await answer.get_json())["prediction"] == 0


def test_import_takes_the_words_that_edit_takes(iris: str, empty: ModelStore) -> None:
    words = [
        "--title",
        "Which iris?",
        "--data",
        "Fisher",
        "--label",
        "x0=Length",
        "--unit",
        "x0=cm",
    ]
    words += ["--explain", "x0=of the sepal", "--word", "0=setosa", "--notice", "Old."]
    result = run("models", "import", iris, "--name", "i", *words, store=empty)
    assert re.search(r"^x0 +number +5\.84333 +cm$", result.stdout, re.MULTILINE), result.stderr
    found = empty.manifest("i")
    assert (found.title, found.data, found.notice) == ("Which iris?", "Fisher", "Old.")
    assert found.words == {"0": "setosa"}
    column = found.signature.columns[0]
    assert (column.label, column.unit, column.description) == ("Length", "cm", "of the sepal")
    odd = process("models", "import", iris, "--name", "i", "--label", "x9=Length", store=empty)
    assert odd.returncode == 1
    assert "There is a label for 'x9', which the model does not know" in odd.stderr
    assert empty.versions("i") == [1]


def test_import_as_json_is_the_manifest(iris: str, empty: ModelStore) -> None:
    result = run("models", "import", iris, "--name", "i", "--json", store=empty)
    found = json.loads(result.stdout)
    assert (found["name"], found["version"]) == ("i", 1)
    assert list(found["source"]["files"]) == ["my iris.joblib"]


def test_a_name_that_is_none_is_refused_before_anything_is_read(empty: ModelStore) -> None:
    ended = process("models", "import", "none.pkl", "--name", "a/b", store=empty)
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: 'a/b' is no name for a model: use up to 64 letters, digits, dots, hyphens and "
        "underscores, and begin with a letter or a digit.\n"
    )


def process(*arguments: str, store: ModelStore) -> subprocess.CompletedProcess[str]:
    """A command as a process, which must not end in a traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "quart_app", *arguments],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "QUART_APP_MODEL_STORE": str(store.root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in ended.stderr + ended.stdout
    return ended


def test_a_hostile_file_is_an_error_in_a_sentence_and_leaves_nothing(
    empty: ModelStore, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    file = tmp_path / "evil.pkl"
    file.write_bytes(b"cos\nmkdir\n(S'" + str(marker).encode() + b"'\ntR.")
    for command in ("import", "inspect"):
        ended = process("models", command, str(file), store=empty)
        assert "os.mkdir" in ended.stderr + ended.stdout
        assert ended.returncode == 1
    assert not marker.exists()
    assert empty.models() == []


def test_inspect_lists_what_a_file_names_and_publishes_nothing(
    iris: str, empty: ModelStore, tmp_path: Path
) -> None:
    result = run("models", "inspect", iris, store=empty)
    assert result.exit_code == 0
    assert re.match(
        r"my iris\.joblib: \d+ bytes, written by scikit-learn [\d.]+, sha256 [0-9a-f]{64}\n"
        r"  sklearn\.pipeline\.Pipeline\n",
        result.stdout,
    )
    assert "Nothing in the files was run; --try predicts.\n" in result.stdout
    assert result.stderr == "my-iris: reading\n"
    tried = run("models", "inspect", iris, "--try", store=empty)
    assert tried.exit_code == 0
    assert "StandardScaler → LogisticRegression, tells the prediction: 0, 1, 2" in tried.stdout
    assert empty.models() == []


@pytest.mark.parametrize("options", [[], ["--try"]])
def test_inspect_says_all_that_import_would_refuse_and_ends_with_1(
    options: list[str], empty: ModelStore, tmp_path: Path
) -> None:
    odd, old = tmp_path / "odd.pkl", tmp_path / "old.pkl"
    odd.write_bytes(pickle.dumps(os.getcwd))
    old.write_bytes(of_version_1_5_2(LogisticRegression(max_iter=500).fit(X, Y)))
    result = run("models", "inspect", str(odd), str(old), *options, store=empty)
    assert result.exit_code == 1
    assert "  posix.getcwd  (not allowed)\n" in result.stdout
    assert "import refuses this: odd.pkl names posix.getcwd, which is not" in result.stdout
    assert "import refuses this: old.pkl was written by scikit-learn 1.5.2" in result.stdout
    assert result.stdout.endswith("Nothing in the files was run.\n")
    ended = run("models", "inspect", str(odd), str(old), *options, "--json", store=empty)
    assert ended.exit_code == 1
    found = json.loads(ended.stdout)
    assert found["files"][0]["refused"] == ["posix.getcwd"]
    assert len(found["refusals"]) == 2


def test_inspect_says_what_import_would_refuse_of_what_is_read(
    empty: ModelStore, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.pkl"
    kept.write_bytes(pickle.dumps({"scaler": 1, "model": 2}))
    result = run("models", "inspect", str(kept), store=empty)
    assert result.exit_code == 1
    assert "import refuses this: " in result.stdout
    assert "holds a dict with the keys scaler, model" in result.stdout


def test_inspect_takes_a_sample_only_where_it_predicts(
    iris: str, empty: ModelStore, command: Command
) -> None:
    arguments = ["models", "inspect", iris, "--sample", "rows.csv"]
    ended = command(*arguments, QUART_APP_MODEL_STORE=str(empty.root))
    assert ended.code == 2
    assert (
        "--sample, --target, --type, --missing and --drop are used with --try only" in ended.stderr
    )


def test_a_sample_that_agrees_badly_is_warned_of_last_and_on_the_card(
    empty: ModelStore, tmp_path: Path
) -> None:
    numbers = np.arange(20.0).reshape(20, 1)
    file, sample = tmp_path / "m.pkl", tmp_path / "rows.parquet"
    file.write_bytes(pickle.dumps(LogisticRegression().fit(numbers, [0] * 10 + [1] * 10)))
    pandas.DataFrame({"a": numbers[:, 0], "y": [1] * 10 + [0] * 10}).to_parquet(sample)
    order = [str(file), "--sample", str(sample), "--target", "y"]
    doubt = "y: the pipeline says what the sample says in 0 of 20 rows"
    result = run("models", "import", *order, store=empty)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1].startswith(f"Warning: {doubt}")
    assert result.output.splitlines()[-1] == result.stderr.splitlines()[-1]
    assert doubt in (empty.manifest("m").notice or "")
    inspected = run("models", "inspect", "--try", "--json", *order, store=empty)
    assert json.loads(inspected.stdout)["warnings"][-1].startswith(doubt)


def test_what_a_column_was_is_said_by_an_option(
    iris: str, empty: ModelStore, command: Command, tmp_path: Path
) -> None:
    sample = tmp_path / "rows.csv"
    sample.write_text("a=b,c,d,e\n1,2,3,4\n5,6,7,8\n")
    order = ["models", "import", iris, "--name", "m", "--sample", str(sample)]
    result = run(*order, "--type", "a=b=number", "--type", "c=integer", store=empty)
    assert result.exit_code == 0, result.output
    types = [column.type for column in empty.manifest("m").signature.columns]
    assert types[:2] == ["number", "integer"]
    for options, sentence in (
        (["--type", "c"], "expected COLUMN=TYPE with one of boolean, integer, number, "),
        (["--type", "c=zip"], "expected COLUMN=TYPE with one of boolean, integer, number, "),
    ):
        ended = command(*order, *options, QUART_APP_MODEL_STORE=str(empty.root))
        assert ended.code == 2
        assert sentence in ended.stderr
    ended = command(*order[:5], "--type", "c=text", QUART_APP_MODEL_STORE=str(empty.root))
    assert ended.code == 2
    assert "--type says how a --sample is read" in ended.stderr


def test_what_a_column_lacked_is_said_by_an_option(
    empty: ModelStore, command: Command, tmp_path: Path
) -> None:
    file, sample = tmp_path / "m.pkl", tmp_path / "rows.csv"
    X = pandas.DataFrame({"a": pandas.Series(["x", None, "y", "x"], dtype=object)})
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    file.write_bytes(pickle.dumps(pipeline.fit(X.dropna(), [0, 1, 1])))
    X.to_csv(sample, index=False)
    order = ["models", "import", str(file), "--sample", str(sample)]
    result = run(*order, "--missing", "a=none", store=empty)
    assert result.exit_code == 0, result.output
    (column,) = empty.manifest("m").signature.columns
    assert (column.null, column.missing) == ("none", True)
    ended = command(*order, "--missing", "a=null", QUART_APP_MODEL_STORE=str(empty.root))
    assert ended.code == 2
    assert "expected COLUMN=VALUE with one of nan, none, na, got 'a=null'" in ended.stderr
    ended = command(*order[:3], "--missing", "a=na", QUART_APP_MODEL_STORE=str(empty.root))
    assert ended.code == 2
    assert "--missing says how a --sample is read" in ended.stderr


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_with_types_is_advised_where_there_is_none(
    form: str, empty: ModelStore, tmp_path: Path
) -> None:
    file, sample = tmp_path / "m.pkl", tmp_path / f"rows.{form}"
    rows = pandas.DataFrame({"a": pandas.Series(["x", None, "y"] * 10, dtype=object)})
    known = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    pipeline = make_pipeline(FunctionTransformer(np.array), known)
    file.write_bytes(pickle.dumps(pipeline.fit(rows, [0, 1, 0] * 10)))
    getattr(rows, f"to_{form}")(sample, index=False)
    order = ["models", "import", str(file), "--trusted", "numpy.array", "--sample", str(sample)]
    told = process(*order, store=empty).stderr
    assert "say it with --missing a=nan or --missing a=none." in told
    assert ("give the sample as Parquet" in told) == (form == "csv")
    assert "publish where the data is" in told


def of_version_1_5_2(model: Any) -> bytes:
    """What pickle writes of a model, as if another scikit-learn had fitted it."""
    here = sklearn.__version__.encode()
    old = b"X" + (5).to_bytes(4, "little") + b"1.5.2"
    data = pickle.dumps(model, protocol=3)
    return data.replace(b"X" + len(here).to_bytes(4, "little") + here, old)


def test_another_minor_is_allowed_by_the_option_or_by_the_setting(
    empty: ModelStore, tmp_path: Path
) -> None:
    file = tmp_path / "old.pkl"
    file.write_bytes(of_version_1_5_2(LogisticRegression(max_iter=500).fit(X, Y)))
    refused = process("models", "import", str(file), store=empty)
    assert refused.returncode == 1
    assert "was written by scikit-learn 1.5.2" in refused.stderr
    allowed = run("models", "import", str(file), "--allow-version", store=empty)
    assert allowed.exit_code == 0
    assert "Warning: old.pkl was written by scikit-learn 1.5.2" in allowed.stderr
    by_setting = run("models", "import", str(file), store=empty, QUART_APP_ALLOW_VERSION="true")
    assert by_setting.exit_code == 0
    shown = run("models", "show", "old", store=empty).stdout
    assert "written with  scikit-learn 1.5.2\n" in shown
    empty.load(empty.verify("old")).replay()


# edit ----------------------------------------------------------------------------------


@pytest.fixture
def plans(empty: ModelStore) -> ModelStore:
    """A store with a model whose columns and classes have odd names."""
    columns = np.array([["basic", "a"], ["pro", "b"]] * 4, dtype=object)
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(columns, [0, 1] * 4)
    names = ["a=b", "plan"]
    empty.publish("plans", pipeline, columns, [0, 1] * 4, feature_names=names, target_name="left")
    return empty


def test_edit_changes_the_words_and_leaves_the_artifact(plans: ModelStore) -> None:
    before = plans.verify("plans")
    result = run(
        *("models", "edit", "plans", "--title", "Who leaves?", "--description", "It says."),
        *("--notice", "Made up.", "--label", "plan=Plan", "--label", "left=Leaves"),
        *("--unit", "a=b=kg", "--explain", "plan=What they pay.", "--word", "1=stays = here"),
        store=plans,
    )
    assert (result.exit_code, result.stdout) == (0, "plans version 1 is now revision 2.\n")
    after = plans.verify("plans")
    assert after.artifact == before.artifact
    manifest = after.manifest
    assert (manifest.title, manifest.description, manifest.notice) == (
        "Who leaves?",
        "It says.",
        "Made up.",
    )
    first, second = manifest.signature.columns
    assert (first.unit, second.label, second.description) == ("kg", "Plan", "What they pay.")
    assert manifest.target.label == "Leaves"
    assert manifest.words == {"1": "stays = here"}
    assert run("models", "edit", "plans", "--title", "Short", store=plans).exit_code == 0
    again = plans.manifest("plans")
    assert (again.revision, again.title, again.words) == (3, "Short", manifest.words)
    plans.load(plans.verify("plans")).replay()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--label", "nothing=x"], "There is a label for 'nothing', which the model does not know"),
        (
            ["--word", "7=x"],
            "There is a word for '7', which the model does not know; it knows 0, 1",
        ),
        (["--explain", "left=x"], "There is a description for 'left'"),
        (["--label", "plan"], "expected NAME=TEXT, got 'plan'"),
        (["--record", "2"], "expected a share from 0 to 1 such as 5% or 0.05, got '2'"),
        (["--record-column", "plan"], "expected COLUMN={keep|hash|drop}, as age=hash, got 'plan'"),
        (["--record-column", "plan=show"], "expected COLUMN={keep|hash|drop}"),
        (["--record-column", "left=drop"], "plans has no column 'left'; expected one of a=b, plan"),
        ([], "there is nothing to change"),
    ],
)
def test_edit_refuses_what_is_not_there(
    arguments: list[str], sentence: str, plans: ModelStore, command: Command
) -> None:
    ended = command("models", "edit", "plans", *arguments, QUART_APP_MODEL_STORE=str(plans.root))
    assert ended.code in {1, 2}
    assert sentence in ended.stderr
    assert plans.manifest("plans").revision == 1


def test_edit_says_what_is_recorded(plans: ModelStore) -> None:
    edit = ("models", "edit", "plans")
    result = run(*edit, "--record", "10%", "--record-column", "a=b=hash", store=plans)
    assert (result.exit_code, result.stdout) == (
        0,
        "plans is recorded: 10 %; columns that are not kept: a=b (hash).\n",
    )
    result = run(*edit, "--record", "0", "--title", "Plans", store=plans)
    assert (result.exit_code, result.stdout) == (0, "plans version 1 is now revision 2.\n")
    result = run(*edit, "--record-column", "plan=drop", "--json", store=plans)
    assert json.loads(result.stdout) == {"share": 0, "columns": {"a=b": "hash", "plan": "drop"}}


async def test_the_page_shows_the_words_that_were_edited(plans: ModelStore) -> None:
    run("models", "edit", "plans", "--label", "plan=<Plan>", "--unit", "plan=kg", store=plans)
    async with started(create_app(MODEL_STORE=plans.root, RECIPES="")) as app:
        page = await app.test_client().get("/models/plans", headers={"Accept": "text/html"})
        text = await page.get_data(as_text=True)
        assert '&lt;Plan&gt; <span class="unit">(kg)</span>' in text


def test_show_says_what_drift_is_measured_against(bundled: ModelStore, plans: ModelStore) -> None:
    told = run("models", "show", "iris", store=bundled).stdout
    assert "drifts from   150 rows of the training data; its accuracy can be expected" in told
    told = run("models", "show", "plans", store=plans).stdout
    assert "too little to say below 100 rows" in told


# train ---------------------------------------------------------------------------------


def test_train_takes_a_table_of_ones_own(empty: ModelStore, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = tmp_path / "blood.csv"
    rows = [[*map(int, random.integers(1, 50, 4)), int(random.integers(1, 3))] for _ in range(100)]
    lines = ["V1,V2,V3,V4,Class", *(",".join(map(str, row)) for row in rows)]
    table.write_text("\n".join(lines))
    result = run("models", "train", "blood-donation", "--data", str(table), store=empty)
    assert result.exit_code == 0
    manifest = empty.manifest("blood-donation")
    assert manifest.notice is None
    assert sum((manifest.target.counts or {}).values()) == 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["titanic", "--data", "a.csv", "--openml"], "--data and --openml exclude each other"),
        (["titanic", "exam", "--data", "a.csv"], "--data is the table of one recipe; name one"),
        (["titanic", "--data", "none.csv"], "none.csv cannot be read: No such file"),
        (["exam", "--openml"], "The recipe exam has no table on OpenML."),
    ],
)
def test_train_says_why_a_table_is_not_taken(
    arguments: list[str], sentence: str, empty: ModelStore, command: Command
) -> None:
    ended = command("models", "train", *arguments, QUART_APP_MODEL_STORE=str(empty.root))
    assert ended.code in {1, 2}
    assert sentence in ended.stderr
    assert empty.models() == []


def test_import_list_and_show_say_of_a_model_that_its_answers_vary(
    empty: ModelStore, tmp_path: Path
) -> None:
    X = np.arange(12.0).reshape(6, 2)
    file = tmp_path / "vary.pkl"
    pipeline = make_pipeline(StandardScaler(), DummyClassifier(strategy="uniform"))
    file.write_bytes(pickle.dumps(pipeline.fit(X, [0, 1] * 3)))
    allowed = run("models", "import", str(file), "--allow-varying", store=empty)
    assert allowed.exit_code == 0, allowed.output
    sentence = empty.manifest("vary").variation
    assert sentence is not None
    assert f"Warning: {sentence}" in allowed.stderr
    assert run("models", "list", store=empty).stdout.endswith(f"\nvary: {sentence}\n")
    assert sentence in run("models", "show", "vary", store=empty).stdout


def test_list_show_and_import_say_whether_reading_a_model_may_run_code(
    empty: ModelStore, tmp_path: Path
) -> None:
    X = np.arange(12.0).reshape(6, 2)
    file = tmp_path / "own.pkl"
    step = FunctionTransformer(np.log1p, kw_args={"casting": "same_kind"})
    file.write_bytes(pickle.dumps(make_pipeline(step, LinearRegression()).fit(X, X[:, 0])))
    plain = run("models", "import", str(file), "--name", "plain", store=empty)
    assert plain.exit_code == 0, plain.output
    assert "may run code" not in plain.output + run("models", "list", store=empty).stdout
    assert "makes data and runs no code" in run("models", "show", "plain", store=empty).stdout
    named = "numpy.log1p"
    own = run("models", "import", str(file), "--trusted", named, store=empty)
    sentence = f"Reading the artifact may run code: it may call {named}."
    assert f"Warning: {sentence}" in own.stderr
    assert run("models", "list", store=empty).stdout.endswith(f"\nown: {sentence}\n")
    assert sentence in run("models", "show", "own", store=empty).stdout
    assert empty.manifest("own").allowed == (named,)
