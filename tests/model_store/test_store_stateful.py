"""The store against a dict: whatever is published, promoted, edited, rolled back and removed, in
whatever order, both say the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from model_store import ModelStore
from model_store.draft import Draft
from model_store.errors import ModelNotFound, VersionInUse, VersionNotFound
from model_store.inspection import Inspection
from model_store.metadata import Metadata

from .conftest import LABELS, X, classifier

NAMES = st.sampled_from(["a", "a", "a", "b"])
ALIASES = st.sampled_from(["champion", "champion", "champion", "blue"])
NUMBERS = st.integers(1, 4)
CHAMPION = "champion"


@cache
def draft(name: str) -> Draft:
    """What is published; made once, since what is fitted does not matter here."""
    pipeline = classifier()
    inspection = Inspection.of_data(pipeline, X, LABELS, feature_names=None, target_name=None)
    return Draft.of(name, pipeline, inspection, Metadata(title="first"))


@dataclass
class Expected:
    """One model, as a store without files has it. `titles` are keyed by version."""

    titles: dict[int, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    history: list[int] = field(default_factory=list)
    last: int = 0

    @property
    def serving(self) -> int:
        return self.aliases.get(CHAMPION) or max(self.titles, default=0)

    def publish(self) -> int:
        self.last += 1
        self.titles[self.last] = "first"
        return self.last

    def resolve(self, version: int | str | None) -> int:
        number = self.serving if version is None else version
        if isinstance(number, str):
            number = int(number) if number.isdigit() else self.aliases.get(number, 0)
        if not self.titles:
            raise ModelNotFound
        if number not in self.titles:
            raise VersionNotFound
        return number

    def promote(self, version: int | str, alias: str) -> int:
        number = self.resolve(version)
        if alias == CHAMPION and self.serving != number:
            self.history.append(self.serving)
        self.aliases[alias] = number
        return number

    def rollback(self) -> int:
        self.resolve(None)
        before = [number for number in self.history if number in self.titles]
        while before and before[-1] == self.serving:
            before.pop()
        lower = [number for number in self.titles if number < self.serving]
        if not before and not lower:
            raise VersionNotFound
        number = before.pop() if before else max(lower)
        self.aliases[CHAMPION], self.history = number, before
        return number

    def edit(self, version: int | str | None, title: str) -> int:
        number = self.resolve(version)
        self.titles[number] = title
        return number

    def remove(self, version: int | str) -> int:
        number = self.resolve(version)
        if number in self.aliases.values():
            raise VersionInUse
        del self.titles[number]
        return number


def outcome(call: Callable[[], int]) -> int | type[Exception]:
    """What it returns, or the kind of what it raises."""
    try:
        return call()
    except (ModelNotFound, VersionInUse, VersionNotFound) as error:
        return type(error)


class Stores(RuleBasedStateMachine):
    """A store on the disk, opened anew for each step as by another process, and one in mind."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.expected = {"a": Expected(), "b": Expected()}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.root)

    def agree(self, real: Callable[[], int], model: Callable[[], int]) -> None:
        expected = outcome(model)
        assert outcome(real) == expected

    @rule(name=NAMES)
    def publish(self, name: str) -> None:
        expected = self.expected[name].publish()
        assert self.store.add(draft(name)).version == expected

    @rule(name=NAMES, version=NUMBERS | ALIASES | NUMBERS.map(str), alias=ALIASES)
    def promote(self, name: str, version: int | str, alias: str) -> None:
        self.agree(
            lambda: self.store.promote(name, version, alias),
            lambda: self.expected[name].promote(version, alias),
        )

    @rule(name=NAMES)
    def rollback(self, name: str) -> None:
        self.agree(lambda: self.store.rollback(name), self.expected[name].rollback)

    @rule(name=NAMES, version=NUMBERS | ALIASES)
    def remove(self, name: str, version: int | str) -> None:
        self.agree(
            lambda: self.store.remove(name, version), lambda: self.expected[name].remove(version)
        )

    @rule(name=NAMES, version=st.none() | NUMBERS | ALIASES, title=st.sampled_from(["x", "y"]))
    def edit(self, name: str, version: int | str | None, title: str) -> None:
        self.agree(
            lambda: self.store.edit(name, version, Metadata(title=title)).version,
            lambda: self.expected[name].edit(version, title),
        )

    @rule(name=NAMES, version=st.none() | NUMBERS | ALIASES)
    def resolve(self, name: str, version: int | str | None) -> None:
        self.agree(
            lambda: self.store.resolve(name, version),
            lambda: self.expected[name].resolve(version),
        )

    @rule(name=NAMES)
    def load(self, name: str) -> None:
        if self.expected[name].titles:
            found = self.store.verify(name)
            assert found.manifest.version == self.expected[name].serving

    @invariant()
    def both_say_the_same(self) -> None:
        known = {name: model for name, model in self.expected.items() if model.titles}
        assert self.store.models() == sorted(known)
        for name, model in known.items():
            assert self.store.versions(name) == sorted(model.titles)
            assert self.store.aliases(name) == model.aliases
            titles: dict[int, Any] = {
                number: self.store.manifest(name, number).title for number in model.titles
            }
            assert titles == model.titles


def test_the_store_and_a_dict_say_the_same_after_whatever_was_done() -> None:
    run_state_machine_as_test(
        Stores, settings=settings(max_examples=30, stateful_step_count=30, deadline=None)
    )
