"""Files that the command takes in with a sample: the model answers what the pipeline answers.

A sample in Parquet or Feather has the dtypes of training, so that every row can be asked. In CSV it
has texts, and the rows of training are asked. An import may be refused where nothing tells how a
column was read, or what was missing in it: the refusal names the column and what to say of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import joblib
import pandas as pd
import pytest
from hypothesis import reject

from .pipelines import Fitted
from .refusals import Format, names_a_way
from .rows import depends_on_dtypes
from .served import Served
from .trials import SEED, Trials, for_each_drawn, require_none
from .verdicts import Fault, Tally, Trial

IMPORTS: Final[dict[Format, int]] = {"csv": 18, "parquet": 16, "feather": 16}
PARTS: Final = 2
FIRST_PART: Final = 1000
"""Beyond the parts of the pipelines that are published."""
TARGET: Final = "target"

pytestmark = [pytest.mark.property, pytest.mark.filterwarnings("ignore")]


def written(sample: pd.DataFrame, path: Path, form: Format) -> None:
    """Write a sample.

    Raises:
        Exception: the format has no such column.
    """
    if form == "csv":
        sample.to_csv(path, index=False)
    elif form == "parquet":
        sample.to_parquet(path)
    else:
        sample.to_feather(path)


def imported(served: Served, fitted: Fitted, form: Format, folder: Path, name: str) -> str | None:
    """Import a pipeline by the command; what it says where it refuses."""
    file, sample = folder / f"{name}.joblib", folder / f"{name}.{form}"
    joblib.dump(fitted.pipeline, file)
    written(fitted.X.assign(**{TARGET: fitted.y}), sample, form)
    command = [
        *(sys.executable, "-m", "quart_app", "models", "import", str(file)),
        *("--name", name, "--sample", str(sample), "--target", TARGET),
        *(("--code", str(fitted.code)) if fitted.code else ()),
    ]
    settings = {"QUART_APP_MODEL_STORE": str(served.store.root)}
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings})
    return None if ended.returncode == 0 else ended.stderr.strip()


def fails_alone(fitted: Fitted) -> bool:
    """Whether the pipeline does not answer each row of training by itself."""
    try:
        for place in range(len(fitted.X)):
            fitted.pipeline.predict(fitted.X.iloc[[place]])
    except Exception:
        return True
    return False


def fault_of(fitted: Fitted, form: Format, refusal: str) -> Fault | None:
    """What is wrong with a refusal."""
    if names_a_way([column.name for column in fitted.plan.columns], form, refusal):
        return None
    if "answers rows together, and not each of them alone" in refusal and fails_alone(fitted):
        return None
    door = f"models import, {form}"
    return Fault("not imported", fitted, None, door, "a version", refusal[-500:])


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("form", IMPORTS)
def test_an_imported_pipeline_answers_what_it_answers_by_itself(
    form: Format, part: int, trials: Trials, tmp_path: Path
) -> None:
    tally, taken = Tally(), 0
    place = FIRST_PART + PARTS * list(IMPORTS).index(form) + part

    def prove(fitted: Fitted) -> None:
        nonlocal taken
        try:
            written(fitted.X, tmp_path / f"try.{form}", form)
        except Exception:
            reject()  # The format has no such columns.
        if form == "csv" and depends_on_dtypes(fitted):
            reject()
        name, taken = f"{form}-{part}-{taken}", taken + 1
        refusal = imported(trials.served, fitted, form, tmp_path, name)
        if refusal is None:
            trial = Trial(fitted, tally, everywhere=False, trained=form == "csv")
            trial.ask_loaded(trials.served, name)
            return
        tally.rows["imports refused"] += 1
        fault = fault_of(fitted, form, refusal)
        tally.faults += [] if fault is None else [fault]

    # All are tried, and none is made smaller, which would take a child process each time.
    for_each_drawn(
        prove,
        IMPORTS[form] // PARTS,
        seed_=SEED,
        part=place,
        containers=("frame",),
        shrink=False,
    )
    print(f"SEED={SEED}, {form}: {taken} imports, {tally.rows['imports refused']} refused; {tally}")
    require_none(tally)
