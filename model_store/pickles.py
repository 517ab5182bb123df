"""PLACEHOLDER of the lead, to be overwritten."""
import io
from typing import Any
from .trust import Trust
class Listing:
    globals: tuple[Any, ...] = ()
    versions: tuple[str, ...] = ()
def listing(data: bytes) -> Listing:
    return Listing()
def load(data: bytes, trust: Trust) -> Any:
    import joblib
    return joblib.load(io.BytesIO(data))
