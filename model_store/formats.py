"""A fitted pipeline as the bytes of an artifact, which `pickles.py` reads back.

joblib is imported on first use: a server answers before it needs it.
"""

from __future__ import annotations

import io
from typing import Any

from .errors import InvalidPipeline, words_of


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
            f"The pipeline cannot be pickled: {words_of(error)}. Put lambdas and what is defined "
            "within functions into a module of their own, and publish with code='that_module.py'. "
            "Or write the pipeline to a file by cloudpickle.dump, which keeps such code, and take "
            "that with models import --trust."
        ) from error
    return buffer.getvalue()
