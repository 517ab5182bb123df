"""The lock: what is pinned for whom, and what is left of it without the tour."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from quart_app.cli.lock import normalized, read_lock, read_pins, without
from quart_app.extras import TOUR

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = read_lock()


def applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def closure(lines: Iterable[str]) -> set[str]:
    """The distributions that these requirements need here, by the metadata of what is installed."""
    waiting = [found for found in map(Requirement, lines) if applies(found)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = normalized(requirement.name)
        for extra in {"", *requirement.extras} - {extra for key, extra in seen if key == name}:
            seen.add((name, extra))
            needed = map(Requirement, importlib.metadata.requires(name) or ())
            waiting += [each for each in needed if applies(each, extra)]
    return {name for name, _ in seen}


def entries(lock: str) -> dict[str, list[str]]:
    """The pin and the hashes of each distribution, line by line."""
    found: dict[str, list[str]] = {}
    for entry in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]:
        lines = [line for line in entry.splitlines() if "#" not in line]
        found[lines[0].partition("==")[0]] = lines
    return found


def test_the_extra_of_the_tour_is_what_the_code_looks_for() -> None:
    extra = map(Requirement, PROJECT["optional-dependencies"]["tour"])
    assert sorted(requirement.name for requirement in extra) == sorted(TOUR)


def test_the_lock_pins_what_the_program_and_its_tour_need_and_no_more() -> None:
    needed = closure([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["tour"]])
    assert set(read_pins(LOCK)) == needed


def test_without_the_tour_it_pins_what_the_program_needs_and_no_more() -> None:
    needed = closure(PROJECT["dependencies"])
    assert set(read_pins(without(LOCK, TOUR))) == needed
    assert not {"aiosqlite", "gmpy2", "greenlet", "sqlalchemy"} & needed


def test_what_is_left_of_the_lock_is_as_it_was_but_for_who_requires_it() -> None:
    whole, left = entries(LOCK), entries(without(LOCK, TOUR))
    assert left == {name: whole[name] for name in left}
    assert "sqlalchemy" not in without(LOCK, TOUR)


def test_without_nothing_it_is_the_same_byte_for_byte() -> None:
    assert without(LOCK, ()) == LOCK


def lock_of(**required_by: str) -> str:
    """A lock in which each distribution is required by these, with spaces between them."""
    text = "# made by hand\n"
    for name, reasons in required_by.items():
        text += f"{name}==1 \\\n    --hash=sha256:{name}\n"
        names = [
            "quart-app (pyproject.toml)" if reason == "us" else reason for reason in reasons.split()
        ]
        if len(names) == 1:
            text += f"    # via {names[0]}\n"
        else:
            text += "    # via\n" + "".join(f"    #   {reason}\n" for reason in names)
    return text


# What requires what, and what is left without `tour`.
CASES: dict[str, tuple[dict[str, str], set[str]]] = {
    "alone": ({"tour": "us", "a": "us"}, {"a"}),
    "with what it requires": ({"tour": "us", "x": "tour", "y": "x", "a": "us"}, {"a"}),
    "without what others require too": ({"tour": "us", "x": "tour a", "a": "us"}, {"a", "x"}),
    "but for what we require too": ({"tour": "us", "x": "tour us"}, {"x"}),
    "not where another requires it": ({"tour": "us a", "a": "us"}, {"tour", "a"}),
    "with a circle": ({"tour": "us", "x": "tour y", "y": "x", "a": "us"}, {"a"}),
}


@pytest.mark.parametrize(("required_by", "left"), CASES.values(), ids=CASES)
def test_a_requirement_goes_with_what_only_it_requires(
    required_by: dict[str, str], left: set[str]
) -> None:
    found = without(lock_of(**required_by), ["Tour"])
    assert found.startswith("# made by hand\n")
    assert set(read_pins(found)) == left
    assert entries(found) == {
        name: lines for name, lines in entries(lock_of(**required_by)).items() if name in left
    }
    for name in required_by.keys() - left:
        assert not re.search(rf"^ *#.* {name}$", found, re.MULTILINE)
