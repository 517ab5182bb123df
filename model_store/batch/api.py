"""`model_store.score`: a table through a model, from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, overload

from ..errors import InvalidRun
from ..model import Model
from ..store import DEFAULT_ROOT, ModelStore, Pickles
from .bundle import load_proven
from .inputs import Format
from .record import Summary
from .run import (
    EngineName,
    Errors,
    Options,
    Progress,
    Run,
    limits,
    require_explained,
    require_pyarrow,
)
from .tables import is_table, score_table

Address = str | os.PathLike[str]
Store = ModelStore | Address
Table = TypeVar("Table")


@overload
def score(
    model: str,
    input: Address,
    output: Address,
    *,
    store: Store = DEFAULT_ROOT,
    version: int | str | None = None,
    engine: EngineName = "local",
    workers: int | None = None,
    scheduler: str | None = None,
    columns: Literal["all", "none"] | Sequence[str] = "all",
    errors: Errors = "keep",
    max_errors: int | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    format: Format = "parquet",
    explain: bool = False,
    allow_version: bool = False,
    pickles: Pickles = "fallback",
    progress: Progress | None = None,
) -> Summary: ...
@overload
def score(
    model: str | Model,
    input: Table,
    *,
    store: Store = DEFAULT_ROOT,
    version: int | str | None = None,
    explain: bool = False,
    allow_version: bool = False,
    pickles: Pickles = "fallback",
) -> Table: ...
def score(
    model: str | Model,
    input: Any,
    output: Address | None = None,
    *,
    store: Store = DEFAULT_ROOT,
    version: int | str | None = None,
    engine: EngineName = "local",
    workers: int | None = None,
    scheduler: str | None = None,
    columns: Literal["all", "none"] | Sequence[str] = "all",
    errors: Errors = "keep",
    max_errors: int | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    format: Format = "parquet",
    explain: bool = False,
    allow_version: bool = False,
    pickles: Pickles = "fallback",
    progress: Progress | None = None,
) -> Any:
    """Put a table through one version of a model; each row gets the answer that a server gives it.

    `input` is a file, a folder, a pattern or an address such as `s3://bucket/folder` of Parquet or
    CSV, and `output` a folder of parts, as the command `score` has them (docs/scoring.md): what
    became of the run is returned. Or `input` is a DataFrame of pandas or a table of pyarrow: it is
    returned with the answers as columns at its end, and nothing is written. Then `model` may also
    be one that is loaded. In both a row that does not fit keeps its place, without an answer and
    with a sentence in `error`. With `explain` each answer has its base value and a reason for each
    column beside it.

    `progress` is told how many rows are done, and how many there are where that is known. Called in
    a script with more than one worker it must be below `if __name__ == "__main__":`, as with any
    pool of processes. Blocks.

    Raises:
        InvalidRun: the input, the output or an option is wrong; nothing was written.
        RunStopped: another run writes to the same folder.
        And what `ModelStore.verify`, `ModelStore.load` and `Model.replay` raise.
    """
    require_pyarrow()
    models = store if isinstance(store, ModelStore) else ModelStore(store)
    if is_table(input):
        if output is not None:
            raise InvalidRun("A table in memory is returned; leave out the output.")
        if isinstance(model, str):
            proven = load_proven(
                models, model, version, allow_version=allow_version, pickles=pickles
            )
            model = proven[1]
        if explain:
            require_explained(model)
        return score_table(model, input, explained=explain)
    if not isinstance(input, str | os.PathLike):
        raise InvalidRun(
            "Expected a path, an address, a DataFrame or an Arrow table, got a "
            f"{type(input).__name__}."
        )
    if output is None:
        raise InvalidRun("Files are scored to a folder; name it as the output.")
    if not isinstance(model, str):
        raise InvalidRun("Files are scored by a model of a store; give its name.")
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
        store=models,
        version=version,
        columns=columns,
        format=format,
        explain=explain,
        allow_version=allow_version,
        pickles=pickles,
    )
    return run.done(options, progress or (lambda rows, total: None))
