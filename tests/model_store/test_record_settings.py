"""What a head says of recording: shares and columns, and the key of what is hashed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_store import ModelStore
from model_store.column_facts import JSONLabel
from model_store.errors import InvalidPipeline
from model_store.head import read, write
from model_store.record_settings import RecordSettings


def test_a_head_says_what_is_recorded_and_each_change_leaves_the_rest(store: ModelStore) -> None:
    assert store.head("exam").records == RecordSettings()
    store.record("exam", share=0.25, columns={"X1": "hash"}, who="ann", why="a complaint")
    first = store.head("exam").records
    store.record("exam", columns={"X2": "drop", "X1": "keep"})
    second = store.head("exam").records
    assert (first.share, first.columns) == (0.25, {"X1": "hash"})
    assert (second.share, second.columns) == (0.25, {"X2": "drop"})
    assert first.key == second.key
    assert re.fullmatch("[0-9a-f]{32}", first.key)
    assert [second.keeping(name) for name in ("X1", "X2")] == ["keep", "drop"]
    before, last = store.history("exam")[-2:]
    assert (last.what, before.what, before.who, before.why) == (
        *("edit", "edit", "ann", "a complaint"),
    )


def test_a_column_that_the_model_does_not_have_is_refused(store: ModelStore) -> None:
    with pytest.raises(InvalidPipeline, match="exam has no column 'X3'; expected one of X1, X2"):
        store.record("exam", columns={"X3": "drop"})
    assert store.head("exam").records == RecordSettings()


def test_settings_go_along_with_a_version_that_is_copied(store: ModelStore, tmp_path: Path) -> None:
    store.record("exam", share=1, columns={"X1": "drop"})
    store.copy(store.verify("exam"), tmp_path / "other")
    other = ModelStore(tmp_path / "other")
    assert other.head("exam").records == store.head("exam").records


def test_a_head_of_before_says_nothing_of_recording(store: ModelStore) -> None:
    head = store.head("exam")
    assert b'"records": {}' in write(head)
    assert read(write(head), "exam") == head


def test_equal_values_have_equal_hashes_under_one_key_alone() -> None:
    settings, other = RecordSettings().followed_by(), RecordSettings().followed_by()
    values: list[JSONLabel] = [1, "1", True, 1.5, "", "ä", 10**30]
    hashes = [settings.hashed(value) for value in values]
    assert len(set(hashes)) == len(values)
    assert hashes == [settings.hashed(value) for value in values]
    assert settings.hashed(1.0) == settings.hashed(1)
    assert settings.hashed(None) is None
    assert not {*hashes} & {other.hashed(value) for value in values}
