"""Small models that take columns of every kind, and that tell several things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from model_store import Manifest, ModelStore

Row = dict[str, Any]

ROWS: Final = 120
SEXES: Final = ("female", "male")
PORTS: Final = ("Cherbourg", "Queenstown", "Southampton")
DECKS: Final = ("A", "B", "C", "D", "E")
TITLES: Final = ("Dr", "Mr", "Mrs")
NOTES: Final = ("travels with a dog", "paid in full", "asked for\na quiet cabin", "no luggage")
AWKWARD: Final = (
    "it's \"quoted\" & 'twice'",
    "<script>window.ran = 1</script>",
    "with.dots and  spaces",
    "größe",  # composed
    "gro\u0308ße",  # decomposed
    "a=b&c;d+e%20f",
    "[x] \\ {{ y }} #z",
    "☃ 雪",
)


def passengers() -> pd.DataFrame:
    """A column of each kind, some with missing values."""
    random = np.random.default_rng(3)
    day = np.datetime64("1912-04-10", "us")
    age = random.uniform(1, 80, ROWS).round(1)
    port = random.choice(np.array(PORTS, dtype=object), ROWS)
    age[::7], port[::11] = np.nan, np.nan
    return pd.DataFrame(
        {
            "age": age,
            "siblings": random.integers(0, 6, ROWS),
            "sex": random.choice(np.array(SEXES, dtype=object), ROWS),
            "class": random.integers(1, 4, ROWS),
            "port": port,
            "deck": random.choice(np.array(DECKS, dtype=object), ROWS),
            "title": random.choice(np.array(TITLES, dtype=object), ROWS),
            "alone": random.random(ROWS) < 0.5,
            "boarded": day + random.integers(0, 4, ROWS) * np.timedelta64(1, "D"),
            "woken": day + random.integers(0, 9000, ROWS) * np.timedelta64(60, "s"),
            "note": random.choice(np.array(NOTES, dtype=object), ROWS),
        }
    )


def days(frame: Any) -> NDArray[np.float64]:
    """Dates, in a frame or as objects, as days since 1970."""
    moments = np.asarray(frame, dtype="datetime64[us]")
    since = moments - np.datetime64("1970-01-01", "us")
    return np.asarray(since / np.timedelta64(1, "D"), dtype=np.float64)


def truths(frame: Any) -> NDArray[np.float64]:
    return np.asarray(frame, dtype=np.float64)


def transformer(place: Callable[[str], Any]) -> ColumnTransformer:
    """What every pipeline of these begins with; `place` is where it finds a column."""
    known, any_ = OneHotEncoder(), OneHotEncoder(handle_unknown="ignore")
    filled = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    dated = make_pipeline(FunctionTransformer(days), StandardScaler())

    def places(*names: str) -> list[Any]:
        return [place(name) for name in names]

    return ColumnTransformer(
        [
            ("numbers", numbers, places("age")),
            ("integers", StandardScaler(), places("siblings")),
            ("known", known, places("sex", "class", "deck")),
            ("filled", filled, places("port")),
            ("any", any_, places("title")),
            ("truths", FunctionTransformer(truths), places("alone")),
            ("dates", dated, places("boarded", "woken")),
            ("letters", TfidfVectorizer(analyzer="char"), place("note")),  # and line ends
        ]
    )


def survived(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Something that depends on several of the columns."""
    points = (frame["sex"] == "female") * 2 + frame["alone"] - frame["class"] + frame["siblings"]
    return np.asarray(points > points.median(), dtype=np.int64)


def publish_mixed(store: ModelStore) -> Manifest:
    """`mixed`: a classifier that was fitted on a DataFrame."""
    frame = passengers()
    y = survived(frame)
    pipeline = make_pipeline(transformer(str), LogisticRegression()).fit(frame, y)
    return store.publish(
        "mixed",
        pipeline,
        frame,
        y,
        target_name="survived",
        title="Passengers",
        labels={"age": "Age", "siblings": "Siblings aboard", "port": "Port of embarkation"},
        units={"age": "years"},
        descriptions={"port": "Where the passenger came aboard."},
        words={"0": "did not survive", "1": "survived"},
    )


def publish_objects(store: ModelStore) -> Manifest:
    """`objects`: a regression that was fitted on the values of that frame, and finds its columns
    by position; its dates are Python's."""
    frame = passengers()
    matrix = objects(frame)
    pipeline = make_pipeline(transformer(list(frame.columns).index), LinearRegression()).fit(
        matrix, fare(frame)
    )
    return store.publish(
        "objects",
        pipeline,
        matrix,
        fare(frame),
        feature_names=list(frame.columns),
        target_name="fare",
        labels={"fare": "Fare"},
        units={"fare": "pounds"},
    )


def fare(frame: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(100 / frame["class"] + 3 * frame["siblings"], dtype=np.float64)


def objects(frame: pd.DataFrame) -> NDArray[Any]:
    """The frame's values as Python objects."""
    return np.asarray(frame.astype(object), dtype=object)


def publish_several(store: ModelStore) -> Manifest:
    """`several`: a classifier of two targets at once."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    water, wind = np.where(X[:, 0] > 0, "warm", "cold"), np.where(X[:, 1] > 0, "storm", "calm")
    y = np.column_stack([water, wind])
    forest = RandomForestClassifier(n_estimators=4, random_state=0).fit(X, y)
    return store.publish(
        "several", forest, X, y, target_name=["water", "wind"], labels={"wind": "Wind at sea"}
    )


def publish_numbers(store: ModelStore) -> Manifest:
    """`numbers`: a regression of two targets, one with a unit."""
    X = np.random.default_rng(0).normal(size=(30, 2))
    y = X @ np.array([[1.0, 2.0], [3.0, 4.0]])
    return store.publish(
        "numbers",
        LinearRegression().fit(X, y),
        X,
        y,
        target_name=["mass", "length"],
        units={"mass": "kg"},
    )


def publish_awkward(store: ModelStore) -> Manifest:
    """`awkward`: names that HTML, a query, a form or a script could trip over."""
    X = np.random.default_rng(0).normal(size=(30, len(AWKWARD)))
    y = X @ np.arange(1, len(AWKWARD) + 1)
    pipeline = LinearRegression().fit(X, y)
    return store.publish("awkward", pipeline, X, y, feature_names=AWKWARD)


def publish_many(store: ModelStore) -> Manifest:
    """`many`: 500 columns."""
    X = np.random.default_rng(0).normal(size=(40, 500))
    pipeline = LinearRegression().fit(X, X[:, 0])
    names = [f"measurement {i}" for i in range(500)]
    return store.publish("many", pipeline, X, X[:, 0], feature_names=names)


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a client sends them, as the DataFrame that `mixed` was fitted on."""
    trained = passengers()
    frame = pd.DataFrame(rows, columns=trained.columns)
    for name in ("boarded", "woken"):
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    return frame.astype(trained.dtypes)


PUBLISHED: Final[dict[str, Callable[[ModelStore], Manifest]]] = {
    "mixed": publish_mixed,
    "objects": publish_objects,
    "several": publish_several,
    "numbers": publish_numbers,
    "awkward": publish_awkward,
    "many": publish_many,
}
