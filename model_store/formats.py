"""A fitted pipeline as the bytes of an artifact, which `pickles.py` reads back.

joblib is imported on first use: a server answers before it needs it.
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
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidPipeline(
            f"The pipeline cannot be pickled; use functions and classes of a module in it: {error}"
        ) from error
    return buffer.getvalue()
