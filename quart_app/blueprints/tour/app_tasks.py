"""Where an app keeps the tasks of its tour."""

from __future__ import annotations

from typing import Final, cast

from quart import current_app

from ...tasks.tasks import Tasks

EXTENSION: Final = "quart_app.tour"


def get_tasks() -> Tasks:
    return cast(Tasks, current_app.extensions[EXTENSION])
