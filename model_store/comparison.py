"""What is to answer in the place of a pipeline, found when it is published: its plain form, the
same converted to ONNX where that is faster, or the pipeline itself.

A plain form that answers alike serves, however long it takes: it needs neither the pickle nor
scikit-learn, and no clock decides what a version is. A graph needs both, so it has to be faster.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

from . import frames
from .backend import Served
from .converted import Converted, build_converted, convert
from .errors import InvalidRows, PredictionFailed
from .following import labels_of_greatest, may_follow
from .manifest import GRAPH, Manifest
from .model import Model
from .plain import FORM_DATA, FORM_HEADER, Form, Malformed, read, write
from .plain.pack import NotPacked, last_of, pack
from .proof import Claim, NotCompared, Told, Verdict, claim, verdict
from .proof_rows import SEED, draw
from .reasons.keeping import keep_reasons
from .signature import Matrix
from .task import SCORE, told

BATCH: Final = 256
ROUNDS: Final = 5
DRAWN: Final = 200
"""Rows by which it is found out whether labels follow from probabilities."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to serve, with its files. With a `claim` that is still to be proven: then `served` is
    what holds if it is not. `unexplained` says why a plain form keeps no reasons."""

    served: Served
    files: Mapping[str, bytes] = field(default_factory=dict)
    claim: Claim | None = None
    unexplained: str | None = None

    def proven(self, found: Verdict) -> Candidate:
        """What serves after a verdict on the claim."""
        if found.difference is not None:
            return Candidate(
                Served.found("pipeline", f"its plain form differs: {found.difference}")
            )
        reason = f"it gave the answers of the pipeline to {found.rows} rows"
        served = Served.found("plain", reason)
        return Candidate(served, self.files, unexplained=self.unexplained)


def candidate(model: Model, drawn: Matrix | None = None) -> Candidate:
    """What is to serve a pipeline that was loaded from its artifact. `drawn` are rows of its
    training data, against which a plain form is explained."""
    if model.manifest.varies is not None:
        return Candidate(Served.found("pipeline", "its answers vary"))
    try:
        packed = pack(model.pipeline, model.manifest.signature)
        kept = keep_reasons(model, packed, drawn)
        header, data = write(kept.form)
        form = read(header, data)
    except (NotPacked, Malformed) as error:
        return _converted(model, f"there is no plain form of it, since {error}")
    lacking = _lacking(model.manifest, form)
    if lacking is not None:
        return Candidate(Served.found("pipeline", f"its plain form has no {lacking}"))
    try:
        claimed = claim(model, form, last_of(model.pipeline))
    except NotCompared as error:
        return Candidate(Served.found("pipeline", str(error)))
    unproven = Served.found("pipeline", "its plain form was not put to the proof")
    files = {FORM_HEADER: header, FORM_DATA: data, **kept.files}
    return Candidate(unproven, files, claimed, kept.unexplained)


def _lacking(told: Manifest, form: Form) -> str | None:
    """The measure that stands beside the pipeline's predictions, and not beside the form's."""
    for measure in told.measures:
        if not (form.decides if measure.name == SCORE else form.deviates):
            return measure.title
    return None


def _converted(model: Model, reason: str) -> Candidate:
    if model.manifest.measures or model.manifest.task == "transformation":
        return Candidate(Served.found("pipeline", reason))
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
    return _slower(model, converted)


def _slower(model: Model, converted: Converted) -> str | None:
    """For what the graph would take longer than the pipeline, each with one thread of native code:
    threads of two libraries that wait for each other on a busy machine would decide by luck."""
    from threadpoolctl import threadpool_limits

    golden = model.golden_rows()
    with threadpool_limits(1):
        for what, rows in (("one row", golden[:1]), ("a batch", _batch(golden))):
            graph, pipeline = fastest(partial(converted.predict, rows), partial(_ask, model, rows))
            if graph >= pipeline:
                return f"converted to ONNX it would take longer for {what}"
    return None


def _ask(model: Model, rows: Matrix) -> None:
    """As `Model.said` asks the pipeline."""
    known = frames.as_fitted(rows, model.manifest.signature)
    if not model.manifest.labels_follow:
        told(model.pipeline, known)
    if hasattr(model.pipeline, "predict_proba"):
        model.pipeline.predict_proba(known)


def _batch(golden: Matrix) -> Matrix:
    return golden[[place % len(golden) for place in range(BATCH)]]


def fastest(*calls: Callable[[], object]) -> list[float]:
    """The seconds of each call at its best of `ROUNDS`. What else the machine does only adds to
    that. They take turns, so that it adds to all alike, and each is called once before."""
    for call in calls:
        call()
    rounds = [[_seconds(call) for call in calls] for _ in range(ROUNDS)]
    return [min(each) for each in zip(*rounds, strict=True)]


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


# Labels --------------------------------------------------------------------------


def labels_follow(model: Model, claimed: Claim | None = None) -> bool:
    """Whether its labels are those of its greatest probabilities: of the golden rows, and of rows
    drawn from the ranges of training, wherever it answers them. What it answered for a claim it is
    not asked again."""
    told = model.manifest
    if not told.probabilities or told.varies is not None or not may_follow(model.pipeline):
        return False
    classes = [target.classes for target in told.targets]
    compared = False
    for said in _asked(model) if claimed is None else claimed.first(DRAWN):
        tables = [np.array(each) for each in said.shares]
        # One by one: of rows with equal probabilities, which are asked, nothing is to be shown.
        for row, label in enumerate(said.labels):
            labels = labels_of_greatest([each[row : row + 1] for each in tables], classes)
            if labels is None:
                continue
            if labels.tolist() != [label]:
                return False
            compared = True
    return compared


def _asked(model: Model) -> Iterator[Told]:
    golden, signature = model.golden_rows(), model.manifest.signature
    trials = [golden]
    random = np.random.default_rng(SEED)
    with contextlib.suppress(InvalidRows):
        trials.append(draw(signature, golden, DRAWN, random, missing=0.0))
    for rows in trials:
        with contextlib.suppress(PredictionFailed):
            yield Told.of_prediction(model.said(rows))
