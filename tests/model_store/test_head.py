"""Heads: what changes of a model stands in one file, and what was done to it in its history."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from model_store import ModelStore
from model_store.errors import (
    CorruptVersion,
    HeadChanged,
    InvalidChallenger,
    InvalidPipeline,
    StoreNotWritable,
    VersionInUse,
)
from model_store.head import Change, Edit, Gates, Head, shell_user
from model_store.head_files import HEAD, HISTORY, INDEX, OLDER, HeadFiles
from model_store.metadata import Metadata

from .conftest import folder, publish_small


@pytest.fixture
def two(small: ModelStore) -> ModelStore:
    publish_small(small)
    return small


def contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


def told(store: ModelStore, name: str = "small") -> list[tuple[str, int | None]]:
    return [(change.what, change.version) for change in store.history(name)]


def test_whatever_is_done_to_a_model_makes_a_new_head_and_a_line_of_history(
    two: ModelStore,
) -> None:
    two.promote("small", 1, who="ann", why="it is better")
    two.edit("small", 1, Metadata(title="Small"))
    two.challenge("small", 2, "canary", share=0.1)
    two.stop("small", gate=True, why="1 % errors")
    two.promote("small", 2)
    two.rollback("small")
    two.remove("small", 2)
    history = two.history("small")
    assert [change.what for change in history] == [
        *("publish", "publish", "promote", "edit", "canary", "gate", "promote", "rollback"),
        "remove",
    ]
    assert [change.generation for change in history] == list(range(1, 10))
    assert len({change.nonce for change in history}) == 9
    promoted = history[2]
    assert (promoted.who, promoted.why) == ("ann", "it is better")
    assert (promoted.version, promoted.before) == (1, 2)
    assert history[3].who == shell_user()
    head = two.head("small")
    assert (head.generation, head.versions, head.last) == (9, (1,), 2)
    assert head.change == history[-1]


def test_a_version_never_changes_after_it_was_published(two: ModelStore) -> None:
    before = contents(folder(two))
    two.edit("small", 1, Metadata(title="First", words={"low": "little"}))
    edited = two.edit("small", 1, Metadata(title="Second", words={"high": "much"}))
    two.promote("small", 1)
    assert contents(folder(two)) == before
    assert (edited.revision, edited.title) == (3, "Second")
    assert edited.words == {"low": "little", "high": "much"}
    assert two.verify("small", 1).manifest == two.manifest("small", 1) == edited
    with pytest.raises(InvalidPipeline):
        two.edit("small", 1, Metadata(words={"middle": "so so"}))
    assert two.manifest("small", 1) == edited


def test_an_older_store_is_read_and_migrated_at_the_first_write(two: ModelStore) -> None:
    place = two.root / "small"
    for name in (HEAD, HISTORY):
        (place / name).unlink()
    (two.root / INDEX).unlink()
    publish_small(two)
    (place / HEAD).unlink()
    (place / OLDER).write_text('{"format":1,"versions":{"champion":2,"blue":1},"history":[1]}')
    assert two.aliases("small") == {"champion": 2, "blue": 1}
    assert two.resolve("small") == 2
    assert two.stamp("small") == Head().stamp
    two.promote("small", 3)
    assert not (place / OLDER).exists()
    assert two.aliases("small") == {"champion": 3, "blue": 1}
    assert [two.rollback("small") for _ in range(2)] == [2, 1]


def test_words_that_do_not_fit_their_version_are_told(two: ModelStore) -> None:
    path = two.root / "small" / HEAD
    head = json.loads(path.read_text())
    head["edits"] = {"2": {"revision": 2, "about": {"units": {"no such column": "m"}}}}
    path.write_text(json.dumps(head))
    with pytest.raises(CorruptVersion, match="says of version 2 does not fit it; edit it again"):
        two.manifest("small", 2)
    assert two.manifest("small", 1).revision == 1


def test_a_head_of_a_newer_format_is_left_alone(two: ModelStore) -> None:
    (two.root / "small" / HEAD).write_text('{"format": 2, "generation": "seven"}')
    with pytest.raises(CorruptVersion, match=r"has format 2, .* up to 1; upgrade quart-app\.$"):
        two.promote("small", 1)


def test_a_head_takes_the_place_of_the_one_that_was_read_only(two: ModelStore) -> None:
    heads = HeadFiles(two.root)
    before = heads.read("small")
    two.promote("small", 1)
    with heads.locked("small"), pytest.raises(HeadChanged):
        heads.swap("small", before, before, Change(what="edit", who="ann"))
    assert two.head("small").aliases == {"champion": 1}


def test_a_change_whose_writer_was_killed_before_its_line_is_told_all_the_same(
    two: ModelStore,
) -> None:
    path = two.root / "small" / HISTORY
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 20])
    assert told(two) == [("publish", 1), ("publish", 2)]
    two.promote("small", 1)
    assert told(two) == [("publish", 1), ("publish", 2), ("promote", 1)]
    assert two.history("small")[1].generation == 2


def test_what_changes_no_head_is_noted_once(two: ModelStore) -> None:
    stamp = two.stamp("small")
    failed = Change(what="failed load", who="server", version=2, why="it is damaged")
    for _ in range(3):
        two.note("small", failed)
    assert told(two) == [("publish", 1), ("publish", 2), ("failed load", 2)]
    assert two.stamp("small") == stamp
    two.promote("small", 2)
    assert told(two)[-2:] == [("failed load", 2), ("promote", 2)]


def test_the_index_names_the_models_and_changes_with_them_only(two: ModelStore) -> None:
    first = two.index()
    assert first is not None
    assert first.names == ("small",)
    two.promote("small", 1)
    assert two.index() == first
    publish_small(two, "other")
    second = two.index()
    assert second is not None
    assert (second.names, second.generation) == (("other", "small"), first.generation + 1)
    two.remove("other", 1)
    third = two.index()
    assert third is not None
    assert third.names == ("small",)
    assert two.models() == ["small"]
    assert publish_small(two, "other").version == 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no share": ({"share": 0}, r"above 0 and at most 1, got 0"),
    "more than all": ({"share": 1.5}, r"above 0 and at most 1, got 1\.5"),
    "not a number": ({"share": float("nan")}, r"above 0 and at most 1, got nan"),
    "the champion": ({"version": 2}, r"^small version 2 serves already"),
}


@pytest.mark.parametrize(("changed", "message"), REFUSED.values(), ids=REFUSED)
def test_a_challenger_that_is_none_is_refused(
    changed: dict[str, Any], message: str, two: ModelStore
) -> None:
    given: dict[str, Any] = {"version": 1, "share": 0.5, **changed}
    with pytest.raises(InvalidChallenger, match=message):
        two.challenge("small", given["version"], "shadow", share=given["share"])
    assert two.head("small").challenger is None


def test_a_challenger_stays_until_it_is_stopped_or_becomes_the_champion(two: ModelStore) -> None:
    gates = Gates(max_errors=0.01, after=10)
    found = two.challenge("small", 1, "canary", share=0.25, gates=gates)
    assert two.head("small").challenger == found
    assert (found.kind, found.version, found.share, found.gates) == ("canary", 1, 0.25, gates)
    with pytest.raises(VersionInUse, match="tried as a canary; stop that first"):
        two.remove("small", 1)
    two.promote("small", 2)
    assert two.head("small").challenger == found
    with pytest.raises(InvalidChallenger):
        two.stop("small", challenger="another")
    two.promote("small", 1)
    assert two.head("small").challenger is None
    with pytest.raises(InvalidChallenger, match="No version of small is tried"):
        two.stop("small")
    again = two.challenge("small", 2, "shadow", share=1)
    assert two.stop("small", challenger=again.id) == again
    assert again.id != found.id


def test_a_copy_keeps_what_was_said_of_its_version(two: ModelStore, tmp_path: Path) -> None:
    two.edit("small", 1, Metadata(title="Edited"))
    two.promote("small", 1)
    two.challenge("small", 2, "shadow", share=1)
    copied = ModelStore(tmp_path / "copied")
    two.copy(two.verify("small", 1), copied.root)
    assert copied.manifest("small").title == "Edited"
    head = copied.head("small")
    assert (head.aliases, head.challenger) == ({"champion": 1}, None)
    assert head.edits == {1: Edit(revision=2, about=Metadata(title="Edited"))}


def promote_with_a_limit(root: Path) -> None:
    """Promote where no file may grow beyond a byte, as on a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    with pytest.raises(StoreNotWritable):
        ModelStore(root).promote("small", 1)
    os._exit(7)


@pytest.mark.process
def test_on_a_full_disk_what_is_there_stays(two: ModelStore) -> None:
    before = contents(two.root / "small" / "2"), two.head("small"), two.history("small")
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=promote_with_a_limit, args=(two.root,))
    process.start()
    process.join(60)
    assert process.exitcode == 7
    assert (contents(two.root / "small" / "2"), two.head("small"), two.history("small")) == before
