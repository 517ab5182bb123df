"""What is to answer in the place of a pipeline, found when it is published: its plain form, the
same converted to ONNX where that is faster, or the pipeline itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from . import frames
from .backend import Served
from .converted import Converted, build_converted, convert
from .manifest import GRAPH
from .model import Model
from .plain import FORM_DATA, FORM_HEADER, Malformed, read, write
from .plain.pack import NotPacked, last_of, pack
from .proof import Claim, NotCompared, Verdict, claim, verdict
from .signature import Matrix

BATCH: Final = 256
TIMED_CALLS: Final = 20
TIMED_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to serve, with its files. With a `claim` that is still to be proven: then `served` is
    what holds if it is not."""

    served: Served
    files: Mapping[str, bytes] = field(default_factory=dict)
    claim: Claim | None = None

    def proven(self, found: Verdict) -> Candidate:
        """What serves after a verdict on the claim."""
        if found.difference is not None:
            return Candidate(
                Served.found("pipeline", f"its plain form differs: {found.difference}")
            )
        reason = f"it gave the answers of the pipeline to {found.rows} rows"
        return Candidate(Served.found("plain", reason), self.files)


def candidate(model: Model) -> Candidate:
    """What is to serve a pipeline that was loaded from its artifact."""
    if model.manifest.varies is not None:
        return Candidate(Served.found("pipeline", "its answers vary"))
    try:
        header, data = write(pack(model.pipeline, model.manifest.signature))
        form = read(header, data)
    except (NotPacked, Malformed) as error:
        return _converted(model, f"there is no plain form of it, since {error}")
    try:
        claimed = claim(model, form, last_of(model.pipeline))
    except NotCompared as error:
        return Candidate(Served.found("pipeline", str(error)))
    unproven = Served.found("pipeline", "its plain form was not put to the proof")
    return Candidate(unproven, {FORM_HEADER: header, FORM_DATA: data}, claimed)


def _converted(model: Model, reason: str) -> Candidate:
    try:
        data = convert(model.pipeline)
        found = None if data is None else build_converted(model.pipeline, data)
    except ImportError:
        return Candidate(Served.found("pipeline", reason))
    # onnxruntime does not take all that skl2onnx makes.
    except Exception:
        found, data = None, None
    if found is None or data is None:
        return Candidate(Served.found("pipeline", f"{reason}, and it cannot be converted to ONNX"))
    against = _against(model, found)
    if against is not None:
        return Candidate(Served.found("pipeline", f"{reason}, and {against}"))
    so = f"{reason}; so converted it gave the answers of the pipeline, and sooner"
    return Candidate(Served.found("onnx", so), {GRAPH: data})


def _against(model: Model, converted: Converted) -> str | None:
    """What speaks against the graph; None where nothing does."""
    served = replace(model, converted=converted)
    try:
        claimed = claim(model, converted, converted.rest)
        found = verdict(served, converted, claimed, converted.rounding)
    except NotCompared as error:
        return str(error)
    if found.difference is not None:
        return f"in ONNX {found.difference}"
    golden = model.golden_rows()
    for what, rows in (("one row", golden[:1]), ("a batch", _batch(golden))):
        if _fastest(partial(converted.predict, rows)) >= _fastest(partial(_ask, model, rows)):
            return f"converted to ONNX it would take longer for {what}"
    return None


def _ask(model: Model, rows: Matrix) -> None:
    known = frames.as_fitted(rows, model.manifest.signature)
    model.pipeline.predict(known)
    if hasattr(model.pipeline, "predict_proba"):
        model.pipeline.predict_proba(known)


def _batch(golden: Matrix) -> Matrix:
    return golden[[place % len(golden) for place in range(BATCH)]]


def _fastest(call: Callable[[], object]) -> float:
    """The seconds of the fastest of some calls: what else the machine does only adds to it."""
    call()
    seconds: list[float] = []
    until = time.monotonic() + TIMED_SECONDS
    while not seconds or (len(seconds) < TIMED_CALLS and time.monotonic() < until):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
