"""Models that XGBoost, LightGBM and CatBoost wrote themselves become their estimators."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import skops.io

from model_store import ModelStore, pickles
from model_store.errors import UnreadableFile, Unsound, Untrusted
from model_store.importer import ImportRequest, import_files
from model_store.soundness.check import require_sound
from model_store.sources import skops as skops_files
from model_store.sources.finding import format_of
from model_store.trust import Trust

pytestmark = pytest.mark.guests
catboost = pytest.importorskip("catboost")
lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")

random = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {"size": random.normal(size=60).round(2), "city": random.choice(["a", "b", "c"], 60)}
)
TWO = ((FRAME["size"] > 0) ^ (FRAME["city"] == "a")).astype(int).to_numpy()
THREE = np.digitize(FRAME["size"], [-0.3, 0.3])
NUMBERS = FRAME["size"].to_numpy() * 2
CATEGORIES = FRAME.astype({"city": "category"})
PLAIN = FRAME[["size"]]
WORDS = np.where(TWO, "yes", "no")

Saved = tuple[Any, Any, Any]
"""A fitted estimator, the rows and what it tells of them."""


def xgb(kind: str, rows: Any, truth: Any, **more: Any) -> Callable[[Path], Saved]:
    def save(file: Path) -> Saved:
        model = getattr(xgboost, kind)(n_estimators=5, **more).fit(rows, truth)
        model.save_model(file)
        return model, rows, truth

    return save


def lgbm(kind: str, rows: Any, truth: Any) -> Callable[[Path], Saved]:
    def save(file: Path) -> Saved:
        model = getattr(lightgbm, kind)(n_estimators=5, verbose=-1, min_child_samples=5)
        model.fit(rows, truth).booster_.save_model(file)
        return model, rows, truth

    return save


def cat(kind: str, rows: Any, truth: Any, **more: Any) -> Callable[[Path], Saved]:
    def save(file: Path) -> Saved:
        model = getattr(catboost, kind)(
            iterations=5, verbose=0, allow_writing_files=False, **more
        ).fit(rows, truth)
        model.save_model(str(file))
        return model, rows, truth

    return save


CASES: dict[str, Callable[[Path], Saved]] = {
    "two.json": xgb("XGBClassifier", PLAIN, TWO),
    "two.ubj": xgb("XGBClassifier", PLAIN, TWO),
    "three.ubj": xgb("XGBClassifier", PLAIN, THREE),
    "numbers.ubj": xgb("XGBRegressor", PLAIN, NUMBERS),
    "categories.ubj": xgb("XGBClassifier", CATEGORIES, TWO, enable_categorical=True),
    "early.ubj": xgb("XGBRegressor", PLAIN, NUMBERS, booster="dart"),
    "two.txt": lgbm("LGBMClassifier", PLAIN, TWO),
    "three.txt": lgbm("LGBMClassifier", PLAIN, THREE),
    "numbers.txt": lgbm("LGBMRegressor", PLAIN, NUMBERS),
    "categories.txt": lgbm("LGBMClassifier", CATEGORIES, TWO),
    "two.cbm": cat("CatBoostClassifier", PLAIN, TWO),
    "words.cbm": cat("CatBoostClassifier", PLAIN, WORDS),
    "three.cbm": cat("CatBoostClassifier", PLAIN, THREE),
    "numbers.cbm": cat("CatBoostRegressor", PLAIN, NUMBERS),
    "categories.cbm": cat("CatBoostClassifier", FRAME, WORDS, cat_features=["city"]),
}


@pytest.mark.parametrize("name", ["two.json", "two.ubj", "two.txt", "two.cbm"])
def test_a_model_says_what_wrote_it_where_its_format_does(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    CASES[name](file)
    request = ImportRequest(name="m", files=(str(file),), attempt=False, publish=False)
    report, _ = import_files(request)
    written = {
        "json": f"XGBoost {xgboost.__version__}",
        "ubj": f"XGBoost {xgboost.__version__}",
        "txt": "LightGBM (format v4)",
        "cbm": "CatBoost",
    }[name[4:]]
    assert report.files[0].guest == written
    if name == "two.ubj":
        _, draft = import_files(ImportRequest(name="m", files=(str(file),)))
        assert draft is not None
        assert draft.manifest.source is not None
        assert draft.manifest.source.writer == written


@pytest.mark.parametrize("name", CASES)
def test_a_model_answers_as_the_estimator_that_was_saved(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    model, rows, _ = CASES[name](file)
    data = file.read_bytes()
    found = format_of(name, data)
    named = found.listing(data).globals
    again = found.load(data, Trust())
    if not name.endswith("cbm"):
        assert Trust().refused(named) == []
        require_sound(again, Trust())
    assert type(again) is type(model)
    assert np.array_equal(again.predict(rows), model.predict(rows))
    if hasattr(model, "predict_proba"):
        assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))
    # What is allowed when it is imported is all that its artifact names.
    assert set(Trust().refused(pickles.listing(pickle.dumps(again)).globals)) <= set(named)


@pytest.mark.parametrize("name", ["two.ubj", "categories.txt", "categories.cbm", "numbers.cbm"])
def test_a_model_is_published_with_the_rows_that_were_given(name: str, tmp_path: Path) -> None:
    file, sample = tmp_path / name, tmp_path / "rows.csv"
    model, rows, truth = CASES[name](file)
    rows.assign(y=truth).to_csv(sample, index=False)
    request = ImportRequest(
        name="mine",
        files=(str(file),),
        sample=str(sample),
        target=("y",),
        trust=name.endswith("cbm"),
    )
    report, draft = import_files(request)
    assert draft is not None
    store = ModelStore(tmp_path / "store")
    store.add(draft)
    store.load(store.verify("mine")).replay()
    assert report.sample is not None
    asked = pandas.DataFrame(report.sample.rows).astype(dict(rows.dtypes))
    predicted = np.ravel(model.predict(asked)).tolist()
    assert list(report.sample.predictions) == pytest.approx(predicted)


def test_a_model_of_catboost_needs_to_be_allowed_and_says_why(tmp_path: Path) -> None:
    CASES["two.cbm"](tmp_path / "two.cbm")
    with pytest.raises(Untrusted, match=r"CatBoost is given is not checked.*--trust"):
        import_files(ImportRequest(name="mine", files=(str(tmp_path / "two.cbm"),)))


@pytest.mark.parametrize("name", ["two.json", "two.ubj", "two.txt", "two.cbm"])
def test_a_model_that_is_cut_off_ends_in_a_sentence(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    CASES[name](file)
    data = file.read_bytes()
    for end in (len(data) // 3, len(data) // 2, len(data) - 20):
        file.write_bytes(data[:end])
        with pytest.raises((UnreadableFile, Unsound), match=r"write it|copy it|cut off|should be"):
            import_files(ImportRequest(name="mine", files=(str(file),), trust=name == "two.cbm"))


def test_a_model_that_ranks_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rank.ubj"
    xgboost.XGBRanker(n_estimators=2).fit(PLAIN, TWO, qid=np.zeros(60, int)).save_model(file)
    with pytest.raises(UnreadableFile, match="rank:ndcg"):
        import_files(ImportRequest(name="mine", files=(str(file),), trust=True))


def sides(found: Any) -> Any:
    """The left children of the first tree."""
    return found["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"]


def test_a_forged_tree_of_xgboost_ends_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "two.json"
    CASES["two.json"](file)
    found = json.loads(file.read_bytes())
    for child in (10**6, 0):
        sides(found)[0] = child
        file.write_text(json.dumps(found))
        with pytest.raises(Unsound, match=r"two\.json: A model of XGBoost is not what"):
            import_files(ImportRequest(name="mine", files=(str(file),)))


def test_a_forged_tree_of_lightgbm_ends_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "two.txt"
    CASES["two.txt"](file)
    text = file.read_text()
    for child in ("1000000", "0"):
        file.write_text(re.sub(r"left_child=\S+", f"left_child={child}", text, count=1))
        with pytest.raises(Unsound, match=r"two\.txt: A model of LightGBM is not what it should"):
            import_files(ImportRequest(name="mine", files=(str(file),)))


@pytest.mark.parametrize("name", ["two.ubj", "categories.ubj", "two.txt", "categories.txt"])
def test_a_file_of_skops_with_such_a_model_needs_no_flag(name: str, tmp_path: Path) -> None:
    model, rows, _ = CASES[name](tmp_path / name)
    data = skops.io.dumps(model)
    assert Trust().refused(skops_files.listing(data).globals) == []
    again = skops_files.load(data, Trust())
    require_sound(again, Trust())
    assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))
