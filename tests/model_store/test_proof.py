"""A form is served where it was proven to answer as its pipeline does, and nowhere else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from msgspec import structs
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from model_store import ModelStore, manifest
from model_store.backend import LATER, UNCOMPARED, Served, served_here
from model_store.comparison import labels_follow
from model_store.errors import CorruptVersion, LoadFailed
from model_store.inspection import Inspection
from model_store.manifest import ARTIFACT, MANIFEST, File
from model_store.model import Model
from model_store.plain import FORM, FORM_DATA, FORM_HEADER, Form, read, write
from model_store.plain.node import Answer, Predictor, Rows
from model_store.plain.nodes.columns import Pipeline
from model_store.plain.pack import last_of, pack
from model_store.proof import claim, verdict
from model_store.proof_rows import draw, neighbours
from model_store.prover import prover_of

FEATURES = 4
RANDOM = np.random.default_rng(11)
X = RANDOM.normal(3, 2, (240, FEATURES))
Y = X @ RANDOM.normal(size=FEATURES) + np.sin(X[:, 0])
SIDES = np.where(np.median(Y) < Y, "yes", "no")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def line(store: ModelStore) -> Model:
    """A regression, loaded as its pipeline."""
    store.publish("line", make_pipeline(StandardScaler(), Ridge()).fit(X, Y), X, Y)
    return store.load(store.verify("line", pickles="always"))


class Louder(Ridge):  # type: ignore[misc]
    """Answers otherwise than what it is derived from."""

    def predict(self, X: Any) -> Any:
        return super().predict(X) + 1


def served_by(form: Form, model: Model) -> Model:
    return Model(model.manifest, None, model.sample, form=form)


def scaled(form: Form, factor: float) -> Form:
    """A form whose answers are all so many times as large."""
    assert isinstance(form.root, Pipeline)
    last: Any = form.root.last
    other = msgspec.structs.replace(
        last, coefficients=last.coefficients * factor, intercept=last.intercept * factor
    )
    root = msgspec.structs.replace(form.root, last=other)
    return msgspec.structs.replace(form, root=root)


# The verdict -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "differs"), [(1.0, False), (1 + 1e-11, True), (1 + 1e-14, False)]
)
def test_a_difference_in_the_twelfth_place_is_found_and_one_in_the_fourteenth_is_not(
    line: Model, factor: float, differs: bool
) -> None:
    form = pack(line.pipeline, line.manifest.signature)
    claimed = claim(line, form, last_of(line.pipeline))
    other = scaled(form, factor)
    found = verdict(served_by(other, line), other, claimed)
    assert (found.difference is not None) is differs
    if differs:
        assert found.difference is not None
        assert found.difference.startswith("it says ")
    else:
        assert found.rows > 2000


class Counting(StandardScaler):  # type: ignore[misc]
    calls = 0

    def transform(self, X: Any, copy: Any = None) -> Any:
        type(self).calls += 1
        return super().transform(X, copy=copy)


def test_a_pipeline_transforms_the_rows_of_all_questions_twice(store: ModelStore) -> None:
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    store.publish("two", pipeline.fit(X, SIDES), X, SIDES)
    model = store.load(store.verify("two", pickles="always"))
    form = pack(model.pipeline, model.manifest.signature)
    last = last_of(model.pipeline)
    counting = Counting().fit(X)
    model.pipeline.steps.insert(1, ("counting", counting))
    counting.mean_, counting.scale_ = np.zeros(FEATURES), np.ones(FEATURES)
    Counting.calls = 0
    claimed = claim(model, form, last)
    # Once those of the kind of training's, and once those that lack values or are odd.
    assert Counting.calls == 2
    assert len(claimed.told) == 5
    assert all(part.told is not None for parts in claimed.told for part in parts)
    found = verdict(served_by(form, model), form, claimed)
    assert (found.difference, found.rows > 4000) == (None, True)
    assert labels_follow(model, claimed)


class Twisted(Predictor):
    """Tells its features otherwise than they are."""

    def __init__(self, twist: Callable[[Any], Any]) -> None:
        self.twist = twist

    def answer(self, rows: Rows) -> Answer:
        return Answer(self.twist(rows))


@pytest.mark.parametrize(
    ("twist", "differs"),
    [
        (lambda rows: rows, False),
        (lambda rows: rows * (1 + 1e-14), False),
        (lambda rows: rows * (1 + 1e-11), True),
        (lambda rows: rows + np.array([1e-9, 0]), True),
        (lambda rows: rows.astype(int), True),
        (lambda rows: rows[:, ::-1], True),
    ],
    ids=["the same", "rounded", "another", "added", "integers", "turned"],
)
def test_transformed_columns_are_compared_by_their_size(
    twist: Callable[[Any], Any], differs: bool, store: ModelStore
) -> None:
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    store.publish("parts", pipeline, X)
    model = store.load(store.verify("parts", pickles="always"))
    form = pack(model.pipeline, model.manifest.signature)
    claimed = claim(model, form, last_of(model.pipeline))
    assert isinstance(form.root, Pipeline)
    other = structs.replace(form, root=structs.replace(form.root, last=Twisted(twist)))
    found = verdict(served_by(other, model), other, claimed)
    assert (found.difference is not None) is differs, found
    if differs:
        assert found.difference is not None
        assert found.difference.startswith("it makes ")


class Lenient(Predictor):
    """Answers rows that its pipeline refuses."""

    def __init__(self, last: Predictor) -> None:
        self.last = last

    def answer(self, rows: Rows) -> Answer:
        return self.last.answer(np.nan_to_num(np.asarray(rows)))


def test_a_form_that_answers_what_its_pipeline_refuses_is_found(store: ModelStore) -> None:
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    inspection = Inspection.of_data(pipeline, X, Y)
    column = msgspec.structs.replace(inspection.signature.columns[0], missing=True)
    columns = (column, *inspection.signature.columns[1:])
    signature = msgspec.structs.replace(inspection.signature, columns=columns)
    store.publish("line", pipeline, X, Y)
    model = store.load(store.verify("line", pickles="always"))
    model = Model(
        msgspec.structs.replace(model.manifest, signature=signature), pipeline, model.sample
    )
    form = pack(pipeline, signature)
    claimed = claim(model, form, last_of(pipeline))
    assert any(part.told is None for parts in claimed.told for part in parts)
    assert verdict(served_by(form, model), form, claimed).difference is None
    assert isinstance(form.root, Pipeline)
    root = msgspec.structs.replace(form.root, last=Lenient(form.root.last))
    lenient = msgspec.structs.replace(form, root=root)
    found = verdict(served_by(lenient, model), lenient, claimed)
    assert found.difference is not None
    assert found.difference.startswith("the pipeline refuses rows that it answers")


def test_what_the_pipeline_refuses_hides_none_of_the_rows_that_it_answers(
    store: ModelStore,
) -> None:
    floats = DecisionTreeRegressor(max_depth=3).fit(X, Y)
    store.publish("tree", floats, X, Y)
    model = store.load(store.verify("tree", pickles="always"))
    claimed = claim(model, pack(floats, model.manifest.signature), last_of(floats))
    odd = claimed.told[-1]
    assert {part.rows for part in odd if part.told is None} == {1}
    # Of each column a float32 holds neither 1e300 nor -1e300, but a gap and five other numbers.
    assert sum(part.rows for part in odd if part.told is None) == 2 * FEATURES
    assert sum(part.rows for part in odd if part.told is not None) == 6 * FEATURES


@pytest.mark.parametrize("score", [1e300, -1e300])
def test_a_row_without_a_score_hides_no_scores_of_others(store: ModelStore, score: float) -> None:
    steep = LogisticRegression().fit(X, SIDES)
    steep.coef_ = steep.coef_ * 1e10
    store.publish("steep", steep, X, SIDES)
    model = store.load(store.verify("steep", pickles="always"))
    assert model.decides
    claimed = claim(model, pack(steep, model.manifest.signature), last_of(steep))
    whole = [part.told for part in claimed.told[-1] if part.told is not None]
    assert any(told.scores is not None for told in whole)
    assert all(len(told.labels) == 1 for told in whole if told.scores is None)


def test_a_pipeline_of_another_class_is_served_itself_and_says_why(store: ModelStore) -> None:
    found = store.publish("m", Louder().fit(X, Y), X, Y).served
    assert found is not None
    assert found.by == "pipeline"
    assert "Louder is not known" in found.reason


# The process of the proof ----------------------------------------------------------


def test_where_a_form_is_proven_no_library_that_trains_can_be_imported() -> None:
    script = (
        "import sys; from model_store.prover import BLOCKED, Blocker\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "assert not BLOCKED & set(sys.modules), BLOCKED & set(sys.modules)\n"
        "try:\n    import sklearn\nexcept ModuleNotFoundError as error:\n    print(error.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "sklearn\n"


def test_a_process_of_proof_that_was_killed_is_started_again(store: ModelStore) -> None:
    prover = prover_of(os.getpid())
    for number in (1, 2):
        found = store.publish("m", Ridge().fit(X, Y), X, Y)
        assert found.served is not None
        assert (found.version, found.served.by) == (number, "plain")
        assert prover.process is not None
        os.kill(prover.process.pid, signal.SIGKILL)


# The store -------------------------------------------------------------------------


def test_a_version_with_a_form_is_served_without_its_artifact(store: ModelStore) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, SIDES)
    found = store.publish("m", pipeline, X, SIDES)
    assert found.served is not None
    assert (found.served.by, found.served.form) == ("plain", FORM)
    (store.root / "m" / "1" / ARTIFACT).unlink()
    model = store.load(store.verify("m"))
    model.replay()
    assert model.pipeline is None
    assert model.predict(X).labels.tolist() == pipeline.predict(X).tolist()
    with pytest.raises(CorruptVersion, match=r"pipeline\.joblib"):
        store.verify("m", pickles="always")


def test_without_pickles_a_version_without_a_form_is_refused(store: ModelStore) -> None:
    store.publish("m", Louder().fit(X, Y), X, Y)
    store.verify("m")
    with pytest.raises(LoadFailed, match=r"^m version 1 .*QUART_APP_PICKLES=never.* no plain form"):
        store.verify("m", pickles="never")


def test_a_form_serves_over_another_scikit_learn_and_its_artifact_does_not(
    store: ModelStore,
) -> None:
    store.publish("m", Ridge().fit(X, Y), X, Y)
    path = store.root / "m" / "1" / MANIFEST
    told = json.loads(path.read_bytes())
    told["libraries"]["scikit_learn"] = "1.2.0"
    path.write_text(json.dumps(told))
    store.load(store.verify("m")).replay()
    with pytest.raises(Exception, match=r"scikit-learn 1\.2\.0"):
        store.verify("m", pickles="always")


@pytest.mark.parametrize("name", [FORM_HEADER, FORM_DATA])
def test_a_form_that_was_changed_is_not_read(store: ModelStore, name: str) -> None:
    store.publish("m", Ridge().fit(X, Y), X, Y)
    path = store.root / "m" / "1" / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptVersion, match=name):
        store.verify("m")


def test_a_form_that_is_none_is_told_though_its_digest_is_right(store: ModelStore) -> None:
    found = store.publish("m", Ridge().fit(X, Y), X, Y)
    folder = store.root / "m" / "1"
    forged = (folder / FORM_HEADER).read_bytes().replace(b'"offset":0', b'"offset":64')
    (folder / FORM_HEADER).write_bytes(forged)
    listed = {**found.files, FORM_HEADER: File.of(forged)}
    (folder / MANIFEST).write_bytes(manifest.write(msgspec.structs.replace(found, files=listed)))
    with pytest.raises(CorruptVersion, match=r"^The plain form of m version 1 cannot be read"):
        store.load(store.verify("m"))


def test_the_arrays_of_a_form_cannot_be_written_to(store: ModelStore) -> None:
    store.publish("m", Ridge().fit(X, Y), X, Y)
    form = store.load(store.verify("m")).form
    assert form is not None
    root: Any = form.root
    with pytest.raises(ValueError, match="read-only"):
        root.coefficients[0] = 1.0


def served(**changes: Any) -> Served:
    return msgspec.structs.replace(Served.found("plain", "it did"), **changes)


@pytest.mark.parametrize(
    ("given", "by", "reason"),
    [
        (None, "pipeline", UNCOMPARED),
        (served(by="shortcut", form=None), "pipeline", UNCOMPARED),
        (served(scikit_learn="0.1", numpy="0.2"), "plain", "it did"),
        (
            served(form=FORM + 1),
            "pipeline",
            LATER,
        ),
    ],
    ids=["before", "shortcut", "other libraries", "later"],
)
def test_what_serves_here_depends_on_the_form_and_not_on_the_libraries(
    given: Served | None, by: str, reason: str
) -> None:
    found = served_here(given)
    assert (found.by, found.reason) == (by, reason)


def test_a_form_comes_back_from_its_files_as_it_was(line: Model) -> None:
    form = pack(line.pipeline, line.manifest.signature)
    files = write(form)
    again = read(*files)
    assert write(again) == files
    assert np.array_equal(again.predict(X).labels, form.predict(X).labels)


# The rows --------------------------------------------------------------------------


def test_the_neighbours_of_a_threshold_lie_on_both_sides_of_it_in_both_widths() -> None:
    at = 0.1
    narrow = np.float32(at)
    found = neighbours(at)
    assert {float(np.nextafter(at, 1)), float(np.nextafter(at, 0))} <= set(found)
    assert {float(np.nextafter(narrow, np.float32(end))) for end in (0, 1)} <= set(found)
    assert at in found


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        DecisionTreeRegressor,
        pytest.param(HistGradientBoostingRegressor, marks=pytest.mark.forms),
        Ridge,
    ],
)
def test_fractions_among_integers_are_compared_and_answered_as_by_the_pipeline(
    kind: Any, framed: bool, store: ModelStore
) -> None:
    random = np.random.default_rng(2)
    counts: Any = random.integers(0, 40, (60, 3))
    if framed:
        counts = pd.DataFrame(counts, columns=["x0", "x1", "x2"])
    pipeline = kind().fit(counts, random.normal(size=60))
    store.publish("m", pipeline, counts)
    model = store.load(store.verify("m"))
    signature = model.manifest.signature
    assert model.form is not None
    assert all(column.open for column in signature.columns)
    drawn = draw(signature, model.golden_rows(), 300, random, missing=0).astype(float)
    assert ((drawn % 1 > 0).mean(axis=0) > 0.4).all()
    assert ((drawn % 1 == 0).mean(axis=0) > 0.4).all()
    for rows in (drawn, *drawn[:20, None], np.array([[0.5, 3, 7], [1, 2, 39.5]])):
        sent: Any = pd.DataFrame(rows, columns=counts.columns) if framed else rows
        found = model.answer(dict(zip(signature.names, rows.T, strict=True)), len(rows))
        np.testing.assert_allclose(found.labels, pipeline.predict(sent), rtol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_rows_are_drawn_within_the_ranges_of_training(missing: float) -> None:
    frame = pd.DataFrame(
        {
            "age": np.where(RANDOM.random(200) < 0.2, np.nan, RANDOM.uniform(1, 80, 200)),
            "class": RANDOM.integers(1, 4, 200),
        }
    )
    target = RANDOM.integers(0, 2, 200)
    pipeline = HistGradientBoostingClassifier(max_iter=3).fit(frame, target)
    inspection = Inspection.of_data(pipeline, frame, target)
    rows = draw(
        inspection.signature, inspection.golden, 300, np.random.default_rng(1), missing=missing
    )
    ages = rows[:, 0].astype(float)
    assert bool(np.isnan(ages).any()) is (missing > 0)
    assert 0 < np.nanmin(ages) < 10
    assert 70 < np.nanmax(ages) <= 80
    assert {1, 2, 3} <= set(rows[:, 1])
