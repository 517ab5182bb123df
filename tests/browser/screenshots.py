"""The pictures of the documents, of a server with the bundled models, which are trained first.

`python -m tests.browser.screenshots FOLDER` takes them.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

from ..conftest import serving
from .page import Page, launch

IRIS: Final = "/models/iris/predict?" + urlencode(
    {
        "sepal length (cm)": 6.3,
        "sepal width (cm)": 3.3,
        "petal length (cm)": 6.0,
        "petal width (cm)": 2.5,
    }
)


class Shot(NamedTuple):
    """A page, `width` CSS pixels wide and at most `height` high, at `scale` pixels for each."""

    path: str
    width: int
    height: int
    scheme: str = "light"
    scale: int = 1


SHOTS: Final = {
    "home.png": Shot("/", 960, 720),
    "model.png": Shot(IRIS, 960, 1080),
    "phone.png": Shot(IRIS, 360, 760, scheme="dark", scale=2),
}


def take(page: Page, folder: Path) -> None:
    """Write each picture into the folder."""
    for name, shot in SHOTS.items():
        page.look(shot.width, scheme=shot.scheme)
        page.open(shot.path)
        there = page.run("return document.documentElement.scrollHeight")
        area = {"x": 0, "y": 0, "width": shot.width, "height": min(there, shot.height)}
        taken = page.driver.execute_cdp_cmd(
            "Page.captureScreenshot",
            {"captureBeyondViewport": True, "clip": {**area, "scale": shot.scale}},
        )
        (folder / name).write_bytes(base64.b64decode(taken["data"]))


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1])
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        sys.exit("Screenshots need Chromium and chromedriver.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        work, profile = Path(place, "work"), Path(place, "profile")
        work.mkdir()
        with serving(cwd=work) as server:
            server.wait_until_ready()
            chromium = launch(browser, driver, profile)
            try:
                take(Page(chromium, server.url), folder)
            finally:
                chromium.quit()
    for name in SHOTS:
        print(f"{folder / name}  {(folder / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
