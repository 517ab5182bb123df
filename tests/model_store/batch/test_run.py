"""A run over files: what comes out, what is kept of it, and what it refuses."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from model_store import ModelStore
from model_store.batch.api import score
from model_store.batch.record import Summary
from model_store.batch.run import limits
from model_store.errors import InvalidRun

from .conftest import NAMES


def rows_of(count: int, first: int = 0, **columns: Any) -> pa.Table:
    """Rows for the models of three numbers, each with an id."""
    random = np.random.default_rng(first)
    numbers = {name: random.normal(size=count) for name in NAMES}
    ids = np.arange(first, first + count)
    return pa.table({"id": ids} | numbers | columns)


def write(folder: Path, name: str, table: pa.Table, **options: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)


def written(folder: Path) -> list[str]:
    """All files below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def result(folder: Path) -> pa.Table:
    """All parts, in the order of their names."""
    parts = sorted(folder.rglob("part-*.parquet"))
    return pa.concat_tables(pq.read_table(part, partitioning=None) for part in parts)


# What comes out -------------------------------------------------------------------


def test_parts_and_the_record_stand_where_they_are_told(
    models: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_store.batch.plan.PART_ROWS", 100)
    write(tmp_path, "in/b.parquet", rows_of(250), row_group_size=50)
    write(tmp_path, "in/a/year=2024/x.parquet", rows_of(30, 250))
    write(tmp_path, "in/a/year=2025/x.parquet", rows_of(0, 280))
    told: list[tuple[int, int | None]] = []
    done = score(
        "classes",
        tmp_path / "in",
        tmp_path / "out",
        store=models,
        progress=lambda rows, total: told.append((rows, total)),
    )
    assert isinstance(done, Summary)
    assert written(tmp_path / "out") == [
        "_SUCCESS",
        "_score.json",
        "a/year=2024/part-x-00000.parquet",
        "a/year=2025/part-x-00000.parquet",
        "part-b-00000.parquet",
        "part-b-00002.parquet",
        "part-b-00004.parquet",
    ]
    assert result(tmp_path / "out").column("id").to_pylist() == [*range(250, 280), *range(250)]
    assert told[-1] == (280, 280)
    record = json.loads((tmp_path / "out/_score.json").read_text())
    assert (record["model"], record["version"], record["rows"]) == ("classes", 1, 280)
    assert [each["rows"] for each in record["inputs"]] == [30, 0, 250]
    assert record["schema"][-1] == ["error", "string"]
    assert json.loads((tmp_path / "out/_SUCCESS").read_text())["parts"] == 5


def test_a_table_of_not_many_rows_has_smaller_parts_and_a_run_with_larger_ones_is_not_gone_on_with(
    models: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_store.batch.plan.LEAST_PART_ROWS", 20)
    monkeypatch.setattr("model_store.batch.plan.PARTS", 4)
    write(tmp_path, "in/x.parquet", rows_of(160), row_group_size=10)
    write(tmp_path, "in/y.parquet", rows_of(40, 160))
    arguments = "classes", tmp_path / "in", tmp_path / "out"
    score(*arguments, store=models)
    names = [f"part-x-{first:05}.parquet" for first in (0, 5, 10, 15)]
    assert written(tmp_path / "out")[2:] == [*names, "part-y-00000.parquet"]
    assert result(tmp_path / "out").column("id").to_pylist() == [*range(200)]
    path = tmp_path / "out/_score.json"
    record = json.loads(path.read_text())
    assert record.pop("part_rows") == 50
    path.write_text(json.dumps(record | {"format": 1}))  # as it was before
    with pytest.raises(InvalidRun, match="the division into parts changed"):
        score(*arguments, store=models, resume=True)


def test_a_run_of_the_first_format_whose_parts_are_the_same_is_gone_on_with(
    models: ModelStore, tmp_path: Path
) -> None:
    write(tmp_path, "in/x.parquet", rows_of(50), row_group_size=10)
    arguments = "classes", tmp_path / "in", tmp_path / "out"
    score(*arguments, store=models)
    path = tmp_path / "out/_score.json"
    record = json.loads(path.read_text())
    assert record.pop("part_rows") == 1_000_000
    path.write_text(json.dumps(record | {"format": 1}))
    done = score(*arguments, store=models, resume=True)
    assert isinstance(done, Summary)
    assert (done.complete, done.resumed) == (True, 1)


def test_folders_name_columns_of_the_model(models: ModelStore, tmp_path: Path) -> None:
    table = rows_of(10).drop_columns(["c"])
    for value in ("1.5", "-2", "__HIVE_DEFAULT_PARTITION__", "much"):
        write(tmp_path, f"in/c={value}/x.parquet", table)
    score("classes", tmp_path / "in", tmp_path / "out", store=models)
    parts = {
        path.parent.name: pq.read_table(path, partitioning=None)
        for path in (tmp_path / "out").rglob("*.parquet")
    }
    for value in ("1.5", "-2"):
        whole = table.append_column("c", pa.array([float(value)] * 10))
        expected = score("classes", whole, store=models)
        assert (
            parts[f"c={value}"]
            .column("probability_above")
            .equals(expected.column("probability_above"))
        )
    (error,) = set(parts["c=much"].column("error").to_pylist())
    assert error == 'c: expected a number, got "much"'
    (error,) = set(parts["c=__HIVE_DEFAULT_PARTITION__"].column("error").to_pylist())
    assert error == "c: expected a number, got null"


def test_faulty_rows_keep_their_places_each_with_the_sentence_of_every_door(
    models: ModelStore, tmp_path: Path
) -> None:
    lines = [b"id,a,b,c"]
    faults = {
        3: (b"3,many,1,2", 'a: expected a number, got "many"'),
        5: (b"5,1,2", "c: expected 4 cells in the row, got 3"),
        2500: (b'2500,1,"2"x,3', "b: expected nothing after the closing quote, got more text"),
        2600: (b"2600,,inf,3", "a: expected a number, got nothing; b: expected a number, got"),
        3999: (b"3999,1,gr\xf6ss,3", "b: expected UTF-8 without NUL, got another encoding"),
    }
    for row in range(4000):
        lines.append(faults[row][0] if row in faults else b"%d,0.5,-1e-3,%d" % (row, row % 7))
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(b"\r\n".join(lines)))
    done = score("classes", tmp_path / "in.csv.gz", tmp_path / "out", store=models)
    assert (done.rows, done.faulty, done.complete) == (4000, 5, True)
    found = result(tmp_path / "out")
    assert found.column("id").to_pylist() == [str(row) for row in range(4000)]
    errors = found.column("error").to_pylist()
    assert {row for row, error in enumerate(errors) if error is not None} == faults.keys()
    for row, (_, said) in faults.items():
        assert errors[row].startswith(said)
    assert found.column("prediction").null_count == 5
    assert found.column("probability_above").null_count == 5


def test_more_faulty_rows_than_are_told_at_once_are_told_all(
    models: ModelStore, tmp_path: Path
) -> None:
    texts = [str(row) if row % 3 else "x" * (row % 100) for row in range(9000)]
    table = rows_of(9000).set_column(1, "a", pa.array(texts))
    write(tmp_path, "in.parquet", table)
    done = score("classes", tmp_path / "in.parquet", tmp_path / "out", store=models)
    assert done.faulty == 3000
    errors = result(tmp_path / "out").column("error").to_pylist()
    assert all((error is not None) == (row % 3 == 0) for row, error in enumerate(errors))
    assert errors[297] == f'a: expected a number, got "{"x" * 58}…'


def test_a_row_that_the_model_cannot_answer_has_a_sentence_and_the_others_answers(
    models: ModelStore, tmp_path: Path
) -> None:
    table = rows_of(5000)
    a = table.column("a").to_numpy().copy()
    a[[17, 4000, 4001]] = 1.7e308
    b = table.column("b").to_numpy().copy()
    b[[17, 4000, 4001]] = 1.7e308
    write(tmp_path, "in.parquet", table.set_column(1, "a", pa.array(a)).set_column(2, "b", [b]))
    done = score("regression", tmp_path / "in.parquet", tmp_path / "out", store=models)
    errors = result(tmp_path / "out").column("error").to_pylist()
    assert [row for row, error in enumerate(errors) if error] == [17, 4000, 4001]
    assert errors[17].startswith("The model regression has no answer to these values")
    assert done.faulty == 3


@pytest.mark.parametrize("columns", ["none", ["id"], ["c", "id"]])
def test_chosen_columns_come_out_beside_the_answers(
    columns: Any, models: ModelStore, tmp_path: Path
) -> None:
    write(tmp_path, "in.parquet", rows_of(20, note=[["x"]] * 20))
    score("regression", tmp_path / "in.parquet", tmp_path / "out", store=models, columns=columns)
    kept = [] if columns == "none" else columns
    assert result(tmp_path / "out").column_names == [*kept, "prediction", "error"]


def test_files_whose_columns_differ_come_out_alike_where_nothing_is_rounded(
    models: ModelStore, tmp_path: Path
) -> None:
    write(tmp_path, "in/1.parquet", rows_of(5, more=pa.array([1] * 5, pa.int16())))
    write(tmp_path, "in/2.parquet", rows_of(5, 5, more=pa.array([2**40] * 5, pa.int64())))
    write(tmp_path, "in/3.parquet", rows_of(5, 10))
    score("regression", tmp_path / "in", tmp_path / "out", store=models)
    more = result(tmp_path / "out").column("more")
    assert (more.type, more.to_pylist()) == (pa.int64(), [1] * 5 + [2**40] * 5 + [None] * 5)
    write(tmp_path, "in/4.parquet", rows_of(5, 15, more=pa.array([0.5] * 5)))
    with pytest.raises(InvalidRun, match=r"more is of the type int16 in 1\.parquet and of the"):
        score("regression", tmp_path / "in", tmp_path / "other", store=models)


# What is refused before anything is written ---------------------------------------


def test_a_table_that_does_not_fit_is_told_and_nothing_is_written(
    models: ModelStore, tmp_path: Path
) -> None:
    write(tmp_path, "lacking/x.parquet", rows_of(3).drop_columns(["b"]))
    write(
        tmp_path, "dates/x.parquet", rows_of(3).set_column(1, "a", [pa.array([0] * 3, pa.date32())])
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    write(tmp_path, "mixed/x.parquet", rows_of(3))
    (tmp_path / "mixed/x.csv").write_text("a,b,c\n1,2,3\n")
    (tmp_path / "twice.csv").write_text("a,a,b,c\n1,1,2,3\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("")
    cases = {
        "lacking": "has not the columns of classes: it lacks b; it has a, c, id",
        "dates": "The column a of .* is of the type date32.*; expected a number",
        "empty": "There is no file in",
        "mixed": "has both Parquet and CSV",
        "twice.csv": "more than one column a",
        "broken.parquet": "broken.parquet cannot be read",
        "other": "notes.txt ends neither in .parquet nor in .csv",
        "nothing": "There is no file or folder",
        "*.json": "No file matches",
    }
    for name, said in cases.items():
        with pytest.raises(InvalidRun, match=said):
            score("classes", tmp_path / name, tmp_path / "out", store=models)
    with pytest.raises(InvalidRun, match="lie within each other"):
        score("classes", tmp_path / "lacking", tmp_path / "lacking/out", store=models)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", ["x", "-1", "101%", "%", "1.5"])
def test_a_limit_of_faulty_rows_is_a_number_or_a_percentage(wrong: str) -> None:
    with pytest.raises(InvalidRun, match="max_errors: expected a number of rows"):
        limits("keep", wrong)


# Going on -------------------------------------------------------------------------


def parts_of(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("part-*")}


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_run_goes_on_with_the_parts_that_are_missing(
    format: Any, models: ModelStore, tmp_path: Path
) -> None:
    for number in range(4):
        faulty = rows_of(50, 50 * number, more=["x"] * 50)
        a = pa.array(["bad" if row == 7 else str(row) for row in range(50)])
        write(tmp_path, f"in/{number}.parquet", faulty.set_column(1, "a", [a]))
    options: dict[str, Any] = {"store": models, "format": format}
    first = score("classes", tmp_path / "in", tmp_path / "out", **options)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("part-*")}
    with pytest.raises(InvalidRun, match="go on with it by --resume"):
        score("classes", tmp_path / "in", tmp_path / "out", **options)

    # As a killed attempt leaves it: a part is missing, another was on its way.
    (tmp_path / f"out/part-1-00000.{format}").unlink()
    (tmp_path / "out/.writing-part-1-00000.ab.1.x.tmp").write_bytes(b"half")
    before = parts_of(tmp_path / "out")
    done = score("classes", tmp_path / "in", tmp_path / "out", resume=True, **options)
    assert (done.rows, done.faulty, done.resumed) == (first.rows, first.faulty, 3)
    assert first.faulty == 4
    after = parts_of(tmp_path / "out")
    assert {name for name in after if after[name] != before.get(name)} == {f"part-1-00000.{format}"}
    assert not [name for name in written(tmp_path / "out") if name.startswith(".")]
    again = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("part-*")}
    if format == "csv":
        assert again == whole
    score("classes", tmp_path / "in", tmp_path / "out", overwrite=True, **options)
    assert parts_of(tmp_path / "out").keys() == after.keys()


def test_a_run_does_not_go_on_where_something_has_changed(
    models: ModelStore, tmp_path: Path
) -> None:
    write(tmp_path, "in/1.parquet", rows_of(5))
    arguments = (tmp_path / "in", tmp_path / "out")
    score("classes", *arguments, store=models)
    for name, options, said in (
        ("whole", {}, "since the model and the schema changed"),
        ("classes", {"columns": "none"}, "the columns that are kept"),
        ("classes", {"format": "csv"}, "the format"),
    ):
        given: dict[str, Any] = dict(options)
        with pytest.raises(InvalidRun, match=said):
            score(name, *arguments, store=models, resume=True, **given)
    os.utime(tmp_path / "in/1.parquet", ns=(1, 1))
    with pytest.raises(InvalidRun, match=r"the input \(1.parquet\) changed"):
        score("classes", *arguments, store=models, resume=True)
    (tmp_path / "out/mine.txt").write_text("")
    with pytest.raises(InvalidRun, match=r"has other files, such as mine.txt"):
        score("classes", *arguments, store=models, overwrite=True)
    assert (tmp_path / "out/mine.txt").exists()


def test_a_run_stops_at_faulty_rows_where_it_is_told_to(models: ModelStore, tmp_path: Path) -> None:
    for number in range(3):
        a = pa.array(["bad" if row < 2 * number else str(row) for row in range(50)])
        write(tmp_path, f"in/{number}.parquet", rows_of(50).set_column(1, "a", [a]))
    arguments = (tmp_path / "in", tmp_path / "out")
    stopped = score("classes", *arguments, store=models, errors="stop", workers=1)
    assert (stopped.complete, stopped.parts, stopped.missing) == (False, 1, 2)
    assert stopped.reason is not None
    assert "Row 0 of" in stopped.reason
    assert 'a: expected a number, got "bad"' in stopped.reason
    assert "_SUCCESS" not in written(tmp_path / "out")
    some = score("classes", *arguments, store=models, resume=True, max_errors="3%", workers=1)
    assert (some.complete, some.parts) == (False, 3)
    assert some.reason == "6 rows have no answer, and 4 may have none."
    done = score("classes", *arguments, store=models, resume=True, max_errors=6, workers=1)
    assert (done.complete, done.faulty, done.resumed) == (True, 6, 3)


def test_a_file_that_changes_meanwhile_has_no_part(models: ModelStore, tmp_path: Path) -> None:
    write(tmp_path, "in/1.parquet", rows_of(50))
    write(tmp_path, "in/2.parquet", rows_of(50))

    def change(rows: int, total: int | None) -> None:
        if rows == 50:
            write(tmp_path, "in/2.parquet", rows_of(50, 7))

    done = score(
        "classes", tmp_path / "in", tmp_path / "out", store=models, workers=1, progress=change
    )
    assert (done.complete, done.missing) == (False, 1)
    (reason,) = done.reasons.values()
    assert "2.parquet has changed since the run was planned" in reason
    assert "_SUCCESS" not in written(tmp_path / "out")


# Inputs as people have them --------------------------------------------------------


def memory_of(folder: Path, rows: int) -> int:
    """The most bytes that pyarrow holds while a file of one row group is read."""
    random = np.random.default_rng(0)
    table = pa.table({"id": np.arange(rows)} | {name: random.normal(size=rows) for name in NAMES})
    write(folder, "one.parquet", table, row_group_size=rows)
    program = (
        "import sys, pyarrow\n"
        "from model_store.batch.inputs import find\n"
        "from model_store.batch.plan import Part\n"
        "from model_store.batch.reading import batches\n"
        "found = find(sys.argv[1])\n"
        "(source,) = found.sources\n"
        "part = Part('x', source, 0, len(source.groups))\n"
        "place = found.folder.below(source.name)\n"
        "read = sum(batch.rows for batch in batches(place, part, source.schema.names))\n"
        "assert read == source.rows\n"
        "print(pyarrow.default_memory_pool().max_memory())\n"
    )
    path = str(folder / "one.parquet")
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.process
def test_memory_does_not_grow_with_the_rows_of_a_row_group(tmp_path: Path) -> None:
    few, many = memory_of(tmp_path, 300_000), memory_of(tmp_path, 1_200_000)
    assert many < 1.2 * few


def test_what_is_in_a_folder_and_no_table_is_told_and_not_passed_over(
    models: ModelStore, tmp_path: Path
) -> None:
    for name in ("broken", "pipe", "circle", "bytes"):
        write(tmp_path, f"{name}/x.parquet", rows_of(3))
    (tmp_path / "broken/y.parquet").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe/y.parquet")
    (tmp_path / "circle/again").symlink_to(tmp_path / "circle")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bytes/\xff.parquet")).write_bytes(b"")
    for name, said in {
        "broken": r"broken/y.parquet cannot be read: FileNotFoundError",
        "pipe": r"pipe/y.parquet is no regular file",
        "circle": r"circle/again leads back to a folder above it",
        "bytes": r"bytes has a file whose name is not UTF-8: '\\udcff.parquet'",
    }.items():
        with pytest.raises(InvalidRun, match=said):
            score("classes", tmp_path / name, tmp_path / "out", store=models)
    assert not (tmp_path / "out").exists()


def test_each_file_has_its_part_whatever_it_is_called(models: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = ["x.csv", "x.tsv", "x.csv.csv", f"{'y' * 230}.csv", "day\n=1.csv"]
    for number, name in enumerate(names):
        (tmp_path / "in" / name).write_text(f"id,a,b,c\n{number},1,2,3\n")
    done = score("classes", tmp_path / "in", tmp_path / "out", store=models)
    assert (done.complete, done.rows) == (True, len(names))
    assert sorted(result(tmp_path / "out").column("id").to_pylist()) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("address", ["c=1.5", "c=1.5/x.parquet", "c=1.*/**/*.parquet"])
def test_a_folder_names_a_column_also_where_the_input_is_within_it(
    address: str, models: ModelStore, tmp_path: Path
) -> None:
    table = rows_of(10).drop_columns(["c"])
    write(tmp_path, "c=1.5/x.parquet", table)
    score("classes", str(tmp_path / address), tmp_path / "out", store=models)
    expected = score("classes", table.append_column("c", pa.array([1.5] * 10)), store=models)
    shares = result(tmp_path / "out").column("probability_above")
    assert shares.to_pylist() == expected.column("probability_above").to_pylist()


def test_texts_of_every_arrow_type_are_numbers_of_the_model(
    models: ModelStore, tmp_path: Path
) -> None:
    texts = ["1", "2.5", "much", None]
    results = []
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        table = rows_of(4).set_column(1, "a", pa.array(texts, kind))
        write(tmp_path, "in.parquet", table)
        done = score(
            "classes", tmp_path / "in.parquet", tmp_path / "out", store=models, overwrite=True
        )
        assert (done.complete, done.rows) == (True, 4)
        found = result(tmp_path / "out")
        assert found.column("a").to_pylist() == texts
        results.append(found.select(["prediction", "error"]).to_pylist())
        score(
            "classes",
            tmp_path / "in.parquet",
            tmp_path / "csv",
            store=models,
            format="csv",
            overwrite=True,
        )
        assert len((tmp_path / "csv/part-in-00000.csv").read_text().splitlines()) == 5
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1], None, []]),
        pa.array([b"\xff\xfe", None, b"ab"], pa.binary(2)),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"x" * 16, None, None], pa.binary(16))),
    ],
)
def test_what_csv_cannot_hold_is_told_before_anything_is_written(
    values: Any, models: ModelStore, tmp_path: Path
) -> None:
    write(tmp_path, "in.parquet", rows_of(3, odd=values))
    with pytest.raises(InvalidRun, match=r"odd is of the type .*, which CSV cannot hold"):
        score("classes", tmp_path / "in.parquet", tmp_path / "out", store=models, format="csv")
    assert not (tmp_path / "out").exists()
    score("classes", tmp_path / "in.parquet", tmp_path / "out", store=models)
    assert result(tmp_path / "out").column("odd").to_pylist() == values.to_pylist()


def test_a_worker_of_a_run_that_was_written_anew_leaves_no_part(
    models: ModelStore, tmp_path: Path
) -> None:
    for number in range(2):
        write(tmp_path, f"in/{number}.parquet", rows_of(50, 50 * number))
    arguments = (tmp_path / "in", tmp_path / "out")

    def begin_another(rows: int, total: int | None) -> None:
        """As after the death of a driver whose worker is still at its last part."""
        if rows == 50:
            (tmp_path / "out/_score.json").write_text("{}")

    left = score("classes", *arguments, store=models, workers=1, progress=begin_another)
    assert (left.complete, left.parts, left.missing) == (False, 0, 2)
    assert "is another run's by now" in left.reasons["part-0-00000.parquet"]
    assert [name for name in written(tmp_path / "out") if "part" in name] == []
