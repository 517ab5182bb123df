"""The released clients, each in an environment of its own, against a server: which of their modes
work stands as a table in docs/clients.md.

CLIENT_VENVS names the folder with those environments, which `make client-test` makes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from model_store import Column, Manifest, ModelStore
from model_store.model import Model
from model_store.recipes import RECIPES

from . import kinds
from .clients.cases import Case
from .clients.cases import Column as Tensor
from .conftest import serving
from .drawing import Row, as_trained, drawn_rows

pytestmark = pytest.mark.clients

ROOT: Final = Path(__file__).parent.parent
MODELS: Final = (*RECIPES, "mixed", "voyage", "several", "numbers")
WHOLE: Final = ("exam", "blood-donation")
"""Models of numbers and of integers that are not below zero."""
SPARE: Final = "numbers"
DEFAULT: Final = "several"
"""Its columns are also those of another model: so MLflow's client, which names none, asks it."""
ROWS: Final = 1500
"""So many that 1,000 are left where only those without a missing value are wanted."""
SECONDS: Final = 300

SCRIPTS: Final = {
    "triton_client": "triton",
    "triton_grpc_client": "triton",
    "kserve_client": "kserve",
    "kserve_grpc_client": "kserve",
    "mlflow_client": "mlflow",
    "mcp_client": "mcp",
    "mcp1_client": "mcp1",
    "fastmcp_client": "fastmcp",
    "httpx_client": None,
    "curl_client": None,
    "own_client": None,
}
"""The scripts, and the environment of each; None is that of the tests."""
BY_GRPC: Final = ("triton_grpc_client", "kserve_grpc_client")
"""The scripts that are given the address of gRPC."""
PROTOCOLS: Final = ("V2", "V1", "/invocations", "MCP", "own JSON")
"""The order of the table; what is of none of these comes last."""
UNPINNED: Final = ("httpx", "curl", "quart_app.client")
"""Clients of which any version will do: the table says which was tried last."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one mode of one client."""

    client: str
    version: str
    mode: str
    ok: bool
    why: str = ""


# Models, and what they answer ----------------------------------------------------


def publish_voyage(store: ModelStore) -> Manifest:
    """`voyage`: a regression on dates and texts, of which any may be missing."""
    frame = kinds.passengers()[["boarded", "port"]]
    frame.loc[::9, "boarded"] = pd.NaT
    dates = make_pipeline(FunctionTransformer(kinds.days), SimpleImputer())
    ports = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    columns = ColumnTransformer([("dates", dates, ["boarded"]), ("ports", ports, ["port"])])
    y = kinds.fare(kinds.passengers())
    return store.publish(
        "voyage", make_pipeline(columns, LinearRegression()).fit(frame, y), frame, y
    )


def publish_versions(store: ModelStore) -> None:
    """Version 1 of `numbers`, which `before` names, and version 2, which answers otherwise."""
    kinds.publish_numbers(store)
    X = np.random.default_rng(1).normal(size=(30, 2))
    y = X @ np.array([[5.0, 6.0], [7.0, 8.0]])
    store.publish("numbers", LinearRegression().fit(X, y), X, y, target_name=["mass", "length"])
    store.promote("numbers", 1, "before")
    store.promote("numbers", 2)


def rows_for(manifest: Manifest) -> list[Row]:
    """Rows as drawn, with dates and texts that differ, and of the dates some missing."""
    rows = drawn_rows(manifest, 5, ROWS)
    random = np.random.default_rng(6)
    for column in manifest.signature.columns:
        for row in rows:
            if column.type == "text":
                row[column.name] = kinds.NOTES[random.integers(len(kinds.NOTES))]
            if column.type == "date" and row[column.name] is not None:
                row[column.name] = f"1912-04-{random.integers(1, 31):02}"
                if "T" in str(column.typical):
                    row[column.name] += f"T{random.integers(24):02}:30:00"
    return rows


def table_of(manifest: Manifest, rows: list[Row]) -> Any:
    """The rows as what the pipeline was fitted on."""
    if manifest.name == "mixed":
        return kinds.frame_of(rows)
    if manifest.name == "voyage":
        frame = pd.DataFrame(rows)
        frame["boarded"] = pd.to_datetime(frame["boarded"], format="ISO8601")
        return frame.astype({"boarded": "datetime64[us]"}).fillna({"port": np.nan})
    return as_trained(manifest, rows)


def case_of(model: Model, *, whole: bool = False) -> Case:
    """Rows, perhaps of whole numbers only, and what scikit-learn itself says of them."""
    manifest = model.manifest
    rows = rows_for(manifest)
    if whole:
        complete = [row for row in rows if None not in row.values()]
        rows = [{name: round(value) for name, value in row.items()} for row in complete]
    table = table_of(manifest, rows)
    shares = None
    if manifest.probabilities:
        told = model.pipeline.predict_proba(table)
        tables: list[NDArray[np.float64]] = told if manifest.several else [told]
        shares = [[each[i].tolist() for each in tables] for i in range(len(rows))]
    decide = getattr(model.pipeline, "decision_function", None)
    return Case(
        model=manifest.name,
        version=str(manifest.version),
        columns=[
            Tensor(column.name, datatype(column), column.type)
            for column in manifest.signature.columns
        ],
        classes=[target.classes for target in manifest.targets if target.classes is not None],
        rows=[list(row.values()) for row in rows],
        labels=model.pipeline.predict(table).tolist(),
        shares=shares,
        scores=None if decide is None else decide(table).tolist(),
        targets=[target.name or "" for target in manifest.targets],
        alone=manifest.name not in ("several", "numbers"),
    )


def datatype(column: Column) -> str:
    """What V2 says of such a column."""
    if column.type == "category" and column.categories:
        kind = type(column.categories[0])
        return {int: "INT64", float: "FP64"}.get(kind, "BYTES")
    return {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}.get(column.type, "BYTES")


def loaded(store: ModelStore, name: str, version: int | str | None = None) -> Model:
    return store.load(store.verify(name, version, pickles="always"))


# The clients ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def venvs() -> Path:
    """The folder of the clients' environments."""
    named = os.environ.get("CLIENT_VENVS")
    if named is None:
        message = "CLIENT_VENVS names no folder with the environments of the clients"
        (pytest.fail if os.environ.get("REQUIRE_CLIENTS") else pytest.skip)(message)
    return Path(named).resolve()


@pytest.fixture(scope="module")
def results(venvs: Path, bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of each mode of each client against one server."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(bundled_root, folder / "models")
    store = ModelStore(folder / "models")
    for publish in (kinds.publish_mixed, publish_voyage, kinds.publish_several, publish_versions):
        publish(store)
    key = secrets.token_urlsafe()
    cases = folder / "cases.json"
    cases.write_text(json.dumps(all_cases(store, key)))
    settings = {
        "QUART_APP_MODEL_STORE": store.root,
        "QUART_APP_RECIPES": "",
        "QUART_APP_DEFAULT_MODEL": DEFAULT,
        "QUART_APP_API_KEYS": f"tests:{hashlib.sha256(key.encode()).hexdigest()}",
        "QUART_APP_GRPC_PORT": 0,
        "QUART_APP_KEEP_ALIVE": 120,  # a client may be slow to ask again, on a busy machine
    }
    with serving(cwd=folder, **settings) as server:
        address = server.grpc_address()
        server.wait_until_ready()
        return [
            result
            for script, venv in SCRIPTS.items()
            for result in ran(
                script,
                venvs / venv if venv else None,
                address if script in BY_GRPC else server.url,
                cases,
            )
        ]


def all_cases(store: ModelStore, key: str) -> dict[str, Any]:
    models = {name: case_of(loaded(store, name)) for name in MODELS}
    versions = {
        address: case_of(loaded(store, "numbers", int(number))).head(1000)
        for address, number in (("1", "1"), ("2", "2"), ("before", "1"), ("champion", "2"))
    }
    whole = [case_of(loaded(store, name), whole=True).head(100) for name in WHOLE]
    return {
        "models": [asdict(case) for case in models.values()],
        "versions": {address: asdict(case) for address, case in versions.items()},
        "whole": [asdict(case) for case in whole],
        "key": key,
        "spare": SPARE,
        "default": DEFAULT,
    }


def ran(script: str, venv: Path | None, url: str, cases: Path) -> Iterator[Result]:
    """What the script printed."""
    python = sys.executable if venv is None else str(venv / "bin" / "python")
    done = subprocess.run(
        [python, "-m", f"tests.clients.{script}", url, str(cases)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, f"{script}: {done.stderr[-2000:]}"
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield Result(**json.loads(line))


# The table -----------------------------------------------------------------------


def table(results: list[Result]) -> str:
    """Modes in lines, in the order of the protocols, and clients in columns."""
    clients = list(dict.fromkeys((result.client, result.version) for result in results))
    modes = list(dict.fromkeys(result.mode for result in results))
    modes.sort(key=protocol)
    works = {(result.client, result.mode): "yes" if result.ok else "no" for result in results}
    head = ["mode", *(f"{client} {version}" for client, version in clients)]
    body = [[mode, *(works.get((client, mode), "") for client, _ in clients)] for mode in modes]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def protocol(mode: str) -> int:
    """Where its protocol stands in the table."""
    name = mode.partition(":")[0]
    return PROTOCOLS.index(name) if name in PROTOCOLS else len(PROTOCOLS)


def documented() -> str:
    """The table in docs/clients.md."""
    found = re.search(
        r"<!-- clients -->\n(.*)\n<!-- /clients -->",
        (ROOT / "docs/clients.md").read_text(),
        re.DOTALL,
    )
    assert found is not None, (
        "docs/clients.md: no table between <!-- clients --> and <!-- /clients -->"
    )
    return found[1]


def without_versions(text: str) -> str:
    """The table without the versions of clients of which any will do."""
    return re.sub(rf"({'|'.join(UNPINNED)}) [^ |]+", r"\1", text)


def test_every_client_works_in_every_mode_that_it_has(results: list[Result]) -> None:
    failed = [f"{each.client}, {each.mode}: {each.why}" for each in results if not each.ok]
    assert not failed, "\n".join(failed)


def test_no_client_is_left_out(results: list[Result]) -> None:
    assert {result.client for result in results} == {
        "tritonclient.http",
        "tritonclient.http.aio",
        "tritonclient.grpc",
        "tritonclient.grpc.aio",
        "kserve V1",
        "kserve V2",
        "kserve gRPC",
        "mlflow",
        "mcp.Client",
        "mcp.ClientSession",
        "fastmcp.Client",
        "httpx",
        "curl",
        "quart_app.client",
    }


def test_the_document_has_the_table_that_the_clients_made(results: list[Result]) -> None:
    made = table(results)
    assert without_versions(documented()) == without_versions(made), f"The table is now:\n{made}"
