"""Measure, keep the figures as JSON, and write the document that shows them.

python -m bench --peers PYTHON... --markdown docs/performance.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import beside, growth, protocols, report, steps
from .contenders import http_servers, installed
from .load import generator
from .workloads import NAMES

RESULT = Path(__file__).parent / "result.json"
PARTS = ("beside", "protocols", "steps", "growth")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone")
    parser.add_argument("--no-run", action="store_true", help="show what was measured before")
    parser.add_argument(
        "--peers", nargs="*", default=[], metavar="PYTHON", help="interpreters that have peers"
    )
    parser.add_argument("--models", nargs="+", choices=NAMES, default=NAMES, help="beside peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--result", type=Path, default=RESULT, help="the figures, as JSON")
    parser.add_argument("--markdown", type=Path, help="the document to write; else it is printed")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    if options.result.exists():
        result = json.loads(options.result.read_bytes())
    if not options.no_run:
        for part in options.only or PARTS:
            result[part] = _measure(part, options) | {"on": machine()}
            options.result.write_text(json.dumps(result, indent=1) + "\n")
    text = report.document(result)
    if options.markdown is None:
        print(text, end="")
    else:
        options.markdown.write_text(text)


def _measure(part: str, options: argparse.Namespace) -> dict[str, Any]:
    match part:
        case "beside":
            names: dict[str, str] = {}
            for python in reversed(options.peers):
                names |= installed(python)
            rows = beside.measure(options.peers, options.rounds, options.seconds, options.models)
            return {
                "rounds": options.rounds,
                "seconds": options.seconds,
                "peers": names,
                "rows": rows,
            }
        case "protocols":
            rows = protocols.measure(options.rounds, options.seconds)
            return {"rounds": options.rounds, "seconds": options.seconds, "rows": rows}
        case "steps":
            return {"rows": steps.measure()}
        case _:
            return {"rows": growth.measure(options.seconds)}


def machine() -> dict[str, Any]:
    """What the figures were measured on, and with."""
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    packages = ["quart-app", "quart", "hypercorn", "numpy", "scikit-learn", "msgspec", "uvloop"]
    if "uvicorn" in http_servers():
        packages += ["uvicorn", "httptools"]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "generator": generator(),
    }


if __name__ == "__main__":
    main()
