"""The pages of the older Flask apps in a browser, as whoever followed their documents used them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.conftest import Server, serving

from .page import Page

pytestmark = pytest.mark.browser

VIRGINICA = {"slen": "6.3", "swid": "3.3", "plen": "6.0", "pwid": "2.5"}
PATIENT = {
    **{"age": "59", "sex": "2", "bmi": "32.1", "bp": "101", "s1": "157"},
    **{"s2": "93.2", "s3": "38", "s4": "4", "s5": "4.8598", "s6": "87"},
}


@pytest.fixture(params=["page", "scriptless"])
def either(request: pytest.FixtureRequest) -> Page:
    """A browser with and one without JavaScript."""
    found: Page = request.getfixturevalue(request.param)
    return found


def test_the_iris_is_classified_and_retry_leads_back_to_the_form(either: Page) -> None:
    either.open("/home")
    either.enter(**VIRGINICA)
    either.submit()
    assert either.driver.current_url == f"{either.url}/classify?{urlencode(VIRGINICA)}"
    assert either.text("#variety") == "Virginica"
    assert either.driver.title == "Virginica: Iris"
    assert either.text("form button") == "Retry"
    either.submit()
    assert either.driver.current_url.rstrip("?") == f"{either.url}/home"
    assert either.sent() == dict.fromkeys(VIRGINICA, "")


def test_each_fault_stands_beside_its_field_and_what_was_entered_is_kept(either: Page) -> None:
    wrong = {"slen": "<script>window.ran=1</script>", "swid": "3.3", "plen": "", "pwid": "größe"}
    either.open(f"/classify?{urlencode(wrong)}")
    assert either.sent() == wrong
    assert len(either.all(".errors li")) == 3
    assert either.run("return window.ran") is None
    for name in ("slen", "plen", "pwid"):
        field = either.one(f"#{name}")
        assert field.get_dom_attribute("aria-invalid") == "true"
        error, _ = (field.get_dom_attribute("aria-describedby") or "").split()
        assert either.text(f"#{error}").startswith("Expected a number, got ")
    either.enter(**VIRGINICA)
    either.submit()
    assert either.text("#variety") == "Virginica"


def test_the_iris_by_its_features_is_told_on_the_page_of_the_form(page: Page) -> None:
    page.open("/random")
    page.fill("5.1", "3.5", "1.4", "0.2")
    page.submit()
    assert page.driver.current_url == f"{page.url}/predict"
    assert page.text("#result") == "Predicted species: Setosa"
    assert page.values() == ["5.1", "3.5", "1.4", "0.2"]


def test_the_home_page_with_a_query_holds_the_sentence_and_its_form_asks_again(
    page: Page,
) -> None:
    page.open(f"/?{urlencode(PATIENT)}")
    told = page.text("#result")
    assert told.startswith("Predicted disease progression: ")
    assert page.sent() == PATIENT
    page.submit()
    assert page.text("#result") == told
    page.enter(bmi="20")
    page.submit()
    assert page.text("#result") != told


def test_the_home_page_leads_to_the_donors_form(page: Page) -> None:
    page.open("/")
    page.follow("Whether a donor gives blood again")
    page.enter(Recency="2", Frequency="50", Monetary="12500", Time="98")
    page.submit()
    assert page.driver.current_url == f"{page.url}/ml-model"
    assert page.text("#result") == "Predicted Donated: donates"


@pytest.fixture
def elsewhere(bundled_root: Path, tmp_path: Path, server: Server) -> Iterator[Server]:
    """A server of another origin, which allows that of `server`."""
    settings = {"QUART_APP_MODEL_STORE": bundled_root, "QUART_APP_CORS_ORIGINS": server.url}
    with serving(cwd=tmp_path, **settings) as running:
        running.wait_until_ready()
        yield running


FETCH = """
const body = JSON.stringify({V1: 2, V2: 50, V3: 12500, V4: 98});
return fetch(arguments[0], {method: "POST", headers: {"Content-Type": "application/json"}, body})
  .then((answer) => answer.text(), () => "refused");
"""


def test_only_an_allowed_origin_reads_an_answer(page: Page, elsewhere: Server) -> None:
    page.obey(policies=False)  # these pages are to stand for those of others
    page.open("/home")
    assert page.run(FETCH, f"{elsewhere.url}/predict_api") == "1"
    page.driver.get(f"{elsewhere.url}/home")
    assert page.run(FETCH, f"{page.url}/predict_api") == "refused"
