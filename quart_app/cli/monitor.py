"""The command `models monitor`: how a model does in use."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
import msgspec

from model_store import ModelStore
from model_store.summary import table

from ..config import Config
from ..figures import ColumnFigures, Drift, Monitor, Requests
from ..recording import record_state
from ..window import Window
from .options import json_option

UNKNOWN = "none"


def _length(context: click.Context, option: click.Parameter, given: str) -> Window:
    try:
        return Window.before(given, time.time())
    except ValueError as error:
        raise click.BadParameter(f"expected {error}, got {given!r}") from None


@click.command()
@click.argument("name")
@click.option(
    "--window",
    default="7d",
    show_default=True,
    metavar="LENGTH",
    callback=_length,
    help="How far back, as 7d, 24h, 90m or 30s.",
)
@click.option("--exact", is_flag=True, help="Read each record, and no hourly summaries.")
@json_option
@click.pass_obj
def monitor(store: ModelStore, name: str, window: Window, exact: bool, as_json: bool) -> None:
    """Show how a model does in use: requests, answers, drift from its training data.

    It reads what servers have recorded in DATABASE_URL.
    """
    # Imported here, as numpy and the driver of the database are only needed for this.
    from ..memory.database import RecordsUnavailable
    from ..memory.monitor import Question
    from ..memory.monitor import monitor as look
    from ..memory.opened import open_records
    from ..memory.versions import Versions

    config, version = Config.read(), store.resolve(name)
    recording = record_state(config, store.head(name).records, name)
    question = Question(name, version, window, recording, exact)
    try:
        found = look(open_records(config.database_url, store), Versions(store), question)
    except RecordsUnavailable as error:
        raise click.ClickException(f"The records cannot be read: {error}") from None
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        _print(found)


def _print(found: Monitor) -> None:
    click.echo(f"{found.model} version {found.version}, {found.since} to {found.until}")
    for reason in (found.recording.reason, found.reason):
        if reason is not None:
            click.echo(reason)
    if found.reason is not None:
        return
    click.echo(_told(found.requests))
    click.echo()
    rows = [
        (
            str(each.version),
            each.variant,
            str(each.requests.requests),
            _share(each.requests.error_share),
            _milliseconds(each.requests.p50_ms),
            _milliseconds(each.requests.p99_ms),
        )
        for each in found.versions
    ]
    _print_table(("VERSION", "AS", "REQUESTS", "ERRORS", "MEDIAN", "SLOWEST 1 %"), rows)
    _print_answers(found)
    _print_scores(found)
    _print_drift(found.drift)


def _told(requests: Requests) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in requests.kinds.items())
    errors = f"{requests.errors} refused or failed ({_share(requests.error_share)})"
    return f"{requests.requests} requests, {requests.rows} rows answered, {errors}" + (
        f": {kinds}" if kinds else ""
    )


def _print_answers(found: Monitor) -> None:
    for mix in found.answers:
        if mix.shares is not None:
            told = ", ".join(f"{label} {_share(share)}" for label, share in mix.shares.items())
        else:
            told = ", ".join(
                f"{word} {UNKNOWN if number is None else format(number, '.6g')}"
                for word, number in (
                    ("a tenth below", mix.p10),
                    ("half below", mix.p50),
                    ("nine tenths below", mix.p90),
                )
            )
        click.echo(f"\n{mix.target or 'prediction'}: {told}")


def _print_scores(found: Monitor) -> None:
    click.echo()
    if found.scores.reason is not None:
        click.echo(found.scores.reason)
    rows = [
        (
            " of ".join(filter(None, (score.name, target.target))),
            f"{score.value:.4g}",
            "" if score.low is None else f"{score.low:.4g} to {score.high:.4g}",
            "" if score.published is None else f"{score.published:.4g}",
            str(score.rows),
        )
        for target in found.scores.targets
        for score in target.scores
    ]
    _print_table(("SCORE", "LIVE", "95 %", "PUBLISHED", "ROWS"), rows)
    estimate = found.estimate
    if estimate.accuracy is not None:
        click.echo(
            f"Expected accuracy without truth: {estimate.accuracy:.3f} of {estimate.rows} rows; "
            f"{estimate.assumes}."
        )


def _print_drift(drift: Drift) -> None:
    click.echo()
    if drift.reason is not None:
        click.echo(f"Drift: {drift.reason}")
    rows = [
        (
            column.name + (" (answers)" if column.answers else ""),
            _state(column),
            "" if column.distance is None else f"{column.distance:.3f}",
            "" if column.threshold is None else f"{column.threshold:.3f}",
            "" if column.missing is None else _share(column.missing.now),
            "" if column.unseen is None else _share(column.unseen.now),
        )
        for column in drift.columns
    ]
    _print_table(("COLUMN", "DRIFTS", "DISTANCE", "THRESHOLD", "MISSING", "NEW"), rows)


def _state(column: ColumnFigures) -> str:
    if column.reason is not None:
        return "too few rows"
    if not column.drifts:
        return "no"
    return "for two windows" if column.lasting else "yes"


def _share(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.3g} %"


def _milliseconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3g} ms"


def _print_table(head: tuple[str, ...], rows: Sequence[Sequence[str]]) -> None:
    for line in table(head, rows):
        click.echo(line)
