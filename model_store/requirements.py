"""Which packages a version needs, beyond those that every version does."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import Final

from . import pickles
from .store import Verified

OURS: Final = frozenset({"joblib", "numpy", "scipy", "sklearn"})
"""What loads any artifact; scikit-learn requires the others."""

PYTHON_2: Final = frozenset({"__builtin__", "copy_reg"})
"""Modules of the standard library as older pickles name them."""


def packages(verified: Verified) -> set[str]:
    """The top-level packages that a version needs, other than these. A plain form needs none. An
    artifact needs those of its globals, those that code in it or beside it imports, pandas where it
    was fitted on a DataFrame, and onnxruntime where it was converted to ONNX. Nothing is unpickled.

    Raises:
        UnreadableFile: the artifact is no pickle.
    """
    if verified.trust is None:
        return set()
    listing = pickles.listing(verified.artifact)
    modules = (*(named.module for named in listing.globals), *listing.imports)
    found = {module.split(".")[0] for module in modules}
    if verified.manifest.signature.container in {"frame", "series"}:
        found.add("pandas")
    if verified.graph is not None:
        found.add("onnxruntime")
    if verified.trust.code is not None:
        found -= {verified.trust.code.name, verified.trust.code.registered}
        found |= set(_imported(verified.trust.code.source))
    return found - OURS - PYTHON_2 - sys.stdlib_module_names


def _imported(source: bytes) -> Iterator[str]:
    """The packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]
