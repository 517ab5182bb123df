"""PLACEHOLDER of the lead, to be overwritten."""
from dataclasses import dataclass
from typing import Any
from .code import Code
@dataclass(frozen=True, slots=True)
class Trust:
    allowed: frozenset[str] = frozenset()
    code: Code | None = None
    def refused(self, globals: Any) -> list[Any]:
        return []
