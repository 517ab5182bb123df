"""A file of rows in a browser, without JavaScript."""

from __future__ import annotations

from pathlib import Path

import pytest

from .page import ENTER, TAB, Page

pytestmark = pytest.mark.browser

HEADER = "X1,X2\n"


@pytest.fixture
def phone(scriptless: Page) -> Page:
    """A browser on a phone, before the form for a file."""
    scriptless.look(320)
    scriptless.open("/models/exam")
    scriptless.follow("A file of rows")
    return scriptless


def send(page: Page, file: Path, text: str) -> None:
    file.write_text(text)
    page.one("#file").send_keys(str(file))
    page.submit()


def fits(page: Page) -> bool:
    return bool(page.run("return document.documentElement.scrollWidth") == 320)


def test_faults_come_before_the_form_and_lead_to_it_by_keyboard(
    phone: Page, tmp_path: Path
) -> None:
    send(phone, tmp_path / "rows.csv", HEADER + "1,2\nmany,3\n" + "x,y\n" * 20)
    assert phone.focused().get_dom_attribute("class") == "errors"
    assert phone.text(".errors h2") == "There are 41 errors in the file"
    assert phone.text(".errors tbody tr") == '3 X1 a number "many"'
    assert fits(phone)
    phone.press(TAB, ENTER)
    assert phone.driver.current_url.endswith("/file#file")
    described = str(phone.one("#file").get_dom_attribute("aria-describedby")).split()
    assert all(phone.all(f"#{id}") for id in described)


def test_a_file_is_answered_while_its_page_looks_again(phone: Page, tmp_path: Path) -> None:
    send(phone, tmp_path / "<b>rows.csv", HEADER + "61.1,17.3\n" * 100_000 + "late,1\n")
    assert phone.text("h1") == "<b>rows.csv"
    assert fits(phone)
    phone.until(lambda: phone.all("a[download]"))
    assert phone.text("a[download]") == "Download all 100,001 rows"
    assert phone.text("[role=status]") == "100,001 rows answered, 1 of them with an error."
    tables = phone.all("table")
    assert [len(table.find_elements("css selector", "tbody tr")) for table in tables] == [1, 20]
    assert phone.text("td.error") == 'X1: expected a number, got "late"'
    assert fits(phone)
    assert phone.console_errors() == []


def test_a_job_is_stopped_by_its_button(phone: Page, tmp_path: Path) -> None:
    send(phone, tmp_path / "rows.csv", HEADER + "1,2\n" * 10_000_000)
    assert phone.all("progress")
    phone.one(".result button").click()
    phone.until(lambda: phone.text("h2") == "Stopped")
    assert phone.all("progress, a[download], meta[http-equiv=refresh]") == []
