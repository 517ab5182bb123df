"""Small pipelines whose answers were lost on the way from a client, each as a row of a table.

A case is published with its data or imported with a sample, and asked. Right is what the pipeline
itself says of the values as a person would write them, or a fault that names the column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    scale,
)
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from model_store import Model, ModelStore
from model_store.errors import InvalidPipeline, InvalidTable, ModelStoreError
from model_store.importer import ImportReport, ImportRequest, import_files
from model_store.tables import Table
from model_store.text_rules import FORM, JSON, TextRules

from ..properties.consumers import OWN_STEPS, own_steps

pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories")

Row = dict[str, Any]
STEPS: Final = own_steps()
NAN: Final = float("nan")
ignore: Final = OneHotEncoder(handle_unknown="ignore")


@dataclass(frozen=True)
class Case:
    """A pipeline with its training data, a row as a client sends it, and as a person writes it.

    `refused` says that a fault is the only right answer, `refusable` that one is as right."""

    pipeline: Any
    X: Any
    y: Any
    row: Row
    written: Any
    rules: TextRules = JSON
    refusable: bool = False
    refused: bool = False
    given: Any = None
    """What is given when it is published, where that is not what it was trained on."""


def columns(first: Any, names: list[Any], last: Any) -> Any:
    """The named columns through `first`, the others as they are."""
    return make_pipeline(
        ColumnTransformer([("first", first, names)], remainder="passthrough"), last
    )


def step(name: str, last: Any) -> Any:
    return make_pipeline(FunctionTransformer(getattr(STEPS, name)), last)


def frame(**values: Any) -> pd.DataFrame:
    """One row."""
    return pd.DataFrame({name: [value] for name, value in values.items()})


# Published with the data of training ------------------------------------------------

AGES: Final = pd.DataFrame({"age": [20, 40, 60, 80], "kids": [0, 1, 2, 3]}).astype("int8")
TENS: Final = [20.0, 40.0, 60.0, 80.0]
CODES: Final = pd.DataFrame({"code": [1, 2, 3] * 4, "v": np.linspace(0, 1, 12)})
IDS: Final = [1_600_000_000_000_000_001 + 37 * place for place in range(20)]
USERS: Final = pd.DataFrame({"user": IDS * 10, "v": np.linspace(0, 1, 200)})
VIP: Final = np.where(USERS["user"] == IDS[0], "vip", "no")
LETTERS: Final = pd.DataFrame({"c": pd.Series(["a", "b", "a", None] * 10, dtype=object)})
ZONED: Final = pd.DataFrame(
    {"at": pd.date_range("2024-01-01", periods=24, freq="h", tz="Europe/Berlin")}
)
DAYS: Final = pd.DataFrame({"day": ["05/12/2024", "05/13/2024", "11/28/2024"] * 4})
SINCE: Final = pd.DataFrame({"since": ["2024-01-01", None, "2024-02-02", None] * 5})
GRADES: Final = pd.DataFrame({"w": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "grade": [1.0, 2.0, 3.0] * 2})
RATED: Final = GRADES["grade"] ** 2 * 100

PUBLISHED: Final[dict[str, Callable[[], Case]]] = {
    "a number beyond int8, scaled": lambda: Case(
        make_pipeline(StandardScaler(), SVR(kernel="linear", C=100)).fit(AGES, TENS),
        *(AGES, TENS, {"age": 130, "kids": 1}, frame(age=130, kids=1)),
        refusable=True,
    ),
    "a number beyond int8 beside a text": lambda: Case(
        columns(OneHotEncoder(), ["sex"], SVR(kernel="linear", C=100)).fit(
            AGES.assign(sex=["m", "f"] * 2), TENS
        ),
        *(AGES.assign(sex=["m", "f"] * 2), TENS),
        *({"age": 130, "kids": 1, "sex": "m"}, frame(age=130, kids=1, sex="m")),
        refusable=True,
    ),
    "a fraction for a code": lambda: Case(
        columns(
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            *(["code"], DecisionTreeRegressor(random_state=0)),
        ).fit(CODES, CODES["code"] * 100.0),
        *(CODES, CODES["code"] * 100.0, {"code": 2.5, "v": 0.1}, frame(code=2.5, v=0.1)),
        refusable=True,
    ),
    "an id of 19 digits beside a float": lambda: Case(
        columns(ignore, ["user"], LogisticRegression(C=100)).fit(USERS, VIP),
        *(USERS, VIP, {"user": IDS[0], "v": 0.5}, frame(user=IDS[0], v=0.5)),
    ),
    "None among texts of a frame": lambda: Case(
        make_pipeline(ignore, DecisionTreeClassifier()).fit(LETTERS, LETTERS["c"].isna()),
        *(LETTERS, LETTERS["c"].isna(), {"c": ""}, LETTERS[3:4]),
        rules=FORM,
    ),
    "None among texts of an array": lambda: Case(
        make_pipeline(ignore, DecisionTreeClassifier()).fit(
            LETTERS.to_numpy(), LETTERS["c"].isna()
        ),
        *(LETTERS.to_numpy(), LETTERS["c"].isna(), {"x0": None}, LETTERS.to_numpy()[3:4]),
    ),
    "None among texts, with labels of text": lambda: Case(
        make_pipeline(ignore, DecisionTreeClassifier()).fit(
            LETTERS, np.where(LETTERS["c"].isna(), "leaves", "stays")
        ),
        *(LETTERS, np.where(LETTERS["c"].isna(), "leaves", "stays"), {"c": None}, LETTERS[3:4]),
    ),
    "a winter's time without a zone": lambda: Case(
        step("hours", DecisionTreeRegressor()).fit(ZONED, ZONED["at"].dt.hour),
        *(ZONED, ZONED["at"].dt.hour, {"at": "2024-01-01T08:00:00"}, None),
        refused=True,
    ),
    "a summer's time without a zone": lambda: Case(
        step("hours", DecisionTreeRegressor()).fit(ZONED, ZONED["at"].dt.hour),
        *(ZONED, ZONED["at"].dt.hour, {"at": "2024-07-01T08:00:00"}, None),
        refused=True,
    ),
    "a time of another zone": lambda: Case(
        step("hours", DecisionTreeRegressor()).fit(ZONED, ZONED["at"].dt.hour),
        *(ZONED, ZONED["at"].dt.hour, {"at": "2024-01-01T08:00:00+00:00"}),
        frame(at=datetime(2024, 1, 1, 8, tzinfo=UTC)).astype(ZONED.dtypes),
    ),
    "a missing date of text": lambda: Case(
        step("missing", LinearRegression()).fit(SINCE, SINCE["since"].isna() * 100.0),
        *(SINCE, SINCE["since"].isna() * 100.0, {"since": ""}, SINCE[1:2]),
        rules=FORM,
        given=SINCE[SINCE["since"].notna()],
    ),
    "a step that finds its columns by name": lambda: Case(
        make_pipeline(STEPS.Named(("grade",)), LinearRegression()).fit(GRADES, RATED),
        *(GRADES, RATED, {"w": 0.2, "grade": 2}, frame(w=0.2, grade=2.0)),
    ),
    "a day that was never seen": lambda: Case(
        step("read_days", LinearRegression()).fit(DAYS, [1.0, 2.0, 3.0] * 4),
        *(DAYS, [1.0, 2.0, 3.0] * 4, {"day": "11/29/2024"}, frame(day="11/29/2024")),
    ),
}


def asked(model: Model, row: Row, rules: TextRules) -> Any:
    """The label of a row, or the sentence that refuses it."""
    found = model.answer({name: [value] for name, value in row.items()}, rows=1, rules=rules)
    if found.unfit is not None:
        return "; ".join(map(str, found.unfit.faults))
    return found.labels.tolist()[0]


def require_right(model: Model, case: Case) -> None:
    """Require the pipeline's own answer, or a fault that names the first column."""
    found = asked(model, case.row, case.rules)
    name = next(iter(case.row))
    if case.refused or (case.refusable and isinstance(found, str)):
        assert isinstance(found, str)
        assert name in found
        return
    wanted = case.pipeline.predict(case.written).tolist()[0]
    assert found == (pytest.approx(wanted, rel=1e-9) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_with_its_data_answers_as_it_does_by_itself(
    name: str, tmp_path: Path
) -> None:
    case, store = PUBLISHED[name](), ModelStore(tmp_path)
    X = case.X if case.given is None else case.given
    y = np.asarray(case.y)[: len(X)]
    store.publish("case", case.pipeline, X, y, code=OWN_STEPS)
    require_right(store.load(store.verify("case")), case)


def test_ids_that_lose_digits_are_told_or_kept_where_labels_are_texts(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    X = pd.DataFrame({"user": IDS[:3] * 20, "v": np.linspace(0, 1, 60)})
    y = np.where(X["user"] == IDS[0], "vip", "no")
    pipeline = columns(ignore, ["user"], LogisticRegression(C=100)).fit(X, y)
    store.publish("ids", pipeline, X, y)
    model = store.load(store.verify("ids"))
    assert [asked(model, {"user": user, "v": 0.5}, JSON) for user in IDS[:3]] == ["vip", "no", "no"]


# What publishing says ----------------------------------------------------------------

BATCH: Final = np.array([[90.0, 10.0], [10.0, 90.0], [80.0, 20.0], [30.0, 60.0]] * 5)
LINE: Final = pd.DataFrame({"a": np.linspace(0, 1, 40)})
TOLD: Final[dict[str, tuple[Callable[[], tuple[Any, Any, Any]], str]]] = {
    "an answer that depends on the batch": (
        lambda: (
            make_pipeline(FunctionTransformer(scale), LogisticRegression()).fit(BATCH, [1, 0] * 10),
            *(BATCH, [1, 0] * 10),
        ),
        "(?i)alone|batch",
    ),
    "answers that vary, of text": (
        lambda: (
            DummyClassifier(strategy="stratified").fit(LINE, ["stays", "leaves"] * 20),
            *(LINE, ["stays", "leaves"] * 20),
        ),
        "(?i)same row",
    ),
    "answers that vary, of numbers": (
        lambda: (
            DummyClassifier(strategy="stratified").fit(LINE, [0, 1] * 20),
            *(LINE, [0, 1] * 20),
        ),
        "(?i)same row",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_cannot_be_answered_so_is_told_when_it_is_published(name: str, tmp_path: Path) -> None:
    make, sentence = TOLD[name]
    pipeline, X, y = make()
    with pytest.raises(ModelStoreError, match=sentence):
        ModelStore(tmp_path).publish("case", pipeline, X, y)


# Imported with a sample ---------------------------------------------------------------

ZIPS: Final = pd.DataFrame({"zip": [f"{number:05d}" for number in range(501, 99950, 2600)]})
PREFIXES: Final = [float(text[:2]) for text in ZIPS["zip"]]
WHOLE: Final = pd.DataFrame({"n": [1, 2, 3] * 20})
SPACED: Final = pd.DataFrame({"work": [" Private", " State-gov", " ?"] * 10})
INCOMES: Final = np.array([" >50K", " <=50K", " <=50K"] * 10)
ROOMS: Final = pd.DataFrame({"id": [1.0, 5.0, 2.0, 6.0], "rooms": [1.0, 2.0, 3.0, 4.0]})


def known(name: str, texts: list[str]) -> tuple[Any, pd.DataFrame, list[str]]:
    """A pipeline that knows texts, as an encoder of another library does."""
    X, y = pd.DataFrame({name: texts * 10}), ["A", "B", "C"][: len(texts)] * 10
    return make_pipeline(STEPS.Known(), DecisionTreeClassifier()).fit(X, y), X, y


def spaced(unknown: str, labels: Any) -> Case:
    pipeline = make_pipeline(OneHotEncoder(handle_unknown=unknown), LogisticRegression(C=100))
    row = {"work": " Private"}
    return Case(pipeline.fit(SPACED, labels), SPACED, labels, row, frame(**row))


IMPORTED: Final[dict[str, Callable[[], Case]]] = {
    "None among texts": lambda: Case(
        make_pipeline(
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-5),
            DecisionTreeClassifier(),
        ).fit(LETTERS, LETTERS["c"].isna().astype(int)),
        *(LETTERS, LETTERS["c"].isna().astype(int), {"c": ""}, LETTERS[3:4]),
        rules=FORM,
    ),
    "a step that finds its columns by name": lambda: Case(
        make_pipeline(STEPS.Named(("grade",)), LinearRegression()).fit(GRADES, RATED),
        *(GRADES, RATED, {"w": 0.2, "grade": 2}, frame(w=0.2, grade=2.0)),
    ),
    "a step that needs a frame": lambda: Case(
        make_pipeline(STEPS.Needed(("rooms",)), LinearRegression()).fit(ROOMS, ROOMS["rooms"]),
        *(ROOMS, ROOMS["rooms"], {"id": 2, "rooms": 3}, frame(id=2.0, rooms=3.0)),
    ),
    "zip codes": lambda: Case(
        step("prefixes", DecisionTreeRegressor()).fit(ZIPS, PREFIXES),
        *(ZIPS, PREFIXES, {"zip": ZIPS["zip"][1]}, ZIPS[1:2]),
        rules=FORM,
    ),
    "zip codes of an encoder of others": lambda: Case(
        *known("zip", ["01067", "10115", "80331"]),
        *({"zip": "10115"}, frame(zip="10115")),
        rules=FORM,
    ),
    "truths of text": lambda: Case(
        *known("t", ["True", "False"]), {"t": "False"}, frame(t="False"), rules=FORM
    ),
    "texts of integers": lambda: Case(
        make_pipeline(
            FunctionTransformer(STEPS.written),
            OneHotEncoder(handle_unknown="ignore"),
            LogisticRegression(C=100),
        ).fit(WHOLE, ["A", "B", "C"] * 20),
        *(WHOLE, ["A", "B", "C"] * 20, {"n": "1"}, WHOLE[:1]),
        rules=FORM,
    ),
    "categories and labels with a space": lambda: spaced("error", INCOMES),
    "ignored categories and labels with a space": lambda: spaced("ignore", INCOMES),
    "categories with a space": lambda: spaced("error", np.char.strip(INCOMES)),
    "ignored categories with a space": lambda: spaced("ignore", np.char.strip(INCOMES)),
}


def imported(
    folder: Path, pipeline: Any, sample: str, *, suffix: str = "joblib", **order: Any
) -> tuple[ImportReport, Model]:
    """What an import says, in this process, and the model that comes of it."""
    file, table = folder / f"mine.{suffix}", folder / "rows.csv"
    if suffix == "skops":
        skops.io.dump(pipeline, file)
    else:
        joblib.dump(pipeline, file)
    table.write_text(sample)
    request = ImportRequest(
        name="mine",
        files=(str(file),),
        sample=str(table),
        target=("y",),
        code=str(OWN_STEPS),
        **order,
    )
    report, draft = import_files(request)
    assert draft is not None
    store = ModelStore(folder / "store")
    store.add(draft)
    return report, store.load(store.verify("mine"))


@pytest.mark.parametrize("name", IMPORTED)
def test_what_is_imported_with_a_sample_answers_as_it_does_by_itself(
    name: str, tmp_path: Path
) -> None:
    case = IMPORTED[name]()
    sample = case.X.assign(y=np.asarray(case.y)).to_csv(index=False)
    _, model = imported(tmp_path, case.pipeline, sample)
    require_right(model, case)
    for row, wanted in zip(texts_of(case.X), case.pipeline.predict(case.X), strict=True):
        # One row alone is added up otherwise than many, in the last bit.
        assert asked(model, row, FORM) == pytest.approx(wanted, rel=1e-12)


def texts_of(X: pd.DataFrame) -> list[Row]:
    """The rows as people type them."""
    names = list(X.columns)
    cells = zip(*[X[name].tolist() for name in names], strict=True)
    return [
        {name: "" if pd.isna(value) else str(value) for name, value in zip(names, row, strict=True)}
        for row in cells
    ]


WORDS: Final = ("NA", "N/A", "n/a", "NaN", "None", "null", "NULL", "<NA>", "#N/A")


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_a_missing_number_is_read_in_a_sample(word: str, tmp_path: Path) -> None:
    X = pd.DataFrame({"a": [1.0, None, 3.0, 4.0] * 10})
    y = ["low", "low", "high", "high"] * 10
    pipeline = make_pipeline(SimpleImputer(), LogisticRegression()).fit(X, y)
    _, model = imported(tmp_path, pipeline, X.assign(y=y).to_csv(index=False, na_rep=word))
    assert asked(model, {"a": None}, JSON) == pipeline.predict(X[1:2])[0]


def test_a_label_that_is_no_class_is_refused_with_its_row_and_text(tmp_path: Path) -> None:
    X = pd.DataFrame({"a": np.linspace(0, 1, 40)})
    pipeline = DecisionTreeClassifier().fit(X, X["a"] > 0.5)
    sample = X.assign(y=np.where(X["a"] > 0.5, "yes", "maybe")).to_csv(index=False)
    with pytest.raises((InvalidPipeline, InvalidTable), match=r"y.*maybe"):
        imported(tmp_path, pipeline, sample)


def test_a_label_that_is_missing_counts_in_no_score(tmp_path: Path) -> None:
    X = pd.DataFrame({"a": np.linspace(0, 1, 40)})
    truth = (X["a"] > 0.5).astype(int)
    pipeline = DecisionTreeClassifier().fit(X, truth)
    sample = X.assign(y=np.where(truth == 1, "", "0")).to_csv(index=False)
    report, _ = imported(tmp_path, pipeline, sample)
    (agreement,) = report.agreements
    assert (agreement.rows, agreement.equal) == (20, 20)


def test_a_file_of_skops_needs_no_trust_for_what_is_of_scikit_learn(tmp_path: Path) -> None:
    X = pd.DataFrame({"a": [0.0, 1.0] * 10})
    pipeline = DecisionTreeClassifier().fit(X, [0, 1] * 10)
    sample = X.assign(y=[0, 1] * 10).to_csv(index=False)
    _, model = imported(tmp_path, pipeline, sample, suffix="skops")
    assert asked(model, {"a": 1}, JSON) == 1


def test_answers_that_vary_are_told_when_a_pipeline_is_imported(tmp_path: Path) -> None:
    y = ["stays", "leaves"] * 20
    pipeline = DummyClassifier(strategy="stratified").fit(LINE, y)
    with pytest.raises(InvalidPipeline, match=r"(?i)same row"):
        imported(tmp_path, pipeline, LINE.assign(y=y).to_csv(index=False))


def test_the_line_that_tells_a_separator_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("sep=;\na;b\n8;0\n")
    assert Table.read(tmp_path / "rows.csv").columns == {"a": ["8"], "b": ["0"]}
