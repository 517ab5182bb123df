"""Published scikit-learn pipelines in a folder: see `model_store.store`."""

from .columns import ABSENT, Column
from .errors import Fault, InvalidRows, ModelStoreError
from .manifest import Manifest
from .model import Model, Prediction
from .signature import Signature
from .store import ModelStore, Verified

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
]
