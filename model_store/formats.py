"""A fitted pipeline as bytes, and back: one pair of functions a format.

joblib is imported on first use: a server answers before it needs one.
Loading a joblib artifact runs code that the artifact names. Only bytes whose digest the manifest
knows may come here.
"""

from __future__ import annotations

import io
from typing import Any


def dump(pipeline: Any) -> bytes:
    """The pipeline as an uncompressed joblib artifact."""
    import joblib

    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer)
    return buffer.getvalue()


def load(artifact: bytes) -> Any:
    """The pipeline in a joblib artifact. Raises whatever its classes raise."""
    import joblib

    return joblib.load(io.BytesIO(artifact))
