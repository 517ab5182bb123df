"""A whole run: planned, begun or gone on with, its parts done by an engine, and its end recorded.

Until the output's folder is prepared nothing is written. Each part is there as a whole or not at
all, so an attempt that was killed at any moment is gone on with by another of the same options.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import InvalidRun, RunStopped, Unexplained
from ..model import Model
from ..store import DEFAULT_ROOT, ModelStore, Pickles, Verified
from .bundle import Bundle, load_proven
from .engines import Cluster, Engine, Here, Processes
from .inputs import READERS, Format, find
from .part import Done, Failed, Outcome, Work, written_part
from .places import Place, locked, sweep
from .plan import ALL, Part, Plan, is_part, make_plan
from .record import RECORD, SUCCESS, Record, Summary

EngineName = Literal["local", "dask"]
Errors = Literal["keep", "stop"]

FEW_ROWS: Final = 200_000
"""So many rows are done before processes for them have started."""
REASONS: Final = 20
"""Parts that are missing of which the reason is told."""

Progress = Callable[[int, int | None], None]
"""Is told how many rows are done, and how many there are in all where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is done; none of these changes what is in its parts.

    `most` is how many rows may be without an answer, `share` which share of all. `workers` are
    those of this machine: None takes as many as there are cores.
    """

    engine: EngineName = "local"
    workers: int | None = None
    scheduler: str | None = None
    most: int | None = None
    share: float | None = None
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise InvalidRun("A run is either gone on with or written anew; expected one of both.")
        if self.engine == "dask" and not self.scheduler:
            raise InvalidRun("The engine dask needs the address of a scheduler.")
        if self.engine == "local" and self.scheduler:
            raise InvalidRun("A scheduler is asked by the engine dask alone.")
        if self.engine == "dask" and self.workers is not None:
            raise InvalidRun("A Dask cluster has the workers that it has; leave out their number.")
        if self.workers is not None and self.workers < 1:
            raise InvalidRun(f"Expected at least one worker, got {self.workers}.")

    def limit(self, rows: int | None) -> int | None:
        """How many of so many rows may be without an answer; None where that is no number yet."""
        if self.share is not None:
            return None if rows is None else int(self.share * rows)
        return self.most


def limits(errors: Errors, max_errors: int | str | None) -> dict[str, Any]:
    """How many faulty rows a run may have, as `Options` has it.

    Raises:
        InvalidRun: it is neither a number nor a percentage.
    """
    if errors not in ("keep", "stop"):
        raise InvalidRun(f"errors: expected keep or stop, got {errors!r}.")
    if errors == "stop":
        if max_errors is not None:
            raise InvalidRun("A run that stops at the first faulty row has no other limit of them.")
        return {"most": 0}
    if max_errors is None:
        return {}
    text = str(max_errors).strip()
    with contextlib.suppress(ValueError):
        if text.endswith("%") and 0 <= float(text[:-1]) <= 100:
            return {"share": float(text[:-1]) / 100}
        if not text.endswith("%") and int(text) >= 0:
            return {"most": int(text)}
    raise InvalidRun(f"max_errors: expected a number of rows or such as 0.5%, got {text!r}.")


def require_explained(model: Model) -> None:
    """Raises InvalidRun where a model cannot explain what it answers."""
    try:
        model.require_explained()
        model.reasons.explainer()
    except Unexplained as error:
        raise InvalidRun(error.told) from error


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is planned: nothing is written yet."""

    verified: Verified
    plan: Plan
    record: Record
    output: Place
    allow_version: bool = False

    @classmethod
    def planned(
        cls,
        model: str,
        input: str | os.PathLike[str],
        output: str | os.PathLike[str],
        *,
        store: ModelStore | None = None,
        version: int | str | None = None,
        columns: Literal["all", "none"] | Sequence[str] = ALL,
        format: Format = "parquet",
        explain: bool = False,
        allow_version: bool = False,
        pickles: Pickles = "fallback",
    ) -> Run:
        """Load the model, and look at the heads of the input.

        Raises:
            InvalidRun: the input is none, or is not such as the model takes; or the output lies
                within it; or the model cannot `explain` its answers.
            And what `ModelStore.verify`, `ModelStore.load` and `Model.replay` raise.
        """
        require_pyarrow()
        if format not in ("parquet", "csv"):
            raise InvalidRun(f"format: expected parquet or csv, got {format!r}.")
        models = store or ModelStore(DEFAULT_ROOT)
        found = find(input)
        place = Place.of(output)
        _require_apart(found.folder, [source.name for source in found.sources], place, input)
        verified, loaded = load_proven(
            models, model, version, allow_version=allow_version, pickles=pickles
        )
        if explain:
            require_explained(loaded)
        plan = make_plan(found, verified.manifest, columns, format, explained=explain)
        record = Record.of(verified.manifest, plan)
        return cls(verified, plan, record, place, allow_version)

    def done(self, options: Options, progress: Progress = lambda rows, total: None) -> Summary:
        """Do it. Blocks; an interrupt passes, and leaves what is done.

        Raises:
            InvalidRun: the output's folder is not to be written to.
            RunStopped: another run writes there.
        """
        require_pyarrow()
        attempt = _Attempt(self, options, progress)
        self.output_kind()
        if self.output.local:
            _require_free(self.output, options)
            self.output.make_folder()
        with locked(self.output):
            return attempt.done()

    def output_kind(self) -> None:
        """Raises InvalidRun where the output is a file."""
        if self.output.kind() == "file":
            raise InvalidRun(f"{self.output} is a file; the output is a folder of parts.")


@dataclass(slots=True)
class _Attempt:
    """One attempt of a run."""

    run: Run
    options: Options
    progress: Progress
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    begun: float = field(default_factory=time.monotonic)
    rows: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    parts_done: int = 0
    rows_done: int = 0
    faulty: int = 0
    reason: str | None = None

    def done(self) -> Summary:
        output, plan = self.run.output, self.run.plan
        there = self._prepare()
        for folder in plan.folders:
            output.below(folder).make_folder() if folder else None
        if RECORD not in there:
            self.run.record.write(output, self.id)
        resumed = self._written(there)
        for outcome in resumed.values():
            self._note(outcome)
        self._tell(sum(each.rows for each in resumed.values()))
        left = [part for part in plan.parts if part.name not in self.outcomes]
        if left and SUCCESS in there:
            output.below(SUCCESS).remove()
        self._require_few()
        if self.reason is None and left:
            self._do(left)
        summary = self._summary(len(resumed))
        sweep(output)
        if summary.complete and (left or SUCCESS not in there):
            self._settle()
            summary.write(output, self.id)
        return summary

    def _settle(self) -> None:
        """Wait until all that `_SUCCESS` is to vouch for is on the disk."""
        output, plan = self.run.output, self.run.plan
        if output.local:
            folders = [output.below(folder) if folder else output for folder in plan.folders]
            with ThreadPoolExecutor(READERS) as writers:
                list(writers.map(Place.settle, [*map(output.below, self.outcomes), *folders]))

    def _prepare(self) -> set[str]:
        """The files that are in the output's folder to be gone on with."""
        output = self.run.output
        _require_free(output, self.options)
        sweep(output)
        there = set(output.all_files())
        if self.options.overwrite:
            _clear(output, there)
            return set()
        if RECORD in there:
            self.run.record.require_same(Record.read(output), output)
        return there

    def _written(self, there: set[str]) -> dict[str, Done]:
        """The parts that are there already."""
        known = [part for part in self.run.plan.parts if part.name in there]
        output, digest, schema = self.run.output, self.run.record.identity, self.run.plan.schema
        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(lambda part: written_part(output, part, digest, schema), known)
            return {each.name: each for each in found if each is not None}

    def _do(self, left: Sequence[Part]) -> None:
        """Let an engine do these parts, until one of them says that it is no use."""
        outcomes = self._engine(left).run(self._work(), left, self._tell)
        try:
            for outcome in outcomes:
                self._note(outcome)
                if isinstance(outcome, Failed) and (outcome.ends or outcome.faulty):
                    self.reason = outcome.reason
                    return
                self._require_few()
                if self.reason is not None:
                    return
        except RunStopped as error:
            self.reason = error.told
        finally:
            close = getattr(outcomes, "close", None)
            if close is not None:
                close()

    def _note(self, outcome: Outcome) -> None:
        self.outcomes[outcome.name] = outcome
        if isinstance(outcome, Done):
            self.parts_done += 1
            self.rows_done += outcome.rows
            self.faulty += outcome.faulty

    def _engine(self, left: Sequence[Part]) -> Engine:
        if self.options.scheduler is not None:
            return Cluster(self.options.scheduler)
        workers = min(self.options.workers or self._usual_workers(), len(left))
        return Here() if workers == 1 else Processes(workers)

    def _usual_workers(self) -> int:
        rows = self.run.plan.rows
        if rows is not None and rows <= FEW_ROWS:
            return 1
        import joblib  # which knows the limits of containers as well

        cores: int = joblib.cpu_count()
        return cores

    def _work(self) -> Work:
        run = self.run
        return Work(
            run=self.id,
            digest=run.record.identity,
            bundle=Bundle.of(run.verified, allow_version=run.allow_version),
            input=run.plan.input.folder,
            output=run.output,
            record=run.output.below(RECORD).stat(),
            kept=run.plan.kept,
            schema=run.plan.schema,
            most=self._limit,
            explained=run.plan.explained,
        )

    @property
    def _limit(self) -> int | None:
        return self.options.limit(self.run.plan.rows)

    def _tell(self, rows: int) -> None:
        self.rows += rows
        self.progress(self.rows, self.run.plan.rows)

    def _require_few(self) -> None:
        """Let the run end where more rows are faulty than may be."""
        limit = self._limit
        if limit is None and self.options.share is not None:
            whole = self.parts_done == len(self.run.plan.parts)
            limit = int(self.options.share * self.rows_done) if whole else None
        if limit is not None and self.faulty > limit:
            self.reason = f"{self.faulty} rows have no answer, and {limit} may have none."

    def _summary(self, resumed: int) -> Summary:
        plan = self.run.plan
        failed = {name: each for name, each in self.outcomes.items() if isinstance(each, Failed)}
        return Summary(
            model=self.run.record.model,
            version=self.run.record.version,
            output=self.run.output.address,
            rows=self.rows_done,
            faulty=self.faulty,
            parts=self.parts_done,
            missing=len(plan.parts) - self.parts_done,
            resumed=resumed,
            seconds=round(time.monotonic() - self.begun, 3),
            reason=self.reason,
            reasons={name: each.reason for name, each in sorted(failed.items())[:REASONS]},
        )


# The output's folder -------------------------------------------------------------


def _require_free(output: Place, options: Options) -> None:
    """Raises InvalidRun where what is in the folder would be in the way."""
    there = output.all_files()
    ours = [name for name in there if is_ours(name)]
    if len(ours) < len(there):
        odd = next(name for name in there if not is_ours(name))
        raise InvalidRun(f"{output} has other files, such as {odd}; write to a folder of its own.")
    if there and not (options.resume or options.overwrite):
        raise InvalidRun(
            f"{output} has a run already; go on with it by --resume, or write it anew with "
            "--overwrite."
        )
    if RECORD not in there and any(map(is_part, there)) and options.resume:
        raise InvalidRun(f"{output} has parts without {RECORD}; write it anew with --overwrite.")


def is_ours(name: str) -> bool:
    """Whether a path below an output is that of a part, of the record, or was on its way to be."""
    from .places import TEMPORARY

    return name in (RECORD, SUCCESS) or is_part(name) or Path(name).name.startswith(TEMPORARY)


def _clear(output: Place, there: set[str]) -> None:
    """Remove a run, `_SUCCESS` first, so that at no moment half of it seems whole."""
    for name in sorted(there, key=lambda name: (name != SUCCESS, name == RECORD, name)):
        output.below(name).remove()


def _require_apart(
    folder: Place, names: Sequence[str], output: Place, address: str | os.PathLike[str]
) -> None:
    """Raises InvalidRun where a later run would read what this one writes, or the other way
    round."""
    if folder.filesystem.type_name != output.filesystem.type_name:
        return
    inside = any(_is_below(f"{folder.path}/{name}", output.path) for name in names)
    whole = Place.of(address).path == folder.path if not _has_magic(address) else False
    if inside or (whole and _is_below(output.path, folder.path)):
        raise InvalidRun(f"The output {output} and the input {folder} lie within each other.")


def _has_magic(address: str | os.PathLike[str]) -> bool:
    from .places import is_pattern

    return is_pattern(os.fspath(address))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def require_pyarrow() -> None:
    """Raises InvalidRun where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise InvalidRun("Scoring tables needs the extra score: pip install 'quart-app[score]'.")
