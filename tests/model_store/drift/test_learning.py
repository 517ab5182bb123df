"""A version keeps what its training data was like, of every kind of column, and no more."""

from __future__ import annotations

import pickle
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_store import ModelStore
from model_store.drift import CategoryReference, NumberReference, Observed, Reference, verdict
from model_store.drift.learning import MOST_OTHERS, SAMPLE
from model_store.drift.reference import SHARES, SIZES
from model_store.errors import CorruptVersion
from model_store.importer import ImportRequest, import_files
from model_store.manifest import REFERENCE
from tests.model_store.conftest import (
    LABELS,
    X,
    classifier,
    edit_manifest,
    folder,
    publish_small,
    put,
)

ROWS: Final = 600
RANDOM: Final = np.random.default_rng(8)
PORTS: Final = np.array(["C", "Q", "S", None], dtype=object)
NAMES: Final = [f"name {place}" for place in range(ROWS)]
PEOPLE: Final = pd.DataFrame(
    {
        "age": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.normal(40, 9, ROWS)),
        "children": RANDOM.integers(0, 4, ROWS),
        "since": [date(2020, 1, 1) + timedelta(int(day)) for day in RANDOM.integers(0, 900, ROWS)],
        "port": RANDOM.choice(PORTS, ROWS, p=[0.2, 0.1, 0.6, 0.1]),
        "city": RANDOM.choice([f"city {place}" for place in range(30)], ROWS),
        "alone": RANDOM.random(ROWS) < 0.5,
        "name": NAMES,
    }
)
LEFT: Final = np.where(PEOPLE["children"] > 1, "yes", "no")


def people() -> Any:
    columns = ColumnTransformer(
        [
            ("port", OneHotEncoder(handle_unknown="ignore"), ["port"]),
            ("children", "passthrough", ["children"]),
            ("name", CountVectorizer(), "name"),
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(PEOPLE, LEFT)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("store"))
    store.publish("people", people(), PEOPLE, LEFT)
    return store


def reference_of(store: ModelStore, name: str, version: int | None = None) -> Reference:
    found = store.reference(name, version)
    assert found is not None
    return found


def test_each_column_is_kept_as_what_it_is(published: ModelStore) -> None:
    reference = reference_of(published, "people")
    assert reference.rows == ROWS
    columns = {column.name: column for column in reference.columns}
    assert list(columns) == list(PEOPLE.columns)
    readings = {
        name: column.reading if isinstance(column, NumberReference) else None
        for name, column in columns.items()
    }
    assert readings == {
        "age": "number",
        "children": "number",
        "since": "date",
        "port": None,
        "city": None,
        "alone": None,
        "name": "length",
    }
    age, known = columns["age"], PEOPLE["age"].dropna()
    assert isinstance(age, NumberReference)
    assert age.seen.missing == PEOPLE["age"].isna().sum()
    assert (age.center, age.spread) == pytest.approx((known.mean(), known.std(ddof=0)))
    assert len(age.quantiles) == len(SHARES)
    assert set(age.quantiles) <= set(known)
    assert age.quantiles[SHARES.index(0.5)] == pytest.approx(known.median(), abs=0.1)
    assert len(age.sample) == SAMPLE
    assert len(age.thresholds) == len(SIZES)
    port = columns["port"]
    assert isinstance(port, CategoryReference)
    assert port.labels == ("S", "C", "Q")
    assert dict(zip(port.labels, port.seen.counts, strict=False)) == dict(
        PEOPLE["port"].value_counts()
    )
    assert port.seen.missing == PEOPLE["port"].isna().sum()
    city = columns["city"]
    assert isinstance(city, CategoryReference)
    assert (len(city.labels), len(city.others or ())) == (20, 10)
    assert sum(city.seen.counts) == ROWS
    (told,) = reference.answers
    assert isinstance(told, CategoryReference)
    assert (told.name, told.seen.present) == ("prediction", ROWS)


def test_the_distances_of_later_rows_are_those_of_scipy_from_the_training_data(
    published: ModelStore,
) -> None:
    reference = reference_of(published, "people")
    random = np.random.default_rng(2)
    ages = random.normal(43, 9, 500)
    ports = random.choice(["C", "Q", "S"], 500, p=[0.5, 0.2, 0.3])
    observed = Observed.of(reference, {"age": ages.tolist(), "port": ports.tolist()})
    found = {each.name: each for each in verdict(reference, observed)}
    known = PEOPLE["age"].dropna()
    expected = wasserstein_distance(known, ages) / np.std(known)
    assert found["age"].distance == pytest.approx(expected, abs=0.01)
    shares = [(values == label).sum() for values in (PEOPLE["port"], ports) for label in "CQS"]
    distance = jensenshannon(shares[:3], shares[3:])
    assert found["port"].distance == pytest.approx(distance, abs=1e-9)
    assert found["port"].drifts


@pytest.mark.parametrize(
    ("column", "cells", "counts", "missing"),
    [
        ("age", [40, 40.5, "41", True, None, float("nan"), "", "many", [1], "inf"], 4, 2),
        ("since", ["2020-02-01", "2020-02-01T08:00:00+01:00", None, "soon", 5], 2, 1),
        ("name", ["Ada", "", None, 5], 2, 1),
        ("alone", [True, "true", 1, None], 3, 1),
    ],
)
def test_values_are_counted_however_they_were_sent(
    column: str, cells: list[Any], counts: int, missing: int, published: ModelStore
) -> None:
    reference = reference_of(published, "people")
    found = Observed.of(reference, {column: cells, "another": [1]}).columns
    assert list(found) == [column]
    assert (found[column].present, found[column].missing) == (counts, missing)


def test_categories_are_the_same_as_numbers_and_as_texts(empty: ModelStore) -> None:
    floors = pd.DataFrame({"floor": pd.Categorical([1, 2, 3] * 50)})
    pipeline = make_pipeline(OneHotEncoder(), LinearRegression()).fit(floors, [1.0, 2, 3] * 50)
    empty.publish("floors", pipeline, floors, [1.0, 2, 3] * 50)
    found = Observed.of(reference_of(empty, "floors"), {"floor": [1, 1.0, "1", 4]})
    assert found.columns["floor"].counts == (3, 0, 0, 1)
    assert found.columns["floor"].unseen == 1


def test_the_same_training_data_has_the_same_reference(published: ModelStore) -> None:
    published.publish("again", people(), PEOPLE, LEFT)
    digests = [published.manifest(name).files[REFERENCE] for name in ("people", "again")]
    assert digests[0] == digests[1]


def test_without_a_background_no_values_are_kept_as_a_sample(empty: ModelStore) -> None:
    empty.publish("people", people(), PEOPLE, LEFT, background=False)
    age = reference_of(empty, "people").columns[0]
    assert isinstance(age, NumberReference)
    assert age.sample == ()


def test_of_a_hundred_columns_and_a_thousand_categories_it_stays_small(empty: ModelStore) -> None:
    random = np.random.default_rng(1)
    numbers = pd.DataFrame(random.normal(size=(1000, 99)), columns=[f"x{i}" for i in range(99)])
    frame = numbers.assign(id=[f"customer {place}" for place in range(1000)])
    columns = ColumnTransformer(
        [("id", OneHotEncoder(), ["id"]), ("x", "passthrough", list(numbers.columns))]
    )
    y = random.normal(size=1000)
    empty.publish("wide", make_pipeline(columns, LinearRegression()).fit(frame, y), frame, y)
    assert empty.manifest("wide").files[REFERENCE].size < 350_000
    reference = reference_of(empty, "wide")
    identity = reference.columns[-1]
    assert isinstance(identity, CategoryReference)
    assert reference.rows > MOST_OTHERS
    assert identity.others is None
    assert not identity.is_whole


def test_a_server_reads_nothing_of_it(published: ModelStore, tmp_path: Path) -> None:
    copy = ModelStore(tmp_path)
    published.copy(published.verify("people"), tmp_path)
    path = folder(copy, "people") / REFERENCE
    path.write_bytes(b"{}" + path.read_bytes()[2:])
    copy.load(copy.verify("people")).replay()
    with pytest.raises(CorruptVersion, match=r"reference.json of people version 1 is not what was"):
        copy.reference("people")
    put(path, b"{}")
    with pytest.raises(CorruptVersion, match=r"reference.json of people version 1 cannot be read"):
        copy.reference("people")


def test_an_older_version_has_none_and_neither_has_one_without_data(empty: ModelStore) -> None:
    publish_small(empty)
    assert reference_of(empty, "small").rows == len(X)
    assert not reference_of(empty, "small").is_enough
    files = empty.manifest("small").files
    older = {
        name: {"size": each.size, "sha256": each.sha256}
        for name, each in files.items()
        if name != REFERENCE
    }
    edit_manifest(folder(empty), "files", value=older)
    assert empty.reference("small") is None
    empty.publish("small", LinearRegression().fit(X, X[:, 0]))
    assert empty.reference("small", 2) is None


def test_an_import_keeps_one_of_its_sample(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(classifier()))
    rows = pd.DataFrame(X, columns=["a", "b"]).assign(kind=LABELS)
    pd.concat([rows] * 40).to_csv(tmp_path / "rows.csv", index=False)
    store = ModelStore(tmp_path / "store")
    for sample in (str(tmp_path / "rows.csv"), None):
        request = ImportRequest(
            name="m",
            files=(str(tmp_path / "model.pkl"),),
            sample=sample,
            target=("kind",) if sample else (),
        )
        _, draft = import_files(request)
        assert draft is not None
        store.add(draft)
    assert reference_of(store, "m", 1).rows == 240
    assert reference_of(store, "m", 1).is_enough
    assert store.reference("m", 2) is None
