"""Whether objects refer to each other in a circle, so that only the collector lets them go."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final

MOST: Final = 200_000
"""Objects that are looked at; in what has more a circle is taken for granted."""

SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType)
"""What stays in any case."""


def holds_cycles(root: Any) -> bool:
    """Whether an object can reach one that reaches itself. Blocks, and lets other threads run."""
    done: set[int] = set()
    path: set[int] = {id(root)}
    stack: list[tuple[int, Iterator[Any]]] = [(id(root), iter(gc.get_referents(root)))]
    while stack:
        place, rest = stack[-1]
        found = next(rest, path)
        if found is path:
            stack.pop()
            path.discard(place)
            done.add(place)
            continue
        here = id(found)
        if here in path or len(done) > MOST:
            return True
        if here not in done and gc.is_tracked(found) and not isinstance(found, SHARED):
            path.add(here)
            stack.append((here, iter(gc.get_referents(found))))
    return False
