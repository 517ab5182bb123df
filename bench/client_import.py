"""How long `import quart_app.client` takes beside `import httpx`: medians of five, in turn.

python bench/client_import.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 5


def seconds(module: str) -> float:
    """From the start of an interpreter to its end, with this import in it."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Print the medians and their ratio, less what an interpreter takes by itself."""
    taken: dict[str, list[float]] = {"sys": [], "httpx": [], "quart_app.client": []}
    for _ in range(RUNS + 1):  # the first round, which fills caches, does not count
        for module, times in taken.items():
            times.append(seconds(module))
    bare, httpx, client = (statistics.median(times[1:]) for times in taken.values())
    print(f"httpx {httpx - bare:.3f} s, quart_app.client {client - bare:.3f} s", end="; ")
    print(f"ratio {(client - bare) / (httpx - bare):.2f}")


if __name__ == "__main__":
    main()
