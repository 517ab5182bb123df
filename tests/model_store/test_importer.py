"""Files that lie beside a model, or are not what they should be, are told by their names."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
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


@pytest.mark.parametrize("cells", [WORDS, CODES], ids=["labels", "numbers"])
def test_a_target_has_the_labels_of_an_encoder_or_its_numbers(cells: Any, tmp_path: Path) -> None:
    files = saved(tmp_path, labels=ENCODER, scaler=SCALER, model=MODEL)
    sample = tmp_path / "rows.csv"
    rows = (f"{one},{other},{cell}\n" for (one, other), cell in zip(X, cells, strict=True))
    sample.write_text("a,b,left\n" + "".join(rows))
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
