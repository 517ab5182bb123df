"""A tab of Chromium, with the few verbs that the tests need.

Selenium is imported only when a browser is started, so that the tests are collected without it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

# Of the WebDriver standard, 17.4.2.
TAB: Final = "\ue004"
ENTER: Final = "\ue007"

PATIENCE: Final = 30.0
"""Seconds after which what a test waits for counts as absent."""

SWITCHES: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",  # in whose order the parts of a date are typed
)
WITHOUT_SCRIPT: Final = {"profile.managed_default_content_settings.javascript": 2}

T = TypeVar("T")


def launch(chromium: str, driver: str, profile: Path, *, script: bool = True) -> WebDriver:
    """A browser with a profile of its own; `script` is whether pages may run theirs."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not script:
        options.add_experimental_option("prefs", WITHOUT_SCRIPT)
    return Chrome(options=options, service=Service(driver))


class Page:
    """What a person does with the browser, and sees of a server's pages."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver = driver
        self.url = url

    # Doing -----------------------------------------------------------------------

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def obey(self, policies: bool = True) -> None:
        """Whether pages opened from now on are held to the policies that they came with."""
        self._command("Page.setBypassCSP", enabled=not policies)

    def look(self, width: int = 1280, *, scheme: str = "light") -> None:
        """Set the width in CSS pixels, and whether the system is light or dark."""
        phone = width < 600
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=phone,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._command("Emulation.setEmulatedMedia", features=features)

    def press(self, *keys: str) -> None:
        """Send keys to whatever has the focus."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def fill(self, *values: str) -> None:
        """Write the values into the fields of the form, from the first on."""
        for field, value in zip(self.all("form input"), values, strict=True):
            field.clear()
            field.send_keys(value)

    def enter(self, **texts: str) -> None:
        """Write or choose these in the controls of those names."""
        for name, text in texts.items():
            self._enter(self.all(f'form [name="{name}"]'), text)

    def submit(self) -> None:
        """Press the form's button, and wait for the page that answers."""
        self._leave_by(self.one("form button"))

    def follow(self, link: str) -> None:
        """Click the link with that text, and wait for the page it leads to."""
        self._leave_by(self.driver.find_element("link text", link))

    # Seeing ----------------------------------------------------------------------

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def values(self) -> list[str | None]:
        """What stands in the fields of the form that asks the model."""
        return [field.get_property("value") for field in self.all("form.ask input")]  # type: ignore[misc]

    def sent(self) -> dict[str, str]:
        """What the form would send as it stands."""
        sent: dict[str, str] = self.run(
            "return Object.fromEntries(new FormData(document.forms[0]).entries())"
        )
        return sent

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script of the test's returns; it runs where the page's own may not."""
        return self.driver.execute_script(script, *arguments)

    def until(self, seen: Callable[[], T]) -> T:
        """Look again until something is seen, and return it; a page may change meanwhile."""
        from selenium.common.exceptions import WebDriverException

        end = time.monotonic() + PATIENCE
        while True:
            try:
                if found := seen():
                    return found
            except WebDriverException:
                if time.monotonic() > end:
                    raise
            assert time.monotonic() < end, f"Not seen on {self.driver.current_url}"
            time.sleep(0.1)

    # Listening -------------------------------------------------------------------

    def forget(self) -> None:
        """Forget what was logged so far."""
        self.console_errors()
        self.requested()

    def console_errors(self) -> list[str]:
        """The errors in the console since it was last asked, but that a page has a status of
        400 and above, which Chromium counts as one."""
        return [
            entry["message"]
            for entry in self._log("browser")
            if entry["level"] == "SEVERE"
            and not entry["message"].startswith(f"{self.driver.current_url} - Failed to load")
        ]

    def requested(self) -> list[str]:
        """Every address that was asked for since it was last asked."""
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def _enter(self, controls: list[WebElement], text: str) -> None:
        if controls[0].tag_name == "select":
            (option,) = controls[0].find_elements("css selector", f'option[value="{text}"]')
            option.click()
        elif controls[0].get_dom_attribute("type") == "radio":
            (button,) = [each for each in controls if each.get_dom_attribute("value") == text]
            button.click()
        else:
            controls[0].clear()
            controls[0].send_keys(text)

    def _leave_by(self, element: WebElement) -> None:
        from selenium.common.exceptions import StaleElementReferenceException

        def left() -> bool:
            try:
                element.is_enabled()
            except StaleElementReferenceException:
                return True
            return False

        element.click()
        self.until(left)

    def _log(self, kind: str) -> list[dict[str, Any]]:
        log: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return log

    def _command(self, name: str, **arguments: Any) -> None:
        self.driver.execute_cdp_cmd(name, arguments)
