from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore
from quart_app.config import Config
from quart_app.documents import State
from quart_app.serving.loading import Loaded, load, load_all


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def publish(store: ModelStore, name: str) -> int:
    X = np.random.default_rng(0).random((40, 2))
    y = X[:, 0] > 0.5
    return store.publish(name, LogisticRegression().fit(X, y), X, y).version


def damage(store: ModelStore, name: str, version: int) -> None:
    for path in (store.root / name / str(version)).iterdir():
        if path.name in {"model.json", "pipeline.joblib"}:
            path.write_bytes(b"{}")


def loaded_of(
    store: ModelStore,
    served: dict[str, int] | None = None,
    skipped: dict[tuple[str, int], str] | None = None,
) -> tuple[Loaded, list[tuple[str, int]]]:
    tried: list[tuple[str, int]] = []
    found = load_all(
        store,
        Config(),
        served=served or {},
        skipped=skipped or {},
        on_load=lambda name, version: tried.append((name, version)),
    )
    return found, tried


def test_a_version_is_loaded_in_three_steps(store: ModelStore) -> None:
    publish(store, "m")
    steps: list[State] = []
    model = load(store, "m", None, Config(), steps.append)
    assert steps == [State.VERIFYING, State.LOADING, State.WARMING]
    assert model.manifest.version == 1


def test_all_champions_and_challengers_are_loaded(store: ModelStore) -> None:
    for name in ("a", "a", "b"):
        publish(store, name)
    store.promote("a", 1)
    store.challenge("a", 2, "shadow", share=1)
    found, tried = loaded_of(store)
    assert found.champions == {"a": 1, "b": 1}
    assert set(found.models) == {("a", 1), ("a", 2), ("b", 1)} == set(tried)
    assert (found.failed, found.untried) == ({}, {})
    assert found.stamps == {"a": store.stamp("a"), "b": store.stamp("b")}


def test_what_does_not_load_is_kept_with_its_reason_and_the_others_are_loaded(
    store: ModelStore,
) -> None:
    for name in ("bad", "good"):
        publish(store, name)
    damage(store, "bad", 1)
    found, _ = loaded_of(store)
    assert found.champions == {"good": 1}
    assert found.failed["bad"].version == 1
    assert "bad" in found.failed["bad"].reason


def test_where_a_newer_version_does_not_load_the_one_that_serves_is_loaded(
    store: ModelStore,
) -> None:
    for _ in range(2):
        publish(store, "m")
    damage(store, "m", 2)
    found, _ = loaded_of(store, served={"m": 1})
    assert found.champions == {"m": 1}
    assert found.failed["m"].version == 2
    *_, last = (store.root / "m" / "history.jsonl").read_text().splitlines()
    assert json.loads(last)["what"] == "failed load"


def test_a_version_that_ended_a_process_is_not_tried(store: ModelStore) -> None:
    publish(store, "m")
    found, tried = loaded_of(store, skipped={("m", 1): "It ended the process by SIGSEGV."})
    assert tried == []
    assert found.failed["m"].reason == "It ended the process by SIGSEGV."


def test_a_challenger_that_does_not_load_leaves_its_champion(store: ModelStore) -> None:
    for _ in range(2):
        publish(store, "m")
    store.promote("m", 1)
    store.challenge("m", 2, "canary", share=0.5)
    damage(store, "m", 2)
    found, _ = loaded_of(store)
    assert found.champions == {"m": 1}
    assert found.untried["m", 2].version == 2
