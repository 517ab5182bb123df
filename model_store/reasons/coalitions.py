"""Shapley values of the values of all coalitions of a few players.

The value of a player is the mean of what it adds, over all orders in which the players may come: L.
S. Shapley, "A value for n-person games" (1953). With all coalitions known it is a sum over them.
"""

from __future__ import annotations

from functools import cache
from math import factorial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_PLAYERS: Final = 10
"""Of whom all coalitions are asked, which are 1,024 then."""


@cache
def coalitions(players: int) -> Array:
    """All coalitions of so many players, of shape (2 ** players, players): a row for each, true for
    those who are in it. Player p stands for the bit 2 ** p in the number of the row."""
    found: Array = (np.arange(1 << players)[:, np.newaxis] >> np.arange(players)) & 1 > 0
    found.flags.writeable = False
    return found


@cache
def weights(players: int) -> Array:
    """What the value of each coalition counts for each player, of shape (2 ** players, players)."""
    members = coalitions(players)
    sizes = members.sum(axis=1)
    # In a coalition of s a player came last of these s; without him he comes next.
    last = np.array([0.0, *(_share(s - 1, players) for s in range(1, players + 1))])
    following = np.array([*(_share(s, players) for s in range(players)), 0.0])
    found: Array = np.where(members, last[sizes, np.newaxis], -following[sizes, np.newaxis])
    found.flags.writeable = False
    return found


def _share(before: int, players: int) -> float:
    """The share of all orders in which these players, so many, come before one, and all others
    behind."""
    return factorial(before) * factorial(players - before - 1) / factorial(players)
