"""Who survived the Titanic: numbers, categories and missing values in one pipeline.

The real table is OpenML's "titanic", version 1 (by Frank E. Harrell Jr. and Thomas Cason). Columns
are taken by position from an array of objects, so that no pandas is needed.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..tables import Table
from .recipe import SEED, Dataset, OpenML, Recipe, chosen, find_columns, integers

PASSENGERS: Final = 1309
CLASSES: Final = (1, 2, 3)
SEXES: Final = ("female", "male")
PORTS: Final = ("C", "Q", "S")

COLUMNS: Final = ("pclass", "sex", "age", "sibsp", "parch", "fare", "embarked")
PCLASS, SEX, AGE, SIBSP, PARCH, FARE, EMBARKED = range(7)


def _data() -> Dataset:
    """Passengers with the ranges and the gaps of the real table. Women, children and the first
    class survive more often, as they did."""
    random = np.random.default_rng(SEED)
    pclass = random.choice(CLASSES, PASSENGERS, p=(0.25, 0.21, 0.54))
    female = random.random(PASSENGERS) < 0.36
    age = np.clip(random.normal(43 - 6 * pclass, 13), 0.17, 80).round()
    sibsp = np.minimum(random.geometric(0.67, PASSENGERS) - 1, 8)
    parch = np.minimum(random.geometric(0.72, PASSENGERS) - 1, 9)
    fare = np.clip(np.exp(random.normal(5.3 - 1.15 * pclass, 0.6)), 0, 512.3292).round(4)
    port = random.choice(PORTS, PASSENGERS, p=(0.21, 0.09, 0.70))
    logit = -1.2 + 2.6 * female - (pclass - 2) - 0.03 * (age - 30) - 0.2 * sibsp
    survived = (random.random(PASSENGERS) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    age[random.random(PASSENGERS) < 0.2] = np.nan
    fare[random.integers(PASSENGERS)] = np.nan
    embarked = port.astype(object)
    embarked[random.integers(PASSENGERS, size=2)] = np.nan
    sex = np.where(female, "female", "male")
    return Dataset(
        _rows(pclass, sex, age, sibsp, parch, fare, embarked),
        survived,
        COLUMNS,
        "survived",
        notice=f"Trained on a generated sample of {PASSENGERS} passengers, not on the real ones; "
        "quart-app models train titanic --data FILE trains on the real table.",
        source="passengers made by a seeded generator",
    )


def _of_table(table: Table) -> Dataset:
    found = find_columns(table, dict.fromkeys((*COLUMNS, "survived"), ()))
    columns = {
        "pclass": chosen(table, found["pclass"], list(map(str, CLASSES)), missing=False).astype(
            int
        ),
        "sex": chosen(table, found["sex"], SEXES, missing=False),
        "embarked": chosen(table, found["embarked"], PORTS, missing=True),
        **{name: integers(table, found[name]) for name in ("sibsp", "parch")},
        **{name: table.numbers(found[name]) for name in ("age", "fare")},
    }
    survived = chosen(table, found["survived"], ("0", "1"), missing=False).astype(np.int64)
    return Dataset(_rows(*(columns[name] for name in COLUMNS)), survived, COLUMNS, "survived")


def _rows(*columns: NDArray[Any]) -> NDArray[Any]:
    """Columns of several types as one array of Python objects."""
    rows = np.empty((len(columns[0]), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        rows[:, i] = column.tolist()
    return rows


def _pipeline() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    known = OneHotEncoder(categories=[list(CLASSES), list(SEXES)])
    port = Pipeline(
        [
            ("imputer", SimpleImputer(strategy="most_frequent")),
            ("encoder", OneHotEncoder(categories=[list(PORTS)])),
        ]
    )
    filled = Pipeline([("imputer", SimpleImputer(strategy="median")), ("scaler", StandardScaler())])
    columns = ColumnTransformer(
        [
            ("known", known, [PCLASS, SEX]),
            ("port", port, [EMBARKED]),
            ("filled", filled, [AGE, FARE]),
            ("family", StandardScaler(), [SIBSP, PARCH]),
        ]
    )
    return Pipeline(
        [
            ("columns", columns),
            ("classifier", LogisticRegression(max_iter=1000, random_state=SEED)),
        ]
    )


RECIPE = Recipe(
    name="titanic",
    title="Titanic",
    description="Whether a passenger of the Titanic survived.",
    data=_data,
    pipeline=_pipeline,
    scores={"accuracy": "accuracy", "roc_auc": "roc_auc"},
    words={"0": "did not survive", "1": "survived"},
    labels={
        "pclass": "Class",
        "sex": "Sex",
        "age": "Age",
        "sibsp": "Siblings and spouses aboard",
        "parch": "Parents and children aboard",
        "fare": "Fare",
        "embarked": "Port of embarkation",
    },
    units={"age": "years", "fare": "pounds"},
    descriptions={"embarked": "C is Cherbourg, Q is Queenstown, S is Southampton."},
    table=_of_table,
    openml=OpenML("titanic", 1),
)
