"""Files from outside, read, checked, joined to one pipeline and asked for the first time.

What a pickle names is listed and checked before anything in it is unpickled. Everything here may be
done by a hostile file to the process that does it, so `isolated.py` runs it in a child.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from . import origin, pickles
from .agreement import Agreement, Compared, Truth
from .answers import answers_of
from .arrow_files import kind_of
from .carriers import LEFT_OUT, carrier_of, left_out
from .draft import Draft
from .errors import (
    IncompatibleVersion,
    InvalidPipeline,
    LoadFailed,
    ModelStoreError,
    Undecided,
    UnreadableFile,
    Unsound,
    Untrusted,
)
from .evaluation import GIVEN, HELD_OUT, evaluate
from .inspection import Inspection
from .label_words import encoded, is_encoder, words_of
from .manifest import File, Sample, Source, Target
from .metadata import Metadata
from .pickles import Listing
from .sample_file import SampleFile, read_sample
from .signature import Signature
from .soundness.check import require_sound, warnings_of
from .sources.finding import PICKLE, find
from .sources.part import Part
from .structure import Structure
from .targets import told_of
from .task import NO_PREDICT, last_of, why_silent
from .training import Training, missing
from .trust import Trust
from .user_module import Code
from .variation import ALLOW

_SAY: Final = "say what it was with --type COLUMN=TYPE"

Progress = Callable[[str], None]


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to take in, and what the operator allows.

    `files` come in the order of their steps. `trusted` names globals beyond those of every
    artifact; `trust` allows all that the files name. `sample` is a CSV, Parquet or Feather file
    with rows of the training data, of which `target` are the columns that the pipeline tells, and
    `drop` those that it does not take; `types` says by name what others were, and `missing` which
    missing value they had. `store` is where it is to be published, for sentences that say how.
    `allow_varying` takes a pipeline whose answer to a row is not that row's alone. With
    `no_background` no rows of the sample are kept to explain answers against. `held_out` says that
    the pipeline was not trained on the sample, from which then is learned how often it is right
    when it is so sure. Without `attempt`
    nothing of the files is run: they are read by the rules of the default, or not at all.
    `publish` asks for a draft.
    """

    name: str
    files: tuple[str, ...]
    sample: str | None = None
    target: tuple[str, ...] = ()
    types: Mapping[str, str] = {}
    missing: Mapping[str, str] = {}
    drop: tuple[str, ...] = ()
    store: str | None = None
    code: str | None = None
    trust: bool = False
    trusted: tuple[str, ...] = ()
    allow_version: bool = False
    allow_varying: bool = False
    no_background: bool = False
    held_out: bool = False
    attempt: bool = True
    publish: bool = True


class FileFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it lies there. `refused` are those of its globals that are not allowed. `guest`
    is the library that wrote it in its own format, if one did."""

    file: str
    size: int
    sha256: str
    scikit_learn: str | None
    globals: tuple[str, ...]
    refused: tuple[str, ...]
    guest: str | None = None


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `refusals` say why the files cannot be imported, and `notes` how the sample
    was read. Those behind `warnings` are None where only a look was ordered and something is
    refused or nothing was to be loaded."""

    files: tuple[FileFinding, ...]
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    estimator: str | None = None
    signature: Signature | None = None
    targets: tuple[Target, ...] | None = None
    sample: Sample | None = None
    agreements: tuple[Agreement, ...] = ()
    notes: tuple[str, ...] = ()


def import_files(
    order: ImportRequest, progress: Progress = lambda step: None
) -> tuple[ImportReport, Draft | None]:
    """Carry out an order. Blocks, and may never return: see `isolated.run`.

    Raises:
        UnreadableFile, Untrusted, IncompatibleVersion, Unsound, InvalidPipeline, InvalidTable,
        LoadFailed
    """
    progress("reading")
    files = {part.path: part for part in _found(order)}
    listings = {path: _listing(part) for path, part in files.items()}
    trust = _trust(order, listings)
    found = tuple(_file_finding(files[path], each, trust) for path, each in listings.items())
    told, refusals = _check(order, listings, trust)
    if not order.publish and not order.attempt and not refusals:
        refusals = _unread(files.values(), trust, told)
    if not order.publish and (refusals or not order.attempt):
        sentences = tuple(refusal.told for refusal in refusals)
        return ImportReport(files=found, refusals=sentences, warnings=tuple(told)), None
    if refusals:
        raise refusals[0]
    progress("loading")
    parts = {path: _load(part, trust) for path, part in files.items()}
    told += _require_sound(parts, trust)
    encoders = {path: part for path, part in parts.items() if is_encoder(part)}
    pipeline, artifact = join(parts), _kept(files.values(), listings)
    sample = _encoded(order, _sample(order, files.values()), encoders.values())
    progress("asking for the first predictions")
    try:
        inspection, compared, notes = _inspect(pipeline, order, sample, progress)
    except InvalidPipeline as error:
        lacking = left_out(trust.allowed, error)
        if lacking is not None:
            raise InvalidPipeline(f"Code of the file fails: {lacking}. {LEFT_OUT}") from error
        if not told:
            raise
        raise InvalidPipeline(f"{error}. It may be the version: {' '.join(told)}") from error
    source = Source(
        files={Path(path).name: File.of(part.data) for path, part in files.items()},
        scikit_learn=_joined(each.scikit_learn for each in found),
        guest=_joined(each.guest for each in found),
    )
    if order.no_background:
        inspection = replace(inspection, drawn=None)
    if order.held_out and not compared:
        raise InvalidPipeline(
            "Rows that the pipeline was not trained on tell how often it is right, for which the "
            "sample has to have what it tells (--sample rows.csv --target column)."
        )
    about = _worded(_about(order, sample, compared), encoders, inspection.targets)
    draft = Draft.of(
        order.name,
        pipeline,
        inspection,
        about,
        artifact=artifact,
        trust=trust,
        source=source,
        held_out=compared[0].held_out if order.held_out and len(compared) == 1 else None,
        progress=progress,
    )
    if draft.manifest.runs_code:
        told.append(draft.manifest.reading)
    if draft.manifest.variation is not None:
        told.append(draft.manifest.variation)
    told += _doubts(order, compared)
    finding = ImportReport(
        files=found,
        warnings=tuple(told),
        estimator=inspection.estimator,
        signature=draft.manifest.signature,
        targets=draft.manifest.targets,
        sample=draft.sample,
        agreements=tuple(each.agreement for each in compared),
        notes=notes,
    )
    return finding, draft if order.publish else None


# The files -----------------------------------------------------------------------


def _found(order: ImportRequest) -> list[Part]:
    return [find(path, code=order.code is not None) for path in order.files]


def _listing(part: Part) -> Listing:
    try:
        return part.format.listing(part.data)
    except UnreadableFile as error:
        raise UnreadableFile(f"{part.path}: {error}") from error


def _trust(order: ImportRequest, listings: Mapping[str, Listing]) -> Trust:
    """What the operator allows, but no more than the files name."""
    code = None if order.code is None else Code.read(Path(order.code))
    named = [each for listing in listings.values() for each in listing.globals]
    refused = Trust(code=code).refused(named) if order.trust else ()
    allowed = {str(each) for each in named if each in refused or str(each) in order.trusted}
    return Trust(frozenset(allowed), code)


def _file_finding(part: Part, listing: Listing, trust: Trust) -> FileFinding:
    digest = File.of(part.data)
    return FileFinding(
        file=Path(part.path).name,
        size=digest.size,
        sha256=digest.sha256,
        scikit_learn=origin.written_by(listing),
        globals=tuple(map(str, listing.globals)),
        refused=tuple(map(str, trust.refused(listing.globals))),
        guest=listing.guest,
    )


def _check(
    order: ImportRequest,
    listings: Mapping[str, Listing],
    trust: Trust,
) -> tuple[list[str], list[ModelStoreError]]:
    """Warnings about where the files come from, and why they may not be loaded."""
    told: list[str] = []
    refusals: list[ModelStoreError] = []
    for given, (path, listing) in zip(order.files, listings.items(), strict=True):
        file = Path(path).name
        try:
            trust.require(file, listing.globals)
        except Untrusted as error:
            refusals.append(error if given == path else _of_folder(given, error))
        try:
            told += origin.check(file, listing, allow_version=order.allow_version)
        except IncompatibleVersion as error:
            refusals.append(error)
    return told, refusals


def _of_folder(folder: str, error: Untrusted) -> Untrusted:
    """The same of a file that a folder named, where it can be allowed: it is the folder that is
    imported."""
    if "--trust" not in str(error):
        return error
    return Untrusted(f"{error} That is: quart-app models import {shlex.quote(folder)} --trust")


def _load(part: Part, trust: Trust) -> Any:
    """What a file holds, of which everything that it lists is allowed."""
    with warnings.catch_warnings():
        # Of versions that differ, `origin.check` has told.
        warnings.simplefilter("ignore")
        try:
            return part.format.load(part.data, trust)
        except (UnreadableFile, Unsound, Untrusted, LoadFailed) as error:
            raise type(error)(f"{part.path}: {error}", error.words) from error


def _unread(files: Iterable[Part], trust: Trust, told: list[str]) -> list[ModelStoreError]:
    """Why the files cannot be read or may not be asked; what else there is to know goes to `told`.
    What is allowed beyond the default would be run by that, so then they are not read."""
    if trust.allowed or trust.code is not None:
        return []
    try:
        parts = {part.path: _load(part, trust) for part in files}
        told += _require_sound(parts, trust)
        join(parts)
    except ModelStoreError as error:
        return [error]
    return []


def _require_sound(parts: Mapping[str, Any], trust: Trust) -> list[str]:
    """What to know of the parts, which may be asked from here on.

    Raises:
        Unsound, Untrusted
    """
    told = []
    for path, part in parts.items():
        try:
            require_sound(part, trust)
            told += warnings_of(part, trust)
        except (Unsound, Untrusted) as error:
            raise type(error)(f"{path}: {error}", error.words) from error
    return told


def _joined(versions: Iterable[str | None]) -> str | None:
    return ", ".join(sorted({each for each in versions if each is not None})) or None


# The pipeline --------------------------------------------------------------------


def _kept(parts: Collection[Part], listings: Mapping[str, Listing]) -> bytes | None:
    """The bytes of a file that carries code, which no other pickler writes again; None of others.

    Raises:
        InvalidPipeline: it is one of several files.
    """
    for part, listing in zip(parts, listings.values(), strict=True):
        package = carrier_of(listing.globals)
        if package is None or part.format is not PICKLE:
            continue
        if len(parts) > 1:
            raise InvalidPipeline(
                f"{part.path} was written by {package}, and cannot be joined to other files; make "
                "one pipeline of all of them, and save that."
            )
        return pickles.decompressed(part.data)
    return None


def join(parts: Mapping[str, Any]) -> Any:
    """One pipeline of what the files hold, in their order; encoders of labels are no steps of it.

    Raises:
        InvalidPipeline: a part does not belong there, or is not fitted.
    """
    steps = {path: part for path, part in parts.items() if not is_encoder(part)} or parts
    *first, last = steps.items()
    for path, part in first:
        if not hasattr(part, "transform"):
            raise InvalidPipeline(
                f"{path} holds {_kind(part)}, which transforms nothing; give the files in the "
                "order in which their steps follow, the model last."
            )
    path, model = last
    why = why_silent(model)
    if why is not None:
        why = why.replace(NO_PREDICT, "does not predict")
        last = last_of(model)
        what = "which" if last is model else f"of which the last step, {_kind(last)},"
        raise InvalidPipeline(f"{path} holds {_kind(model)}, {what} {why}{_advice(model)}.")
    for each, part in steps.items():
        _require_fitted(each, part)
    if not first:
        return model
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps.values())


def _require_fitted(path: str, part: Any) -> None:
    """Raises InvalidPipeline where it says that it is not fitted. Of classes of others that is not
    asked: they need not tell it as scikit-learn's do."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    last = part.steps[-1][1] if hasattr(part, "steps") else part
    if type(last).__module__.partition(".")[0] != "sklearn":
        return
    try:
        check_is_fitted(last)
    except NotFittedError as error:
        raise InvalidPipeline(
            f"{path} holds {_kind(part)} that is not fitted; call its fit, and save it again."
        ) from error
    except Exception:
        return  # It is odd, and what is wrong with it is told when it is asked.


def _kind(part: Any) -> str:
    if isinstance(part, dict):
        keys = ", ".join(map(str, list(part)[:10]))
        return f"a dict with the keys {keys}"
    name = type(part).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _advice(part: Any) -> str:
    if is_encoder(part):
        return ", but has the words of labels; name the file of the model beside it"
    if isinstance(part, dict | list | tuple):
        return "; save the pipeline itself, or each of its parts in a file of its own"
    return ""


# The first predictions -----------------------------------------------------------


def _sample(order: ImportRequest, parts: Iterable[Part]) -> SampleFile | str | None:
    """The rows that were given, or else those that a folder has."""
    if order.sample is not None:
        return order.sample
    return next((part.example for part in parts if part.example is not None), None)


def _encoded(
    order: ImportRequest, sample: SampleFile | str | None, encoders: Iterable[Any]
) -> SampleFile | str | None:
    """The sample whose target may have the labels of which an encoder made numbers."""
    if len(order.target) != 1:
        return sample
    for encoder in encoders:
        if sample is not None:
            file = SampleFile.read(sample) if isinstance(sample, str) else sample
            sample = encoded(file, order.target[0], encoder)
    return sample


def _inspect(
    pipeline: Any, order: ImportRequest, sample: SampleFile | str | None, progress: Progress
) -> tuple[Inspection, list[Compared], tuple[str, ...]]:
    """What is found, what the pipeline says of the sample's targets, and how that was read."""
    if sample is None:
        found = Inspection.of_data(pipeline, allow_varying=order.allow_varying, progress=progress)
        return found, [], ()
    structure = Structure.of(pipeline)
    progress("reading the sample")
    try:
        rows = read_sample(
            pipeline, structure, sample, order.target, order.types, order.missing, order.drop
        )
    except Undecided as error:
        otherwise = "Or" if "say it with" in str(error) else "So"
        raise InvalidPipeline(f"{error} {otherwise} {_ways(order)}") from error
    truth = rows.truth
    y = None if truth is None else truth.y
    try:
        inspection = Inspection.of(
            pipeline,
            structure,
            rows.training,
            y,
            target_name=None if truth is None else order.target,
            allow_varying=order.allow_varying,
            progress=progress,
        )
    except InvalidPipeline as error:
        if ALLOW in str(error):  # That it varies is no matter of how a column is read.
            raise
        raise InvalidPipeline(
            f"{str(error).rstrip('.')}. If a column is not read as it was in training, {_SAY}, "
            f"{_ways(order)}"
        ) from error
    compared = [] if truth is None else _compared(pipeline, inspection, rows.training, truth)
    return inspection, compared, rows.notes


def _compared(
    pipeline: Any, inspection: Inspection, training: Training, truth: Truth
) -> list[Compared]:
    """The answers to the rows of the sample that a client could send, for each target."""
    signature = inspection.signature
    columns = {each.name: each.values for each in training.features}
    checked = signature.check(columns, len(training))
    fits = np.ones(len(training), bool) if checked.unfit is None else ~checked.unfit.mask
    if not fits.any():
        return []
    prediction = answers_of(pipeline, signature, checked.fit)
    answered = told_of(prediction.labels, [target.classes for target in inspection.targets])
    tables = prediction.probabilities or [None] * len(answered)
    found = []
    for target, answers, column, shares in zip(
        inspection.targets, answered, truth.columns, tables, strict=True
    ):
        told = column[fits]
        known = ~missing(told)
        if known.any():
            table = None if shares is None else shares[known]
            found.append(Compared(target, answers[known], told[known], table))
    return found


def _doubts(order: ImportRequest, compared: Sequence[Compared]) -> list[str]:
    """Warnings of answers that agree with the sample no better than one answer to all of it."""
    return [
        f"{each.doubt} So the sample is not what the pipeline was trained on, or is not read as it "
        f"was then: {_SAY}, {_ways(order)}"
        for each in compared
        if each.doubt is not None
    ]


def _ways(order: ImportRequest) -> str:
    """How types get here that the sample does not keep."""
    store = "" if order.store is None else repr(order.store)
    is_text = order.sample is not None and kind_of(Path(order.sample)) is None
    typed = "give the sample as Parquet, which keeps types (--sample rows.parquet), or "
    return (
        f"{typed if is_text else ''}publish where the data is: from model_store import ModelStore; "
        f"ModelStore({store}).publish({order.name!r}, pipeline, X, y)"
    )


def _worded(about: Metadata, encoders: Mapping[str, Any], targets: tuple[Target, ...]) -> Metadata:
    """The same with the words of a LabelEncoder for what the model tells."""
    words: dict[str, str] = {}
    for path, encoder in encoders.items():
        words |= words_of(path, encoder, targets)
    return msgspec.structs.replace(about, words=words) if words else about


def _about(
    order: ImportRequest, sample: SampleFile | str | None, compared: Sequence[Compared]
) -> Metadata:
    """What the sample tells of the pipeline: a score where it has one target, what it answered
    for each, and a notice where it agrees badly."""
    if sample is None:
        return Metadata()
    data = "the example of its folder"
    if order.sample is not None:
        data = f"the sample {Path(order.sample).name}, which was given when it was imported"
    if not compared:
        return Metadata(data=data)
    doubts = [each.doubt for each in compared if each.doubt is not None]
    return Metadata(
        metrics=compared[0].metrics if len(compared) == 1 else {},
        validation=HELD_OUT if order.held_out else GIVEN,
        evaluations=tuple(
            evaluate(each.truth, each.answers, classes=each.target.classes, target=each.target.name)
            for each in compared
        ),
        data=data,
        notice=" ".join(["On the rows given when it was imported:", *doubts]) if doubts else None,
    )
