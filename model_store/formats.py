"""A fitted pipeline as bytes, and back: one pair of functions a format.

joblib is imported on first use: a server answers before it needs one.
Loading a joblib artifact runs code that the artifact names. Only bytes whose digest the manifest
knows may come here.
"""

from __future__ import annotations

import io
from typing import Any

from .errors import InvalidPipeline


def dump(pipeline: Any) -> bytes:
    """The pipeline as an uncompressed joblib artifact.

    Raises:
        InvalidPipeline: something in it cannot be pickled.
    """
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(pipeline, buffer)
    except Exception as error:
        raise InvalidPipeline(
            f"The pipeline cannot be pickled; use functions and classes of a module in it: {error}"
        ) from error
    return buffer.getvalue()


def load(artifact: bytes) -> Any:
    """The pipeline in a joblib artifact. Raises whatever its classes raise."""
    import joblib

    return joblib.load(io.BytesIO(artifact))
