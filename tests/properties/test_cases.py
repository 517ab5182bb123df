"""Pipelines that were answered wrongly once, each the smallest that was found."""

from __future__ import annotations

from typing import Final

import pytest

from .consumers import CONSUMERS
from .dtypes import DTYPES
from .pipelines import NAMES, ColumnPlan, Container, Fitted, Plan, Shape
from .trials import Trials

pytestmark = [pytest.mark.forms, pytest.mark.filterwarnings("ignore")]

ROWS: Final = 30
MISSING: Final = ", missing"
"""After the name of a dtype: training lacks some values."""

Case = tuple[Container, Shape, tuple[tuple[str, str], ...], str]
"""A container, how it is consumed, dtypes with their consumers, and a model."""

ONE: Final[Shape] = "column by column"
CASES: Final[dict[str, Case]] = {
    "a step finds its columns by name and takes an array too": (
        *("frame", "by name if there are names", (("uint8", "passed on"),)),
        "DecisionTreeRegressor",
    ),
    "a step computes in the dtype, which another row must not widen": (
        *("frame", "by name if there are names", (("int16", "passed on"),)),
        "KNeighborsRegressor",
    ),
    "ids among objects": (
        *("objects", ONE, (("int64 of 19 digits", "own step written"),)),
        "DecisionTreeRegressor",
    ),
    "a missing truth beside others": (
        *("frame", ONE, (("bool", "own step kinds"), ("float64", "passed on"))),
        "HistGradientBoostingRegressor",
    ),
    "sparse data": ("sparse", "all at once", (("float32", "passed on"),), "Ridge"),
    "a row changes what stands beside it": (
        *("frame", ONE, (("int8", "own step written"),), "HistGradientBoostingClassifier"),
    ),
    "integers beyond a narrow dtype": (
        *("frame", "by name", (("bool", "passed on"), ("int8", "passed on"))),
        "LogisticRegression",
    ),
    "integers beyond a dtype of pandas": (
        *("frame", ONE, (("UInt16" + MISSING, "TargetEncoder"),), "LogisticRegression"),
    ),
    "None is a category": (
        *("frame", ONE, (("object with None" + MISSING, "OneHotEncoder, ignore"),)),
        "DecisionTreeRegressor",
    ),
    "None is a category of an array": (
        *("objects", ONE, (("object with None" + MISSING, "OneHotEncoder, ignore"),)),
        "DecisionTreeRegressor",
    ),
    "missing days among texts that are all ordinals": (
        "frame",
        "all at once",
        (
            ("days as objects", "OrdinalEncoder"),
            ("days as str" + MISSING, "OrdinalEncoder"),
            ("days as objects, month last" + MISSING, "OrdinalEncoder"),
        ),
        "HistGradientBoostingClassifier",
    ),
    "ids in an array beside small numbers": (
        "array",
        ONE,
        (("uint64", "MinMaxScaler"), ("uint64 of 19 digits", "own step written")),
        "DecisionTreeClassifier",
    ),
    "ids in an array that may be missing": (
        *("array", ONE, (("int64 of 19 digits", "SimpleImputer, most frequent"),), "Ridge"),
    ),
    "half precision in an array": (
        *("array", "all at once", (("float16" + MISSING, "SimpleImputer, mean"),), "Ridge"),
    ),
    "the largest integers": (
        *("frame", ONE, (("int64", "SimpleImputer, median"),), "LogisticRegression"),
    ),
    "the largest integers without a sign": (
        *("array", "all at once", (("uint64", "own step kinds"),)),
        "HistGradientBoostingRegressor",
    ),
    "times without their zone": (
        *("frame", ONE, (("datetime64[ns, Europe/Berlin]", "own step hours"),), "Ridge"),
    ),
    "days that a step reads": (
        *("frame", ONE, (("days as objects, month last", "own step read_days"),), "Ridge"),
    ),
    "categories of single precision": ("frame", ONE, (("float32", "OneHotEncoder"),), "Ridge"),
    "categories of pandas's own single precision": (
        *(
            "frame",
            ONE,
            (("Float32" + MISSING, "OrdinalEncoder"),),
            "HistGradientBoostingRegressor",
        ),
    ),
    "a fraction beside pandas's own integers": (
        *("frame", "all at once", (("Int64" + MISSING, "OneHotEncoder, infrequent"),), "Ridge"),
    ),
    "ids in an array of floats, as categories": (
        "array",
        ONE,
        (
            ("int64 of 19 digits", "OneHotEncoder, ignore"),
            ("uint64", "OneHotEncoder, ignore"),
        ),
        "DecisionTreeClassifier",
    ),
    "ids that are filled in": (
        *("frame", ONE, (("uint64 of 19 digits", "SimpleImputer, most frequent"),)),
        "LogisticRegression",
    ),
    "a truth that was never missing": (
        *("frame", ONE, (("bool", "own step missing"),), "DecisionTreeClassifier"),
    ),
    "truths of pandas beside other numbers": (
        "frame",
        ONE,
        (("float16" + MISSING, "SimpleImputer, most frequent"), ("boolean", "OneHotEncoder")),
        "LogisticRegression",
    ),
    "a fraction beside integers that a step takes as such alone": (
        "array",
        ONE,
        (("int64 of 19 digits", "SimpleImputer, most frequent"), ("uint32", "own step bits")),
        "DecisionTreeRegressor",
    ),
    "single precision beside narrow integers": (
        *("frame", ONE, (("uint8", "StandardScaler"), ("float32", "SimpleImputer, mean"))),
        "HistGradientBoostingClassifier",
    ),
    "a category of numbers that is missing beside integers": (
        "frame",
        "all at once",
        (("uint32", "SimpleImputer, mean"), ("category in order", "SimpleImputer, mean")),
        "HistGradientBoostingClassifier",
    ),
}


def plan_of_case(case: Case) -> Plan:
    container, shape, columns, model = case
    dtypes = {each.name: each for each in DTYPES}
    consumers = {each.name: each for each in CONSUMERS}
    plans = [
        ColumnPlan(
            name,
            dtypes[dtype.removesuffix(MISSING)],
            consumers[consumer],
            dtype.endswith(MISSING),
        )
        for name, (dtype, consumer) in zip(NAMES, columns, strict=False)
    ]
    return Plan(tuple(plans), container, shape, model, "texts", 1)


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_that_was_answered_wrongly_is_answered_as_it_says(
    trials: Trials, name: str
) -> None:
    trials.prove(Fitted.of(plan_of_case(CASES[name])), ROWS, everywhere=False)
