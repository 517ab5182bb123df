"""Pipelines to draw: columns, the container they come in, what takes them, and what answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from .consumers import NUMERIC, OWN_STEPS, Consumer, own_steps, takers
from .dtypes import DTYPES, NAN, Dtype, Float, Integer, Text, Truth, Value

Container = Literal["frame", "array", "objects", "sparse", "texts"]
Shape = Literal[
    "column by column", "all at once", "by dtype", "by name if there are names", "by name"
]
Row = dict[str, Value]
T = TypeVar("T")

ROWS: Final = 40
SEEDS: Final = 2**32
NAMES: Final = ("alpha", "beta", "gamma", "delta")
MOST_FORMS: Final = 6

CONTAINERS: Final[tuple[Container, ...]] = (
    *("frame",) * 8,
    *("array", "array", "objects", "objects", "texts", "sparse"),
)
SHAPES: Final[tuple[Shape, ...]] = (
    *("column by column", "column by column", "all at once"),
    *("column by column",) * 3,
    *("by dtype", "by name if there are names", "by name"),
)

MODELS: Final[dict[str, Callable[[], Any]]] = {
    "DecisionTreeRegressor": lambda: DecisionTreeRegressor(random_state=0),
    "Ridge": lambda: make_pipeline(StandardScaler(with_mean=False), Ridge(alpha=1e-3)),
    "DecisionTreeClassifier": lambda: DecisionTreeClassifier(random_state=0),
    "LogisticRegression": lambda: make_pipeline(
        StandardScaler(with_mean=False), LogisticRegression(C=100, max_iter=50)
    ),
    "KNeighborsRegressor": lambda: KNeighborsRegressor(2, weights="distance"),
    "HistGradientBoostingRegressor": lambda: HistGradientBoostingRegressor(
        max_iter=4, min_samples_leaf=2, random_state=0
    ),
    "HistGradientBoostingClassifier": lambda: HistGradientBoostingClassifier(
        max_iter=3, min_samples_leaf=2, random_state=0
    ),
}
LABELS: Final[dict[str, tuple[Any, ...]]] = {
    "texts": (" <=50K", " >50K", "NA"),
    "integers": (0, 1, 7),
    "truths": (False, True),
}
IN_OBJECTS: Final = (
    *(Float("float64"), Integer("int64"), Integer("int64 of 19 digits", ids=True), Truth("bool")),
    *(Text("object with None", "object"), Text("object with nan", "object", marker=NAN)),
)
IN_SPARSE: Final = ("float64", "float32", "int8", "int32", "int64", "uint16")


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """A column before it has values. `missing` says that training lacks some."""

    name: str
    dtype: Dtype
    consumer: Consumer
    missing: bool

    def __str__(self) -> str:
        lacking = ", some missing" if self.missing else ""
        return f"{self.name} ({self.dtype.name}{lacking})"


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline before it is fitted."""

    columns: tuple[ColumnPlan, ...]
    container: Container
    shape: Shape
    model: str
    labels: str
    seed: int

    @property
    def consumed(self) -> bool:
        """Whether the columns go to what is drawn for them, and not to what takes all by itself."""
        return self.shape in ("column by column", "all at once")

    def __str__(self) -> str:
        columns = "; ".join(
            f"{column} → {column.consumer.name}" if self.consumed else str(column)
            for column in self.columns
        )
        told = f" of {self.labels}" if "Classifier" in self.model or "Log" in self.model else ""
        return f"{self.container}, {self.shape}: {columns} → {self.model}{told} (seed {self.seed})"


def plans(part: int = 0, containers: Sequence[Container] = CONTAINERS) -> st.SearchStrategy[Plan]:
    """Pipelines of up to four columns. A smaller set of the same columns is a simpler one.

    `part` tells apart what would draw the same.
    """
    seeds = st.integers(0, SEEDS - 1).map(lambda seed: part * SEEDS + seed)
    kept = st.integers(1, 2 ** len(NAMES) - 1)
    return st.builds(plan_of, seeds, kept, st.just(containers))


def plan_of(seed: int, kept: int, containers: Sequence[Container] = CONTAINERS) -> Plan:
    """The pipeline of a seed, with the columns whose bits are set in `kept`.

    Each column is drawn by itself, so that the others stay what they are where one is left out.
    """
    random = np.random.default_rng(seed)
    container = _one(random, containers)
    shape: Shape = "all at once"
    if container not in ("texts", "sparse"):
        shape = _one(random, SHAPES if container == "frame" else SHAPES[:3])
    model, labels = _one(random, sorted(MODELS)), _one(random, sorted(LABELS))
    pool = _pool(container, shape)
    first = _one(random, pool)
    consumer = _one(random, _able(first, container, shape))
    columns: list[ColumnPlan] = []
    for place, name in enumerate(NAMES):
        random = np.random.default_rng((seed, place))
        dtype = _one(random, pool)
        if shape == "all at once":
            # One transformer takes all columns, which are of a family.
            dtype = _one(random, [each for each in pool if each.family == first.family])
        else:
            consumer = _one(random, _able(dtype, container, shape))
        missing = dtype.may_miss and container not in ("texts", "sparse") and random.random() < 0.5
        if kept & 1 << place and (container != "texts" or not columns):
            columns.append(ColumnPlan(name, dtype, consumer, missing))
    return Plan(tuple(columns), container, shape, model, labels, seed)


def _one(random: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(random.integers(len(choices)))]


def _pool(container: Container, shape: Shape) -> list[Dtype]:
    """The dtypes that may stand there."""
    named = shape.startswith("by name")
    return [
        dtype
        for dtype in (IN_OBJECTS if container == "objects" else DTYPES)
        if (container != "array" or dtype.plain)
        and (container != "sparse" or dtype.name in IN_SPARSE)
        and (not named or (dtype.family in NUMERIC and dtype.plain))
        and (shape != "by dtype" or dtype.family in NUMERIC | {"text"})
        and (container != "texts" or dtype.family in ("text", "day"))
    ]


def _able(dtype: Dtype, container: Container, shape: Shape) -> list[Consumer]:
    """Who takes such a column there."""
    able = takers(dtype.family)
    if container == "sparse":
        return [each for each in able if each.name == "passed on"]
    if container == "texts":
        return [each for each in able if each.one]
    return able if shape == "column by column" else [each for each in able if not each.one]


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its values of training, None where one is missing."""

    plan: ColumnPlan
    values: list[Any]

    @property
    def known(self) -> list[Any]:
        return [value for value in self.values if value is not None]

    @classmethod
    def drawn(cls, plan: ColumnPlan, random: np.random.Generator) -> Column:
        values = plan.dtype.draw(random, ROWS)
        if plan.missing:
            values = [None if place % 6 == 4 else value for place, value in enumerate(values)]
        return cls(plan, values)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A pipeline that is fitted, and what on."""

    plan: Plan
    columns: tuple[Column, ...]
    X: Any
    y: Any
    pipeline: Any

    @classmethod
    def of(cls, plan: Plan) -> Fitted:
        """Fit the pipeline.

        Raises:
            Exception: scikit-learn does not take such columns.
        """
        random = np.random.default_rng(plan.seed)
        columns = tuple(Column.drawn(each, random) for each in plan.columns)
        y = _target(plan, random)
        X = _training(plan, columns)
        return cls(plan, columns, X, y, _pipeline(plan).fit(X, y))

    @property
    def answers_each_alone(self) -> bool:
        """Whether the pipeline itself answers each row of its training data without the others: it
        may need the floats that integers become where another row lacks its value."""
        rows = self.X.iloc if hasattr(self.X, "iloc") else self.X
        try:
            for row in range(len(self.y)):
                self.pipeline.predict(rows[row : row + 1])
        except Exception:
            return False
        return True

    @property
    def code(self) -> Any:
        """The module of the steps of one's own, where the pipeline has any."""
        own = self.plan.consumed and any(column.consumer.own for column in self.plan.columns)
        return OWN_STEPS if own or self.plan.shape.startswith("by name") else None

    def forms(self, row: Row) -> Iterator[Any]:
        """The row as persons would write it by hand; several where they differ."""
        if self.plan.container == "texts":
            yield [row[self.columns[0].plan.name]]
        elif self.plan.container in ("array", "sparse"):
            yield from self._as_arrays(list(row.values()))
        elif self.plan.container == "objects":
            yield from self._as_objects(row)
        else:
            series = [
                column.plan.dtype.forms(
                    row[column.plan.name], column.known, missing=column.plan.missing
                )
                for column in self.columns
            ]
            for each in itertools.islice(itertools.product(*series), MOST_FORMS):
                yield pd.DataFrame(dict(zip(row, each, strict=True)))

    def _as_arrays(self, given: Sequence[Value]) -> Iterator[Any]:
        """In the dtype of training; or where a value does not fit that, as numpy makes an array of
        them, and as objects, which keep what that rounds."""
        values = [NAN if value is None else value for value in given]
        fits = _all_fit(given, self.X.dtype)
        found = np.array([values], dtype=self.X.dtype) if fits else np.array([values])
        if self.plan.container == "sparse":
            # Sparse arrays hold no integers beyond 64 bits.
            found = found.astype(float) if found.dtype == object else found
            yield scipy.sparse.csr_matrix(found)
        yield found  # Nobody makes a sparse array of one row who need not.
        if not fits:
            yield np.array([values], dtype=object)

    def _as_objects(self, row: Row) -> Iterator[Any]:
        markers = [
            ([_marker(column)] if column.plan.missing else [None, NAN])
            if row[column.plan.name] is None
            else [_as_object(column, row[column.plan.name])]
            for column in self.columns
        ]
        for values in itertools.islice(itertools.product(*markers), MOST_FORMS):
            yield np.array([list(values)], dtype=object)


def _as_object(column: Column, value: Value) -> Any:
    """A value among objects: Python's own, a float where training has floats."""
    return float(value) if column.plan.dtype.family == "float" else value  # type: ignore[arg-type]


def _marker(column: Column) -> Any:
    return getattr(column.plan.dtype, "marker", NAN)


def _all_fit(values: Sequence[Value], dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "O":  # Truths beside numbers.
        return True
    if dtype.kind == "b":
        return all(isinstance(value, bool) for value in values)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        return all(isinstance(value, int) and ends.min <= value <= ends.max for value in values)
    numbers = [value for value in values if value is not None]
    largest = float(np.finfo(dtype).max)
    return all(isinstance(value, int | float) and abs(value) <= largest for value in numbers)


def _training(plan: Plan, columns: Sequence[Column]) -> Any:
    if plan.container == "texts":
        return list(columns[0].values)
    if plan.container == "objects":
        return np.array(_marked(columns), dtype=object)
    series = {
        column.plan.name: column.plan.dtype.series(column.values, column.known)
        for column in columns
    }
    frame = pd.DataFrame(series)
    if plan.container == "frame":
        return frame
    # Of the values themselves, since a float32 that is widened is another number.
    array = np.array(_marked(columns), dtype=frame.to_numpy().dtype)
    return scipy.sparse.csr_matrix(array) if plan.container == "sparse" else array


def _marked(columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    """The rows, with what stands for a missing value."""
    marked = [
        [_marker(column) if value is None else value for value in column.values]
        for column in columns
    ]
    return list(zip(*marked, strict=True))


def _target(plan: Plan, random: np.random.Generator) -> Any:
    """What no pattern explains, so that an answer hangs on each value."""
    if "Regressor" in plan.model or plan.model == "Ridge":
        return np.round(random.normal(50, 20, ROWS), 3)
    labels = LABELS[plan.labels]
    return np.array([labels[place] for place in random.integers(0, len(labels), ROWS)])


def _pipeline(plan: Plan) -> Any:
    model = MODELS[plan.model]()
    first = plan.columns[0].consumer
    if plan.shape == "column by column":
        places = [
            column.name if plan.container == "frame" else place
            for place, column in enumerate(plan.columns)
        ]
        steps = [
            (column.name, column.consumer.make(), place if column.consumer.one else [place])
            for column, place in zip(plan.columns, places, strict=True)
        ]
        return make_pipeline(ColumnTransformer(steps), model)
    if plan.shape == "by dtype":
        numbers = ("numbers", "passthrough", make_column_selector(dtype_include=["number", "bool"]))
        ignore = OneHotEncoder(handle_unknown="ignore")
        rest = ("rest", ignore, make_column_selector(dtype_exclude=["number", "bool"]))
        return make_pipeline(ColumnTransformer([numbers, rest]), model)
    names = tuple(column.name for column in plan.columns)
    if plan.shape == "by name if there are names":
        return make_pipeline(own_steps().Named(names[::2]), model)
    if plan.shape == "by name":
        return make_pipeline(own_steps().Needed(names[len(names) // 2 :]), model)
    made = first.make()
    return model if made == "passthrough" else make_pipeline(made, model)
