"""Which of many texts are near one that was entered, and is none of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

MOST: Final = 8
LONGEST: Final = 100
"""Characters that are looked at, of either text."""
ALIKE: Final = 0.3
"""Of all pairs of neighbouring characters in two texts, the share that both have."""


def nearest(entered: str, known: Iterable[str]) -> list[str]:
    """Up to MOST of the known texts, the nearest first: those that begin with it, those that have
    it within, and those with as many pairs of characters in common. How much is written in capitals
    makes no difference."""
    wanted = _folded(entered)
    if not wanted:
        return []
    pairs = _pairs(wanted)
    scored = ((-_nearness(wanted, pairs, text), text) for text in known)
    near = heapq.nsmallest(MOST, (each for each in scored if each[0] <= -ALIKE))
    return [text for _, text in near]


def _nearness(wanted: str, pairs: frozenset[str], text: str) -> float:
    known = _folded(text)
    if known.startswith(wanted):
        return 3.0
    if wanted in known:
        return 2.0
    others = _pairs(known)
    return len(pairs & others) / (len(pairs | others) or 1)


def _folded(text: str) -> str:
    return text[:LONGEST].casefold().strip()


def _pairs(text: str) -> frozenset[str]:
    padded = f" {text} "
    return frozenset(padded[i : i + 2] for i in range(len(padded) - 1))
