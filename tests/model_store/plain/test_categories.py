"""Categories as plain data: one-hot, ordinal and target encoders, and what stands before them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from model_store.plain import Malformed, read, write
from model_store.plain.pack import NotPacked

from .forms import packed, require_same

NAN = float("nan")
ROWS = 200


def colours(*missing: Any) -> NDArray[Any]:
    """A column of texts, one of which is rare, and one of numbers; some of the texts may be
    missing."""
    random = np.random.default_rng(3)
    matrix = np.empty((ROWS, 2), dtype=object)
    matrix[:, 0] = random.choice(["red", "green", "blue", "grey"], ROWS, p=[0.4, 0.3, 0.28, 0.02])
    matrix[:4, 0] = ["red", "green", "blue", "grey"]
    matrix[:, 1] = random.choice([1, 2, 5], ROWS, p=[0.1, 0.3, 0.6]).tolist()
    for value in missing:
        matrix[5:15, 0] = value
    return matrix


def target_of(matrix: NDArray[Any]) -> NDArray[Any]:
    random = np.random.default_rng(4)
    return np.array([len(str(each)) for each in matrix[:, 0]]) + random.normal(size=len(matrix))


def odd_rows(*missing: Any) -> NDArray[Any]:
    """Known and unknown categories together, and one by one."""
    texts = ["red", "green", "blue", "grey", "violet", *missing]
    rows = [[text, number] for text in texts for number in (1, 2, 5, 7)]
    matrix = np.empty((len(rows), 2), dtype=object)
    for place, row in enumerate(rows):
        matrix[place, 0], matrix[place, 1] = row
    return matrix


ENCODERS = [
    OneHotEncoder(),
    OneHotEncoder(sparse_output=False),
    OneHotEncoder(drop="first"),
    OneHotEncoder(drop="if_binary", handle_unknown="ignore"),
    OneHotEncoder(drop=["green", 2], handle_unknown="ignore"),
    OneHotEncoder(handle_unknown="ignore", dtype=np.float32),
    OneHotEncoder(handle_unknown="ignore", min_frequency=10),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=30),
    OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2, sparse_output=False),
    OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=3, drop="first"),
    OneHotEncoder(handle_unknown="warn", max_categories=3),
    OrdinalEncoder(),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.int64, min_frequency=30
    ),
    TargetEncoder(),
    TargetEncoder(smooth=5.0),
]


@pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_an_encoder_answers_known_and_unknown_categories_as_its_pipeline_does(encoder: Any) -> None:
    X = colours()
    y = target_of(X)
    pipeline = make_pipeline(encoder, LinearRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, odd_rows())


GAPS = [
    OneHotEncoder(handle_unknown="ignore"),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=12, drop="first"),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        encoded_missing_value=9,
        max_categories=3,
    ),
    TargetEncoder(),
]


@pytest.mark.parametrize("missing", [NAN, None], ids=repr)
@pytest.mark.parametrize("encoder", GAPS, ids=repr)
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_a_missing_category_has_a_place_of_its_own(encoder: Any, missing: Any) -> None:
    X = colours(missing)
    y = target_of(X)
    pipeline = make_pipeline(encoder, LinearRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, odd_rows(missing))


@pytest.mark.parametrize("classes", [["no", "yes"], ["high", "low", "middle"]], ids=len)
def test_a_target_encoder_of_classes_answers_as_its_pipeline_does(classes: list[str]) -> None:
    X = colours(NAN)
    y = np.array(classes)[np.random.default_rng(5).integers(0, len(classes), ROWS)]
    pipeline = make_pipeline(TargetEncoder(), StandardScaler(), LogisticRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, odd_rows(NAN))


def travellers() -> pd.DataFrame:
    """A column of each kind that an encoder takes."""
    random = np.random.default_rng(6)
    port = random.choice(np.array(["Calais", "Dover", "Hull"], dtype=object), ROWS)
    deck = pd.Categorical(random.choice(["a", "b", "c"], ROWS), categories=["c", "a", "b"])
    age = random.uniform(1, 80, ROWS)
    port[::9], age[::7] = NAN, NAN
    return pd.DataFrame(
        {
            "age": age,
            "port": port,
            "deck": deck,
            "alone": random.random(ROWS) < 0.5,
            "cabin": random.integers(1, 4, ROWS),
            "half": random.choice(np.array([0.1, 0.25, 0.7], dtype=np.float32), ROWS),
        }
    )


def cells(frame: pd.DataFrame, *odd: dict[str, Any]) -> NDArray[Any]:
    """The first rows of a frame as a form is given them, and these values in its first row."""
    matrix = np.empty((30 + len(odd), frame.shape[1]), dtype=object)
    for column, name in enumerate(frame.columns):
        matrix[:, column] = [*frame[name].tolist()[:30], *([frame[name].tolist()[0]] * len(odd))]
        for place, values in enumerate(odd):
            if name in values:
                matrix[30 + place, column] = values[name]
    return matrix


ENCODED = ["port", "deck", "alone", "cabin", "half"]
ODD_TRAVELLERS = ({"age": NAN}, {"port": "Brest"}, {"port": NAN}, {"cabin": 9}, {"half": 0.5})
FRAMES = [
    make_column_transformer(
        (OneHotEncoder(), ENCODED), remainder=make_pipeline(SimpleImputer(), StandardScaler())
    ),
    make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["port"]),
        (OrdinalEncoder(), ["deck", "alone"]),
        (OneHotEncoder(sparse_output=False), make_column_selector(dtype_include="int")),
        (SimpleImputer(add_indicator=True), ["age"]),
        ("drop", ["half"]),
    ),
    ColumnTransformer(
        [
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["port", "half"]),
            ("numbers", SimpleImputer(strategy="median"), ["age", "cabin"]),
        ],
        transformer_weights={"texts": 0.3},
        sparse_threshold=1.0,
    ),
    make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ENCODED),
        (SimpleImputer(), ["age"]),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas"),
]


@pytest.mark.parametrize("transformer", FRAMES, ids=["one-hot", "kinds", "weights", "pandas"])
def test_columns_of_a_frame_answer_as_their_pipeline_does(transformer: Any) -> None:
    X = travellers()
    y = target_of(X.to_numpy(dtype=object)[:, 1:]) + X["cabin"]
    pipeline = make_pipeline(transformer, LinearRegression()).fit(X, y)
    form, signature = packed(pipeline, X, y)
    require_same(pipeline, form, signature, cells(X, *ODD_TRAVELLERS))


def test_a_category_takes_few_bytes_however_many_there_are() -> None:
    X = np.array([f"item {number}" for number in range(5000)], dtype=object)[:, np.newaxis]
    y = np.arange(5000.0)
    pipeline = make_pipeline(OneHotEncoder(), LinearRegression(fit_intercept=False)).fit(X, y)
    form, signature = packed(pipeline, X, y)
    header, data = write(form)
    assert len(header) + len(data) < 5000 * 30
    require_same(pipeline, form, signature, X[::700])


def test_what_is_no_text_and_no_number_is_not_packed() -> None:
    X = pd.DataFrame({"day": pd.to_datetime(["2024-01-01", "2024-01-02"] * 10)})
    pipeline = make_pipeline(OneHotEncoder(), LinearRegression()).fit(X, np.arange(20.0))
    with pytest.raises(NotPacked):
        packed(pipeline, X, np.arange(20.0))


FORGED = [
    (b'"width":8', b'"width":999999999'),
    (b'"width":8', b'"width":2'),
    (b'"width":8', b'"width":-1'),
    (b'"others":["unknown"]', b'"others":["unknown","unknown"]'),
    (b'"others":["unknown"]', b'"others":[]'),
    (b'"others":["unknown"]', b'"others":["else"]'),
    (b'"values":[1,2,5]', b'"values":[1,2,5,[3]]'),
    (b'"values":[1,2,5]', b'"values":[1,2]'),
]


@pytest.mark.parametrize(("honest", "forged"), FORGED)
def test_forged_categories_are_malformed(honest: bytes, forged: bytes) -> None:
    X = colours()
    X[:5, 0] = "pink"
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    pipeline = make_pipeline(encoder, LinearRegression()).fit(X, target_of(X))
    form, _ = packed(pipeline, X, target_of(X))
    header, data = write(form)
    assert honest in header
    with pytest.raises(Malformed):
        read(header.replace(honest, forged), data)
