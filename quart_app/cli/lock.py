"""The lock of third parties, requirements.txt: what it pins, and how to leave a part of it out."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = "requirements.txt"
PROJECT: Final = "quart-app"
"""As whom the comments of the lock name us."""

_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^ ;\\]+)")
_REASON: Final = re.compile(r"    #(?: via|  )(?: (\S.*))?")
"""A line of the comment that names who requires a distribution, one a line."""


def read_lock() -> str:
    """Our requirements.txt."""
    return (Path(__file__).parents[1] / REQUIREMENTS).read_text(encoding="utf-8")


def read_pins(text: str) -> dict[str, str]:
    """The version of each distribution in a requirements.txt, by its normalized name."""
    found = (_PIN.match(line) for line in text.splitlines())
    return {normalized(match[1]): match[2] for match in found if match}


def without(lock: str, names: Collection[str]) -> str:
    """A lock without these requirements of the project, and without what only they require.

    Whole entries are left out, so the others keep their hashes.
    """
    head, entries = _parsed(lock)
    left_out = {normalized(name) for name in names}
    kept = {each.name for each in entries if PROJECT in each.required_by} - left_out
    while more := {each.name for each in entries if each.required_by & kept} - kept:
        kept |= more
    return "".join([head, *(each.text(kept) for each in entries if each.name in kept)])


@dataclass(frozen=True, slots=True)
class _Entry:
    """A pinned distribution with its hashes, and the comment that says who requires it."""

    name: str
    lines: list[str]

    @property
    def required_by(self) -> set[str]:
        return {reason for line in self.lines if (reason := _reason(line))}

    def text(self, kept: Collection[str]) -> str:
        """Its lines, without those that name a distribution which is not kept."""
        named = {None, PROJECT, *kept}
        return "".join(line for line in self.lines if _reason(line) in named)


def _parsed(lock: str) -> tuple[str, list[_Entry]]:
    """What stands before the first entry, and the entries."""
    head: list[str] = []
    entries: list[_Entry] = []
    for line in lock.splitlines(keepends=True):
        if pin := _PIN.match(line):
            entries.append(_Entry(normalized(pin[1]), [line]))
        else:
            (entries[-1].lines if entries else head).append(line)
    return "".join(head), entries


def _reason(line: str) -> str | None:
    """Who requires a distribution, by a line of its comment; None of any other line."""
    found = _REASON.fullmatch(line.rstrip("\n"))
    return normalized(found[1].split(" ")[0]) if found and found[1] else None


def normalized(name: str) -> str:
    """The one spelling of a distribution's name (the specification of names, formerly PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
