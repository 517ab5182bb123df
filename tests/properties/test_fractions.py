"""A fraction for a column of integers gets the pipeline's own answer, or a 400 if it takes none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import pytest

from .consumers import CONSUMERS
from .doors import DOORS, Door, Outcome, Refusal
from .dtypes import DTYPES, Asked
from .pipelines import NAMES, ColumnPlan, Container, Fitted, Plan, Shape
from .rows import SEEN, Answer, Question, agrees, said
from .served import Served
from .trials import Trials

pytestmark = [pytest.mark.forms, pytest.mark.filterwarnings("ignore")]

FRACTION: Final = 2.5
ONE: Final[Shape] = "column by column"
ALL: Final[Shape] = "all at once"
Columns = tuple[tuple[str, str], ...]
"""Dtypes with their consumers. The first column is the one that is asked for a fraction."""

TAKEN: Final[dict[str, tuple[Container, Shape, Columns]]] = {
    "of a frame": ("frame", ONE, (("int64", "StandardScaler"), ("bool", "passed on"))),
    "narrow, of a frame": ("frame", ALL, (("uint8", "MinMaxScaler"), ("int16", "MinMaxScaler"))),
    "beside single precision": ("frame", ONE, (("int8", "passed on"), ("float32", "passed on"))),
    "of pandas": ("frame", ONE, (("Int64", "SimpleImputer, mean"), ("UInt16", "passed on"))),
    "that is looked at": ("frame", ONE, (("int32", "own step written"), ("int32", "passed on"))),
    "beside a step that refuses": (
        "frame",
        ONE,
        (("int64", "passed on"), ("int64", "own step bits")),
    ),
    "of an array": ("array", ALL, (("int64", "passed on"), ("int64", "passed on"))),
    "of an array with ids": (
        *("array", ONE),
        (("int64", "own step written"), ("int64 of 19 digits", "own step last_digits")),
    ),
    "among objects": ("objects", ONE, (("int64", "StandardScaler"), ("float64", "passed on"))),
    "of a sparse matrix": ("sparse", ALL, (("int32", "passed on"), ("int32", "passed on"))),
    "of categories that are ignored": ("frame", ONE, (("int64", "OneHotEncoder, ignore"),)),
}
REFUSED: Final[dict[str, tuple[Container, Shape, Columns]]] = {
    "of a step": ("frame", ONE, (("int64", "own step bits"), ("int64", "passed on"))),
    "of pandas": ("frame", ONE, (("Int64", "own step bits"), ("float64", "passed on"))),
    "of an array": ("array", ALL, (("int16", "own step bits"), ("int16", "own step bits"))),
    "of known categories": ("frame", ONE, (("int64", "OneHotEncoder"), ("int64", "passed on"))),
    "of ordinals": ("objects", ONE, (("int64", "OrdinalEncoder"), ("float64", "passed on"))),
}


def fitted(container: Container, shape: Shape, columns: Columns) -> Fitted:
    dtypes = {each.name: each for each in DTYPES}
    consumers = {each.name: each for each in CONSUMERS}
    plans = [
        ColumnPlan(name, dtypes[dtype], consumers[consumer], missing=False)
        for name, (dtype, consumer) in zip(NAMES, columns, strict=False)
    ]
    return Fitted.of(Plan(tuple(plans), container, shape, "Ridge", "texts", 1))


def rows_of(model: Fitted) -> tuple[Question, Question]:
    """A row of training, and the same with a fraction."""
    usual = {column.plan.name: Asked(SEEN, column.known[0]) for column in model.columns}
    return Question(usual), Question({**usual, NAMES[0]: Asked("a fraction", FRACTION)})


def outcomes(served: Served, model: Fitted, name: str) -> Iterator[tuple[Door, Outcome]]:
    """What each door answers to the row with the fraction, and to both of them together."""
    usual, odd = (question.row for question in rows_of(model))
    served.store.publish(
        name,
        *(model.pipeline, model.X, model.y),
        code=model.code,
        feature_names=None if model.plan.container == "frame" else list(usual),
    )
    with served.loaded(name):
        for door in DOORS:
            for asks, rows in ((door.one, [odd]), (door.many, [usual, odd])):
                places = door.together(model, rows) if asks else []
                if len(places) == len(rows):
                    yield door, served.runner.run(door.ask(served.asker, name, model, rows))


numbers = itertools.count()


@pytest.mark.parametrize("case", TAKEN)
def test_a_fraction_is_answered_as_by_the_pipeline_at_each_door(case: str, trials: Trials) -> None:
    model = fitted(*TAKEN[case])
    usual, odd = (said(model, question.row) for question in rows_of(model))
    seen = 0
    for door, outcome in outcomes(trials.served, model, f"taken-{next(numbers)}"):
        assert not isinstance(outcome, Refusal), (door.name, outcome)
        for found, wanted in zip(reversed(outcome), (odd, usual), strict=False):
            forms = [each for each in wanted if isinstance(each, Answer)]
            assert any(agrees(found, each) for each in forms), (door.name, found, wanted)
            seen += 1
    assert seen > len(DOORS)


@pytest.mark.parametrize("case", REFUSED)
def test_a_fraction_that_the_pipeline_refuses_is_a_400_at_each_door(
    case: str, trials: Trials
) -> None:
    model = fitted(*REFUSED[case])
    answers: list[Any] = list(said(model, rows_of(model)[1].row))
    assert not any(isinstance(each, Answer) for each in answers), answers
    doors = []
    for door, outcome in outcomes(trials.served, model, f"refused-{next(numbers)}"):
        assert isinstance(outcome, Refusal), (door.name, outcome)
        assert outcome.status == 400, (door.name, outcome)
        assert f"{NAMES[0]}: expected" in outcome.sentence, (door.name, outcome)
        doors.append(door)
    assert set(doors) == set(DOORS)
