"""Mutation tests: does a test fail for each small change of a module?

`python -m tests.mutation rows limits` changes these modules, one mutant after another, and runs
against each the tests in the module's own files that reach the function which was changed. mutmut
does that in `.mutants/NAME`, and writes nothing elsewhere. The mutants that survived are printed
and the score; without a name it goes through all modules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SCRATCH: Final = ROOT / ".mutants"
MUTMUT: Final = Path(sys.executable).with_name("mutmut")

MODULES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "access": (
        "quart_app/middleware/access.py",
        ("tests/quart_app/middleware/test_access.py",),
    ),
    "batcher": (
        "quart_app/serving/batcher.py",
        ("tests/quart_app/serving/test_batcher.py",),
    ),
    "columns": (
        "model_store/columns.py",
        (
            "tests/model_store/test_columns.py",
            "tests/model_store/test_arrow_texts.py",
            "tests/model_store/test_signature.py",
        ),
    ),
    "limits": (
        "quart_app/middleware/limits.py",
        ("tests/quart_app/middleware/test_limits.py",),
    ),
    "pickles": (
        "model_store/pickles.py",
        ("tests/model_store/test_pickles.py", "tests/model_store/test_loader.py"),
    ),
    "registry": (
        "quart_app/serving/registry.py",
        ("tests/quart_app/serving/test_registry.py",),
    ),
    "rows": (
        "quart_app/protocols/rows.py",
        ("tests/quart_app/protocols/test_rows.py",),
    ),
}
"""The file of each module, and the files of the tests that are its own."""

MARKED: Final = "browser or clients or process or property or forms or guests"


def main(names: list[str]) -> int:
    """Go through these modules; 2 where there is no such module."""
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        print(f"No module {', '.join(unknown)}; there are {', '.join(MODULES)}.", file=sys.stderr)
        return 2
    for name in names or MODULES:
        print(mutate(name), flush=True)
    return 0


def mutate(name: str) -> str:
    """Run the mutants of a module; its survivors and its score."""
    folder = prepared(name)
    since = time.monotonic()
    # The tests run once in the process that is forked: a pool of OpenMP would not survive that.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run("run", cwd=folder, environment=environment)
    minutes = (time.monotonic() - since) / 60
    left = [line.strip() for line in run("results", cwd=folder).splitlines() if ": " in line]
    shown = [run("show", line.partition(": ")[0], cwd=folder) for line in left]
    run("export-cicd-stats", cwd=folder)
    counts = json.loads((folder / "mutants/mutmut-cicd-stats.json").read_text("utf-8"))
    killed = counts["killed"] + counts["timeout"]
    score = f"{name}: {killed} of {counts['total']} mutants killed, in {minutes:.1f} minutes"
    return "\n".join([*shown, score])


def prepared(name: str) -> Path:
    """A folder with links to what the tests need, and mutmut's settings."""
    folder = SCRATCH / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in ("model_store", "quart_app", "templates", "tests", "pyproject.toml"):
        (folder / part).symlink_to(ROOT / part)
    module, tests = MODULES[name]
    settings = ConfigParser()
    settings["mutmut"] = {
        "source_paths": "\nmodel_store\nquart_app",
        "only_mutate": module,
        "also_copy": "templates",
        "pytest_add_cli_args": f"\n-m\nnot ({MARKED})\n-p\nno:cacheprovider",
        "pytest_add_cli_args_test_selection": "\n" + "\n".join(tests),
        "track_dependencies": "false",
    }
    with (folder / "setup.cfg").open("w", encoding="utf-8") as file:
        settings.write(file)
    return folder


def run(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """What a command of mutmut writes.

    Raises:
        RuntimeError: it failed.
    """
    command = [str(MUTMUT), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"mutmut {arguments[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
