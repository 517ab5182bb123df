"""One of several workers, as a process: `python -m tests.worker PLACE SETTINGS`, both as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quart_app import create_app
from quart_app.cli.main import _log_to_stderr, _serve
from quart_app.observe.standard_streams import queued
from quart_app.server.place import Place


def main(place: str, settings: str) -> int:
    given = json.loads(place)
    found = Place(given["slot"], given["workers"], Path(given["folder"]), given["generation"])
    with queued(found.folder) as stdout:
        _log_to_stderr()
        return _serve(create_app(place=found, **json.loads(settings)), stdout)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
