"""Where the program begins: as the supervisor of several workers, which imports nothing large, or
as any other command."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from ..server import concurrency
from ..server.inherited import hold_descriptors, log_without_waiting


def main() -> None:
    """Run the command line."""
    hold_descriptors()
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"] and concurrency.ORDERS not in arguments:
        workers = concurrency.workers_of(arguments, os.environ)
        if workers > 1:
            sys.exit(_supervise(arguments, workers))
    from .main import main as run_command

    run_command()


def _supervise(arguments: Sequence[str], workers: int) -> int:
    from ..server.supervisor import Supervisor

    log_without_waiting()
    if sys.platform != "linux":
        logging.error("Several workers need Linux.")
        return 2
    command = [sys.executable, "-m", "quart_app", *arguments, concurrency.ORDERS]
    return Supervisor(command, concurrency.with_one_thread(os.environ), workers).run()
