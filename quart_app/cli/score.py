"""The command `score`: tables of any size through a model of the store."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from model_store.batch.plan import ALL, NONE
from model_store.batch.record import Summary
from model_store.batch.run import Options, Run, limits
from model_store.errors import InvalidRun, ModelNotFound

from ..config import PICKLES, Config
from .options import allow_version_option, json_option, settings, store_option, version_option

PARTS_MISSING, CALLED_WRONGLY, FAULTY_ROWS = 1, 2, 3

LINE_EVERY: Final = 10.0
REDRAWN_EVERY: Final = 0.2
"""Seconds between lines of progress, and between two states of one on a terminal."""
FILES_SHOWN: Final = 20


@click.command()
@click.argument("model")
@click.argument("input")
@click.argument("output")
@version_option
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or the workers of a Dask cluster.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes; as many as there are cores.")
@click.option("--scheduler", metavar="ADDRESS", help="The address of Dask's scheduler.")
@click.option(
    "--columns",
    default=ALL,
    show_default=True,
    metavar="[all|none|NAME,...]",
    help="Columns of the input that come out beside the answers.",
)
@click.option(
    "--errors",
    type=click.Choice(["keep", "stop"]),
    default="keep",
    show_default=True,
    help="Keep rows that do not fit, with a sentence, or stop at the first.",
)
@click.option("--max-errors", metavar="N|P%", help="Stop where more rows do not fit.")
@click.option("--resume", is_flag=True, help="Go on with the run in OUTPUT.")
@click.option("--overwrite", is_flag=True, help="Remove the run in OUTPUT, and begin anew.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="What the parts are.",
)
@click.option("--explain", is_flag=True, help="Add the base value and a reason for each column.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@json_option
@store_option
@allow_version_option
@click.option("--pickles", type=click.Choice(PICKLES), help="When pickles are read.")
def score(
    model: str,
    input: str,
    output: str,
    version: str | None,
    engine: Any,
    workers: int | None,
    scheduler: str | None,
    columns: str,
    errors: Any,
    max_errors: str | None,
    resume: bool,
    overwrite: bool,
    output_format: Any,
    explain: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    store: Path | None,
    allow_version: bool,
    pickles: str | None,
) -> None:
    """Put the tables of INPUT through MODEL, and write each row with its answer to OUTPUT.

    INPUT is a file, a folder, a pattern or an address such as s3://bucket/folder, of Parquet or
    CSV; OUTPUT is a folder of parts. Ends with 0 where all rows have answers, with 3 where some
    have none, with 1 where parts are missing, and with 2 where it was called wrongly.
    """
    config = Config.read(
        **settings(model_store=store, allow_version=allow_version, pickles=pickles)
    )
    try:
        options = Options(
            engine=engine,
            workers=workers,
            scheduler=scheduler,
            resume=resume,
            overwrite=overwrite,
            **limits(errors, max_errors),
        )
        run = Run.planned(
            model,
            input,
            output,
            store=config.store(),
            version=version,
            columns=_columns(columns),
            format=output_format,
            explain=explain,
            allow_version=config.allow_version,
            pickles=config.pickles,
        )
        if dry_run:
            _show_plan(run, as_json=as_json)
            return
        shown = _Shown(len(run.plan.parts), quiet=quiet)
        try:
            summary = run.done(options, shown.show)
        except KeyboardInterrupt:
            shown.end()
            click.echo("Stopped; go on by running it again with --resume.", err=True)
            sys.exit(PARTS_MISSING)
        shown.end()
    except (InvalidRun, ModelNotFound) as error:
        click.echo(f"Error: {error.told}", err=True)
        sys.exit(CALLED_WRONGLY)
    _tell(summary, as_json=as_json)
    if summary.complete and summary.resumed < summary.parts:
        _record(run, config)
    sys.exit(_exit_code(summary))


def _record(run: Run, config: Config) -> None:
    """Count the answers in the summaries of the model, where that is to be recorded. What goes
    wrong with that is told, and the run is done all the same."""
    store = config.store()
    found = store.head(run.record.model).records
    share = config.record if found.share is None else found.share
    if not share:
        return
    # Imported where predictions are recorded only.
    from pyarrow import ArrowException

    from ..memory.database import Database, RecordsUnavailable
    from ..memory.runs import record_run
    from ..memory.store import Records
    from ..memory.versions import StoredSummaries, Versions

    records = Records(Database.at(config.database_url), StoredSummaries(Versions(store)))
    try:
        rows = record_run(records, run, found, share)
    except (RecordsUnavailable, OSError, ArrowException) as error:
        click.echo(f"The run is not counted among the predictions: {error}", err=True)
    else:
        counted = _counted(rows, "row")
        click.echo(f"{counted} counted in the summaries of {run.record.model}", err=True)


def _columns(text: str) -> Any:
    return text if text in (ALL, NONE) else [name for name in text.split(",") if name]


def _exit_code(summary: Summary) -> int:
    if not summary.complete:
        return PARTS_MISSING
    return FAULTY_ROWS if summary.faulty else 0


# What is shown -------------------------------------------------------------------


class _Shown:
    """Progress on stderr: one line that is written anew on a terminal, else a line now and then."""

    def __init__(self, parts: int, *, quiet: bool) -> None:
        self._parts = parts
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._begun = time.monotonic()
        self._last = self._begun
        self._first: int | None = None
        self._drawn = False

    def show(self, rows: int, total: int | None) -> None:
        """So many rows are done, of all where that is known."""
        if self._first is None:  # of parts that were there already
            self._first = rows
        now = time.monotonic()
        if self._quiet or now - self._last < (REDRAWN_EVERY if self._terminal else LINE_EVERY):
            return
        self._last = now
        line = progress_line(rows, total, rows - self._first, now - self._begun)
        if self._terminal:
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
            self._drawn = True
        else:
            click.echo(line, err=True)

    def end(self) -> None:
        """End the line that is written anew."""
        if self._drawn:
            click.echo(err=True)


def progress_line(rows: int, total: int | None, done: int, seconds: float) -> str:
    """How far a run is, of which `done` rows took so many seconds."""
    pace = done / seconds if seconds > 0 else 0.0
    if total is None:
        return f"{rows:,} rows, {pace:,.0f} rows/s"
    share = rows / total if total else 1.0
    left = f", {_time((total - rows) / pace)} left" if pace and rows < total else ""
    return f"{rows:,} of {total:,} rows ({share:.0%}), {pace:,.0f} rows/s{left}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _show_plan(run: Run, *, as_json: bool) -> None:
    plan, record = run.plan, run.record
    if as_json:
        parts = [{"name": part.name, "rows": part.rows} for part in plan.parts]
        told = msgspec.to_builtins(record) | {"part_names": parts}
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))
        return
    files = len(plan.input.sources)
    rows = "rows not counted" if plan.rows is None else f"{plan.rows:,} rows"
    click.echo(f"{record.model} version {record.version}")
    click.echo(f"{_counted(files, 'file')} below {plan.input.folder}, {rows}")
    click.echo(f"{_counted(len(plan.parts), 'part')} to {run.output}:")
    for part in plan.parts[:FILES_SHOWN]:
        of = "" if part.rows is None else f", {part.rows:,} rows"
        click.echo(f"  {part.name} of {part.source.name}{of}")
    if len(plan.parts) > FILES_SHOWN:
        click.echo(f"  and {len(plan.parts) - FILES_SHOWN} more")
    click.echo("with the columns:")
    for name, kind in record.schema:
        click.echo(f"  {name} ({kind})")


def _tell(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(summary), indent=2))
    for name, reason in summary.reasons.items():
        click.echo(f"{name} is missing: {reason}", err=True)
    if summary.reason is not None and summary.reason not in summary.reasons.values():
        click.echo(f"Error: {summary.reason}", err=True)
    if not as_json:
        for line in _lines(summary):
            click.echo(line)


def _lines(summary: Summary) -> Sequence[str]:
    parts = _counted(summary.parts, "part")
    rows = _counted(summary.rows, "row")
    lines = [f"{rows} in {parts} in {summary.output}, {summary.seconds:.1f} s"]
    if summary.resumed:
        lines.append(f"{_counted(summary.resumed, 'part')} of these there already")
    if summary.faulty:
        has = "has" if summary.faulty == 1 else "have"
        lines.append(
            f"{_counted(summary.faulty, 'row')} {has} no answer; the column error says why"
        )
    if summary.missing:
        lines.append(f"missing: {_counted(summary.missing, 'part')}; go on with --resume")
    return lines


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
