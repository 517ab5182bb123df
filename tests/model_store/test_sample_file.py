"""Samples: what their columns were, found by asking the pipeline, and what they tell of targets.

Each pipeline is fitted on data with types, of which the sample is a file. What the pipeline says of
the rows as they were read is what it says of the rows that it was fitted on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier

from model_store import ModelStore
from model_store.arrow_files import ArrowFile
from model_store.column_facts import narrow_of
from model_store.errors import InvalidPipeline, InvalidTable, ModelStoreError, Undecided
from model_store.sample_file import SampleRows, read_sample
from model_store.structure import Hint, Structure

ROWS = 30
NAN = np.nan


def repeated(*values: Any, dtype: Any = None) -> pandas.DataFrame:
    """A DataFrame of one column `c`."""
    return pandas.DataFrame({"c": pandas.Series([*values] * (ROWS // len(values)), dtype=dtype)})


def labels(data: Any, count: int) -> list[str]:
    return [*"ABCDEF"[:count]] * (len(data) // count)


class Step(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Does with the rows what a function does, and remembers no names."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def fit(self, X: Any, y: Any = None) -> Step:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return self.function(X)


def step(function: Callable[[Any], Any]) -> Any:
    """A pipeline that keeps no names, and does with the column what a function does."""
    return make_pipeline(Step(function), DecisionTreeClassifier(random_state=0))


def spelled(X: Any) -> Any:
    """Each value as the number that its text makes, which tells 1 from 1.0, "1" and True."""
    cells = np.asarray(X, dtype=object)[:, 0]
    return np.array([[sum(ord(c) * (i + 1) for i, c in enumerate(str(each)))] for each in cells])


def printed(X: Any) -> Any:
    return spelled(X.astype(str))


def absent(X: Any) -> Any:
    cells = X.iloc[:, 0] if hasattr(X, "iloc") else X[:, 0]
    return np.array([[str(cell) == "<NA>"] for cell in cells])


def day(X: Any) -> Any:
    return np.c_[X["c"].dt.day_of_year]


def parsed_day(X: Any) -> Any:
    return np.c_[pandas.to_datetime(X["c"], format="%d/%m/%Y").dt.day_of_year]


def negated(X: Any) -> Any:
    return np.c_[~X["c"]]


def codes(X: Any) -> Any:
    return np.c_[X["c"].cat.codes]


def kind(X: Any) -> Any:
    return np.full((len(X), 1), ord(np.asarray(X).dtype.kind)) + (np.asarray(X) == 1)


def replaced(old: str, new: str) -> Callable[[pandas.DataFrame], str]:
    return lambda frame: frame.to_csv(index=False).replace(old, new)


def read(
    pipeline: Any,
    frame: pandas.DataFrame,
    folder: Path,
    write: Callable[[pandas.DataFrame], str] | None = None,
    target: str | None = "y",
    types: dict[str, str] | None = None,
    missing: dict[str, str] | None = None,
) -> SampleRows:
    text = frame.to_csv(index=False) if write is None else write(frame)
    path = folder / "rows.csv"
    path.write_bytes(text.encode())
    targets = () if target is None else (target,)
    return read_sample(pipeline, Structure.of(pipeline), str(path), targets, types, missing)


IDS = (1700000000000000001, 1700000000000000002, 1700000000000000003)
DAYS = ("2024-05-12", "2024-06-13", "2024-11-28")
MOMENTS = pandas.to_datetime(DAYS)
ENCODED = make_pipeline(OneHotEncoder(handle_unknown="ignore"), DecisionTreeClassifier())
FILLED = make_pipeline(SimpleImputer(), DecisionTreeClassifier())

# What the column was, the pipeline, what its type is found to be, and whether that is said.
TOLD_BY_THE_TARGET: dict[str, tuple[pandas.DataFrame, Any, str, bool]] = {
    "integers that become texts": (repeated(1, 2, 3), step(spelled), "integer", True),
    "floats that become texts": (repeated(1.0, 2.0, 3.0), step(spelled), "number", True),
    "ids of 19 digits": (repeated(*IDS), step(spelled), "integer", True),
    "ids of 20 digits": (repeated("1" * 20, "2" * 20, "3" * 20), step(spelled), "category", True),
    "codes with an exponent": (repeated("1e5", "2e5", "100000"), step(spelled), "category", True),
    "texts of versions": (repeated("3.1", "3.10", "3.2"), step(spelled), "category", True),
    "texts of truths": (repeated("True", "False"), step(kind), "boolean", False),
    "truths written 1 and 0": (repeated(True, False), step(kind), "boolean", True),
    "integers with gaps": (repeated(1, 2, None, dtype="Int64"), step(printed), "integer", True),
}  # fmt: skip
WRITTEN = {
    "floats that become texts": replaced(".0", ""),
    "truths written 1 and 0": lambda frame: replaced("True", "1")(frame).replace("False", "0"),
}


@pytest.mark.parametrize("case", TOLD_BY_THE_TARGET)
def test_the_reading_that_agrees_with_the_target_is_taken_and_said(
    case: str, tmp_path: Path
) -> None:
    X, pipeline, found, said = TOLD_BY_THE_TARGET[case]
    y = labels(X, X["c"].nunique(dropna=False))
    pipeline.fit(X, y)
    sample = read(pipeline, X.assign(y=y), tmp_path, WRITTEN.get(case))
    assert pipeline.predict(sample.training.original).tolist() == pipeline.predict(X).tolist()
    (column,) = sample.training.columns([])
    assert column.type == found
    assert bool(sample.notes) == said
    if said:
        assert re.fullmatch(
            r"c is read as an? \w+ \(as the sample says in (\d+) of \1 rows\), "
            r"not as an? \w+ \(.*\)\.",
            sample.notes[-1],
        )


ONE_READING: dict[str, tuple[pandas.DataFrame, Any, str, Any]] = {
    "a leading zero": (repeated("02134", "10115"), step(spelled), "category", None),
    "a leading zero that is scaled": (
        repeated(2134, 10115), make_pipeline(StandardScaler(), DecisionTreeClassifier()),
        "integer", replaced("2134", "02134"),
    ),
    "whole numbers": (repeated(1, 2), make_pipeline(DecisionTreeClassifier()), "integer", None),
    "zeros and ones": (repeated(0, 1), make_pipeline(DecisionTreeClassifier()), "integer", None),
    "numbers between spaces": (
        repeated(12, 13), make_pipeline(DecisionTreeClassifier()), "integer",
        replaced("12", " 12 "),
    ),
    "hexadecimal codes": (repeated("0x10", "0x11"), step(spelled), "category", None),
    "days that a step parses": (
        repeated("12/05/2024", "28/11/2024"), step(parsed_day), "category", None,
    ),
    "dates that a step looks at": (repeated(*MOMENTS), step(day), "date", None),
    "truths in capitals": (
        repeated(True, False), step(negated), "boolean",
        lambda frame: replaced("True", "TRUE")(frame).replace("False", "FALSE"),
    ),
    "truths written yes and no": (
        repeated(True, False), step(negated), "boolean",
        lambda frame: replaced("True", "yes")(frame).replace("False", "no"),
    ),
    "categories of pandas": (repeated("x", "y", dtype="category"), step(codes), "category", None),
    "truths that an encoder knows": (repeated(True, False), ENCODED, "boolean", None),
    "texts with spaces that an encoder knows": (repeated(" x", "y "), ENCODED, "category", None),
    "texts without the spaces of the file": (
        repeated("x", "y"), ENCODED, "category", replaced("x", " x "),
    ),
    "a category that is called NA": (repeated("NA", "EU"), ENCODED, "category", None),
    "a category that is called NA, without an encoder": (
        repeated("NA", "EU"), step(spelled), "category", None,
    ),
    "None beside texts": (repeated("x", None, dtype=object), ENCODED, "category", None),
    "None beside truths": (repeated(True, None, False, dtype=object), ENCODED, "boolean", None),
    "NaN beside truths": (repeated(True, NAN, False, dtype=object), ENCODED, "boolean", None),
    "truths of pandas that lack some": (
        repeated(True, None, False, dtype="boolean"), ENCODED, "boolean", None,
    ),
    "nothing beside texts": (repeated("x", NAN, dtype=object), ENCODED, "category", None),
    "words of a text": (
        repeated("good film", "bad film"),
        make_pipeline(
            ColumnTransformer([("words", CountVectorizer(), "c")]), DecisionTreeClassifier()
        ),
        "text", None,
    ),
    "a mark, tabs and CRLF": (
        repeated(1.5, 2.5), make_pipeline(DecisionTreeClassifier()), "number",
        lambda frame: "\ufeff" + frame.to_csv(index=False, sep="\t", lineterminator="\r\n"),
    ),
    "a line that tells the separator": (
        repeated(1.5, 2.5), make_pipeline(DecisionTreeClassifier()), "number",
        lambda frame: "sep=;\n" + frame.to_csv(index=False, sep=";"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("target", ["y", None])
@pytest.mark.parametrize("case", ONE_READING)
def test_where_readings_make_no_difference_the_plainest_is_taken_silently(
    case: str, target: str | None, tmp_path: Path
) -> None:
    X, pipeline, found, write = ONE_READING[case]
    y = labels(X, X["c"].nunique(dropna=False))
    pipeline.fit(X, y)
    frame = X if target is None else X.assign(y=y)
    sample = read(pipeline, frame, tmp_path, write, target)
    assert pipeline.predict(sample.training.original).tolist() == pipeline.predict(X).tolist()
    (column,) = sample.training.columns(Structure.of(pipeline).hints)
    assert (column.type, sample.notes) == (found, ())


def test_the_missing_value_of_a_reading_is_looked_at_as_well(tmp_path: Path) -> None:
    X = repeated(1, 2, None, dtype="Int64")
    y = np.where(X["c"].isna(), "gone", "there")
    pipeline = step(absent).fit(X, y)
    sample = read(pipeline, X.assign(y=y), tmp_path)
    assert pipeline.predict(sample.training.original).tolist() == y.tolist()
    assert sample.training.columns([])[0].dtype == "Int64"


MARKERS: dict[str, pandas.DataFrame] = {
    "None beside texts": repeated("x", None, "y", dtype=object),
    "NaN beside texts": repeated("x", NAN, "y", dtype=object),
    "pandas's NA beside texts": repeated("x", pandas.NA, "y", dtype=object),
    "texts of pandas": repeated("x", None, "y", dtype="string"),
    "None beside numerals": repeated("1", None, "2", dtype=object),
    "NaN beside numerals": repeated("1", NAN, "2", dtype=object),
    "pandas's NA beside decimals": repeated("1.5", pandas.NA, "2.5", dtype=object),
    "None beside integers": repeated(1, None, 2, dtype=object),
    "NaN beside integers": repeated(1, NAN, 2, dtype=object),
    "integers of pandas": repeated(1, None, 2, dtype="Int64"),
    "floats": repeated(1.5, NAN, 2.5),
    "floats of pandas": repeated(1.5, None, 2.5, dtype="Float64"),
    "None beside truths": repeated(True, None, False, dtype=object),
    "NaN beside truths": repeated(True, NAN, False, dtype=object),
    "truths of pandas": repeated(True, None, False, dtype="boolean"),
    "None beside days": repeated(DAYS[0], None, DAYS[1], dtype=object),
    "NaN beside days": repeated(DAYS[0], NAN, DAYS[1], dtype=object),
    "pandas's NA beside days": repeated(DAYS[0], pandas.NA, DAYS[1], dtype=object),
    "dates": repeated(MOMENTS[0], None, MOMENTS[1]),
}
"""Columns that lack values, each with what stood there in training."""


@pytest.mark.parametrize("case", MARKERS)
def test_what_stood_for_a_missing_value_is_found_by_the_target(case: str, tmp_path: Path) -> None:
    X = MARKERS[case]
    y = spelled(X).ravel()
    pipeline = make_pipeline(Step(spelled), LinearRegression()).fit(X, y)
    sample = read(pipeline, X.assign(y=y), tmp_path)
    assert np.allclose(pipeline.predict(sample.training.original), y)


@pytest.mark.parametrize("case", MARKERS)
def test_where_nothing_tells_it_each_missing_value_is_named_and_can_be_said(
    case: str, tmp_path: Path
) -> None:
    X = MARKERS[case]
    y = spelled(X).ravel()
    pipeline = make_pipeline(Step(spelled), LinearRegression()).fit(X, y)
    with pytest.raises(Undecided) as raised:
        read(pipeline, X, tmp_path, target=None)
    options = str(raised.value).partition("say it with ")[2].rstrip(".").split(" or ")
    told = []
    for option in options:
        said = dict(re.findall(r"--(type|missing) c=(\w+)", option))
        types = {"c": said["type"]} if "type" in said else None
        missing = {"c": said["missing"]} if "missing" in said else None
        sample = read(pipeline, X, tmp_path, None, None, types, missing)
        told.append(pipeline.predict(sample.training.original).round(6).tolist())
    assert y.tolist() in told
    assert len(told) == len(set(map(tuple, told)))


def hour(X: Any) -> Any:
    return np.c_[X["c"].dt.hour]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_a_moment_is_in_the_zone_that_the_target_tells(zone: str, tmp_path: Path) -> None:
    moments = pandas.date_range("2024-01-01", periods=60, freq="149h", tz="Europe/Berlin")
    written = pandas.DataFrame({"c": moments.tz_convert(zone)})
    for trained in (zone, "UTC"):
        X = pandas.DataFrame({"c": written["c"].dt.tz_convert(trained)})
        pipeline = make_pipeline(Step(hour), LinearRegression()).fit(X, X["c"].dt.hour)
        sample = read(pipeline, written.assign(y=X["c"].dt.hour), tmp_path)
        assert np.allclose(pipeline.predict(sample.training.original), X["c"].dt.hour)
        if zone != "UTC":
            with pytest.raises(Undecided, match=r"a date of the dtype datetime64\[ns, UTC\] or a"):
                read(pipeline, written, tmp_path, target=None)


KEPT_WITH_TYPES: dict[str, pandas.DataFrame] = {
    **MARKERS,
    "pandas's NA beside truths": repeated(True, pandas.NA, False, dtype=object),
    "None beside floats": repeated(1.5, None, 2.5, dtype=object),
    "None beside dates of Python": repeated(date(2024, 5, 1), None, date(2024, 6, 1), dtype=object),
    "NaN beside dates of Python": repeated(date(2024, 5, 1), NAN, date(2024, 6, 1), dtype=object),
    "None beside times": repeated(datetime(2024, 5, 1), None, datetime(2024, 6, 1), dtype=object),
    "integers as objects": repeated(1, 2, 3, dtype=object),
    "truths as objects": repeated(True, False, dtype=object),
    "texts of pandas with NaN": repeated("x", None, "y", dtype="str"),
    "categories": repeated("x", None, "y", dtype="category"),
    "categories of integers": repeated(1, 2, 3, dtype="category"),
    "categories of integers beside what is missing": repeated(1, None, 3).astype(
        pandas.CategoricalDtype([1, 3], ordered=True)
    ),
    "categories of truths": repeated(True, None, False, dtype="category"),
    "categories of moments": repeated(MOMENTS[0], None, MOMENTS[1]).astype("category"),
    "integers beside NaN": repeated(1, None, 3),
}
"""What a file with types gives back, but for what is missing among objects."""


def typed(X: pandas.DataFrame, folder: Path, form: str) -> str:
    path = folder / f"rows.{form}"
    getattr(X, f"to_{form}")(path)
    return str(path)


def watching(X: pandas.DataFrame) -> tuple[Any, Any]:
    """A pipeline that looks at how each value is written and at the dtype of the column, and what
    it answers."""

    def looked(rows: Any) -> Any:
        return spelled(rows) + ord(np.asarray(rows.iloc[:, 0]).dtype.kind) * 10_000

    y = looked(X).ravel()
    return make_pipeline(Step(looked), LinearRegression()).fit(X, y), y


@pytest.mark.parametrize("form", ["parquet", "feather"])
@pytest.mark.parametrize("case", KEPT_WITH_TYPES)
def test_what_was_missing_in_a_file_with_types_is_found_by_the_target(
    case: str, form: str, tmp_path: Path
) -> None:
    X = KEPT_WITH_TYPES[case]
    pipeline, y = watching(X)
    path = typed(X.assign(y=y), tmp_path, form)
    sample = read_sample(pipeline, Structure.of(pipeline), path, ("y",))
    assert np.allclose(pipeline.predict(sample.training.original), y)


@pytest.mark.parametrize("case", KEPT_WITH_TYPES)
def test_what_was_missing_in_a_file_with_types_is_known_or_can_be_said(
    case: str, tmp_path: Path
) -> None:
    X = KEPT_WITH_TYPES[case]
    pipeline, y = watching(X)
    path, structure = typed(X, tmp_path, "parquet"), Structure.of(pipeline)
    try:
        samples = [read_sample(pipeline, structure, path)]
    except Undecided as error:
        said = re.findall(r"--missing c=(\w+)", str(error))
        samples = [read_sample(pipeline, structure, path, missing={"c": each}) for each in said]
    told = [pipeline.predict(each.training.original).round(6).tolist() for each in samples]
    assert y.tolist() in told
    assert len(told) == len(set(map(tuple, told)))


def test_where_nothing_tells_what_a_file_with_types_lacks_the_import_stops(tmp_path: Path) -> None:
    X = repeated("x", None, "y", dtype=object)
    pipeline, _ = watching(X)
    with pytest.raises(Undecided) as raised:
        read_sample(pipeline, Structure.of(pipeline), typed(X, tmp_path, "parquet"))
    assert str(raised.value) == (
        "The pipeline answers otherwise where the column c of the sample is read as a text with "
        "NaN or a text with None or a text with pandas's NA, and nothing tells which it was "
        "trained on: say it with --missing c=nan or --missing c=none or --missing c=na."
    )


@pytest.mark.parametrize("form", ["parquet", "feather"])
@pytest.mark.parametrize("case", [case for case in KEPT_WITH_TYPES if "categories" in case])
def test_categories_of_pandas_are_kept(case: str, form: str, tmp_path: Path) -> None:
    X = KEPT_WITH_TYPES[case]
    pipeline = step(codes).fit(X, labels(X, 3))
    path = typed(X, tmp_path, form)
    given = read_sample(pipeline, Structure.of(pipeline), path).training.original
    pandas.testing.assert_frame_equal(given, X)


def test_texts_that_pandas_did_not_write_may_have_lacked_anything(tmp_path: Path) -> None:
    from pyarrow import parquet, table

    for null in (None, NAN, pandas.NA):
        X = repeated("x", null, "y", dtype=object)
        pipeline, y = watching(X)
        cells = [each if isinstance(each, str) else None for each in X["c"]]
        path = str(tmp_path / "rows.parquet")
        parquet.write_table(table({"c": cells, "y": y}), path)
        sample = read_sample(pipeline, Structure.of(pipeline), path, ("y",))
        assert np.allclose(pipeline.predict(sample.training.original), y)


def test_texts_of_pandas_lack_nan_unless_a_person_or_an_encoder_says_otherwise(
    tmp_path: Path,
) -> None:
    X = repeated("x", None, "y", dtype="str")
    path, (pipeline, y) = typed(X, tmp_path, "parquet"), watching(X)
    sample = read_sample(pipeline, Structure.of(pipeline), path)
    assert np.allclose(pipeline.predict(sample.training.original), y)
    pipeline, y = watching(X.astype(object).replace(NAN, None))
    sample = read_sample(pipeline, Structure.of(pipeline), path, missing={"c": "none"})
    assert np.allclose(pipeline.predict(sample.training.original), y)
    objects = X.astype(object).replace(NAN, None)
    encoder = clone(ENCODED).fit(objects, labels(X, 3))
    sample = read_sample(encoder, Structure.of(encoder), path)
    assert encoder.predict(sample.training.original).tolist() == labels(X, 3)


@pytest.mark.parametrize(
    ("X", "null", "sentence"),
    [
        (repeated("x", "y"), "none", "no value of the column c is missing in the sample"),
        (repeated(1, None, 2, dtype="Int64"), "nan", "expected na, got 'nan'"),
        (repeated(1.5, None, 2.5), "none", "expected nan, got 'none'"),
        (repeated("x", None, "y", dtype="string"), "none", "expected na, got 'none'"),
    ],
)
def test_a_missing_value_that_a_file_with_types_cannot_have_is_refused(
    X: pandas.DataFrame, null: str, sentence: str, tmp_path: Path
) -> None:
    path = typed(X, tmp_path, "parquet")
    with pytest.raises(InvalidPipeline, match=f"--missing c={null}: {sentence}"):
        read_sample(step(spelled), Structure([Hint()]), path, missing={"c": null})


@pytest.mark.parametrize("null", [None, NAN])
@pytest.mark.parametrize("value", ["x", True], ids=["texts", "truths"])
def test_an_encoder_tells_what_a_file_with_types_lacks(
    value: Any, null: Any, tmp_path: Path
) -> None:
    X = repeated(value, null, type(value)(), dtype=object)
    pipeline = clone(ENCODED).fit(X, labels(X, 3))
    path = typed(X, tmp_path, "parquet")
    given = read_sample(pipeline, Structure.of(pipeline), path).training.original
    assert pipeline.predict(given).tolist() == labels(X, 3)


@pytest.mark.parametrize("null", [None, NAN])
def test_an_array_is_made_of_a_file_with_types_with_what_was_missing(
    null: Any, tmp_path: Path
) -> None:
    X = repeated("1,5", null, "2,5", dtype=object)
    pipeline = make_pipeline(Step(lambda rows: spelled(rows[:, :1])), LinearRegression())
    y = spelled(X).ravel()
    pipeline.fit(X.to_numpy(), y)
    path = typed(X.assign(y=y), tmp_path, "parquet")
    sample = read_sample(pipeline, Structure.of(pipeline), path, ("y",))
    assert sample.training.container == "matrix"
    assert np.allclose(pipeline.predict(sample.training.original), y)


def test_missing_values_that_make_no_difference_are_not_told_apart(tmp_path: Path) -> None:
    X = repeated("x", None, "y", dtype=object)
    filled = step(lambda rows: spelled(pandas.DataFrame(rows).fillna("none").to_numpy()))
    pipeline = filled.fit(X, labels(X, 3))
    sample = read(pipeline, X, tmp_path, target=None)
    assert sample.training.features[0].null in {None, "nan"}
    assert pipeline.predict(sample.training.original).tolist() == labels(X, 3)


@pytest.mark.parametrize("null", [None, NAN, pandas.NA])
def test_a_missing_value_that_alone_is_answered_is_taken(null: Any, tmp_path: Path) -> None:
    X = pandas.DataFrame({name: ["x", null, "y"] * 10 for name in "cde"}, dtype=object)

    def demanding(rows: Any) -> Any:
        cells = np.asarray(rows, dtype=object).ravel().tolist()
        odd = [cell for cell in cells if not isinstance(cell, str)]
        assert all(type(cell) is type(null) for cell in odd)
        return [[sum(isinstance(cell, str) for cell in row)] for row in np.asarray(rows)]

    y = labels(X, 3)
    pipeline = step(demanding).fit(X, y)
    for target in ("y", None):
        frame = X.assign(y=y) if target else X
        sample = read(pipeline, frame, tmp_path, target=target)
        given = sample.training.original
        assert pipeline.predict(given).tolist() == pipeline.predict(X).tolist()


@pytest.mark.parametrize("filled", ["most_frequent", "constant"])
def test_an_imputer_before_an_encoder_says_what_was_missing(filled: str, tmp_path: Path) -> None:
    encoder = OneHotEncoder(handle_unknown="ignore")
    for null in (None, NAN):
        X = repeated("x", null, "y", "y", "z", dtype=object)
        y = labels(X, 5)
        imputer = SimpleImputer(strategy=filled, fill_value="w")
        pipeline = make_pipeline(imputer, encoder, DecisionTreeClassifier()).fit(X, y)
        given = read(pipeline, X, tmp_path, target=None).training.original
        assert pipeline.predict(given).tolist() == pipeline.predict(X).tolist()


def test_of_many_columns_that_lack_nothing_no_missing_value_is_asked(tmp_path: Path) -> None:
    asked: list[int] = []

    def counted(rows: Any) -> Any:
        asked.append(len(rows))
        return pandas.DataFrame(rows).isin(["x"]).to_numpy()

    whole = pandas.DataFrame({f"c{i}": ["x", "y", "z"] * 10 for i in range(20)})
    pipeline = step(counted).fit(whole, labels(whole, 3))
    asked.clear()
    read(pipeline, whole, tmp_path, target=None)
    without = len(asked)
    asked.clear()
    read(pipeline, whole.replace("z", None), tmp_path, target=None)
    # Each missing value is asked of all columns at once, since none makes a difference.
    assert without < len(asked) <= without + 8


@pytest.mark.parametrize("word", sorted({"", "NA", "N/A", "n/a", "NaN", "NULL", "<NA>", "#N/A"}))
@pytest.mark.parametrize(
    ("X", "dtype"), [(repeated(1.5, NAN, 3.0), "float64"), (repeated(1, NAN, 3), "float64")]
)
def test_a_word_for_a_missing_value_is_none_of_the_numbers(
    word: str, X: pandas.DataFrame, dtype: str, tmp_path: Path
) -> None:
    y = labels(X, 3)
    pipeline = FILLED.fit(X, y)
    sample = read(pipeline, X.assign(y=y), tmp_path, lambda f: f.to_csv(index=False, na_rep=word))
    (column,) = sample.training.columns(Structure.of(pipeline).hints)
    assert (column.type, column.dtype) == ("number", dtype)
    assert np.array_equal(sample.training.features[0].values, X["c"], equal_nan=True)


DECIMALS = np.round(np.random.default_rng(0).uniform(-5, 20, 40), 2)
LEARNED_AS: dict[str, Any] = {
    "categories": ENCODED,
    "ordinals": make_pipeline(OrdinalEncoder(), DecisionTreeClassifier()),
    "means of the target": make_pipeline(TargetEncoder(cv=2), DecisionTreeClassifier()),
    "categories of what is filled in": make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(), DecisionTreeClassifier()
    ),
    "what is filled in by rounds": make_pipeline(
        IterativeImputer(max_iter=2, initial_strategy="most_frequent"), DecisionTreeClassifier()
    ),
    "bins that end at values": make_pipeline(
        KBinsDiscretizer(8, encode="ordinal", quantile_method="inverted_cdf"),
        DecisionTreeClassifier(),
    ),
    "quantiles": make_pipeline(QuantileTransformer(n_quantiles=40), DecisionTreeClassifier()),
    "bins of boosting": HistGradientBoostingClassifier(
        max_iter=2, max_bins=8, min_samples_leaf=1
    ),
    "the rows themselves": KNeighborsClassifier(3, weights="distance"),
    "the least and the greatest": make_pipeline(MinMaxScaler(clip=True), DecisionTreeClassifier()),
}  # fmt: skip


@pytest.mark.parametrize(
    ("learned", "dtype"),
    [
        (learned, dtype)
        for learned in LEARNED_AS
        for dtype in ("float16", "float32", "Float32")
        # scikit-learn writes into what pandas gives read-only there.
        if (learned, dtype) != ("bins that end at values", "Float32")
    ],
)
def test_a_decimal_is_the_narrow_float_that_the_pipeline_learned_it_as(
    learned: str, dtype: str, tmp_path: Path
) -> None:
    values = np.random.default_rng(1).choice(DECIMALS, 200)
    X = pandas.DataFrame({"c": pandas.Series(values).astype(dtype)})
    y = [f"{value > 0}{value * 100 // 1 % 5}" for value in values]
    pipeline = clone(LEARNED_AS[learned]).fit(X, y)
    wanted = pipeline.predict_proba(X.astype(dtype.lower()))
    # The file has the decimals that a person wrote, and what pandas writes of the narrow floats.
    for sample in (pandas.DataFrame({"c": values}), X):
        found = read(pipeline, sample.assign(y=y), tmp_path)
        given = found.training.original
        assert np.array_equal(pipeline.predict_proba(given), wanted)
        assert narrow_of(found.training.features[0].dtype) is narrow_of(dtype)


@pytest.mark.parametrize("learned", LEARNED_AS)
def test_a_decimal_that_was_learned_as_it_is_stays_so(learned: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).choice(DECIMALS, 200)
    X = pandas.DataFrame({"c": values})
    y = [f"{value > 0}" for value in values]
    pipeline = clone(LEARNED_AS[learned]).fit(X, y)
    found = read(pipeline, X.assign(y=y), tmp_path)
    assert found.training.features[0].dtype == "float64"
    assert found.training.features[0].values.tolist() == values.tolist()


@pytest.mark.parametrize("dtype", ["float32", "Float32"])
def test_narrow_floats_that_are_categories_of_pandas_are_these_categories(
    dtype: str, tmp_path: Path
) -> None:
    X = repeated(2.77, 1.3, 7.1, dtype=dtype).astype("category")
    y = labels(X, 3)
    pipeline = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1).fit(X, y)
    for sample in (repeated(2.77, 1.3, 7.1), X):
        found = read(pipeline, sample.assign(y=y), tmp_path)
        assert pipeline.predict(found.training.original).tolist() == y
    model = ModelStore(tmp_path).publish("model", pipeline, X, y)
    (column,) = model.signature.columns
    assert column.categories == tuple(float(np.float32(each)) for each in (1.3, 2.77, 7.1))


UNDECIDED = {
    "integer or a number": (repeated(1, 2, 3), step(spelled), "c=integer or --type c=number"),
    "number or a text": (repeated("1e5", "2e5"), step(spelled), "c=number or --type c=text"),
}


@pytest.mark.parametrize("words", UNDECIDED)
def test_without_a_target_a_column_that_answers_differ_by_is_named_with_the_options(
    words: str, tmp_path: Path
) -> None:
    X, pipeline, ways = UNDECIDED[words]
    pipeline.fit(X, labels(X, X["c"].nunique()))
    with pytest.raises(Undecided) as raised:
        read(pipeline, X, tmp_path, target=None)
    assert f"where the column c of the sample is read as a{'n' * (words[0] == 'i')} {words}" in str(
        raised.value
    )
    assert str(raised.value).endswith(f"say it with --type {ways}.")


SAID = {
    "text": (repeated("12345", "22345"), step(spelled), None),
    "integer": (repeated(1, 2, 3), step(spelled), replaced("2", "2.0")),
    "number": (repeated(1.0, 2.0), step(spelled), replaced(".0", "")),
    "boolean": (repeated(True, False), step(kind), WRITTEN["truths written 1 and 0"]),
    "category": (repeated("7", "8", dtype="category"), step(codes), None),
    "date": (repeated(*MOMENTS), step(day), None),
}


@pytest.mark.parametrize("said", SAID)
def test_a_column_is_what_is_said_of_it(said: str, tmp_path: Path) -> None:
    X, pipeline, write = SAID[said]
    pipeline.fit(X, labels(X, X["c"].nunique()))
    sample = read(pipeline, X, tmp_path, write, None, {"C ": said})
    assert pipeline.predict(sample.training.original).tolist() == pipeline.predict(X).tolist()
    (column,) = sample.training.columns([])
    assert (column.type, sample.notes) == (said, ())


REFUSED = {
    "a cell that is not what was said": (
        "c\n1\nx\n", {"c": "integer"}, None,
        r"Row 1 of the sample: c: expected an integer, as --type says, got 'x'\.",
    ),
    "no date": (
        "c\n12/05/2024\n", {"c": "date"}, None,
        r"Row 0 .*: c: expected a date such as 2024-12-31, as --type says, got '12/05/2024'\.",
    ),
    "a type for no column": (
        "c\n1\n", {"d": "text"}, None,
        r"--type d=text: the pipeline takes no column 'd' of the sample; it takes c\.",
    ),
    "no type": (
        "c\n1\n", {"c": "zip"}, None,
        r"--type c=zip: expected one of boolean, integer, number, .*, text, got 'zip'\.",
    ),
    "a type for the target": (
        "c,y\n1,A\n", {"y": "text"}, "y",
        r"--type y=text: the pipeline takes no column 'y' of the sample; it takes c\.",
    ),
    "labels of another kind": (
        "c,y\n1,A\n2,yes\n1,\n2,no\n", {}, "y",
        r"Row 1 of the sample: y: expected one of A, B, got 'yes'; so are 1 more rows\.",
    ),
    "an index that is more": (
        ",c\n7,1\n7,2\n", {}, None,
        r".*rows\.csv has a first column without a name, which pandas writes of its index; .*",
    ),
    "numbers with a comma": (
        "c;d\n1,5;1\n2,5;2\n", {}, None,
        r"The pipeline takes 1 columns, and .* has 2: c, d; .*",
    ),
    "numbers with a comma for a point": (
        'c\n"1,5"\n"2,5"\n', {}, None,
        r"The pipeline does not take the column c of the sample as texts, and numbers are written "
        r"like 1234\.5 here, got '1,5'\.",
    ),
    "numbers with a unit": (
        "c\n1.5%\n2%\n", {}, None, r"The pipeline .* like 1234\.5 here, got '1\.5%'\.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_sample_that_cannot_be_read_is_refused_with_the_place(case: str, tmp_path: Path) -> None:
    text, types, target, sentence = REFUSED[case]
    pipeline = DecisionTreeClassifier().fit([[1.0], [2.0]], ["A", "B"])
    with pytest.raises(InvalidPipeline) as raised:
        read(pipeline, pandas.DataFrame(), tmp_path, lambda _: text, target, types)
    assert re.fullmatch(sentence, str(raised.value)), str(raised.value)


def test_an_index_without_a_name_that_counts_the_rows_is_passed_over_and_said(
    tmp_path: Path,
) -> None:
    X = repeated(1, 2)
    named = DecisionTreeClassifier().fit(X, labels(X, 2))
    by_count = DecisionTreeClassifier().fit(X.to_numpy(), labels(X, 2))
    for pipeline in (named, by_count):
        sample = read(pipeline, X, tmp_path, lambda frame: frame.to_csv(), None)
        assert sample.training.names == ("c",)
        assert sample.notes == (
            "The first column, which has no name and counts the rows, is passed over.",
        )
        for index in (range(len(X), 0, -1), pandas.date_range("2024-01-01", periods=len(X))):
            moved = X.set_axis(index)
            sample = read(pipeline, moved, tmp_path, lambda frame: frame.to_csv(), None)
            assert sample.training.names == ("c",)
            assert sample.notes == (
                "The first column, which has no name and another value in each row, as pandas "
                "writes its index, is passed over.",
            )
    knows = DecisionTreeClassifier().fit(
        X.rename(columns={"c": "Unnamed: 0"}).assign(c=1), labels(X, 2)
    )
    sample = read(knows, X, tmp_path, lambda frame: frame.to_csv(), None)
    assert sample.training.names == ("Unnamed: 0", "c")


# Targets -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "cells", "expected"),
    [
        ((" >50K", " <=50K"), (" >50K", " <=50K"), (" >50K", " <=50K")),
        ((">50K", "<=50K"), (" >50K", "<=50K "), (">50K", "<=50K")),
        (("a", " a"), ("a", " a"), ("a", " a")),
        ((0, 1), ("0", "1.0"), (0, 1)),
        ((0, 1), ("0", ""), (0, None)),
        ((0, 1), ("NA", "1"), (None, 1)),
        (("NA", "b"), ("NA", "b"), ("NA", "b")),
        (("1", "0"), ("1", "0"), ("1", "0")),
        ((True, False), ("True", "false"), (True, False)),
        ((True, False), ("1", "0"), (True, False)),
        ((1.5, 2.5), ("1.5", " 2.5"), (1.5, 2.5)),
    ],
)
def test_a_cell_of_the_target_is_a_class_by_its_text_then_without_spaces_then_by_its_number(
    classes: tuple[Any, ...], cells: tuple[str, ...], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    pipeline = DecisionTreeClassifier().fit([[1], [2]], np.array(classes).astype(str))
    pipeline.classes_ = np.array(classes)
    rows = "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    sample = read(pipeline, pandas.DataFrame(), tmp_path, lambda _: "c,y\n" + rows)
    assert sample.truth is not None
    found = sample.truth.columns[0].tolist()
    assert list(map(repr, found)) == list(map(repr, expected))


def test_each_of_several_targets_has_classes_of_its_own(tmp_path: Path) -> None:
    X = repeated(1, 2)
    y = pandas.DataFrame({"y": labels(X, 2), "z": ["3", "4"] * (ROWS // 2)})
    pipeline = MultiOutputClassifier(DecisionTreeClassifier()).fit(X, y)
    path = tmp_path / "rows.csv"
    X.join(y).to_csv(path, index=False)
    sample = read_sample(pipeline, Structure.of(pipeline), str(path), ("y", "z"))
    assert sample.truth is not None
    assert [set(column) for column in sample.truth.columns] == [{"A", "B"}, {"3", "4"}]
    assert sample.truth.y.shape == (ROWS, 2)


# Containers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "semi", [SelfTrainingClassifier(LogisticRegression()), LabelSpreading()], ids=["own", "spread"]
)
@pytest.mark.parametrize("mark", ["-1", "-1.0"])
def test_rows_without_a_label_are_those_that_a_semi_supervised_classifier_knows(
    semi: Any, mark: str, tmp_path: Path
) -> None:
    X = np.arange(ROWS, dtype=float).reshape(-1, 1)
    known = np.arange(ROWS) % 3 > 0
    y = np.where(known, X[:, 0] > ROWS / 2, -1).astype(int)
    pipeline = make_pipeline(StandardScaler(), semi).fit(X, y)
    path = tmp_path / "rows.csv"
    cells = [mark if value < 0 else str(value) for value in y]
    path.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in zip(X[:, 0], cells, strict=True)))
    sample = read_sample(pipeline, Structure.of(pipeline), str(path), ("y",))
    assert sample.truth is not None
    assert sample.truth.known.tolist() == known.tolist()
    assert [each for each in sample.truth.y if each is not None] == y[known].tolist()


def dropped(X: Any) -> Any:
    return X.drop(columns=["id"])


def mapped(X: Any) -> Any:
    X = pandas.DataFrame(X).copy()
    if "c" in X:
        X["c"] = X["c"].map({1: 100, 2: 1000, 3: 5})
    return X.to_numpy(dtype=float)


def test_a_step_that_needs_names_gets_the_dataframe_of_the_sample(tmp_path: Path) -> None:
    X = repeated(1, 2, 3).assign(id=range(ROWS))
    pipeline = make_pipeline(Step(dropped), LinearRegression()).fit(X, X["c"])
    sample = read(pipeline, X, tmp_path, target=None)
    assert (sample.training.container, sample.notes) == ("frame", ())


def test_a_step_that_takes_both_gets_what_agrees_with_the_target(tmp_path: Path) -> None:
    X = repeated(1, 2, 3).assign(w=0.5)
    y = X["c"].map({1: 100.0, 2: 1000.0, 3: 5.0})
    pipeline = make_pipeline(Step(mapped), LinearRegression()).fit(X, y)
    sample = read(pipeline, X.assign(y=y), tmp_path)
    assert sample.training.container == "frame"
    assert sample.notes[0].startswith("The rows come as a DataFrame (off by ")
    with pytest.raises(Undecided, match=r"^The pipeline .* as a matrix or a DataFrame, and"):
        read(pipeline, X, tmp_path, target=None)


def test_without_names_and_without_a_difference_the_rows_are_a_matrix(tmp_path: Path) -> None:
    X = np.arange(40.0).reshape(20, 2) + 0.5
    pipeline = LogisticRegression().fit(X, [0, 1] * 10)
    sample = read(pipeline, pandas.DataFrame(X), tmp_path, target=None)
    assert (sample.training.container, sample.training.dtype) == ("matrix", "float64")


def test_one_row_that_is_not_taken_does_not_hide_what_tells(tmp_path: Path) -> None:
    X = repeated(1, 2, 3).assign(g="a")
    encoder = ColumnTransformer([("g", OneHotEncoder(), ["g"]), ("c", Step(spelled), ["c"])])
    y = labels(X, 3)
    pipeline = make_pipeline(encoder, DecisionTreeClassifier()).fit(X, y)
    odd = X.assign(y=y, g=["b", *["a"] * (ROWS - 1)])
    sample = read(pipeline, odd, tmp_path)
    assert sample.training.columns(Structure.of(pipeline).hints)[0].type == "integer"
    assert len(sample.notes) == 1


# Files with types ----------------------------------------------------------------

TYPED = pandas.DataFrame(
    {
        "zip": ["02134", "10115", "80331"] * 10,
        "count": pandas.array([1, None, 3] * 10, dtype="Int64"),
        "narrow": np.array([1, 2, 3] * 10, dtype=np.int8),
        "single": np.array([0.5, 0.25, 1.0] * 10, dtype=np.float32),
        "level": pandas.Categorical(["low", "mid", "high"] * 10),
        "when": pandas.to_datetime(list(DAYS) * 10),
        "yes": [True, False, True] * 10,
    }
)


@pytest.mark.parametrize("format", ["parquet", "feather"])
def test_a_file_with_types_keeps_them(format: str, tmp_path: Path) -> None:
    y = labels(TYPED, 3)
    pipeline = make_pipeline(
        ColumnTransformer([("first", OneHotEncoder(), ["zip", "count"])]), DecisionTreeClassifier()
    ).fit(TYPED, y)
    path = tmp_path / f"rows.{format}"
    getattr(TYPED.assign(y=y)[["y", *TYPED.columns[::-1]]], f"to_{format}")(path)
    sample = read_sample(pipeline, Structure.of(pipeline), str(path), ("y",))
    pandas.testing.assert_frame_equal(sample.training.original, TYPED)
    assert sample.truth is not None
    assert sample.truth.columns[0].tolist() == y


def test_a_file_with_types_is_an_array_for_a_pipeline_that_takes_no_names(tmp_path: Path) -> None:
    def first(X: Any) -> Any:
        return X[:, :1]

    X = TYPED[["single"]]
    pipeline = step(first).fit(X.to_numpy(), labels(X, 3))
    X.to_parquet(tmp_path / "rows.parquet")
    sample = read_sample(pipeline, Structure.of(pipeline), str(tmp_path / "rows.parquet"))
    assert (sample.training.container, sample.training.dtype) == ("matrix", "float32")


def test_what_is_said_of_a_column_goes_before_the_type_of_the_file(tmp_path: Path) -> None:
    X = repeated("12345", "22345")
    pipeline = step(spelled).fit(X, labels(X, 2))
    X.astype(int).to_parquet(tmp_path / "rows.parquet")
    path = str(tmp_path / "rows.parquet")
    sample = read_sample(pipeline, Structure.of(pipeline), path, types={"c": "text"})
    assert pipeline.predict(sample.training.original).tolist() == pipeline.predict(X).tolist()


def test_a_file_with_types_is_read_without_pandas_as_well(tmp_path: Path) -> None:
    X = TYPED[["narrow", "single", "count", "zip", "yes"]]
    X.to_parquet(tmp_path / "rows.parquet")
    found = ArrowFile.read(tmp_path / "rows.parquet", max_rows=5).arrays()
    assert {name: array.dtype.name for name, array in found.items()} == {
        "narrow": "int8",
        "single": "float32",
        "count": "float64",
        "zip": "object",
        "yes": "bool",
    }
    assert found["zip"].tolist() == ["02134", "10115", "80331", "02134", "10115"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"PAR1 and no more", r"rows\.parquet cannot be read as a Parquet file: "),
        (b"ARROW1 and no more", r"rows\.parquet cannot be read as a Feather file: "),
        (b"", r"has no line of names"),
    ],
)
def test_a_file_that_is_cut_off_is_told(data: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(data)
    with pytest.raises(InvalidTable, match=sentence):
        read_sample(ENCODED, Structure(), str(path))


def test_a_column_of_lists_is_refused_by_its_name(tmp_path: Path) -> None:
    X = repeated(1, 2)
    pipeline = DecisionTreeClassifier().fit(X, labels(X, 2))
    pandas.DataFrame({"c": [[1], [2]]}).to_parquet(tmp_path / "rows.parquet")
    path = str(tmp_path / "rows.parquet")
    with pytest.raises(ModelStoreError, match=r"rows\.parquet: the column c is an Arrow list"):
        read_sample(pipeline, Structure.of(pipeline), path)


class Moody(BaseEstimator):  # type: ignore[misc]
    """Answers otherwise each time."""

    asked = 0

    def predict(self, X: Any) -> Any:
        self.asked += 1
        return np.full(len(X), float(self.asked))


def test_answers_that_vary_by_themselves_tell_nothing_of_the_readings(tmp_path: Path) -> None:
    sample = read(Moody(), repeated(1, 2), tmp_path, target=None)
    assert sample.training.columns([])[0].type == "integer"


def test_many_columns_that_are_read_alike_are_decided_together(tmp_path: Path) -> None:
    cells = np.random.default_rng(0).integers(0, 3, size=(ROWS, 30))
    X = pandas.DataFrame(cells, columns=[f"c{i}" for i in range(30)])
    y = np.where(X["c0"] > X["c1"], "A", "B")
    encoder = OneHotEncoder(handle_unknown="ignore")
    pipeline = make_pipeline(Step(as_texts), encoder, LogisticRegression(C=100)).fit(X, y)
    sample = read(pipeline, X.assign(y=y), tmp_path)
    assert {column.type for column in sample.training.columns([])} == {"integer"}
    (note,) = sample.notes
    assert note.startswith("c0 and 29 more are each read as an integer (as the sample says in 30 ")
    with pytest.raises(Undecided, match=r"the columns c0 and 29 more of the sample are each read"):
        read(pipeline, X, tmp_path, target=None)


def as_texts(X: Any) -> Any:
    return X.astype(str)


def test_without_pyarrow_a_file_that_needs_it_is_refused_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.parquet"
    repeated(1, 2).to_parquet(path)
    # None in sys.modules is how the import system marks a module that is not to be found.
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidTable) as raised:
        read_sample(ENCODED, Structure(), str(path))
    assert str(raised.value) == (
        f"{path} is a Parquet file, which needs pyarrow: pip install 'quart-app[arrow]'."
    )
