"""Pipelines of every kind, asked by each wire: form = query = JSON = `pipeline.predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from model_store import ModelStore
from quart_app import create_app

from .. import steps
from ..conftest import started

NAN = np.nan
ROWS = 40
draw = np.random.default_rng(4)

NUMBERS = draw.normal(size=(ROWS, 3))
GAPS = np.where(draw.random((ROWS, 3)) < 0.2, NAN, NUMBERS)
CLASS = np.where(NUMBERS[:, 0] > 0, "high", "low")
VALUE = NUMBERS @ [1.0, -2.0, 0.5] + 3
TWO_CLASSES = np.column_stack([NUMBERS[:, 0] > 0, NUMBERS[:, 1] > 0]).astype(int)
PORT = draw.choice(["Cork", "Bergen", "Faro"], ROWS)
DECK = draw.integers(1, 4, ROWS)
WORDS = np.array(["good film", "bad film\nwith two lines", "fine book", "poor book"] * 10)

FRAME = pandas.DataFrame(
    {
        "age": np.where(draw.random(ROWS) < 0.2, NAN, draw.uniform(1, 80, ROWS)),
        "count": draw.integers(0, 9, ROWS),
        "port": pandas.Series(PORT).where(draw.random(ROWS) > 0.2),
        "deck": DECK,
        "member": draw.random(ROWS) > 0.5,
        "review": WORDS,
        "when": pandas.Timestamp("2024-01-01") + pandas.to_timedelta(range(ROWS), unit="D"),
    }
)
OBJECTS = np.array(
    [
        [age, port if isinstance(port, str) else NAN, int(deck)]
        for age, port, deck in zip(FRAME["age"], FRAME["port"], DECK, strict=True)
    ],
    dtype=object,
)
AWKWARD = pandas.DataFrame(
    NUMBERS.repeat(2, axis=1)[:, :6],
    columns=['a"b', "<script>alert(1)</script>", "x.y", " two  spaces ", "\u00e9", "e\u0301"],
)


def impute(**options: Any) -> SimpleImputer:
    return SimpleImputer(**options)


def by_name() -> Any:
    """A ColumnTransformer that looks columns of all kinds up by their names."""
    port = make_pipeline(impute(strategy="most_frequent"), OneHotEncoder())
    columns = [
        ("numbers", make_pipeline(impute(), StandardScaler()), ["age", "count"]),
        ("port", port, ["port"]),
        ("deck", OneHotEncoder(handle_unknown="ignore"), ["deck"]),
        ("member", "passthrough", ["member"]),
        ("review", TfidfVectorizer(), "review"),
        ("when", FunctionTransformer(steps.days), ["when"]),
    ]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression(max_iter=2000))


def by_position() -> Any:
    port = make_pipeline(impute(strategy="most_frequent"), OneHotEncoder())
    columns = [("age", impute(), [0]), ("port", port, slice(1, 2)), ("deck", OneHotEncoder(), [2])]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression(max_iter=2000))


def boosted_categories() -> pandas.DataFrame:
    return pandas.DataFrame(
        {"port": pandas.Categorical(FRAME["port"]), "age": FRAME["age"], "deck": FRAME["deck"]}
    ).astype({"deck": "category"})


@dataclass(frozen=True)
class Kind:
    """A pipeline and what it is fitted on. `alone` says that it tells its columns by itself, and
    `tolerance` how far the answer to a row alone may be from that in company."""

    pipeline: Callable[[], Any]
    X: Any
    y: Any = field(default_factory=lambda: CLASS)
    alone: bool = True
    tolerance: float = 1e-12


def logistic() -> Any:
    return LogisticRegression(max_iter=2000)


KINDS: dict[str, Kind] = {
    "numbers": Kind(lambda: make_pipeline(StandardScaler(), logistic()), NUMBERS),
    "regression": Kind(Ridge, NUMBERS, VALUE),
    "float32": Kind(
        lambda: make_pipeline(MinMaxScaler(), Ridge()),
        NUMBERS.astype("f4"),
        VALUE,
        alone=False,  # nothing in it tells the precision
        tolerance=1e-5,
    ),
    "integers": Kind(logistic, (NUMBERS * 10).astype(int)),
    "booleans": Kind(logistic, NUMBERS > 0, alone=False),
    "tfidf": Kind(lambda: make_pipeline(TfidfVectorizer(), logistic()), list(WORDS)),
    "series of texts": Kind(
        lambda: make_pipeline(CountVectorizer(analyzer="char"), logistic()), FRAME["review"]
    ),
    "hashed": Kind(
        lambda: make_pipeline(HashingVectorizer(n_features=64), logistic()), list(WORDS)
    ),
    "columns by name": Kind(by_name, FRAME, alone=False),
    "columns by position": Kind(by_position, OBJECTS),
    "columns by dtype": Kind(
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("n", impute(), make_column_selector(dtype_include="number")),
                    ("c", OrdinalEncoder(), make_column_selector(dtype_exclude="number")),
                ]
            ),
            DecisionTreeClassifier(max_depth=3),
        ),
        FRAME[["age", "port", "deck"]].fillna({"port": "Faro"}),
    ),
    "boosting with gaps": Kind(lambda: HistGradientBoostingClassifier(max_iter=4), GAPS),
    "boosting on categories": Kind(
        lambda: HistGradientBoostingClassifier(max_iter=4, categorical_features="from_dtype"),
        boosted_categories(),
    ),
    "boosting on frames": Kind(
        lambda: HistGradientBoostingRegressor(max_iter=4), FRAME[["age", "count"]], VALUE
    ),
    "neighbours": Kind(KNeighborsClassifier, NUMBERS),
    "forest": Kind(lambda: RandomForestClassifier(5, random_state=0), GAPS),
    "no probabilities": Kind(SVC, NUMBERS),
    "bayes": Kind(GaussianNB, NUMBERS),
    "network": Kind(lambda: MLPClassifier((4,), max_iter=2000, random_state=0), NUMBERS),
    "two numbers": Kind(LinearRegression, NUMBERS, np.column_stack([VALUE, -VALUE])),
    "a column of one number": Kind(LinearRegression, NUMBERS, VALUE[:, None]),
    "two classes at once": Kind(
        lambda: RandomForestClassifier(4, random_state=0), NUMBERS, TWO_CLASSES
    ),
    "several outputs": Kind(
        lambda: MultiOutputClassifier(logistic()), NUMBERS, np.column_stack([CLASS, PORT])
    ),
    "labels that apply or not": Kind(lambda: OneVsRestClassifier(logistic()), NUMBERS, TWO_CLASSES),
    "500 features": Kind(Ridge, draw.normal(size=(ROWS, 500)), VALUE),
    "awkward names": Kind(lambda: make_pipeline(StandardScaler(), Ridge()), AWKWARD, VALUE),
    "outliers": Kind(lambda: IsolationForest(n_estimators=5, random_state=0), NUMBERS, None),
    "clusters": Kind(lambda: KMeans(3, n_init=1, random_state=0), NUMBERS, None),
    "searched": Kind(lambda: GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2), NUMBERS, VALUE),
    "voted": Kind(lambda: VotingClassifier([("a", logistic()), ("b", GaussianNB())]), NUMBERS),
    "stacked": Kind(lambda: StackingClassifier([("b", GaussianNB())], cv=2), NUMBERS),
    "calibrated": Kind(lambda: CalibratedClassifierCV(GaussianNB(), cv=2), NUMBERS),
    "bagged": Kind(lambda: BaggingClassifier(GaussianNB(), 3, random_state=0), NUMBERS),
    "transformed target": Kind(
        lambda: TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), NUMBERS, VALUE
    ),
    "indicators of gaps": Kind(lambda: make_pipeline(impute(add_indicator=True), logistic()), GAPS),
    "ordinals that may be unknown": Kind(
        lambda: make_pipeline(
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), logistic()
        ),
        np.column_stack([PORT, CLASS]).astype(object),
    ),
    "target encoded": Kind(
        lambda: make_pipeline(TargetEncoder(cv=2), Ridge()),
        PORT[:, None].astype(object),
        VALUE,
    ),
    "bins and polynomials": Kind(
        lambda: make_pipeline(
            KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),
            PolynomialFeatures(2),
            Ridge(),
        ),
        NUMBERS,
        VALUE,
    ),
    "united": Kind(
        lambda: make_pipeline(
            FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())]), Ridge()
        ),
        NUMBERS,
        VALUE,
    ),
    "numbers as text": Kind(
        lambda: make_pipeline(FunctionTransformer(steps.lengths), Ridge()),
        FRAME[["count", "member"]],
        VALUE,
        alone=False,
    ),
    "pandas's own dtypes": Kind(
        lambda: make_pipeline(
            ColumnTransformer([("s", OneHotEncoder(), ["s"])], remainder=impute()), Ridge()
        ),
        pandas.DataFrame(
            {
                "i": pandas.array([1, None, 3, 4] * 10, "Int64"),
                "f": pandas.array([1.5, None] * 20, "Float64"),
                "s": pandas.array(PORT, "string"),
            }
        ),
        VALUE,
        alone=False,
    ),
    "zoned dates": Kind(
        lambda: make_pipeline(FunctionTransformer(steps.days), Ridge()),
        FRAME[["when"]].apply(lambda column: column.dt.tz_localize("UTC")),
        VALUE,
        alone=False,
    ),
    "a class of one's own": Kind(
        lambda: make_pipeline(steps.Ratio(), Ridge()), np.abs(NUMBERS) + 1, VALUE, alone=False
    ),
}


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def as_json(value: Any) -> Any:
    """A value of the training data as a client sends it."""
    if value is None or value is pandas.NA or value != value:
        return None
    if isinstance(value, pandas.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def rows_of(names: tuple[str, ...], X: Any) -> list[dict[str, Any]]:
    if isinstance(X, pandas.DataFrame):
        # A row as a series has one dtype: take each value from its column.
        cells = [[X.iloc[row, i] for i in range(X.shape[1])] for row in range(len(X))]
    elif isinstance(X, np.ndarray) and X.ndim == 2:
        cells = [list(row) for row in X]
    else:
        cells = [[value] for value in X]
    return [{name: as_json(value) for name, value in zip(names, row, strict=True)} for row in cells]


def expected(pipeline: Any, X: Any) -> tuple[list[Any], Any]:
    labels = np.asarray(pipeline.predict(X))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not hasattr(pipeline, "predict_proba"):
        return labels.tolist(), None
    return labels.tolist(), pipeline.predict_proba(X)


def same(found: Any, wanted: Any, tolerance: float = 1e-12) -> bool:
    if isinstance(wanted, list):
        pairs = zip(found, wanted, strict=True)
        return all(same(one, other, tolerance) for one, other in pairs)
    if isinstance(wanted, float):
        return bool(np.isclose(found, wanted, rtol=tolerance, atol=1e-15))
    return bool(found == wanted) and type(found) is type(wanted)


def shares_of(row: Any, number: int, shares: Any, labels: Any) -> bool:
    """Whether the probabilities of an answer are those of a row."""
    if isinstance(shares, list):
        pairs = zip(row, (table[number] for table in shares), strict=True)
        return all(same(list(told.values()), wanted.tolist()) for told, wanted in pairs)
    if isinstance(labels, list):
        return all(
            same(list(told.values()), [1 - share, share])
            for told, share in zip(row, shares[number].tolist(), strict=True)
        )
    return same(list(row.values()), shares[number].tolist())


def marked(names: Iterable[str]) -> list[Any]:
    """The kinds by name, every fourth for every run, and none that takes seconds."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.forms]
            if place % 4 or "boosting" in name or "features" in name
            else [],
        )
        for place, name in enumerate(names)
    ]


@pytest.mark.parametrize("name", marked(KINDS))
async def test_every_wire_answers_what_the_pipeline_answers(name: str, tmp_path: Path) -> None:
    kind, store = KINDS[name], ModelStore(tmp_path / "models")
    pipeline = kind.pipeline().fit(kind.X, kind.y)
    names = store.publish(slug(name), pipeline, kind.X, kind.y).signature.names
    rows = rows_of(names, kind.X)
    labels, shares = expected(pipeline, kind.X)
    path = f"/models/{slug(name)}/predict"
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        client: Client = app.test_client()
        many = await (await client.post(path, json=rows)).get_json()
        assert same(many["predictions"], labels, kind.tolerance), many["predictions"]
        for number in (0, 7, ROWS - 1):
            row = rows[number]
            text = {key: "" if value is None else str(value) for key, value in row.items()}
            answers = [
                await client.post(path, json=row),
                await client.post(path, form=text, headers={"Accept": "application/json"}),
                await client.get(f"{path}?{urlencode(text)}"),
            ]
            for answer in answers:
                found = await answer.get_json()
                assert answer.status_code == 200, found
                assert same(found["prediction"], labels[number], kind.tolerance)
                if shares is not None:
                    assert shares_of(found["probabilities"], number, shares, labels[number])
        page = await client.get(f"/models/{slug(name)}", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "<script>alert" not in await page.get_data(as_text=True)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("name", marked(name for name, kind in KINDS.items() if kind.alone))
def test_a_pipeline_alone_tells_columns_that_its_training_rows_fit(
    name: str, tmp_path: Path
) -> None:
    kind, store = KINDS[name], ModelStore(tmp_path / "models")
    pipeline = kind.pipeline().fit(kind.X, kind.y)
    signature = store.publish("alone", pipeline).signature
    model = store.load(store.verify("alone"))
    model.replay()
    rows = rows_of(signature.names, kind.X)
    columns = {column: [row[column] for row in rows] for column in signature.names}
    answer = model.predict(signature.validate(columns, len(rows)))
    assert same(answer.labels.tolist(), expected(pipeline, kind.X)[0], kind.tolerance)
