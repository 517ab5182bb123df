"""What if: every answer is the one that the model gives when it is asked that row alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from model_store import InvalidRows, ModelStore, text_rules
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.about.what_if import MOST_CATEGORIES, MOST_COLUMNS, POINTS, WhatIf, what_if
from quart_app.blueprints.fields import as_text
from quart_app.context import context_of
from quart_app.inference import InferenceRequest
from quart_app.serving.servable import Servable

from ...conftest import started

Row = dict[str, Any]


class Served:
    """The models of a store, loaded."""

    def __init__(self, app: Any) -> None:
        self._registry = context_of(app).registry

    async def __call__(self, name: str) -> Servable:
        return await self._registry.servable(name)


@pytest.fixture
async def served(bundled_root: Path) -> AsyncIterator[Served]:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="")
    async with started(app):
        yield Served(app)


@pytest.fixture
async def served_kinds(kinds_root: Path) -> AsyncIterator[Served]:
    app = create_app(MODEL_STORE=kinds_root, RECIPES="")
    async with started(app):
        yield Served(app)


async def moved(servable: Servable, row: Row) -> WhatIf:
    """What if, of a row as JSON."""
    return await what_if(servable, one(row))


def one(row: Row) -> InferenceRequest:
    return InferenceRequest(columns={name: [value] for name, value in row.items()}, rows=1)


async def alone(servable: Servable, row: Row) -> tuple[Any, Any]:
    answer = await servable.infer(one(row))
    shares = answer.probabilities
    return answer.labels[0], None if shares is None else [each[0] for each in shares]


async def check(servable: Servable, row: Row, found: WhatIf) -> None:
    """Ask each changed row alone."""
    label, shares = await alone(servable, row)
    several = servable.manifest.several
    for place, each in enumerate(found.targets):
        classes = each.target.classes
        told = label[place] if several else label
        assert each.prediction == (pytest.approx(told) if classes is None else told)
        for effect in each.effects:
            for value, answer, then in zip(
                effect.values, effect.answers or (), effect.labels, strict=True
            ):
                changed, shares = await alone(servable, {**row, effect.column.name: value})
                changed = changed[place] if several else changed
                assert then == pytest.approx(changed) if classes is None else then == changed
                if classes is None:
                    assert answer == pytest.approx(changed)
                else:
                    assert answer == pytest.approx(shares[place][classes.index(told)])
            if effect.entered is not None:
                assert effect.values[effect.entered] == row[effect.column.name]


@pytest.mark.parametrize("name", RECIPES)
async def test_each_answer_is_that_of_the_row_asked_alone(name: str, served: Served) -> None:
    servable = await served(name)
    found = await moved(servable, servable.example)
    assert found.reason is None
    (each,) = found.targets
    assert [effect.column.name for effect in each.effects] == list(servable.example)
    await check(servable, servable.example, found)


@pytest.mark.parametrize("name", ["mixed", "several", "numbers"])
async def test_columns_of_every_kind_and_several_targets(name: str, served_kinds: Served) -> None:
    servable = await served_kinds(name)
    found = await moved(servable, servable.example)
    assert len(found.targets) == len(servable.manifest.targets)
    await check(servable, servable.example, found)
    varied = {effect.column.type for effect in found.targets[0].effects}
    assert not varied & {"date", "text"}


async def test_all_is_one_request(served: Served) -> None:
    servable = await served("iris")
    await moved(servable, servable.example)
    assert servable.statistics.success.count == 1


async def test_the_points_span_the_training_range_and_hold_what_was_entered(
    served: Served,
) -> None:
    servable = await served("exam")
    found = await moved(servable, {"X1": 61.234, "X2": 5.0})
    first, second = found.targets[0].effects
    assert (first.values[0], first.values[-1]) == (30.4, 99.9)
    assert len(first.values) == POINTS + 1
    assert second.values[0] == 5.0
    assert second.entered == 0
    assert list(first.values) == sorted(first.values)


async def test_integers_stay_integers(served: Served) -> None:
    servable = await served("titanic")
    found = await moved(servable, servable.example)
    effects = {effect.column.name: effect for effect in found.targets[0].effects}
    assert effects["parch"].values == list(range(8))
    assert effects["pclass"].values == [1, 2, 3]


async def test_the_points_have_the_decimals_of_the_data(served: Served) -> None:
    titanic, iris = await served("titanic"), await served("iris")
    found = await moved(titanic, {**titanic.example, "age": None})
    effects = {effect.column.name: effect for effect in found.targets[0].effects}
    assert all(age == int(age) for age in effects["age"].values)
    for effect in (await moved(iris, iris.example)).targets[0].effects:
        assert list(effect.values) == [round(float(value), 1) for value in effect.values]


async def test_a_missing_value_has_no_mark(served: Served) -> None:
    servable = await served("titanic")
    row = {**servable.example, "age": None, "embarked": None}
    found = await moved(servable, row)
    effects = {effect.column.name: effect for effect in found.targets[0].effects}
    assert (effects["age"].entered, effects["embarked"].entered) == (None, None)
    assert len(effects["age"].values) == POINTS
    await check(servable, row, found)


async def test_the_texts_of_a_form_are_the_same_values(served: Served) -> None:
    servable = await served("titanic")
    texts = {name: [as_text(value)] for name, value in servable.example.items()}
    sent = InferenceRequest(columns=texts, rows=1, rules=text_rules.FORM)
    assert await what_if(servable, sent) == await moved(servable, servable.example)


async def test_a_row_that_does_not_fit_is_refused(served: Served) -> None:
    servable = await served("exam")
    with pytest.raises(InvalidRows):
        await moved(servable, {"X1": "many", "X2": 1.0})


# Nothing, with a reason ----------------------------------------------------------


async def ask_published(store: ModelStore, pipeline: Any, X: Any, y: Any) -> WhatIf:
    store.publish("odd", pipeline.fit(X, y), X, y)
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app):
        servable = await Served(app)("odd")
        return await moved(servable, servable.example)


RANDOM = np.random.default_rng(1)


async def test_of_many_columns_there_is_nothing_and_a_reason(tmp_path: Path) -> None:
    X = RANDOM.normal(size=(30, MOST_COLUMNS + 1))
    found = await ask_published(ModelStore(tmp_path), LinearRegression(), X, X[:, 0])
    assert found == WhatIf((), f"The model has more than {MOST_COLUMNS} columns.")


async def test_what_the_model_does_not_answer_is_a_reason(tmp_path: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(np.sqrt), LinearRegression())
    X = np.array([[1.0, 5.0], [4.0, 2.0], [4.0, 4.0], [1.0, 6.0]])
    store = ModelStore(tmp_path)
    store.publish("root", pipeline.fit(X, X[:, 0]), X, X[:, 0])
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app):
        servable = await Served(app)("root")
        whole = await moved(servable, {"x0": 1.0, "x1": 4.0})
        assert whole.reason is None
        odd = await moved(servable, {"x0": -1.0, "x1": 4.0})
    assert odd == WhatIf((), "The model does not answer all values of its training range.")


async def test_a_column_of_one_value_is_not_moved(tmp_path: Path) -> None:
    X = np.array([[1.0], [1.0], [1.0]])
    found = await ask_published(ModelStore(tmp_path), LinearRegression(), X, [1.0, 2.0, 3.0])
    assert found == WhatIf((), "No column has values in the training data to try.")


async def test_a_column_of_many_categories_is_left_out(tmp_path: Path) -> None:
    from sklearn.preprocessing import OneHotEncoder

    names = [f"c{i:02}" for i in range(MOST_CATEGORIES + 1)]
    X = np.array([[name, f"{i % 2}x"] for i, name in enumerate(names * 2)], dtype=object)
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression())
    found = await ask_published(ModelStore(tmp_path), pipeline, X, np.arange(len(X)) % 2)
    assert [effect.column.name for effect in found.targets[0].effects] == ["x1"]


async def test_without_probabilities_there_are_labels(tmp_path: Path) -> None:
    X = np.array([[0.0], [1.0], [8.0], [9.0]])
    found = await ask_published(ModelStore(tmp_path), LinearSVC(), X, ["low", "low", "up", "up"])
    (effect,) = found.targets[0].effects
    assert effect.answers is None
    assert (effect.labels[0], effect.labels[-1]) == ("low", "up")


async def test_a_range_beyond_what_a_float_can_subtract_is_no_failure(tmp_path: Path) -> None:
    X = np.array([[-1.5e308], [1.5e308], [1.0]])
    pipeline = make_pipeline(FunctionTransformer(np.sign), LinearRegression())
    found = await ask_published(ModelStore(tmp_path), pipeline, X, [0.0, 1.0, 0.5])
    (effect,) = found.targets[0].effects
    assert np.isfinite(effect.values).all()


async def test_a_fraction_among_integers_stands_at_its_place_on_the_curve(tmp_path: Path) -> None:
    counts = np.arange(20).reshape(10, 2) % 7
    pipeline = LinearRegression().fit(counts, counts @ [1.0, 3.0])
    store = ModelStore(tmp_path)
    store.publish("counts", pipeline, counts)
    app = create_app(MODEL_STORE=tmp_path, RECIPES="")
    async with started(app):
        found = await moved(await Served(app)("counts"), {"x0": 2.25, "x1": 3})
        page = await app.test_client().get(
            "/models/counts/predict?x0=2.25&x1=3", headers={"Accept": "text/html"}
        )
    first, second = found.targets[0].effects
    assert (first.values[first.entered or 0], second.values[second.entered or 0]) == (2.25, 3)
    assert first.answers is not None
    assert first.answers[first.entered or 0] == pytest.approx(2.25 + 9)
    assert sorted(set(first.values) - {2.25}) == list(range(7))
    assert page.status_code == 200
    assert 'value="2.25"' in await page.get_data(as_text=True)
