"""Which model answers where the address names none, as a table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sklearn.dummy import DummyRegressor

from model_store import ModelStore
from model_store.errors import ModelNotFound
from quart_app import create_app
from quart_app.answering import Answering, Call
from quart_app.config import Config
from quart_app.context import context_of
from quart_app.inference import InvalidRequest, NotReady
from quart_app.protocols.protocol import Payload
from quart_app.serving.registry import Registry

from ...conftest import started

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = {"ab": "ab", "abc": "abc", "cd": "cd", "twin1": "pq", "twin2": "pq"}


def publish(store: ModelStore, name: str, columns: str) -> None:
    X, y = [[0.0] * len(columns), [1.0] * len(columns)], [0.0, 1.0]
    store.publish(name, DummyRegressor().fit(X, y), X, y, feature_names=list(columns))


def store_of(root: Path, models: dict[str, str]) -> ModelStore:
    store = ModelStore(root)
    for name, columns in models.items():
        publish(store, name, columns)
    return store


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Registry]:
    """The registry of an app that serves them all."""
    store = store_of(tmp_path_factory.mktemp("models"), MODELS)
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app):
        yield context_of(app).registry


async def chosen(
    registry: Registry, names: str, asked: str | None = None, default: str | None = None
) -> str:
    config = Config() if default is None else Config.read({}, DEFAULT_MODEL=default)
    answering = Answering(registry, config)
    servable = await answering.find(Call(Payload(b""), asked), list(names))
    return servable.manifest.name


CHOSEN: dict[str, tuple[str, str | None, str | None, str]] = {
    "equal names": ("ab", None, None, "ab"),
    "in another order": ("cba", None, None, "abc"),
    "equal names and another default": ("ab", None, "cd", "ab"),
    "equal names of two, one of them the default": ("pq", None, "twin2", "twin2"),
    "the one that shares most": ("cdx", None, None, "cd"),
    "the one that shares any": ("d", None, None, "cd"),
    "the one that shares most and another default": ("cdx", None, "ab", "cd"),
    "two share as many, one of them the default": ("abx", None, "abc", "abc"),
    "none in common": ("xyz", None, "cd", "cd"),
    "no names": ("", None, "cd", "cd"),
    "asked for, whatever the names": ("ab", "cd", "abc", "cd"),
    "asked for without names": ("", "twin1", None, "twin1"),
}


@pytest.mark.parametrize(("names", "asked", "default", "name"), CHOSEN.values(), ids=CHOSEN)
async def test_a_request_goes_to_the_model_of_its_columns(
    names: str, asked: str | None, default: str | None, name: str, registry: Registry
) -> None:
    assert await chosen(registry, names, asked, default) == name


UNCLEAR: dict[str, tuple[str, str | None, str]] = {
    "equal names of two": ("pq", None, "one of twin1, twin2."),
    "equal names of two, neither the default": ("pq", "cd", "one of twin1, twin2."),
    "two share as many": ("abx", None, "one of ab, abc."),
    "two share as many, neither the default": ("abx", "cd", "one of ab, abc."),
    "none in common": ("xyz", None, "one of ab, abc, cd, twin1, twin2."),
    "no names": ("", None, "one of ab, abc, cd, twin1, twin2."),
}


@pytest.mark.parametrize(("names", "default", "words"), UNCLEAR.values(), ids=UNCLEAR)
async def test_where_there_is_no_telling_the_models_that_it_could_be_are_named(
    names: str, default: str | None, words: str, registry: Registry
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await chosen(registry, names, default=default)
    assert str(caught.value).endswith(words)
    assert "?model=NAME" in str(caught.value)


@pytest.mark.parametrize(("asked", "default"), [("nobody", None), (None, "nobody"), ("", None)])
async def test_a_model_that_is_not_there_is_not_found(
    asked: str | None, default: str | None, registry: Registry
) -> None:
    with pytest.raises(ModelNotFound):
        await chosen(registry, "", asked, default)


@pytest.mark.parametrize(
    ("models", "name"),
    [({"iris": "ab", "other": "cd"}, "iris"), ({"only": "ab"}, "only")],
)
async def test_without_a_setting_the_default_is_iris_or_the_only_model(
    models: dict[str, str], name: str, tmp_path: Path
) -> None:
    app = create_app(MODEL_STORE=store_of(tmp_path, models).root, RECIPES="")
    async with started(app):
        assert await chosen(context_of(app).registry, "") == name
        assert await chosen(context_of(app).registry, "xyz") == name


async def test_while_models_are_on_their_way_only_equal_names_and_none_are_answered(
    tmp_path: Path,
) -> None:
    app = create_app(MODEL_STORE=store_of(tmp_path, {"ab": "ab"}).root, RECIPES="")
    async with started(app):
        registry = context_of(app).registry
        registry.entry("later")
        assert await chosen(registry, "ba") == "ab"
        assert await chosen(registry, "", "ab") == "ab"
        assert await chosen(registry, "", default="ab") == "ab"
        for names in ("abx", "xyz"):
            with pytest.raises(NotReady, match="on their way") as caught:
                await chosen(registry, names, default="ab")
            assert caught.value.retry_after == 2
        with pytest.raises(NotReady, match="later is not ready yet"):
            await chosen(registry, "", "later")


async def test_a_model_that_was_published_later_is_chosen_as_any_other(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"ab": "ab"})
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app):
        registry = context_of(app).registry
        assert await chosen(registry, "cd") == "ab"
        publish(store, "cd", "cd")
        (tmp_path / "damaged" / "1").mkdir(parents=True)
        assert await chosen(registry, "cd") == "cd"
        assert await chosen(registry, "cx") == "cd"
        assert await chosen(registry, "ab") == "ab"
        with pytest.raises(InvalidRequest, match="one of ab, cd"):
            await chosen(registry, "")
        publish(store, "twin", "ab")
        with pytest.raises(InvalidRequest, match="one of ab, twin"):
            await chosen(registry, "ab")


async def test_without_any_model_that_is_said(tmp_path: Path) -> None:
    app = create_app(MODEL_STORE=tmp_path / "none", RECIPES="")
    async with started(app):
        with pytest.raises(InvalidRequest, match="none yet"):
            await chosen(context_of(app).registry, "ab")
