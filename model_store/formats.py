"""A fitted pipeline as the bytes of an artifact, which `pickles.py` reads back; and skops files.

joblib and skops are imported on first use: a server answers before it needs one.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from .errors import InvalidPipeline, UnreadableFile
from .pickles import Global, Listing


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


def skops_listing(data: bytes) -> Listing:
    """The types that a skops file names and that skops does not trust by itself.

    Raises:
        UnreadableFile: skops is not installed, or it is no such file.
    """
    io = _skops()
    try:
        names = io.get_untrusted_types(data=data)
    except Exception as error:
        raise UnreadableFile(f"this is no skops file: {error}") from error
    found = (str(name).rpartition(".") for name in names)
    return Listing(globals=tuple(Global(module, name) for module, _, name in found), versions=())


def load_skops(data: bytes, trusted: Iterable[str]) -> Any:
    """The object in a skops file; of types that skops does not trust, those that are named here.

    Raises:
        UnreadableFile: skops is not installed, or the file names other types, or is cut off.
    """
    io = _skops()
    try:
        return io.loads(data, trusted=sorted(trusted))
    except Exception as error:
        raise UnreadableFile(f"skops does not read it: {error}") from error


def _skops() -> Any:
    try:
        import skops.io
    except ModuleNotFoundError as error:
        raise UnreadableFile(
            "a skops file needs skops; install it with pip install 'quart-app[skops]'"
        ) from error
    return skops.io
