"""The `predictions` commands, on a database with records of several models."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from model_store import ModelStore
from quart_app.memory.journal import Source
from quart_app.memory.opened import open_records

from ..conftest import Command, Ended
from ..memory.test_store import add, entry

EXAM = Source("exam", 1, "d", ("X1", "X2"))


class Predictions:
    """The commands on one store and one database."""

    def __init__(self, command: Command, store: ModelStore, url: str) -> None:
        self._command = command
        self.store = store
        self.records = open_records(url, store)
        self._variables = {"QUART_APP_MODEL_STORE": str(store.root), "DATABASE_URL": url}

    def __call__(self, *arguments: str) -> Ended:
        return self._command("predictions", *arguments, **self._variables)

    def exam(self, id: str, *values: Any, at: float = 1000.0, **fields: Any) -> None:
        """Record a request with these values of X1."""
        columns = [list(values), [2.5] * len(values)]
        more = {"labels": [0] * len(values), "probabilities": None} | fields
        request = entry(id, at, rows=len(values), columns=columns, **more)
        add(self.records, request, sources=[EXAM])

    def ids(self) -> list[tuple[str, int]]:
        return [(each.id, each.row) for each in self.records.predictions("exam")]


@pytest.fixture
def predictions(command: Command, store: ModelStore, tmp_path: Path) -> Predictions:
    return Predictions(command, store, f"sqlite:///{tmp_path}/records.sqlite3")


FILES = {
    "csv": "id,row,truth,note\na,1,passed,\na,0,,later\nlost,0,0,x\n",
    "a list": '[{"id": "a", "row": 1, "truth": 1}, {"id": "lost", "truth": 0}]',
    "json lines": '{"id": "a", "row": 1, "truth": 1}\n{"id": "lost", "truth": 0, "inputs": {}}\n',
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_truths_is_kept_and_unknown_ids_are_told_one_by_one(
    kind: str, predictions: Predictions, tmp_path: Path
) -> None:
    predictions.exam("a", 1.0, 2.0)
    (tmp_path / "truths").write_text(FILES[kind])
    ended = predictions("truth", "exam", str(tmp_path / "truths"))
    assert ended.code == 0, ended.stderr
    empty = 1 if kind == "csv" else 0
    assert ended.stdout == (
        f"exam: 2 truths kept, 0 in place of others; 1 of no recorded prediction, {empty} rows "
        "without one.\n"
    )
    assert ended.stderr == "No prediction of exam was recorded with the id lost, row 0.\n"
    assert [(each.row, truth) for each, truth in predictions.records.with_truth("exam")] == [(1, 1)]


def test_of_a_file_in_which_something_does_not_fit_nothing_is_kept(
    predictions: Predictions, tmp_path: Path
) -> None:
    file = tmp_path / "truths.csv"
    file.write_text("id,truth\n" + "a,1\n" * 50_000 + "a,nobody\n")
    ended = predictions("truth", "exam", str(file))
    assert ended.code == 1
    assert ended.stderr == ('Error: row 50000, truth: expected one of 0, 1, got "nobody"\n')
    file.write_text("id,result\n")
    ended = predictions("truth", "exam", str(file))
    assert (ended.code, "there is no truth" in ended.stderr) == (1, True)
    assert list(predictions.records.with_truth("exam")) == []


def test_an_export_can_be_sent_back_as_feedback_and_trained_on(
    predictions: Predictions, tmp_path: Path
) -> None:
    for number in range(30):
        predictions.exam(f"id{number}", number, at=1000.0 + number)
    table = predictions("export", "exam", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert len(rows) == 30
    assert (rows[3]["X1"], rows[3]["X2"], rows[3]["at"]) == ("3", "2.5", "1970-01-01T00:16:43.000Z")
    with (tmp_path / "filled.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "truth"])
        writer.writeheader()
        writer.writerows(row | {"truth": int(float(row["X1"]) > 14)} for row in rows)
    assert predictions("truth", "exam", str(tmp_path / "filled.csv")).code == 0
    lines = predictions("export", "exam", "--truth", "--since", "1970-01-01T00:16:50")
    found = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [each["id"] for each in found] == [f"id{number}" for number in range(10, 30)]
    assert [each["truth"] for each in found] == [0] * 5 + [1] * 15
    (tmp_path / "seen").write_text(lines.stdout)
    trained = predictions._command("models", "train", "exam", "--data", str(tmp_path / "seen"))
    assert trained.code == 0, trained.stderr
    assert predictions.store.manifest("exam", 2).rows == 20


def test_all_that_is_kept_of_an_id_is_shown(predictions: Predictions, tmp_path: Path) -> None:
    predictions.exam("a", 1.0)
    predictions.exam("a", 1.0, variant="shadow", labels=[1])
    file = tmp_path / "truths.csv"
    for truth in (0, 1):
        file.write_text(f"id,truth\na,{truth}\n")
        assert predictions("truth", "exam", str(file)).code == 0
    shown = predictions("show", "a").stdout
    for line in ("a row 0", "version 1, champion", "version 1, shadow", "X1 = 1.0", "  truth 1,"):
        assert line in shown
    assert "before that 0, told " in shown
    (row,) = json.loads(predictions("show", "a", "--json").stdout)
    assert (row["truth"], [each["prediction"] for each in row["predictions"]]) == (1, [0, 1])
    missing = predictions("show", "b")
    assert (missing.code, missing.stderr) == (1, "Error: nothing is kept of b\n")


def test_rows_are_deleted_by_value_whatever_is_kept_of_it(predictions: Predictions) -> None:
    predictions.store.record("exam", columns={"X2": "hash"})
    hashed = predictions.store.head("exam").records.hashed(7.0)
    predictions.exam("number", 1, 2.0, 3.5)
    predictions.exam("text", "3.5")
    add(
        predictions.records,
        entry("hashed", columns=[[1.0], [hashed]], labels=[0], probabilities=None),
        sources=[EXAM],
    )
    ended = predictions("delete", "exam", "--where", "X1=3.5", "--yes")
    assert ended.stdout == "exam: 2 predictions and 0 truths deleted.\n"
    assert predictions.ids() == [("hashed", 0), ("number", 0), ("number", 1)]
    ended = predictions("delete", "exam", "--where", "X1=1.0", "--where", "X2=7", "--yes")
    assert ended.stdout == "exam: 1 predictions and 0 truths deleted.\n"
    assert predictions.ids() == [("number", 0), ("number", 1)]


def test_rows_are_deleted_by_id_and_by_date(predictions: Predictions) -> None:
    for day, id in enumerate("abcd"):
        predictions.exam(id, 1.0, 2.0, at=86_400.0 * day)
    ended = predictions("delete", "exam", "--id", "c", "--id", "nothing", "--yes")
    assert ended.stdout == "exam: 2 predictions and 0 truths deleted.\n"
    ended = predictions("delete", "exam", "--before", "1970-01-02", "--yes")
    assert ended.stdout == "exam: 2 predictions and 0 truths deleted.\n"
    assert predictions.ids() == [("b", 0), ("b", 1), ("d", 0), ("d", 1)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give one of --id, --where and --before"),
        (["--id", "a", "--before", "7d"], "give one of --id, --where and --before"),
        (["--where", "X3=1"], "there is no column 'X3'; expected one of X1, X2"),
        (["--where", "X1"], "expected COLUMN=VALUE, got 'X1'"),
        (["--before", "soon"], "expected a date such as 2026-11-30"),
    ],
)
def test_a_deletion_that_says_nothing_sound_deletes_nothing(
    arguments: list[str], sentence: str, predictions: Predictions
) -> None:
    predictions.exam("a", 1.0)
    ended = predictions("delete", "exam", *arguments, "--yes")
    assert (ended.code, sentence in ended.stderr) == (2, True), ended.stderr
    assert predictions.ids() == [("a", 0)]


def test_records_of_a_model_that_was_removed_can_be_deleted(predictions: Predictions) -> None:
    gone = Source("gone", 1, None, ("who",))
    add(predictions.records, entry("a", columns=[["me"]], labels=[0]), sources=[gone])
    ended = predictions("delete", "gone", "--where", "who=me", "--yes")
    assert ended.stdout == "gone: 1 predictions and 0 truths deleted.\n"
