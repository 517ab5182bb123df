"""The flow is one way: web → domain → files. Who may import whom is held here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STDLIB = set(sys.stdlib_module_names)

# A module or folder, and the top-level packages that it may import beside the standard library;
# a more special row goes before a more general one.
ALLOWED = {
    "model_store": {"numpy", "sklearn", "joblib", "msgspec"},
    "model_store/frames.py": {"numpy", "pandas"},
    "model_store/formats.py": {"joblib", "skops"},
    "model_store/shortcuts": {"numpy", "scipy", "sklearn"},
    "model_store/shortcuts/converted.py": {"numpy", "onnxruntime", "skl2onnx"},
    "quart_app/inference.py": {"model_store", "msgspec", "numpy"},
    "quart_app/templating.py": {"jinja2", "quart"},
    "quart_app/batcher.py": {"numpy"},
    "quart_app/protocols": {"model_store", "numpy", "msgspec", "werkzeug"},
    "quart_app/server.py": {"hypercorn", "uvloop"},
    "quart_app/hypercorn_server.py": {"hypercorn"},
    "quart_app/uvicorn_server.py": {"hypercorn", "uvicorn"},
    "quart_app/connections.py": {"h11", "hypercorn"},
    "quart_app/config.py": {"model_store"},
    "quart_app/tasks.py": {"msgspec"},
    "quart_app/database.py": {"psycopg", "sqlalchemy"},
    "quart_app/database_url.py": set(),
    "quart_app/servable.py": {"model_store", "numpy"},
    "quart_app/statistics.py": set(),
    "quart_app/registry.py": {"model_store"},
    "quart_app/sockets.py": set(),
    "quart_app/threads.py": set(),
    "quart_app/workers.py": set(),
    "quart_app/limits.py": {"hypercorn", "quart", "werkzeug"},
    "quart_app/description.py": {"model_store", "msgspec"},
    "quart_app/card.py": {"model_store", "msgspec"},
    "quart_app/charts.py": {"model_store"},
    "quart_app/what_if.py": {"model_store", "numpy"},
    "quart_app/bodies.py": {"hypercorn", "quart", "werkzeug"},
    "quart_app/record.py": {"hypercorn", "msgspec", "quart", "werkzeug"},
    "quart_app/access_log.py": {"msgspec"},
    "quart_app/metrics.py": set(),
    "quart_app/tally.py": set(),
    "quart_app/exposition.py": {"prometheus_client"},
    "quart_app/negotiation.py": {"msgspec", "quart", "werkzeug"},
    "quart_app/context.py": {"quart"},
    "quart_app/errors.py": {"model_store", "msgspec", "quart", "werkzeug"},
    "quart_app/openapi": {"model_store", "msgspec", "quart", "quart_schema"},
    "quart_app/access.py": {"hypercorn", "quart", "quart_schema", "werkzeug"},
    "quart_app/front.py": {"hypercorn", "quart"},
    "quart_app/rates.py": {"limits"},
    "quart_app/rules.py": {"quart"},
    "quart_app/keys.py": {"werkzeug"},
    "quart_app/compression.py": set(),
    "quart_app/choice.py": {"model_store"},
    "quart_app/cors.py": {"asgi_cors", "quart"},
    "quart_app/dialect.py": {"model_store", "msgspec"},
    "quart_app/scoring.py": {"model_store"},
    "quart_app/jobs.py": {"model_store"},
    "quart_app/spool.py": set(),
    "quart_app/lifespan.py": {"model_store", "quart"},
    "quart_app/fast_path.py": {"hypercorn", "quart", "werkzeug"},
    "quart_app/lookout.py": {"hypercorn"},
    "quart_app/blueprints": {"model_store", "msgspec", "quart", "quart_schema", "werkzeug"},
    "quart_app/blueprints/tour": {"gmpy2", "markupsafe", "quart", "quart_schema", "werkzeug"},
    "quart_app/blueprints/tour/inputs.py": set(),
    "quart_app/blueprints/tour/twins.py": {"flask", "gmpy2", "jinja2", "markupsafe", "werkzeug"},
    "quart_app/cli.py": {"click", "model_store", "msgspec", "quart", "werkzeug"},
    "quart_app/client.py": {"httpx", "model_store", "msgspec", "numpy"},
    "quart_app/deploy.py": {"click", "model_store"},
    "quart_app/deployment.py": {"model_store", "msgspec"},
    "quart_app/footprint.py": {"msgspec"},
    "quart_app/management.py": {"click", "model_store", "msgspec"},
    "quart_app/options.py": {"click"},
    "quart_app/factory.py": {"click", "quart"},
}

# Within quart_app, the modules of ours that each of these may import.
OURS = {
    "quart_app/inference.py": set(),
    "quart_app/batcher.py": set(),
    "quart_app/config.py": {"database_url", "keys"},
    "quart_app/server.py": {"hypercorn_server", "sockets", "uvicorn_server"},
    "quart_app/hypercorn_server.py": {"connections", "sockets"},
    "quart_app/uvicorn_server.py": {"sockets"},
    "quart_app/connections.py": {"sockets"},
    "quart_app/sockets.py": set(),
    "quart_app/threads.py": set(),
    "quart_app/workers.py": set(),
    "quart_app/limits.py": {"bodies", "inference"},
    "quart_app/protocols": {"inference"},
    "quart_app/tasks.py": {"database", "database_url"},
    "quart_app/database.py": {"database_url", "tasks"},
    "quart_app/database_url.py": set(),
    "quart_app/servable.py": {"batcher", "config", "inference", "statistics", "workers"},
    "quart_app/statistics.py": {"batcher"},
    "quart_app/registry.py": {"config", "inference", "servable", "threads", "workers"},
    "quart_app/description.py": {"registry"},
    "quart_app/card.py": {"description"},
    "quart_app/charts.py": {"what_if"},
    "quart_app/what_if.py": {"batcher", "inference", "servable"},
    "quart_app/negotiation.py": {"protocols"},
    "quart_app/deploy.py": {"config", "deployment", "footprint", "options", "version"},
    "quart_app/deployment.py": set(),
    "quart_app/footprint.py": set(),
    "quart_app/management.py": {"config", "description", "options", "sockets"},
    "quart_app/options.py": set(),
    "quart_app/factory.py": {"context"},
    "quart_app/client.py": {"description", "errors", "version"},
    "quart_app/openapi": {
        "access",
        "config",
        "context",
        "description",
        "negotiation",
        "protocols",
        "servable",
        "version",
    },
    "quart_app/keys.py": set(),
    "quart_app/access.py": {"bodies", "config", "cors", "keys", "rates"},
    "quart_app/front.py": {"negotiation", "record"},
    "quart_app/rates.py": set(),
    "quart_app/rules.py": set(),
    "quart_app/compression.py": {"inference"},
    "quart_app/choice.py": {"inference", "registry", "servable"},
    "quart_app/cors.py": set(),
    "quart_app/dialect.py": {"inference", "servable"},
    "quart_app/context.py": {
        "bodies",
        "config",
        "jobs",
        "metrics",
        "record",
        "registry",
        "servable",
        "tasks",
    },
    "quart_app/record.py": set(),
    "quart_app/access_log.py": {"record"},
    "quart_app/tally.py": {"record", "statistics"},
    "quart_app/metrics.py": {"exposition", "limits", "record", "registry", "tally"},
    "quart_app/exposition.py": {
        "limits",
        "registry",
        "servable",
        "statistics",
        "tally",
        "version",
    },
    "quart_app/jobs.py": {"config", "inference", "scoring", "servable", "spool"},
    "quart_app/templating.py": set(),
    "quart_app/errors.py": {
        "batcher",
        "inference",
        "jobs",
        "negotiation",
        "protocols",
        "record",
        "tasks",
        "templating",
    },
    "quart_app/scoring.py": {"batcher", "inference", "protocols", "servable"},
    "quart_app/spool.py": {"inference"},
    "quart_app/bodies.py": {
        "compression",
        "config",
        "inference",
        "negotiation",
        "protocols",
        "spool",
    },
    "quart_app/lookout.py": set(),
    "quart_app/fast_path.py": {
        "access",
        "blueprints",
        "bodies",
        "choice",
        "context",
        "cors",
        "front",
        "inference",
        "limits",
        "lookout",
        "negotiation",
        "protocols",
        "record",
        "servable",
    },
    "quart_app/blueprints": {
        "bodies",
        "card",
        "charts",
        "choice",
        "compression",
        "context",
        "description",
        "dialect",
        "errors",
        "inference",
        "jobs",
        "negotiation",
        "protocols",
        "record",
        "registry",
        "scoring",
        "servable",
        "tasks",
        "threads",
        "version",
        "what_if",
    },
    "quart_app/blueprints/tour": {
        "context",
        "errors",
        "inference",
        "negotiation",
        "protocols",
        "tasks",
    },
}


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
        assert outside - STDLIB <= ALLOWED[place], path


@pytest.mark.parametrize("place", OURS)
def test_a_module_of_the_app_imports_only_what_lies_below_it(place: str) -> None:
    for path in modules(place):
        depth = len(path.relative_to(ROOT / "quart_app").parts)
        ours = {name.split(".")[0] for level, name in imports(path) if level == depth}
        assert ours <= OURS[place], path


def test_the_store_never_names_the_app() -> None:
    for path in modules("model_store"):
        names = {name.split(".")[0] for _, name in imports(path)}
        assert not names & {"quart", "quart_app", "hypercorn"}, path


def test_only_the_config_reads_the_environment() -> None:
    for place in ("model_store", "quart_app"):
        for path in modules(place):
            if path.name != "config.py":
                source = path.read_text()
                assert "os.environ" not in source, path
                assert "getenv" not in source, path


# What starting a server goes without: what models need, what one route or command alone needs, and
# of ours what publishes, trains, draws and deploys.
NOT_AT_THE_START = {
    *("sklearn", "scipy", "pandas", "joblib", "skops", "rich", "threadpoolctl"),
    *("sqlalchemy", "greenlet", "sqlite3", "aiosqlite", "psycopg"),
    *("flask_swagger_ui", "limits", "prometheus_client", "httpx", "uvicorn"),
    *(f"model_store.{name}" for name in ("comparison", "draft", "inspection", "intake", "probe")),
    *(f"model_store.{name}" for name in ("structure", "targets", "training", "trial")),
    *(f"quart_app.{name}" for name in ("charts", "client", "database", "deploy", "deployment")),
    *(f"quart_app.{name}" for name in ("exposition", "footprint", "management", "what_if")),
    *("quart_app.blueprints.results", "quart_app.blueprints.tour.twins"),
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
@pytest.mark.parametrize("imported", ["quart_app", "quart_app.cli, quart_app.server"])
def test_a_server_is_imported_without_what_one_model_route_or_command_needs(imported: str) -> None:
    assert modules_after(f"import {imported}") & NOT_AT_THE_START == set()


@pytest.mark.process
def test_loading_a_model_imports_of_scikit_learn_only_what_its_artifact_names(
    bundled_root: Path,
) -> None:
    ours = modules_after(
        "import sys, model_store\n"
        "store = model_store.ModelStore(sys.argv[1])\n"
        "store.load(store.verify('iris')).replay()",
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
