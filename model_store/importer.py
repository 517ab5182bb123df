"""Files from outside, read, checked, joined to one pipeline and asked for the first time.

What a pickle names is listed and checked before anything in it is unpickled. Everything here may be
done by a hostile file to the process that does it, so `isolated.py` runs it in a child.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import formats, frames, origin, pickles, text_rules
from .column_facts import JSONLabel
from .draft import Draft, Metadata
from .errors import (
    IncompatibleVersion,
    InvalidPipeline,
    InvalidRows,
    LoadFailed,
    ModelStoreError,
    UnreadableFile,
    Unsound,
    Untrusted,
)
from .evaluation import GIVEN, evaluate
from .inspection import Inspection
from .literals import parse_number
from .manifest import File, Sample, Source, Target
from .model import ask, json_labels
from .pickles import Listing
from .signature import Signature
from .soundness.check import require_sound, warnings_of
from .structure import Structure
from .tables import Table
from .training import Training
from .trust import Trust
from .user_module import Code

SKOPS: Final = ".skops"
SAMPLE_ROWS: Final = 100_000

Progress = Callable[[str], None]


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to take in, and what the operator allows.

    `files` come in the order of their steps. `trusted` names globals beyond those of every
    artifact; `trust` allows all that the files name. `sample` is a CSV file with rows of the
    training data, of which `target` are the columns that the pipeline tells. Without `attempt`
    nothing of the files is run: they are read by the rules of the default, or not at all.
    `publish` asks for a draft.
    """

    name: str
    files: tuple[str, ...]
    sample: str | None = None
    target: tuple[str, ...] = ()
    code: str | None = None
    trust: bool = False
    trusted: tuple[str, ...] = ()
    allow_version: bool = False
    attempt: bool = True
    publish: bool = True


class FileFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it lies there. `refused` are those of its globals that are not allowed."""

    file: str
    size: int
    sha256: str
    scikit_learn: str | None
    globals: tuple[str, ...]
    refused: tuple[str, ...]


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """In how many of `rows` the pipeline says what the sample's target says; None for numbers,
    where `error` is the mean absolute difference."""

    target: str
    rows: int
    equal: int | None = None
    error: float | None = None


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `refusals` say why the files cannot be imported. Those behind `warnings` are
    None where only a look was ordered and something is refused or nothing was to be loaded."""

    files: tuple[FileFinding, ...]
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    estimator: str | None = None
    signature: Signature | None = None
    targets: tuple[Target, ...] | None = None
    sample: Sample | None = None
    agreements: tuple[Agreement, ...] = ()


def import_files(
    order: ImportRequest, progress: Progress = lambda step: None
) -> tuple[ImportReport, Draft | None]:
    """Carry out an order. Blocks, and may never return: see `isolated.run`.

    Raises:
        UnreadableFile, Untrusted, IncompatibleVersion, Unsound, InvalidPipeline, InvalidTable,
        LoadFailed
    """
    progress("reading")
    contents = {path: _read(path) for path in order.files}
    listings = {path: _listing(path, data) for path, data in contents.items()}
    trust = _trust(order, listings)
    found = tuple(
        _file_finding(path, contents[path], listing, trust) for path, listing in listings.items()
    )
    told, refusals = _check(order, listings, trust)
    if not order.publish and not order.attempt and not refusals:
        refusals = _unread(contents, listings, trust, told)
    if not order.publish and (refusals or not order.attempt):
        sentences = tuple(refusal.told for refusal in refusals)
        return ImportReport(files=found, refusals=sentences, warnings=tuple(told)), None
    if refusals:
        raise refusals[0]
    progress("loading")
    parts = {path: _load(path, contents[path], each, trust) for path, each in listings.items()}
    told += _require_sound(parts, trust)
    pipeline = join(parts)
    progress("asking for the first predictions")
    try:
        inspection, answers = _inspect(pipeline, order)
    except InvalidPipeline as error:
        if not told:
            raise
        raise InvalidPipeline(f"{error}. It may be the version: {' '.join(told)}") from error
    progress("packing")
    source = Source(
        files={Path(path).name: File.of(data) for path, data in contents.items()},
        scikit_learn=_writers(found),
    )
    about = _about(order, answers)
    draft = Draft.of(order.name, pipeline, inspection, about, trust=trust, source=source)
    if draft.manifest.runs_code:
        told.append(draft.manifest.reading)
    finding = ImportReport(
        files=found,
        warnings=tuple(told),
        estimator=inspection.estimator,
        signature=draft.manifest.signature,
        targets=draft.manifest.targets,
        sample=draft.sample,
        agreements=tuple(map(_agreement, answers)),
    )
    return finding, draft if order.publish else None


# The files -----------------------------------------------------------------------


def _read(path: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}.") from error
    if not data:
        raise UnreadableFile(f"{path} is empty.")
    return data


def _listing(path: str, data: bytes) -> Listing:
    try:
        return formats.skops_listing(data) if _is_skops(path) else pickles.listing(data)
    except UnreadableFile as error:
        raise UnreadableFile(f"{path}: {error}") from error


def _is_skops(path: str) -> bool:
    return Path(path).suffix.lower() == SKOPS


def _trust(order: ImportRequest, listings: Mapping[str, Listing]) -> Trust:
    """What the operator allows, but no more than the files name."""
    code = None if order.code is None else Code.read(Path(order.code))
    named = [each for listing in listings.values() for each in listing.globals]
    refused = Trust(code=code).refused(named) if order.trust else ()
    allowed = {str(each) for each in named if each in refused or str(each) in order.trusted}
    return Trust(frozenset(allowed), code)


def _file_finding(path: str, data: bytes, listing: Listing, trust: Trust) -> FileFinding:
    digest = File.of(data)
    return FileFinding(
        file=Path(path).name,
        size=digest.size,
        sha256=digest.sha256,
        scikit_learn=origin.written_by(listing),
        globals=tuple(map(str, listing.globals)),
        refused=tuple(map(str, trust.refused(listing.globals))),
    )


def _check(
    order: ImportRequest, listings: Mapping[str, Listing], trust: Trust
) -> tuple[list[str], list[ModelStoreError]]:
    """Warnings about where the files come from, and why they may not be loaded."""
    told: list[str] = []
    refusals: list[ModelStoreError] = []
    for path, listing in listings.items():
        file = Path(path).name
        try:
            trust.require(file, listing.globals)
        except Untrusted as error:
            refusals.append(error)
        try:
            told += origin.check(file, listing, allow_version=order.allow_version)
        except IncompatibleVersion as error:
            refusals.append(error)
    return told, refusals


def _load(path: str, data: bytes, listing: Listing, trust: Trust) -> Any:
    """What a file holds, of which everything that it lists is allowed."""
    with warnings.catch_warnings():
        # Of versions that differ, `origin.check` has told.
        warnings.simplefilter("ignore")
        try:
            if _is_skops(path):
                return formats.load_skops(data, map(str, listing.globals))
            return pickles.load(data, trust)
        except (UnreadableFile, Untrusted, LoadFailed) as error:
            raise type(error)(f"{path}: {error}", error.words) from error


def _unread(
    contents: Mapping[str, bytes], listings: Mapping[str, Listing], trust: Trust, told: list[str]
) -> list[ModelStoreError]:
    """Why the files cannot be read or may not be asked; what else there is to know goes to `told`.
    What is allowed beyond the default would be run by that, so then they are not read."""
    if trust.allowed or trust.code is not None:
        return []
    try:
        parts = {path: _load(path, contents[path], each, trust) for path, each in listings.items()}
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


def _writers(found: Sequence[FileFinding]) -> str | None:
    versions = {each.scikit_learn for each in found if each.scikit_learn is not None}
    return ", ".join(sorted(versions)) or None


# The pipeline --------------------------------------------------------------------


def join(parts: Mapping[str, Any]) -> Any:
    """One pipeline of what the files hold, in their order.

    Raises:
        InvalidPipeline: a part does not belong there.
    """
    *first, last = parts.items()
    for path, part in first:
        if not hasattr(part, "transform"):
            raise InvalidPipeline(
                f"{path} holds {_kind(part)}, which transforms nothing; give the files in the "
                "order in which their steps follow, the model last."
            )
    path, model = last
    if not callable(getattr(model, "predict", None)):
        raise InvalidPipeline(
            f"{path} holds {_kind(model)}, which does not predict{_advice(model)}."
        )
    if not first:
        return model
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*parts.values())


def _kind(part: Any) -> str:
    if isinstance(part, dict):
        keys = ", ".join(map(str, list(part)[:10]))
        return f"a dict with the keys {keys}"
    name = type(part).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _advice(part: Any) -> str:
    if isinstance(part, dict | list | tuple):
        return "; save the pipeline itself, or each of its parts in a file of its own"
    if hasattr(part, "transform"):
        return "; name the file of the model after it"
    return ""


# The first predictions -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the pipeline says of the sample's rows for one target, and what the sample says."""

    target: Target
    now: NDArray[Any]
    then: NDArray[Any]


def _inspect(pipeline: Any, order: ImportRequest) -> tuple[Inspection, list[_Answers]]:
    if order.sample is None:
        return Inspection.of_data(pipeline), []
    structure = Structure.of(pipeline)
    table = Table.read(Path(order.sample), max_rows=SAMPLE_ROWS)
    targets, rest = _split(table, order)
    inputs = _inputs(rest, structure, order)
    y = _told(pipeline, targets)
    inspection = Inspection.of(
        pipeline,
        structure,
        Training.of_table(inputs.columns, structure),
        y,
        target_name=order.target or None,
    )
    return inspection, _answers(pipeline, inspection, inputs, y)


def _split(table: Table, order: ImportRequest) -> tuple[Table, Table]:
    """What the sample tells of the targets, by the names they were ordered by, and the rest.

    Raises:
        InvalidPipeline: a target is not there.
    """
    found = {name: table.named(name) for name in order.target}
    lacking = [name for name, column in found.items() if column is None]
    if lacking:
        raise InvalidPipeline(
            f"{order.sample} has no column {lacking[0]!r}; it has {', '.join(table.columns)}."
        )
    targets = {name: table.columns[column] for name, column in found.items() if column is not None}
    rest = {name: texts for name, texts in table.columns.items() if name not in found.values()}
    return Table(targets, table.rows), Table(rest, table.rows)


def _inputs(table: Table, structure: Structure, order: ImportRequest) -> Table:
    """The columns of the sample that the pipeline takes, by its names and in its order.

    Raises:
        InvalidPipeline: they are others, or more, or fewer.
    """
    there = ", ".join(table.columns)
    hint = "name what the pipeline tells with --target, and take out what it does not take"
    if structure.names is None:
        count = len(structure.hints)
        if count not in {0, len(table.columns)}:
            raise InvalidPipeline(
                f"The pipeline takes {count} columns, and {order.sample} has "
                f"{len(table.columns)}: {there}; {hint}."
            )
        return Table({name.strip(): texts for name, texts in table.columns.items()}, table.rows)
    found = {name: table.named(name) for name in structure.names}
    lacking = [name for name, column in found.items() if column is None]
    if lacking:
        raise InvalidPipeline(
            f"{order.sample} lacks the columns {', '.join(lacking)}; it has {there}."
        )
    strange = [name for name in table.columns if name not in found.values()]
    if strange:
        raise InvalidPipeline(
            f"{order.sample} has columns that the pipeline does not know: {', '.join(strange)}; "
            f"{hint}."
        )
    columns = {name: table.columns[column] for name, column in found.items() if column is not None}
    return Table(columns, table.rows)


def _told(pipeline: Any, targets: Table) -> NDArray[Any] | None:
    """What the sample says the pipeline should tell: of shape (rows,) or (rows, targets)."""
    if not targets.columns:
        return None
    classes = getattr(pipeline, "classes_", None)
    tables = classes if isinstance(classes, list) else [classes] * len(targets.columns)
    columns = [
        targets.numbers(name) if known is None else _labels(targets, name, json_labels(known))
        for name, known in zip(targets.columns, tables, strict=False)
    ]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _labels(table: Table, name: str, classes: Sequence[JSONLabel]) -> NDArray[Any]:
    known = {str(label): label for label in classes}
    numbers = {label: label for label in classes if not isinstance(label, str | bool)}
    labels = np.empty(table.rows, dtype=object)
    for row, text in enumerate(table.columns[name]):
        found = known.get(text.strip(), numbers.get(parse_number(text.strip()) or 0))
        if found is None:
            raise InvalidPipeline(
                f"Row {row} of the sample: {name}: expected one of {', '.join(known)}, "
                f"got {text!r}."
            )
        labels[row] = found
    return labels


def _answers(
    pipeline: Any, inspection: Inspection, table: Table, y: NDArray[Any] | None
) -> list[_Answers]:
    """The answers to the rows of the sample, for each target that it tells."""
    if y is None:
        return []
    signature = inspection.signature
    rows = _sound_rows(signature, table)
    if not rows:
        return []
    columns = {name: np.array(table.columns[name], dtype=object)[rows] for name in signature.names}
    matrix = signature.validate(columns, len(rows), text_rules.CSV)
    several = len(inspection.targets) > 1
    answered = ask(
        pipeline, frames.as_fitted(matrix, signature), probabilities=False, several=several
    ).labels
    told = y[rows]
    pairs = zip(answered.T, told.T, strict=True) if several else [(answered, told)]
    return [
        _Answers(target, now, then)
        for target, (now, then) in zip(inspection.targets, pairs, strict=True)
    ]


def _sound_rows(signature: Signature, table: Table) -> list[int]:
    """The rows of the sample that a client could send."""
    columns = {name: table.columns[name] for name in signature.names}
    try:
        signature.validate(columns, table.rows, text_rules.CSV)
    except InvalidRows as error:
        faulty = {fault.row for fault in error.faults}
        # Beyond the faults that are listed nothing is known.
        end = table.rows if error.total == len(error.faults) else max(faulty)
        return [row for row in range(end) if row not in faulty]
    return list(range(table.rows))


def _agreement(answers: _Answers) -> Agreement:
    """How often the pipeline says what the sample says; of a training sample that is no score."""
    name, rows = answers.target.name or "target", len(answers.now)
    if answers.target.classes is None:
        return Agreement(target=name, rows=rows, error=_error(answers))
    return Agreement(target=name, rows=rows, equal=_equal(answers))


def _about(order: ImportRequest, answers: Sequence[_Answers]) -> Metadata:
    """What the sample tells of the pipeline: a score where it has one target, what it answered
    for each."""
    if order.sample is None:
        return Metadata()
    data = f"the sample {Path(order.sample).name}, which was given when it was imported"
    if not answers:
        return Metadata(data=data)
    return Metadata(
        metrics=_metrics(answers[0]) if len(answers) == 1 else {},
        validation=GIVEN,
        evaluations=tuple(
            evaluate(each.then, each.now, classes=each.target.classes, target=each.target.name)
            for each in answers
        ),
        data=data,
    )


def _metrics(answers: _Answers) -> dict[str, float]:
    """The score of finite answers."""
    if answers.target.classes is not None:
        return {"accuracy_on_the_rows_given": _equal(answers) / len(answers.now)}
    error = _error(answers)
    return {"mean_absolute_error_on_the_rows_given": error} if math.isfinite(error) else {}


def _error(answers: _Answers) -> float:
    return float(np.mean(np.abs(answers.now.astype(float) - answers.then.astype(float))))


def _equal(answers: _Answers) -> int:
    pairs = zip(json_labels(answers.now), json_labels(answers.then), strict=True)
    return sum(now == then for now, then in pairs)
