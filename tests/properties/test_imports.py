"""Files that the command takes in with a sample: the model answers what the pipeline answers.

A sample in Parquet or Feather has the dtypes of training, so that every row can be asked. In CSV it
has texts: an import may be refused where it names the column and what to say of it, and else the
rows of training are answered.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import joblib
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, reject, seed, settings

from .pipelines import Fitted, Plan, plans
from .served import Served, served
from .test_answers import SEED
from .verdicts import Fault, Tally, Trial

Format = Literal["csv", "parquet", "feather"]

IMPORTS: Final[dict[Format, int]] = {"csv": 18, "parquet": 16, "feather": 16}
PARTS: Final = 2
FIRST_PART: Final = 1000
"""Beyond the parts of the pipelines that are published."""
TARGET: Final = "target"

pytestmark = [pytest.mark.property, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("imports")) as found:
        yield found


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


def fault_of(fitted: Fitted, form: Format, refusal: str) -> Fault | None:
    """What is wrong with a refusal. Of texts one may name the column and the option that helps."""
    names = [column.name for column in fitted.plan.columns]
    if form == "csv" and "--type" in refusal and any(name in refusal for name in names):
        return None
    door = f"models import, {form}"
    return Fault("not imported", fitted, None, door, "a version", refusal[-500:])


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("form", IMPORTS)
def test_an_imported_pipeline_answers_what_it_answers_by_itself(
    form: Format, part: int, running: Served, tmp_path: Path
) -> None:
    tally, taken = Tally(), 0
    place = FIRST_PART + PARTS * list(IMPORTS).index(form) + part

    @seed(SEED + place)
    @settings(
        max_examples=IMPORTS[form] // PARTS,
        database=None,
        deadline=None,
        phases=(Phase.generate,),  # A smaller one would take a child process for each try.
        suppress_health_check=list(HealthCheck),
    )
    @given(plans(place, containers=("frame",)))
    def all_is_right(plan: Plan) -> None:
        nonlocal taken
        name = f"{form}-{part}-{taken}"
        try:
            fitted = Fitted.of(plan)
            written(fitted.X, tmp_path / f"try.{form}", form)
        except Exception:
            reject()
        taken += 1
        refusal = imported(running, fitted, form, tmp_path, name)
        if refusal is not None:
            fault = fault_of(fitted, form, refusal)
            tally.rows["imports refused"] += 1
            tally.faults += [] if fault is None else [fault]
            return
        trial = Trial(fitted, tally, everywhere=False, trained=form == "csv")
        trial.ask_loaded(running, name)

    all_is_right()
    print(f"SEED={SEED}, {form}: {taken} imports, {tally.rows['imports refused']} refused; {tally}")
    if tally.faults:
        pytest.fail(f"SEED={SEED}, {tally.told()}", pytrace=False)
