"""The flow is one way: web → domain → files. Who may import whom is held here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STDLIB = set(sys.stdlib_module_names)
RECORDS = {"msgspec"}
"""Small classes are made of it everywhere: a dataclass takes ten times as long to make, and
a server would make fifty at its start."""

# A module or folder, and the top-level packages that it may import beside the standard library;
# a more special row goes before a more general one.
ALLOWED = {
    "model_store": {"numpy", "sklearn", "joblib", "msgspec"},
    "model_store/arrow.py": {"numpy", "pyarrow"},
    "model_store/arrow_files.py": {"numpy", "pyarrow"},
    "model_store/parquet_text.py": {"pyarrow"},
    "model_store/csv_columns.py": {"numpy", "pyarrow"},
    "model_store/batch": {"msgspec", "numpy", "pyarrow"},
    "model_store/batch/engines.py": {"distributed", "joblib"},
    "model_store/batch/run.py": {"joblib"},
    "model_store/batch/process.py": {"pyarrow", "threadpoolctl"},
    "model_store/batch/tables.py": {"numpy", "pandas", "pyarrow"},
    "model_store/frames.py": {"numpy", "pandas", "scipy"},
    "model_store/formats.py": {"joblib"},
    "model_store/sources/folders.py": {"msgspec", "numpy", "yaml"},
    "model_store/sources/onnx_model.py": {"numpy", "onnx", "onnxruntime"},
    "model_store/sources/skops.py": {"numpy", "scipy"},
    "model_store/objects.py": {"obstore"},
    "model_store/signing.py": {"cryptography", "msgspec"},
    "model_store/soundness": {"numpy"},
    "model_store/plain/pack/asked.py": {"numpy", "pandas"},
    "model_store/plain/pack": {"msgspec", "numpy", "scipy", "sklearn"},
    "model_store/plain": {"numpy", "msgspec"},
    "model_store/reasons": {"numpy", "msgspec"},
    "model_store/drift": {"numpy", "msgspec"},
    "model_store/comparison.py": {"numpy", "threadpoolctl"},
    "model_store/converted.py": {"numpy", "onnxruntime", "skl2onnx", "sklearn"},
    "quart_app/__init__.py": {"quart"},
    "quart_app/app.py": {"model_store", "quart"},
    "quart_app/documents.py": {"model_store", "msgspec"},
    "quart_app/database_url.py": set(),
    "quart_app/extras.py": set(),
    "quart_app/recording.py": {"model_store"},
    "quart_app/figures.py": {"msgspec"},
    "quart_app/window.py": set(),
    "quart_app/inference.py": {"model_store", "msgspec", "numpy"},
    "quart_app/templating.py": {"jinja2", "quart"},
    "quart_app/config.py": {"model_store"},
    "quart_app/keys.py": {"model_store", "werkzeug"},
    "quart_app/lazy_rules.py": {"quart"},
    "quart_app/negotiation.py": {"msgspec", "quart", "werkzeug"},
    "quart_app/context.py": {"quart"},
    "quart_app/errors.py": {"model_store", "msgspec", "quart", "werkzeug"},
    "quart_app/startup.py": {"model_store", "quart"},
    "quart_app/mounting.py": {"model_store"},
    "quart_app/asgi.py": {"msgspec"},
    "quart_app/random_ids.py": set(),
    "quart_app/marks.py": set(),
    "quart_app/answering.py": {"model_store", "msgspec"},
    "quart_app/fast_path.py": {"quart", "werkzeug"},
    "quart_app/mcp": {"model_store", "msgspec"},
    "quart_app/client.py": {"httpx", "model_store", "msgspec", "numpy"},
    "quart_app/serving": {"model_store", "msgspec", "numpy"},
    "quart_app/protocols": {"model_store", "numpy", "msgspec", "werkzeug"},
    "quart_app/middleware": {"quart", "quart_schema", "werkzeug"},
    "quart_app/middleware/cors.py": {"asgi_cors", "quart"},
    "quart_app/middleware/rates.py": {"limits"},
    "quart_app/about": {"model_store", "msgspec", "numpy"},
    "quart_app/tables": {"model_store"},
    "quart_app/memory": {"model_store", "msgspec", "numpy"},
    "quart_app/memory/database.py": {"psycopg"},
    "quart_app/memory/runs.py": {"model_store", "pyarrow"},
    "quart_app/siblings": {"msgspec"},
    "quart_app/sharing": {"model_store", "msgspec"},
    "quart_app/observe": {"msgspec"},
    "quart_app/observe/prometheus.py": {"prometheus_client"},
    "quart_app/observe/traces.py": {"opentelemetry"},
    "quart_app/tasks": {"msgspec"},
    "quart_app/tasks/database.py": {"psycopg", "sqlalchemy"},
    "quart_app/tasks/table.py": {"sqlalchemy"},
    "quart_app/openapi": {"model_store", "msgspec", "quart", "quart_schema"},
    "quart_app/blueprints": {"model_store", "msgspec", "quart", "quart_schema", "werkzeug"},
    "quart_app/blueprints/tour": {"gmpy2", "markupsafe", "quart", "quart_schema", "werkzeug"},
    "quart_app/blueprints/tour/inputs.py": set(),
    "quart_app/blueprints/tour/twins.py": {"flask", "gmpy2", "jinja2", "markupsafe", "werkzeug"},
    "quart_app/protobuf": {"google"},
    "quart_app/grpc_server": {"grpc", "model_store", "msgspec", "werkzeug"},
    "quart_app/server": set(),
    "quart_app/server/run.py": {"hypercorn", "uvloop"},
    "quart_app/server/hypercorn_server.py": {"hypercorn"},
    "quart_app/server/uvicorn_server.py": {"hypercorn", "uvicorn"},
    "quart_app/server/connections.py": {"h11", "hypercorn"},
    "quart_app/cli/entry.py": set(),
    "quart_app/cli/score.py": {"click", "model_store", "msgspec", "pyarrow"},
    "quart_app/cli": {"click", "model_store", "msgspec", "quart", "werkzeug"},
}

# The rooms of quart_app from the bottom up: each imports itself and what stands below it, nothing
# beside it or above.
LAYERS = [
    {
        "asgi",
        "database_url",
        "documents",
        "extras",
        "figures",
        "inference",
        "keys",
        "lazy_rules",
        "pipeline_errors",
        "protobuf",
        "random_ids",
        "server",
        "templating",
        "version",
        "window",
    },
    {"config", "tasks"},
    {"serving"},
    {"protocols", "siblings"},
    {"about", "marks", "negotiation"},
    {"answering", "middleware"},
    {"memory"},
    {"recording"},
    {"observe", "tables"},
    {"sharing"},
    {"context", "mounting"},
    {"errors", "fast_path", "openapi", "startup"},
    {"client", "grpc_server", "mcp"},
    {"blueprints"},
    {"app"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]


def modules(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def owner(path: Path, table: dict[str, set[str]]) -> str:
    name = path.relative_to(ROOT).as_posix()
    return max((key for key in table if name == key or name.startswith(key + "/")), key=len)


def imports(path: Path) -> set[tuple[int, str]]:
    """Every import of a module, also inside its functions: (level, dotted name)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(0, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= (
                {(node.level, module)}
                if module
                else {(node.level, alias.name) for alias in node.names}
            )
    return found


@pytest.mark.parametrize("place", ALLOWED)
def test_a_module_imports_only_the_packages_of_its_row(place: str) -> None:
    for path in modules(place):
        if owner(path, ALLOWED) != place:
            continue
        outside = {name.split(".")[0] for level, name in imports(path) if level == 0}
        assert outside - STDLIB - RECORDS <= ALLOWED[place], path


def rooms_imported(path: Path) -> set[str]:
    """The rooms of quart_app that a module of it imports, `__init__` standing for the app."""
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            room = [name for name in module[1:] if name][:1]
            found |= set(room or (alias.name for alias in node.names))
    rooms = set().union(*LAYERS)
    return {room if room in rooms else "__init__" for room in found}


def test_every_room_stands_in_one_layer() -> None:
    there = [path.stem for path in (ROOT / "quart_app").iterdir() if _is_room(path)]
    assert sorted(there) == sorted(room for layer in LAYERS for room in layer)


def _is_room(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").is_file()


@pytest.mark.parametrize("room", sorted(set().union(*LAYERS)))
def test_a_room_imports_only_itself_and_what_lies_below_it(room: str) -> None:
    level = next(level for level, layer in enumerate(LAYERS) if room in layer)
    allowed = {room}.union(*LAYERS[:level])
    file = ROOT / "quart_app" / f"{room}.py"
    for path in [file] if file.exists() else modules(f"quart_app/{room}"):
        assert rooms_imported(path) <= allowed, path


def test_the_store_never_names_the_app() -> None:
    for path in modules("model_store"):
        names = {name.split(".")[0] for _, name in imports(path)}
        assert not names & {"quart", "quart_app", "hypercorn"}, path


def test_only_the_config_reads_the_environment() -> None:
    for place in ("model_store", "quart_app"):
        for path in modules(place):
            # The cage sets what joblib and OpenMP read, in a process of its own; the prover hands
            # on what there is to its own.
            # Before it is known how many processes there are nothing large is imported.
            if path.name not in {"config.py", "cage.py", "entry.py", "prover.py"}:
                source = path.read_text()
                assert "os.environ" not in source, path
                assert "getenv" not in source, path


# What starting a server goes without: what models need, what one route or command alone needs, and
# of ours what publishes, trains, draws and deploys.
NOT_AT_THE_START = {
    *("sklearn", "scipy", "pandas", "pyarrow", "joblib", "skops", "rich", "threadpoolctl"),
    *("model_store.batch", "quart_app.cli.score", "distributed"),
    *("cryptography", "obstore", "model_store.bucket"),
    *("gmpy2", "sqlalchemy", "greenlet", "sqlite3", "aiosqlite", "psycopg"),
    *("flask_swagger_ui", "google", "grpc", "limits", "prometheus_client", "httpx", "uvicorn"),
    "opentelemetry",
    *(f"model_store.{name}" for name in ("cage", "comparison", "draft", "importer", "inspection")),
    *(f"model_store.{name}" for name in ("importing", "mounted")),
    "quart_app.mounting",
    *(f"model_store.{name}" for name in ("isolated", "probe", "structure", "targets", "training")),
    *(f"model_store.{name}" for name in ("loader", "pickles", "reconstruct", "soundness", "trust")),
    "model_store.sources",
    "model_store.plain.pack",
    "model_store.reasons",
    "model_store.drift",
    *(f"quart_app.about.{name}" for name in ("charts", "what_if")),
    *(f"quart_app.cli.{name}" for name in ("deploy", "deployment", "footprint", "models")),
    *("quart_app.grpc_server", "quart_app.protobuf", "quart_app.protocols.v2_grpc"),
    *("quart_app.blueprints.results", "quart_app.blueprints.tour", "quart_app.client"),
    *("quart_app.observe.prometheus", "quart_app.tasks", "quart_app.memory"),
    *("quart_app.siblings", "quart_app.sharing", "quart_app.tables.shelf"),
}


def modules_after(script: str, *arguments: str) -> set[str]:
    """The modules that are imported when a process has run this."""
    script = f"{script}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.process
@pytest.mark.parametrize("imported", ["quart_app.app", "quart_app.cli.main, quart_app.server.run"])
def test_a_server_is_imported_without_what_one_model_route_or_command_needs(imported: str) -> None:
    assert modules_after(f"import {imported}") & NOT_AT_THE_START == set()


@pytest.mark.process
def test_a_supervisor_imports_nothing_that_a_model_or_an_app_needs() -> None:
    ours = modules_after("import quart_app.cli.entry, quart_app.server.supervisor")
    large = {"numpy", "quart", "click", "asyncio", "msgspec", "hypercorn", "sklearn", "ssl"}
    assert ours & large == set()
    assert {name for name in ours if name.startswith("model_store")} == set()


@pytest.mark.process
def test_the_client_is_imported_without_the_server_and_without_numpy() -> None:
    ours = modules_after("import quart_app.client")
    assert {"httpx", "msgspec", "quart_app.client"} <= ours
    assert not ours & {"numpy", "quart", "flask", "hypercorn", "sklearn", "werkzeug"}


@pytest.mark.process
def test_loading_a_model_imports_of_scikit_learn_only_what_its_artifact_names(
    bundled_root: Path,
) -> None:
    ours = modules_after(
        "import sys, model_store\n"
        "store = model_store.ModelStore(sys.argv[1])\n"
        "store.load(store.verify('iris', pickles='always')).replay()",
        str(bundled_root),
    )
    plain = modules_after(
        "import sys, joblib; joblib.load(sys.argv[1])",
        str(bundled_root / "iris" / "1" / "pipeline.joblib"),
    )
    packages = {"sklearn", "scipy", "pandas", "rich", "matplotlib"}
    of_packages = {name for name in ours if name.partition(".")[0] in packages}
    assert "sklearn" in of_packages
    assert of_packages <= plain


@pytest.mark.process
def test_an_app_that_is_asked_for_no_task_imports_no_sqlalchemy() -> None:
    script = (
        "import asyncio, sys, tempfile, quart_app\n"
        "async def main():\n"
        "    with tempfile.TemporaryDirectory() as store:\n"
        "        app = quart_app.create_app(MODEL_STORE=store, RECIPES='')\n"
        "        async with app.test_app() as running:\n"
        "            print((await running.test_client().get('/health/live')).status_code)\n"
        "asyncio.run(main())\n"
        "print(sorted({'sqlalchemy', 'greenlet', 'aiosqlite', 'psycopg'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["200", "[]"]
