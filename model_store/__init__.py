"""Published scikit-learn pipelines in a folder: see `model_store.store`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .batch.api import score
    from .columns import Column
    from .errors import Fault, InvalidRows, ModelStoreError
    from .manifest import Manifest
    from .model import Model, Prediction
    from .signature import Signature
    from .store import ModelStore, Verified
    from .values import ABSENT

__all__ = [
    "ABSENT",
    "Column",
    "Fault",
    "InvalidRows",
    "Manifest",
    "Model",
    "ModelStore",
    "ModelStoreError",
    "Prediction",
    "Signature",
    "Verified",
    "score",
]

_MODULES: Final = {
    "ABSENT": "values",
    "Column": "columns",
    "Fault": "errors",
    "InvalidRows": "errors",
    "Manifest": "manifest",
    "Model": "model",
    "ModelStore": "store",
    "ModelStoreError": "errors",
    "Prediction": "model",
    "Signature": "signature",
    "Verified": "store",
    "score": "batch.api",
}


def __getattr__(name: str) -> Any:
    # Imported when it is first used: `errors` alone needs neither numpy nor msgspec.
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
