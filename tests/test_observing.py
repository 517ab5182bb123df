"""docs/observing.md: its commands are run, and its lines and tables are those of the server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.linear_model import LinearRegression

from model_store import ModelStore
from quart_app import create_app
from quart_app.context import context_of
from quart_app.figures import ColumnFigures, Drift, Score, Scores, TargetScores, Watched
from quart_app.observe import families
from quart_app.observe.access_log import MAX_PATH, Line, TracedLine
from quart_app.observe.line_writer import MAX_LINES
from quart_app.observe.prometheus import FamilyCollector

from .conftest import serving, started

WATCHED = Watched(
    drift=Drift(
        version=1,
        rows=500,
        reason=None,
        columns=[
            ColumnFigures(
                name="x",
                answers=False,
                measure="wasserstein",
                rows=500,
                drifts=False,
                lasting=False,
                reason=None,
                distance=0.1,
                threshold=0.2,
                missing=None,
                unseen=None,
                parts=(),
            )
        ],
    ),
    scores=Scores(
        rows=500,
        reason=None,
        targets=[
            TargetScores(
                target="y",
                scores=[
                    Score(
                        name="mae",
                        value=1.0,
                        low=None,
                        high=None,
                        interval="",
                        rows=500,
                        published=None,
                    )
                ],
            )
        ],
    ),
)
"""A model of which there are all figures that metrics have."""
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/observing.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def table(first: str) -> list[list[str]]:
    """The cells of the table whose first heading this is, without its head."""
    found = re.search(rf"^\| {first} \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    rows = found[0].strip().splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in row.split("|")[1:-1]] for row in rows]


def matches(shown: str, text: str) -> bool:
    """Whether this is what is shown, but for moments and for what `...` stands for."""
    shown = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "...Z", shown.strip())
    pattern = ".*?".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, text.strip(), re.DOTALL) is not None


@pytest.mark.process
def test_the_commands_print_and_the_server_writes_what_the_page_shows(
    bundled_root: Path, tmp_path: Path
) -> None:
    with serving(cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root) as server:
        server.wait_until_ready()
        for block in blocks("console"):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                ran = subprocess.run(
                    ["bash", "-c", command.replace("http://127.0.0.1:8000", server.url)],
                    env={"PATH": os.environ["PATH"]},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                assert matches(output, ran.stdout), ran.stdout
            time.sleep(0.1)
        server.process.terminate()
        written, _ = server.process.communicate(timeout=30)
    lines = [line for line in written.splitlines() if line[:1] == "{" and "/health/" not in line]
    shown = blocks("json")[0].splitlines()
    assert len(lines) == len(shown) + 1  # and that of the metrics
    for expected, line in zip(shown, lines[:-1], strict=True):
        assert matches(expected, line), line


def test_the_table_of_fields_is_the_one_of_the_code() -> None:
    assert [name for name, _ in table("field")] == [
        field.name for field in msgspec.structs.fields(Line)
    ]
    traced = msgspec.structs.fields(TracedLine)[len(msgspec.structs.fields(Line)) :]
    assert "two more fields, " + " and ".join(f"`{field.name}`" for field in traced) in PAGE
    assert f"{MAX_LINES:,} lines" in PAGE
    assert f"{MAX_PATH:,} characters" in PAGE


async def test_the_table_of_metrics_is_the_one_of_the_code(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    X = np.array([[1.0], [2.0], [8.0], [9.0]])
    for _ in range(2):
        store.publish("small", LinearRegression().fit(X, X[:, 0]), X, X[:, 0])
    store.challenge("small", 1, "shadow", share=1)
    async with started(create_app(MODEL_STORE=store.root, RECIPES="", FOLLOW="0")) as app:
        client = app.test_client()
        await context_of(app.app).registry.follow("small")  # type: ignore[attr-defined]
        await client.get("/models/exam/predict?X1=1&X2=1")
        await client.get("/nothing")
        text = await (await client.get("/metrics")).get_data(as_text=True)
    found = {}
    watched = FamilyCollector([*families.watched({"small": WATCHED})])
    for family in (*text_string_to_metric_families(text), *watched.collect()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if name.startswith("quart_app_"):
            found[name] = (family.type, labels)
    assert found == {
        name: (kind, set(labels.split(", ")) - {""}) for name, kind, labels, _ in table("metric")
    }


@pytest.mark.process
def test_an_app_with_spans_of_its_own_sends_them_by_the_provider_of_the_app(tmp_path: Path) -> None:
    script = (
        f"{blocks('python')[0]}\n"
        "import asyncio\n"
        "async def main():\n"
        "    async with app().test_app():\n"
        "        with trace.get_tracer('own').start_as_current_span('of my own'):\n"
        "            pass\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "PYTHONPATH": str(ROOT),
            "OTEL_TRACES_EXPORTER": "console",
            "QUART_APP_RECIPES": "",
            "QUART_APP_MODEL_STORE": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"name": "of my own"' in ran.stdout
