"""The `models` commands: what the operator does with the store, from train to remove."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from urllib.parse import quote

import click
import msgspec

from model_store import Column, Manifest, ModelStore, ModelStoreError, Verified
from model_store.backend import served_here
from model_store.column_facts import NULLS
from model_store.column_types import TYPES
from model_store.errors import IncompatibleVersion
from model_store.exports import training_table
from model_store.importer import ImportReport, ImportRequest
from model_store.isolated import MEGABYTES, SECONDS, Limits, run
from model_store.metadata import Metadata
from model_store.recipes import RECIPES
from model_store.record_settings import Keeping, RecordSettings
from model_store.signing import KEY_LIMIT, PasswordNeeded
from model_store.store import Progress, require_name
from model_store.summary import HEAD, cell, row_of, table, told_scores, told_targets

from ..about.description import describe_stored
from ..config import Config
from ..server import sockets
from .life import COMMANDS, record_options, why_option
from .monitor import monitor
from .options import (
    Option,
    allow_version_option,
    json_option,
    settings,
    store_option,
    version_option,
)

FAILED = 1
COLUMNS_SHOWN = 6
WORDS = ("title", "description", "notice", "labels", "units", "descriptions", "words")
"""What a person may say of a model, as the options below are called."""


@click.group()
@store_option
@click.pass_context
def models(context: click.Context, store: str | None) -> None:
    """The published models."""
    context.obj = Config.read(**settings(model_store=store)).store()


@models.command("list")
@json_option
@click.pass_obj
def list_models(store: ModelStore, as_json: bool) -> None:
    """List the models, with the version that serves and its scores."""
    found = [describe_stored(store, name) for name in store.models()]
    if as_json:
        _print_json(found)
        return
    click.echo(f"Models in {store.place}")
    if not found:
        click.echo(f"None yet. Train one of {', '.join(RECIPES)}: quart-app models train iris")
    rows = [
        (
            model.name,
            str(model.version or "none"),
            ", ".join(map(str, model.versions)),
            ", ".join(f"{alias}={number}" for alias, number in model.aliases.items()),
            model.served_by or "",
            told_scores(model.metrics) if model.reason is None else f"failed: {model.reason}",
        )
        for model in found
    ]
    _print_table(("NAME", "SERVES", "VERSIONS", "ALIASES", "BY", "SCORES"), rows)
    for name in (model.name for model in found if model.reason is None):
        manifest = store.manifest(name)
        if manifest.runs_code:
            click.echo(f"{name}: {manifest.reading}")
        if manifest.variation is not None:
            click.echo(f"{name}: {manifest.variation}")


@models.command()
@click.argument("name")
@version_option
@json_option
@click.pass_obj
def show(store: ModelStore, name: str, version: str | None, as_json: bool) -> None:
    """Show the manifest of a model."""
    manifest = store.manifest(name, version)
    if as_json:
        _print_json(manifest)
        return
    for label, value in _about(store, manifest).items():
        if value:
            click.echo(f"{label:<13} {value}")
    click.echo()
    _print_columns(manifest.signature.columns)


def _about(store: ModelStore, manifest: Manifest) -> dict[str, Any]:
    libraries, source = manifest.libraries, manifest.source
    reference = store.reference(manifest.name, manifest.version)
    about = {
        "model": f"{manifest.name} version {manifest.version}, of {manifest.created}",
        "title": manifest.title,
        "description": manifest.description,
        "folder": f"{store.place.rstrip('/')}/{manifest.name}/{manifest.version}",
        "pipeline": manifest.estimator,
        "task": manifest.task,
        "tells": told_targets(manifest.targets),
        "beside that": ", ".join(measure.title for measure in manifest.measures),
        "scores": told_scores(manifest.metrics),
        "measured as": manifest.validation,
        "notice": manifest.notice,
        "made with": ", ".join(f"{name} {each}" for name, each in libraries.named.items()),
        "answered by": served_here(manifest.served).sentence,
        "allowed": ", ".join(manifest.allowed),
        "code": manifest.code,
        "reading": manifest.reading,
        "varies": manifest.variation,
        "drifts from": None if reference is None else reference.sentence,
    }
    if source is not None:
        about["imported"] = ", ".join(source.files)
        about["written with"] = source.writer
    return about


@models.command()
@click.argument("names", nargs=-1, required=True, metavar=f"[{'|'.join(RECIPES)}]...")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A CSV file with the real table, or an export of predictions with their truths.",
)
@click.option("--openml", is_flag=True, help="Fetch the real table from OpenML.")
@json_option
@click.pass_obj
def train(
    store: ModelStore, names: Sequence[str], data: Path | None, openml: bool, as_json: bool
) -> None:
    """Train models by their recipes, and publish each as its next version."""
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise click.BadParameter(
            f"there is no recipe {unknown[0]!r}; there are {', '.join(RECIPES)}",
            param_hint="NAMES",
        )
    if data is not None and openml:
        raise click.UsageError("--data and --openml exclude each other")
    if data is not None and len(names) > 1:
        raise click.UsageError("--data is the table of one recipe; name one")
    published = []
    for name in names:
        manifest = _train(store, name, data, openml)
        published.append(manifest)
        if not as_json:
            click.echo(
                f"{name} version {manifest.version} published: {told_scores(manifest.metrics)}"
            )
    if as_json:
        _print_json(published)


def _train(store: ModelStore, name: str, data: Path | None, openml: bool) -> Manifest:
    recipe, progress = RECIPES[name], _progress(name)
    rows, source = None, None
    if data is not None:
        rows, source = training_table(data, recipe.data().target_name), data.name
    elif openml:
        progress("fetching the table")
        rows, source = recipe.fetch(), str(recipe.openml)
    return recipe.train(store, progress, table=rows, source=source)


# Words ---------------------------------------------------------------------------


def _pairs(context: click.Context, option: click.Parameter, given: Sequence[str]) -> Any:
    for text in given:
        if "=" not in text:
            raise click.BadParameter(f"expected NAME=TEXT, got {text!r}")
    return given


def _pair_option(flag: str, name: str, help_text: str) -> Option:
    return click.option(
        flag, name, multiple=True, metavar="NAME=TEXT", callback=_pairs, help=help_text
    )


def _word_options(command: Any) -> Any:
    """What a person says of a model."""
    options: list[Option] = [
        click.option("--title", help="The name of the model in words."),
        click.option("--description", help="What it tells, in a sentence."),
        click.option("--notice", help="What whoever uses it must know."),
        _pair_option("--label", "labels", "The label of a column, or of what the model tells."),
        _pair_option("--unit", "units", "The unit of a column, or of what the model tells."),
        _pair_option("--explain", "descriptions", "What a column means."),
        _pair_option("--word", "words", "How a person calls a class."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _told(manifest: Manifest, texts: Mapping[str, Any]) -> Metadata:
    """What those options say of this model."""
    columns = manifest.signature.names
    targets = [target.name or "" for target in manifest.targets]
    classes = [str(label) for target in manifest.targets for label in target.classes or ()]
    known = {
        "labels": [*columns, *targets],
        "units": [*columns, *targets],
        "descriptions": columns,
        "words": classes,
    }
    pairs = {key: dict(_split(text, names) for text in texts[key]) for key, names in known.items()}
    return Metadata(**{**texts, **pairs})


def _split(text: str, known: Sequence[str]) -> tuple[str, str]:
    """NAME=TEXT at the sign that stands after a name that is known: names may hold one too."""
    for match in re.finditer("=", text):
        if text[: match.start()] in known:
            return text[: match.start()], text[match.end() :]
    name, _, value = text.partition("=")
    return name, value


# Taking in -----------------------------------------------------------------------


def _by_column(metavar: str, known: Iterable[str]) -> Callable[..., Any]:
    """How an option is read that says one of some words of each column. The name of a column may
    hold the sign that ends it."""

    def read(context: click.Context, option: click.Parameter, given: Sequence[str]) -> Any:
        found = {}
        for text in given:
            name, sign, word = text.rpartition("=")
            if not sign or word not in known:
                raise click.BadParameter(
                    f"expected {metavar} with one of {', '.join(known)}, got {text!r}"
                )
            found[name] = word
        return found

    return read


def _intake_options(command: Any) -> Any:
    """The options of `import` and `inspect`."""
    options: list[Option] = [
        click.argument("files", nargs=-1, required=True, metavar="FILE..."),
        click.option(
            "--sample",
            metavar="FILE",
            help="Rows that it was trained on: CSV, or Parquet or Feather, which keep types.",
        ),
        click.option(
            "--target", multiple=True, metavar="COLUMN", help="What the sample says it should tell."
        ),
        click.option(
            "--type",
            "types",
            multiple=True,
            metavar="COLUMN=TYPE",
            callback=_by_column("COLUMN=TYPE", TYPES),
            help=f"What a column of the sample was: {', '.join(TYPES)}.",
        ),
        click.option(
            "--missing",
            multiple=True,
            metavar="COLUMN=VALUE",
            callback=_by_column("COLUMN=VALUE", NULLS),
            help="What a column of the sample had where a value is missing: "
            f"{', '.join(f'{null} ({told})' for null, told in NULLS.items())}.",
        ),
        click.option(
            "--drop",
            multiple=True,
            metavar="COLUMN",
            help="A column of the sample that it does not take, such as an id.",
        ),
        click.option("--code", metavar="MODULE.PY", help="The module with its own classes."),
        click.option("--trust", is_flag=True, help="Allow all that the files name."),
        click.option("--trusted", multiple=True, metavar="NAME", help="Allow this global."),
        allow_version_option,
        click.option(
            "--allow-varying",
            is_flag=True,
            help="Allow answers that depend on the rows beside, or vary from call to call.",
        ),
        click.option(
            "--no-background",
            is_flag=True,
            help="Keep no rows of the sample to explain answers against.",
        ),
        click.option(
            "--held-out",
            is_flag=True,
            help="It was not trained on the sample; learn from that how often it is right.",
        ),
        click.option(
            "--time-limit",
            type=click.FloatRange(min=0, min_open=True),
            help=f"In seconds; {SECONDS:g}, and more for large files.",
        ),
        click.option(
            "--memory-limit",
            type=click.IntRange(min=1),
            help=f"In megabytes; {MEGABYTES}, and more for large files, as far as the machine has "
            "it.",
        ),
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@models.command("import")
@click.option("--name", help="The name of the model; that of the last file.")
@_intake_options
@_word_options
@click.option("--data", help="Where the training data came from.")
@click.pass_context
def import_files(
    context: click.Context,
    /,
    name: str | None,
    files: Sequence[str],
    as_json: bool,
    **options: Any,
) -> None:
    """Import a pipeline from a file or folder, or of several files, as the next version of a model.

    What the files name is listed and checked before anything in them is unpickled, and all of it
    happens in a process with limits of time and memory, which may neither write files, start
    programs nor use the network.
    """
    store: ModelStore = context.obj
    name = name or _name_of(files[-1])
    require_name(name)
    texts = {key: options.pop(key) for key in (*WORDS, "data")}
    finding, draft = _try(name, files, publish=True, store=store.place, **options)
    assert draft is not None
    told = _told(draft.manifest, texts).put(draft.manifest)
    finding = msgspec.structs.replace(finding, signature=told.signature, targets=told.targets)
    manifest = store.add(replace(draft, manifest=told), _progress(name))
    if as_json:
        _print_json(manifest)
    else:
        click.echo(f"{name} version {manifest.version} published: {_summary(finding)}")
        _print_finding(finding)
        click.echo(f"Its page: {_url(Config.read(), name)}")
    _warn(finding.warnings)


@models.command()
@click.option("--try", "attempt", is_flag=True, help="Predict too, as import does.")
@_intake_options
@click.pass_obj
def inspect(
    store: ModelStore, /, files: Sequence[str], attempt: bool, as_json: bool, **options: Any
) -> None:
    """Say what files name and what `import` would refuse; with --try also what they predict.

    Nothing in the files is run without --try: what needs --trusted, --trust or --code is listed and
    not loaded. With it they are loaded and predict in a process with limits, as `import` does, and
    nothing is published. Exits with 1 if `import` would refuse them.
    """
    if not attempt and any(
        options[each] for each in ("sample", "target", "types", "missing", "drop")
    ):
        raise click.UsageError(
            "--sample, --target, --type, --missing and --drop are used with --try only"
        )
    name = _name_of(files[-1])
    finding, _ = _try(name, files, publish=False, attempt=attempt, store=store.place, **options)
    if as_json:
        _print_json(finding)
    else:
        _print_look(finding)
    _warn(finding.warnings)
    if finding.refusals:
        sys.exit(FAILED)


def _print_look(finding: ImportReport) -> None:
    for each in finding.files:
        writer = f"scikit-learn {each.scikit_learn}" if each.scikit_learn else each.guest
        written = f", written by {writer}" if writer else ""
        click.echo(f"{each.file}: {each.size} bytes{written}, sha256 {each.sha256}")
        for found in each.globals:
            click.echo(f"  {found}{'  (not allowed)' if found in each.refused else ''}")
    click.echo()
    for refusal in finding.refusals:
        click.echo(f"import refuses this: {refusal}")
    if finding.refusals:
        click.echo("Nothing in the files was run.")
    elif finding.signature is None:
        click.echo("import takes what is named. Nothing in the files was run; --try predicts.")
    else:
        click.echo(_summary(finding))
        _print_finding(finding)


def _try(
    name: str, files: Sequence[str], *, publish: bool, attempt: bool = True, **options: Any
) -> Any:
    of_columns = {"type": options["types"], "missing": options["missing"], "drop": options["drop"]}
    for option, given in of_columns.items():
        if given and options["sample"] is None:
            raise click.UsageError(f"--{option} says how a --sample is read")
    given = options.pop("time_limit"), options.pop("memory_limit")
    options["allow_version"] = Config.read(
        **settings(allow_version=options["allow_version"])
    ).allow_version
    order = ImportRequest(
        name=name, files=tuple(files), publish=publish, attempt=attempt, **options
    )
    return run(order, Limits.fitting(order, *given), _progress(name))


def _warn(warnings: Sequence[str]) -> None:
    """The last that is printed, so that nothing hides it."""
    sys.stdout.flush()
    for warning in warnings:
        click.secho(f"\nWarning: {warning}", err=True, bold=True)


def _name_of(file: str) -> str:
    """The name of a model, made of the name of its file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(file).stem).strip("._-")[:64] or "model"


def _summary(finding: ImportReport) -> str:
    return f"{finding.estimator}, tells {told_targets(finding.targets or ())}"


def _print_finding(finding: ImportReport) -> None:
    assert finding.signature is not None
    click.echo()
    _print_columns(finding.signature.columns)
    click.echo("\nGolden rows, with what it answers:\n")
    _print_golden(finding)
    click.echo()
    for agreement in finding.agreements:
        click.echo(
            f"{agreement.target}: {agreement}; of rows that it was trained on this is no score."
        )
    for note in finding.notes:
        click.echo(note)


def _print_golden(finding: ImportReport) -> None:
    assert finding.sample is not None
    names = list(finding.sample.rows[0])
    shown = names[:COLUMNS_SHOWN]
    more = ["…"] if len(names) > len(shown) else []
    rows = [
        [*(cell(row[name]) for name in shown), *more, cell(prediction)]
        for row, prediction in zip(finding.sample.rows, finding.sample.predictions, strict=True)
    ]
    _print_table([*map(cell, shown), *more, "PREDICTION"], rows)


def _url(config: Config, name: str) -> str:
    host = config.host or "127.0.0.1"
    if host in {"0.0.0.0", "::"}:
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{config.port or sockets.PORT}/models/{quote(name)}"


# Editing -------------------------------------------------------------------------


@models.command()
@click.argument("name")
@version_option
@_word_options
@record_options
@why_option
@json_option
@click.pass_obj
def edit(
    store: ModelStore,
    /,
    name: str,
    version: str | None,
    record: float | None,
    record_column: Mapping[str, Keeping],
    why: str | None,
    as_json: bool,
    **texts: Any,
) -> None:
    """Change the words of a model: labels, units, descriptions, the names of classes; or what is
    recorded of its predictions.

    The version's files stay as they are. Servers of the store follow within seconds.
    """
    found = store.manifest(name, version)
    recording = record is not None or bool(record_column)
    if not any(texts.values()) and not recording:
        raise click.UsageError("there is nothing to change; name a --title, a --label, …")
    if recording:
        records = store.record(name, share=record, columns=record_column, why=why)
        if not any(texts.values()):
            _print_record_settings(name, records, as_json=as_json)
            return
    edited = store.edit(name, found.version, _told(found, texts), why=why)
    if as_json:
        _print_json(edited)
    else:
        click.echo(f"{name} version {edited.version} is now revision {edited.revision}.")


def _print_record_settings(name: str, records: RecordSettings, *, as_json: bool) -> None:
    """Print what is recorded of a model, without the key of the hashes."""
    if as_json:
        _print_json({"share": records.share, "columns": records.columns})
        return
    share = "as QUART_APP_RECORD says" if records.share is None else f"{100 * records.share:g} %"
    columns = ", ".join(f"{column} ({how})" for column, how in records.columns.items())
    click.echo(f"{name} is recorded: {share}; columns that are not kept: {columns or 'none'}.")


@models.command()
@click.argument("name", required=False)
@version_option
@allow_version_option
@json_option
@click.pass_obj
def verify(
    store: ModelStore, name: str | None, version: str | None, allow_version: bool, as_json: bool
) -> None:
    """Verify a model, or all: digests, then load and replay the golden rows, both of the plain form
    and of the pipeline."""
    allow_version = Config.read(**settings(allow_version=allow_version)).allow_version
    results = [
        _verify(store, found, version, allow_version)
        for found in ([name] if name else store.models())
    ]
    if as_json:
        _print_json(results)
    else:
        for result in results:
            click.echo(f"{result['name']}: {_told_proof(result)}")
    if any(result["error"] for result in results):
        sys.exit(FAILED)


def _verify(
    store: ModelStore, name: str, version: str | None, allow_version: bool
) -> dict[str, Any]:
    """What of a version is proven, and the error that ended it. `untried` says why its pipeline was
    not loaded where its plain form goes on serving."""
    proof: dict[str, Any] = {"name": name, "version": version, "error": None}
    proof |= {"proven": [], "untried": None}
    try:
        progress = _progress(name)
        progress("verifying")
        verified = store.verify(name, version, allow_version=allow_version)
        proof["version"] = verified.manifest.version
        if verified.form is not None:
            _replay(store, verified, progress)
            proof["proven"].append("plain form")
            verified = store.verify(
                name, verified.manifest.version, allow_version=allow_version, pickles="always"
            )
        for warning in verified.warnings:
            click.echo(f"Warning: {warning}", err=True)
        _replay(store, verified, progress)
        proof["proven"].append("pipeline")
    except IncompatibleVersion as error:
        proof["untried" if proof["proven"] else "error"] = error.told
    except ModelStoreError as error:
        proof["error"] = error.told
    return proof


def _replay(store: ModelStore, verified: Verified, progress: Progress) -> None:
    what = "pipeline" if verified.form is None else "plain form"
    progress(f"loading its {what}")
    model = store.load(verified)
    progress("replaying the golden rows")
    model.replay()


def _told_proof(proof: Mapping[str, Any]) -> str:
    """What `verify` found, in a line."""
    proven = " and ".join(f"its {what}" for what in proof["proven"])
    if proof["error"]:
        return f"{proof['error']}{f' {proven.capitalize()} is verified.' if proven else ''}"
    if untried := proof["untried"]:
        return f"verified, {proven}, which goes on serving; its pipeline was not tried: {untried}"
    return f"verified, {proven}"


@models.command()
@click.argument("name")
@version_option
@click.option(
    "--key",
    type=click.File("rb"),
    required=True,
    help="A file with a private key in PEM, of the curve P-256, P-384 or P-521; - is stdin.",
)
@click.option("--password-file", type=click.File(), help="A file with the password of the key.")
@click.pass_obj
def sign(
    store: ModelStore,
    name: str,
    version: str | None,
    key: BinaryIO,
    password_file: TextIO | None,
) -> None:
    """Sign a version of a model with a key, as the command model_signing does."""
    pem = key.read(KEY_LIMIT)
    password = None if password_file is None else password_file.read(KEY_LIMIT).rstrip("\r\n")
    try:
        number = store.sign(name, version, pem, password)
    except PasswordNeeded:
        raise click.UsageError("the key has a password; name its --password-file") from None
    except ValueError as error:
        raise click.BadParameter(f"expected {error}", param_hint="--key") from None
    click.echo(f"{name} version {number} is signed.")


for command in (*COMMANDS, monitor):
    models.add_command(command)


@models.command()
@click.argument("name")
@click.argument("version")
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@click.pass_obj
def remove(store: ModelStore, name: str, version: str, yes: bool, why: str | None) -> None:
    """Remove VERSION of a model for good."""
    number = store.resolve(name, version)
    if not yes:
        click.confirm(f"Remove {name} version {number} for good?", abort=True)
    store.remove(name, number, why=why)
    click.echo(f"{name} version {number} is removed.")


def _progress(name: str) -> Callable[[str], None]:
    return lambda step: click.echo(f"{name}: {step}", err=True)


def _print_json(content: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


def _print_columns(columns: Sequence[Column]) -> None:
    _print_table(HEAD, [row_of(column) for column in columns])


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for line in table(head, rows):
        click.echo(line)
