"""The rules of the addresses, which cost little until an address is built.

For each rule Werkzeug compiles two functions that build its address. To compile those of all rules
takes five times as long as all else that makes the app, and most are never called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quart.routing import QuartRule

Builder = Callable[..., tuple[str, str]]


class Rule(QuartRule):
    """A rule as Quart makes it, but for when its builders are compiled."""

    def _compile_builder(self, append_unknown: bool = True) -> Builder:
        """Werkzeug's hook for it: a function that compiles the builder when it is called first."""
        compile_builder = super()._compile_builder
        compiled: list[Builder] = []

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            if not compiled:
                compiled.append(compile_builder(append_unknown))
            return compiled[0](rule, **values)

        return build
