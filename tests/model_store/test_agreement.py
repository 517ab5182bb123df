"""How well answers agree with a sample, and when that is to be doubted."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from model_store.agreement import Compared, clearly_better
from model_store.errors import InvalidPipeline
from model_store.importer import ImportReport, ImportRequest, import_files
from model_store.manifest import Manifest, Target


def compared(answers: Any, truth: Any, classes: Any = None) -> Compared:
    return Compared(Target(name="y", classes=classes), np.array(answers), np.array(truth))


@pytest.mark.parametrize(
    ("losses", "others", "better"),
    [
        ([0, 0, 0, 0], [1, 1, 1, 1], True),
        ([0, 0, 0], [1, 1, 1], False),
        ([0] * 9 + [1], [1] * 9 + [0], True),
        ([0] * 6 + [1] * 4, [1] * 6 + [0] * 4, False),
        ([0, 0, 0, 0, 9], [1, 1, 1, 1, 0], False),
        ([0, 0, 0, 0], [0, 0, 0, 0], False),
        ([1, 1, 1, 1], [0, 0, 0, 0], False),
    ],
)
def test_better_is_nearer_on_the_whole_and_in_more_rows_than_by_accident(
    losses: list[float], others: list[float], better: bool
) -> None:
    assert clearly_better(np.array(losses, float), np.array(others, float)) == better


@pytest.mark.parametrize(
    ("found", "doubted"),
    [
        (compared(list("aabb"), list("aabb"), ["a", "b"]), False),
        (compared(list("aaab"), list("aabb"), ["a", "b"]), False),
        (compared(list("aaaa"), list("aabb"), ["a", "b"]), True),
        (compared(list("bbaa"), list("aabb"), ["a", "b"]), True),
        (compared(list("aaaa"), list("aaaa"), ["a", "b"]), False),
        (compared([1.0, 2.0, 3.0], [1.0, 2.5, 3.0]), False),
        (compared([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]), True),
        (compared([9.0, 1.0, 5.0], [1.0, 2.0, 3.0]), True),
        (compared([2.0, 2.0], [2.0, 2.0]), False),
        # Nearer on average, which a fit by the absolute error would be.
        (compared([0.0, 0.0, 0.1, 1.0], [0.0, 0.0, 0.0, 9.0]), False),
    ],
)
def test_no_better_than_one_answer_to_all_is_doubted(found: Compared, doubted: bool) -> None:
    assert (found.doubt is not None) == doubted


def taken(pipeline: Any, folder: Path, text: str, **order: Any) -> tuple[ImportReport, Manifest]:
    file, sample = folder / "m.pkl", folder / "rows.csv"
    file.write_bytes(pickle.dumps(pipeline))
    sample.write_text(text)
    request = ImportRequest(
        name="mine", files=(str(file),), sample=str(sample), target=("y",), store="models", **order
    )
    report, draft = import_files(request)
    assert draft is not None
    return report, draft.manifest


X = np.arange(20.0).reshape(20, 1)
PUBLISH = "from model_store import ModelStore; ModelStore('models').publish('mine', pipeline, X, y)"


def table(answers: Any) -> str:
    return "c,y\n" + "".join(f"{i}.25,{each}\n" for i, each in enumerate(answers))


def test_an_import_that_agrees_badly_warns_last_and_on_the_card(tmp_path: Path) -> None:
    pipeline = LogisticRegression().fit(X, [0] * 10 + [1] * 10)
    report, manifest = taken(pipeline, tmp_path, table([1] * 10 + [0] * 10))
    doubt = "y: the pipeline says what the sample says in 0 of 20 rows; always answering 1 would"
    assert report.warnings[-1].startswith(doubt)
    assert report.warnings[-1].endswith(PUBLISH)
    assert "--type COLUMN=TYPE" in report.warnings[-1]
    assert manifest.notice is not None
    assert doubt in manifest.notice
    report, manifest = taken(pipeline, tmp_path, table([0] * 10 + [1] * 10))
    assert (report.warnings, manifest.notice) == ((), None)


def test_numbers_that_agree_badly_are_doubted_as_well(tmp_path: Path) -> None:
    pipeline = LinearRegression().fit(X, X[:, 0])
    report, _ = taken(pipeline, tmp_path, table(range(1000, 1020)))
    assert report.warnings[-1].startswith(
        "y: the pipeline is off by 999.75 on average over 20 rows"
    )


def test_rows_without_a_truth_are_in_no_score_and_stay_in_the_ranges(tmp_path: Path) -> None:
    pipeline = LogisticRegression().fit(X, [0] * 10 + [1] * 10)
    report, manifest = taken(pipeline, tmp_path, table(["0"] * 10 + ["1", "NA"] + [""] * 8))
    (agreement,) = report.agreements
    assert (agreement.rows, agreement.equal) == (11, 11)
    assert manifest.metrics == {"accuracy_on_the_rows_given": 1.0}
    assert manifest.evaluations[0].rows == 11
    assert manifest.targets[0].counts == {"0": 10, "1": 1}
    assert manifest.signature.columns[0].maximum == 19.25
    numbers = LinearRegression().fit(X, X[:, 0])
    report, manifest = taken(numbers, tmp_path, table([*range(12), *[""] * 8]))
    assert report.agreements[0].rows == 12
    assert (manifest.targets[0].minimum, manifest.targets[0].maximum) == (0.0, 11.0)


def test_a_sample_without_any_truth_has_no_score(tmp_path: Path) -> None:
    pipeline = LogisticRegression().fit(X, [0] * 10 + [1] * 10)
    report, manifest = taken(pipeline, tmp_path, table([""] * 20))
    assert (report.agreements, manifest.metrics, manifest.evaluations) == ((), {}, ())


def test_a_pipeline_that_takes_no_reading_is_refused_with_the_way_to_publish(
    tmp_path: Path,
) -> None:
    pipeline = LinearRegression().fit(X, X[:, 0])
    with pytest.raises(InvalidPipeline) as raised:
        taken(pipeline, tmp_path, "c,y\nred,1\nblue,2\n")
    assert str(raised.value).endswith(PUBLISH)
    assert "could not convert string to float: 'red'. If a column is not" in str(raised.value)


def test_readings_that_nothing_decides_between_are_refused_with_the_ways(tmp_path: Path) -> None:
    inverted = FunctionTransformer(np.invert)
    whole = X.astype(int) % 2
    pipeline = make_pipeline(inverted, LinearRegression()).fit(whole, whole[:, 0])
    with pytest.raises(InvalidPipeline) as raised:
        taken(pipeline, tmp_path, "c,y\n1,\n0,\n", trusted=("numpy.invert",))
    assert "say it with --type c=integer or --type c=boolean. Or give the" in str(raised.value)
    assert str(raised.value).endswith(PUBLISH)
