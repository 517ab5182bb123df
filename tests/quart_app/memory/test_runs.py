"""A score run is counted in the summaries of its model, and its rows are not kept."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from model_store import ModelStore
from quart_app.memory import runs
from quart_app.memory.database import Database
from quart_app.memory.store import Records
from quart_app.memory.summary import total
from quart_app.memory.versions import StoredSummaries, Versions, read

from ..conftest import Command

ROWS = [(61.1, 17.3), (80.0, 90.0), (99.0, 95.0)]


@pytest.mark.parametrize(("format", "columns"), [("parquet", "none"), ("csv", "all")])
def test_a_run_is_counted_and_its_rows_are_not_kept(
    format: str,
    columns: str,
    sqlite_url: str,
    store: ModelStore,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "PIECE", 100)
    table = "X1,X2\n" + "".join(f"{a},{b}\n" for a, b in ROWS * 100) + "many,1\n"
    (tmp_path / "table.csv").write_text(table)
    settings = {
        "QUART_APP_MODEL_STORE": str(store.root),
        "QUART_APP_RECORD": "1",
        "DATABASE_URL": sqlite_url,
    }
    ended = command(
        *("score", "exam", str(tmp_path / "table.csv"), str(tmp_path / "out")),
        *("--format", format, "--columns", columns, "--workers", "1"),
        **settings,
    )
    assert ended.code == 3, ended.stderr
    assert "300 rows counted in the summaries of exam" in ended.stderr
    records = Records(Database.at(sqlite_url), StoredSummaries(Versions(store)))
    found = total([read(each.body) for each in records.summaries("exam", 0, math.inf)])
    assert list(records.predictions("exam")) == []
    assert (found.traffic.rows, found.traffic.requests) == (300, 0)
    (answers,) = found.answers
    assert answers.rows == 300
    assert answers.labels.keys() == {"0", "1"}
    assert sum(found.confidences.values()) == 300


def test_a_run_without_a_database_is_done_all_the_same(
    store: ModelStore, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "table.csv").write_text("X1,X2\n61.1,17.3\n")
    (tmp_path / "file").write_text("no folder")
    store.record("exam", share=1)
    ended = command(
        *("score", "exam", str(tmp_path / "table.csv"), str(tmp_path / "out")),
        *("--workers", "1"),
        QUART_APP_MODEL_STORE=str(store.root),
        DATABASE_URL=f"sqlite:///{tmp_path}/file/records.sqlite3",
    )
    assert ended.code == 0
    assert "The run is not counted among the predictions" in ended.stderr
