"""Files that lie beside a model, or are not what they should be, are told by their names."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec import structs
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler

from model_store import ModelStore
from model_store.errors import InvalidPipeline
from model_store.importer import ImportRequest, import_files

X = np.random.default_rng(4).normal(3, 1, (40, 2))
WORDS = np.where(X[:, 0] > 3, "stays", "leaves")
ENCODER = LabelEncoder().fit(WORDS)
CODES = ENCODER.transform(WORDS)
SCALER = StandardScaler().fit(X)
MODEL = LogisticRegression().fit(SCALER.transform(X), CODES)


def saved(folder: Path, **parts: Any) -> tuple[str, ...]:
    for name, part in parts.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(part))
    return tuple(str(folder / f"{name}.pkl") for name in parts)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_a_label_encoder_beside_a_model_tells_the_words(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    files = saved(tmp_path, labels=ENCODER, scaler=SCALER, model=MODEL)
    request = ImportRequest(name="m", files=tuple(files[place] for place in order))
    _, draft = import_files(request)
    assert draft is not None
    store = ModelStore(tmp_path / "store")
    manifest = store.add(draft)
    assert manifest.estimator == "StandardScaler → LogisticRegression"
    assert manifest.words == {"0": "leaves", "1": "stays"}
    model = store.load(store.verify("m"))
    assert model.predict(X).labels.tolist() == MODEL.predict(SCALER.transform(X)).tolist()
    look = ImportRequest(name="m", files=request.files, attempt=False, publish=False)
    assert import_files(look)[0].refusals == ()


@pytest.mark.parametrize("ending", ["csv", "parquet", "feather"])
@pytest.mark.parametrize(
    "cells",
    [WORDS, CODES, pd.Series(WORDS).astype("category")],
    ids=["labels", "numbers", "categories"],
)
def test_a_target_has_the_labels_of_an_encoder_or_its_numbers(
    cells: Any, ending: str, tmp_path: Path
) -> None:
    files = saved(tmp_path, labels=ENCODER, scaler=SCALER, model=MODEL)
    sample = tmp_path / f"rows.{ending}"
    rows = pd.DataFrame(X, columns=["a", "b"]).assign(left=cells)
    if ending == "csv":
        rows.to_csv(sample, index=False)
    else:
        getattr(rows, f"to_{ending}")(sample)
    request = ImportRequest(name="m", files=files, sample=str(sample), target=("left",))
    report, draft = import_files(request)
    assert draft is not None
    assert draft.manifest.words == {"0": "leaves", "1": "stays"}
    right = int((MODEL.predict(SCALER.transform(X)) == CODES).sum())
    (agreement,) = report.agreements
    assert (agreement.equal, agreement.rows) == (right, len(X))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (LogisticRegression().fit(X, WORDS), "leaves, stays"),
        (LogisticRegression().fit(X, np.arange(40) % 3), "0, 1, 2"),
        (LinearRegression().fit(X, CODES), "numbers"),
        (
            MultiOutputClassifier(LogisticRegression()).fit(X, np.array([CODES, CODES]).T),
            "several targets",
        ),
    ],
)
def test_a_label_encoder_of_another_model_is_refused(model: Any, told: str, tmp_path: Path) -> None:
    files = saved(tmp_path, labels=ENCODER, model=model)
    with pytest.raises(InvalidPipeline, match=rf"0 to 1, and the model tells {told}; leave the"):
        import_files(ImportRequest(name="m", files=files))


def test_a_label_encoder_alone_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(InvalidPipeline, match="name the file of the model beside it"):
        import_files(ImportRequest(name="m", files=saved(tmp_path, labels=ENCODER)))


@pytest.mark.parametrize(
    "pipeline",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {}),
    ],
    ids=["model", "pipeline", "search"],
)
@pytest.mark.parametrize("options", [{}, {"sample": True}, {"sample": True, "target": ("y",)}])
def test_what_is_not_fitted_is_told_so_whatever_comes_with_it(
    pipeline: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    if "sample" in options:
        (tmp_path / "rows.csv").write_text("x0,x1,y\n1,2,a\n3,4,b\n")
        options = {**options, "sample": str(tmp_path / "rows.csv")}
    with pytest.raises(InvalidPipeline, match=r"mine\.pkl holds an? \w+ that is not fitted"):
        import_files(ImportRequest(name="m", files=saved(tmp_path, mine=pipeline), **options))


@pytest.mark.parametrize("strategy", ["stratified", "uniform"])
@pytest.mark.parametrize("labels", [WORDS, CODES, CODES * 1.5], ids=["texts", "ints", "floats"])
def test_what_draws_its_answers_is_told_so_with_the_option_that_allows_it(
    labels: Any, strategy: str, tmp_path: Path
) -> None:
    pipeline = DummyClassifier(strategy=strategy).fit(X, labels)
    pattern = "differently from call to call: .* allow_varying=True, or .* --allow-varying"
    with pytest.raises(InvalidPipeline, match=pattern):
        ModelStore(tmp_path / "store").publish("m", pipeline, X, labels)
    with pytest.raises(InvalidPipeline, match=pattern):
        import_files(ImportRequest(name="m", files=saved(tmp_path, mine=pipeline)))


def test_another_label_than_those_of_the_encoder_is_told_by_its_row(tmp_path: Path) -> None:
    files = saved(tmp_path, labels=ENCODER, scaler=SCALER, model=MODEL)
    words = WORDS.astype(object)
    words[3] = "comes"
    sample = tmp_path / "rows.parquet"
    pd.DataFrame(X, columns=["a", "b"]).assign(left=words).to_parquet(sample)
    request = ImportRequest(name="m", files=files, sample=str(sample), target=("left",))
    with pytest.raises(InvalidPipeline, match=r"Row 3 of the sample: left: .* got 'comes'"):
        import_files(request)


def test_a_pipeline_whose_last_step_does_not_predict_names_that_step(tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), NearestNeighbors()).fit(X)
    (file,) = saved(tmp_path, near=pipeline)
    with pytest.raises(InvalidPipeline) as raised:
        import_files(ImportRequest(name="m", files=(file,)))
    assert str(raised.value).startswith(
        f"{file} holds a Pipeline, of which the last step, a NearestNeighbors, does not predict: "
    )
    assert "fit KNeighborsClassifier().fit(X, y)" in str(raised.value)


ROWS = pd.DataFrame(X, columns=["a", "b"]).assign(left=CODES)
IDS = [f"c{place}" for place in range(len(X))]


@pytest.mark.parametrize(
    ("model", "rows", "given", "typed"),
    [
        (MODEL, ROWS.assign(key=IDS), ("left",), "--drop key."),
        (MODEL, ROWS.assign(key=IDS, kind=1), ("left",), "--drop COLUMN."),
        (MODEL, ROWS.drop(columns="left"), (), None),
        (
            LogisticRegression().fit(ROWS[["a", "b"]], CODES),
            ROWS.assign(**{"the key": IDS, "kind": 1}),
            ("left",),
            "--drop 'the key' --drop kind.",
        ),
        (
            LogisticRegression().fit(ROWS[["a", "b"]], CODES),
            ROWS,
            (),
            "--target left, or leave out what it does not take with --drop left.",
        ),
    ],
    ids=["an id", "which one is not known", "nothing", "two", "the target"],
)
def test_a_column_that_a_pipeline_does_not_take_is_dropped_by_what_is_said(
    model: Any, rows: Any, given: tuple[str, ...], typed: str | None, tmp_path: Path
) -> None:
    files = saved(tmp_path, model=model)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    request = ImportRequest(name="m", files=files, sample=str(tmp_path / "rows.csv"), target=given)
    if typed is not None:
        with pytest.raises(InvalidPipeline) as raised:
            import_files(request)
        assert str(raised.value).endswith(typed), raised.value
    others = tuple(name for name in rows if name not in ("a", "b", *given))
    report, _ = import_files(structs.replace(request, drop=others))
    assert report.signature is not None
    assert report.signature.names == ("a", "b")


def test_a_dropped_column_has_to_be_there(tmp_path: Path) -> None:
    files = saved(tmp_path, model=MODEL)
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    request = ImportRequest(
        name="m", files=files, sample=str(tmp_path / "rows.csv"), target=("left",), drop=("key",)
    )
    with pytest.raises(InvalidPipeline, match=r"has no column 'key'; it has a, b, left\.$"):
        import_files(request)
