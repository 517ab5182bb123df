"""Who may ask what: keys, rates, pages of other sites; refusals in the shapes of the protocols."""

from __future__ import annotations

import base64
import hashlib
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app
from quart_app.asgi import state_of
from quart_app.config import Config
from quart_app.marks import changes, marks_of, predicts
from quart_app.middleware.access import Access, AccessLayer, Guard

from ...conftest import MakeApp, Server, started

SECRET = "a random key"
KEYS = f"ann:{hashlib.sha256(SECRET.encode()).hexdigest()}"
WITH_KEY = {"X-API-Key": SECRET}
EXAM = {"X1": 61.1, "X2": 17.3}
QUERY = "X1=61.1&X2=17.3"
IRIS = "slen=6.3&swid=3.3&plen=6.0&pwid=2.5"
IRIS_ROW = {
    "sepal length (cm)": 6.3,
    "sepal width (cm)": 3.3,
    "petal length (cm)": 6.0,
    "petal width (cm)": 2.5,
}

# What each of these routes is, whatever its method: (path with query, method, body).
ROUTES: dict[str, tuple[str, str, Any]] = {
    "native query": (f"/models/exam/predict?{QUERY}", "GET", None),
    "native query, head": (f"/models/exam/predict?{QUERY}", "HEAD", None),
    "native JSON": ("/models/exam/predict", "POST", EXAM),
    "native version": (f"/models/exam/versions/1/predict?{QUERY}", "GET", None),
    "V2": ("/v2/models/exam/infer", "POST", {}),
    "V2 version": ("/v2/models/exam/versions/1/infer", "POST", {}),
    "V1": ("/v1/models/exam:predict", "POST", {"instances": [EXAM]}),
    "V1 version": ("/v1/models/exam/versions/1:predict", "POST", {"instances": [EXAM]}),
    "invocations": ("/invocations", "POST", {"dataframe_records": [EXAM]}),
    "classic query": (f"/predict?{QUERY}", "GET", None),
    "classic JSON": ("/predict", "POST", EXAM),
    "classic bare": ("/predict_api", "POST", {}),
    "classic page": (f"/classify?{IRIS}", "GET", None),
    "classic form": ("/ml-model", "POST", {}),
    "root query": (f"/?{QUERY}", "GET", None),
    "root JSON": ("/", "POST", EXAM),
    "file": ("/models/exam/file", "POST", None),
    "job": ("/models/exam/files/x", "GET", None),
    "result": ("/models/exam/files/x/download", "GET", None),
    "more slashes": (f"//models/exam/predict?{QUERY}", "GET", None),
}
CHANGING: dict[str, tuple[str, str, Any]] = {
    "load": ("/v2/repository/models/exam/load", "POST", {}),
    "unload": ("/v2/repository/models/exam/unload", "POST", {}),
    "more slashes to load": ("//v2/repository/models/exam/load", "POST", {}),
}
# What anybody may do by default, and what needs a key where predictions do.
TASKS: dict[str, tuple[str, str, Any]] = {
    "tasks": ("/tour/tasks", "GET", None),
    "tasks with a slash": ("/tour/tasks/", "GET", None),
    "task": ("/tour/tasks/1", "GET", None),
    "new task": ("/tour/tasks", "POST", {"title": "Read a book"}),
    "new task with a slash": ("/tour/tasks/", "POST", {"title": "Read a book"}),
    "changed task": ("/tour/tasks/1", "PUT", {"done": True}),
    "removed task": ("/tour/tasks/2", "DELETE", None),
    "more slashes to a task": ("//tour/tasks/3", "DELETE", None),
}
# What needs a key where predictions do, as it is told of them.
TELLING: dict[str, tuple[str, str, Any]] = {
    "feedback": ("/models/exam/feedback", "POST", {"id": "a", "truth": 1}),
}
# What needs a key whatever the settings say.
RECORDS: dict[str, tuple[str, str, Any]] = {
    "records": ("/models/exam/predictions", "GET", None),
    "a record": ("/models/exam/predictions/x", "GET", None),
    "more slashes to records": ("//models/exam/predictions", "GET", None),
    "the head of records": ("/models/exam/predictions", "HEAD", None),
}
OPEN: dict[str, tuple[str, str, Any]] = {
    "home": ("/", "GET", None),
    "model": ("/models/exam", "GET", None),
    "form of a file": ("/models/exam/file", "GET", None),
    "form of the classic page": ("/ml-model", "GET", None),
    "live": ("/health/live", "GET", None),
    "V2 metadata": ("/v2/models/exam", "GET", None),
    "V2 index": ("/v2/repository/index", "POST", {}),
    "docs": ("/docs", "GET", None),
    "style": ("/static/css/style.css", "GET", None),
    "what is allowed": ("/models/exam/predict", "OPTIONS", None),
    "nothing": ("/v2/models/exam/infers", "POST", {}),
}


async def asked(client: Client, route: tuple[str, str, Any], **headers: str) -> Any:
    path, method, content = route
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.open(path, method=method, json=content, headers=given)


# Keys ----------------------------------------------------------------------------


@pytest.mark.parametrize("keys_for", ["changes", "predictions", "none"])
async def test_what_needs_a_key_is_what_the_setting_says(
    keys_for: str, bundled_root: Path, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/tasks.sqlite3"
    settings: dict[str, Any] = {"RECIPES": "", "DATABASE_URL": database}
    app = create_app(MODEL_STORE=bundled_root, API_KEYS=KEYS, KEYS_FOR=keys_for, **settings)
    every = {**CHANGING, **ROUTES, **TASKS, **TELLING}
    closed = {"changes": CHANGING, "predictions": every, "none": {}}[keys_for] | RECORDS
    async with started(app) as running:
        client = running.test_client()
        for routes in (ROUTES, CHANGING, TASKS, TELLING, RECORDS, OPEN):
            for name, route in routes.items():
                answer = await asked(client, route)
                if closed.get(name) == route:
                    assert answer.status_code == 401, name
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    assert (await asked(client, route, x_api_key="wrong")).status_code == 401
                    right = await asked(client, route, authorization=f"Bearer {SECRET}")
                    assert right.status_code not in {401, 403}, name
                else:
                    assert answer.status_code not in {401, 403}, name


def marked(app: Quart) -> dict[str, set[str]]:
    """The endpoints that have each mark."""
    found: dict[str, set[str]] = {
        "predicts": set(),
        "keeps": set(),
        "changes": set(),
        "guarded": set(),
        "records": set(),
        "page": set(),
    }
    for endpoint, view in app.view_functions.items():
        for name, endpoints in found.items():
            if getattr(marks_of(view), name):
                endpoints.add(endpoint)
    return found


def test_every_view_that_predicts_keeps_or_changes_something_says_so(tmp_path: Path) -> None:
    files = {"files.download", "files.job", "files.stop", "files.upload"}
    older = {"classic.classify", "classic.ml_model", "classic.predict", "classic.predict_api"}
    tasks = {"all_tasks", "add_task", "one_task", "change_task", "remove_task"}
    life = {f"life.{name}" for name in ("promote", "rollback", "canary", "shadow", "stop")}
    spoken = {"v2.predict", "invocations.predict", "predict.by_body", "mcp.message"}
    spoken |= {"v1.predict", "v1_explain.predict"}
    assert marked(create_app(MODEL_STORE=tmp_path)) == {
        "predicts": files | older | spoken | {"predict.by_query", "pages.ask", "pages.home"},
        "keeps": files | {"records.tell"},
        "changes": {"v2.load", "v2.unload"} | life,
        "guarded": {f"tour.{name}" for name in tasks} | {"records.tell"},
        "records": {"records.export", "records.show"},
        "page": {"classic.ml_model", "pages.home"},
    }


def test_every_view_that_takes_values_of_a_model_is_marked(tmp_path: Path) -> None:
    app = create_app(MODEL_STORE=tmp_path)
    posting = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    left = posting.difference(*marked(app).values())
    assert left == {"v2.index", "tour.prime"}


async def test_without_keys_what_needs_one_is_refused(make_app: MakeApp) -> None:
    async with make_app(KEYS_FOR="predictions") as app:
        client = app.test_client()
        closed = ROUTES | CHANGING | TASKS | TELLING | RECORDS
        for route in closed.values():
            answer = await asked(client, route, **{"x_api_key": SECRET})
            assert answer.status_code == 403
            assert "WWW-Authenticate" not in answer.headers


async def test_with_the_older_routes_elsewhere_the_same_need_a_key(make_app: MakeApp) -> None:
    async with make_app(KEYS_FOR="predictions", API_KEYS=KEYS, CLASSIC_PREFIX="/old") as app:
        client = app.test_client()
        assert (await client.get(f"/old/predict?{QUERY}")).status_code == 401
        assert (await client.get(f"/old/predict?{QUERY}", headers=WITH_KEY)).status_code == 200
    async with make_app(KEYS_FOR="predictions", API_KEYS=KEYS, CLASSIC=False) as app:
        assert (await app.test_client().get("/?from=mail")).status_code == 200


SHAPES = {
    "/models/exam/predict": {"error"},
    "/v2/models/exam/infer": {"error"},
    "/v1/models/exam:predict": {"error"},
    "/invocations": {"error_code", "message"},
}


@pytest.mark.parametrize(("path", "members"), SHAPES.items())
async def test_a_refusal_has_the_shape_of_its_protocol(
    path: str, members: set[str], make_app: MakeApp
) -> None:
    async with make_app(KEYS_FOR="predictions", API_KEYS=KEYS) as app:
        answer = await app.test_client().post(path, json={})
        assert answer.status_code == 401
        assert (await answer.get_json()).keys() == members
        assert SECRET not in await answer.get_data(as_text=True)


async def test_a_browser_reads_a_refusal_as_a_page(make_app: MakeApp) -> None:
    async with make_app(KEYS_FOR="predictions", API_KEYS=KEYS) as app:
        answer = await app.test_client().get(
            f"/models/exam/predict?{QUERY}", headers={"Accept": "text/html"}
        )
        assert answer.status_code == 401
        assert "<h1" in await answer.get_data(as_text=True)


async def test_the_document_says_what_needs_a_key(make_app: MakeApp) -> None:
    async with make_app(KEYS_FOR="predictions", API_KEYS=KEYS, RATE_LIMIT="99/second") as app:
        document = await (await app.test_client().get("/openapi.json")).get_json()
    secured = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security")
    }
    assert {
        ("get", "/models/exam/predict"),
        ("post", "/models/exam/versions/{version}/predict"),
        ("post", "/v2/models/exam/infer"),
        ("post", "/v1/models/exam:predict"),
        ("post", "/invocations"),
        ("post", "/predict"),
        ("post", "/"),
        ("post", "/v2/repository/models/{name}/load"),
    } <= secured
    assert ("get", "/") not in secured
    for method, path in secured:
        assert document["paths"][path][method]["responses"].keys() >= {"401", "403", "429"}


# Keys for some models ------------------------------------------------------------

ONE = f"{KEYS}:exam"
OF_OTHERS: dict[str, tuple[str, str, Any]] = {
    "query": ("/models/iris/predict?a=1", "GET", None),
    "page of a version": ("/models/iris/versions/1/predict", "GET", None),
    "JSON": ("/models/iris/predict", "POST", EXAM),
    "V2": ("/v2/models/iris/infer", "POST", {}),
    "V1": ("/v1/models/iris:predict", "POST", {}),
    "invocations, by columns": ("/invocations", "POST", {"dataframe_records": [IRIS_ROW]}),
    "invocations, by name": ("/invocations?model=iris", "POST", {"dataframe_records": [EXAM]}),
    "by columns": ("/predict", "POST", IRIS_ROW),
    "by name": (f"/predict?model=iris&{QUERY}", "GET", None),
    "root": ("/", "POST", IRIS_ROW),
    "classic page": (f"/classify?{IRIS}", "GET", None),
    "classic page of a form": (f"/ml-model?{QUERY}", "GET", None),
    "bare": ("/predict_api", "POST", {}),
    "file": ("/models/iris/file", "POST", None),
    "result": ("/models/iris/files/x/download", "GET", None),
    "load": ("/v2/repository/models/iris/load", "POST", {}),
    "unload, with more slashes": ("//v2/repository/models/%69ris/unload", "POST", {}),
    "no model": ("/tour/tasks", "GET", None),
}


async def test_a_key_for_some_models_is_good_for_these_alone(make_app: MakeApp) -> None:
    async with make_app(KEYS_FOR="predictions", API_KEYS=ONE) as app:
        client = app.test_client()
        for name, route in OF_OTHERS.items():
            answer = await asked(client, route, **WITH_KEY)
            assert answer.status_code == 403, name
            assert "key is" in await answer.get_data(as_text=True), name
            assert "WWW-Authenticate" not in answer.headers
            assert (await asked(client, route)).status_code == 401, name
        for name, route in (ROUTES | CHANGING).items():
            if not name.startswith(("classic bare", "classic page", "classic form")):
                answer = await asked(client, route, **WITH_KEY)
                assert answer.status_code not in {401, 403}, name


async def test_what_needs_no_key_is_answered_with_one_for_other_models(make_app: MakeApp) -> None:
    async with make_app(API_KEYS=ONE, RATE_LIMIT="99/second") as app:
        client = app.test_client()
        for name in ("JSON", "by columns", "V1"):
            answer = await asked(client, OF_OTHERS[name], **WITH_KEY)
            assert answer.status_code in {200, 400}, name
        assert (await asked(client, OF_OTHERS["load"], **WITH_KEY)).status_code == 403
        assert (await asked(client, CHANGING["load"], **WITH_KEY)).status_code == 200


# HTTP Basic ----------------------------------------------------------------------


def by_basic(name: str = "ann", key: str = SECRET) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{key}'.encode()).decode()}"}


HOST, OURS, OTHER = "models.example", "https://models.example", "https://evil.example"
PAGE = {"Accept": "text/html,*/*;q=0.8"}
NAVIGATED = {**PAGE, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SAME = {"Sec-Fetch-Site": "same-origin"}
CROSS = {"Sec-Fetch-Site": "cross-site"}
PREDICTING = ("GET", f"/models/exam/predict?{QUERY}")
POSTING = ("POST", "/models/exam/predict")
LOADING = ("POST", "/v2/repository/models/exam/load")

# What a browser that sends a right key by Basic is answered: (request, headers, status).
BY_BASIC: dict[str, tuple[tuple[str, str], dict[str, str], int]] = {
    "our form": (POSTING, {**NAVIGATED, **SAME, "Origin": OURS}, 200),
    "our form, by an older browser": (POSTING, {**PAGE, "Origin": OURS}, 200),
    "our script": (POSTING, {**SAME, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 200),
    "our script that reads": (PREDICTING, {**SAME, "Sec-Fetch-Mode": "cors"}, 200),
    "our page that changes something": (LOADING, {**NAVIGATED, **SAME, "Origin": OURS}, 200),
    "an address that was typed": (PREDICTING, {**NAVIGATED, "Sec-Fetch-Site": "none"}, 200),
    "a link of another site": (PREDICTING, {**NAVIGATED, **CROSS}, 200),
    "a link, by an older browser": (PREDICTING, PAGE, 200),
    "a form of another site": (POSTING, {**NAVIGATED, **CROSS, "Origin": OTHER}, 403),
    "a form of another site, by an older browser": (POSTING, {**PAGE, "Origin": OTHER}, 403),
    "a form of a page without an origin": (POSTING, {**PAGE, "Origin": "null"}, 403),
    "a form of another site that changes something": (LOADING, {**NAVIGATED, **CROSS}, 403),
    "a form of a sibling": (POSTING, {**NAVIGATED, "Sec-Fetch-Site": "same-site"}, 403),
    "a picture of another site": (
        PREDICTING,
        {**CROSS, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        403,
    ),
    "a frame of another site": (
        PREDICTING,
        {**NAVIGATED, **CROSS, "Sec-Fetch-Dest": "iframe"},
        403,
    ),
    "a script of another site": (
        PREDICTING,
        {**PAGE, **CROSS, "Sec-Fetch-Mode": "cors", "Origin": OTHER},
        403,
    ),
    "a script of another site, by an older browser": (PREDICTING, {**PAGE, "Origin": OTHER}, 403),
    "a script of an allowed site": (
        POSTING,
        {**CROSS, "Sec-Fetch-Mode": "cors", "Origin": "https://app.example"},
        403,
    ),
    "a program": (POSTING, {}, 401),
    "a program that reads": (PREDICTING, {}, 401),
    "a picture, by an older browser": (PREDICTING, {"Accept": "image/*"}, 401),
}


@pytest.mark.parametrize("case", BY_BASIC)
async def test_a_key_by_basic_counts_for_our_own_pages_and_links(
    case: str, make_app: MakeApp
) -> None:
    (method, path), headers, status = BY_BASIC[case]
    settings = {"KEYS_FOR": "predictions", "CORS_ORIGINS": "https://app.example"}
    async with make_app(API_KEYS=KEYS, **settings) as app:
        client = app.test_client()
        sent = {POSTING: EXAM, LOADING: {}}.get((method, path))
        given = {"Host": HOST, **headers}
        ask = partial(client.open, path, method=method, json=sent)
        answer = await ask(headers={**given, **by_basic()})
        assert answer.status_code == status
        assert "Access-Control-Allow-Credentials" not in answer.headers
        if status != 200:
            # Whoever sent it learns nothing of the key.
            wrong = await ask(headers={**given, **by_basic(key="a guess")})
            assert (wrong.status_code, await wrong.get_data()) == (status, await answer.get_data())
            assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
        # A key in a header is none that a browser sends of itself.
        with_header = {**given, **by_basic("proxy", "of the proxy"), **WITH_KEY}
        foreign_change = status == 403 and path == LOADING[1]
        answer = await ask(headers=with_header)
        assert answer.status_code == (403 if foreign_change else 200)


# Where a browser is told to ask for a key: (request, headers, whether it is).
CHALLENGED: dict[str, tuple[tuple[str, str], dict[str, str], bool]] = {
    "a form": (POSTING, {**NAVIGATED, **SAME, "Origin": OURS}, True),
    "a link": (PREDICTING, {**NAVIGATED, **CROSS}, True),
    "an older browser": (POSTING, {**PAGE, "Origin": OURS}, True),
    "a wrong key": (POSTING, {**NAVIGATED, **SAME, **by_basic("bob")}, True),
    "a script": (POSTING, {**PAGE, **SAME, "Sec-Fetch-Mode": "cors"}, False),
    "a picture": (PREDICTING, {"Accept": "image/*", **SAME, "Sec-Fetch-Mode": "no-cors"}, False),
    "a frame": (PREDICTING, {**NAVIGATED, **SAME, "Sec-Fetch-Dest": "iframe"}, False),
    "a form of another site": (POSTING, {**NAVIGATED, **CROSS}, False),
    "a program": (POSTING, {"Accept": "*/*"}, False),
    "a program that likes no pages": (POSTING, {"Accept": "text/html;q=0"}, False),
}


async def test_a_browser_is_told_to_ask_for_a_key_where_it_navigates(make_app: MakeApp) -> None:
    async with make_app(KEYS_FOR="predictions", API_KEYS=KEYS) as app:
        client = app.test_client()
        for name, ((method, path), headers, is_told) in CHALLENGED.items():
            answer = await client.open(
                path, method=method, headers={"Host": HOST, **headers}, json=None
            )
            assert answer.status_code == 401, name
            told = answer.headers["WWW-Authenticate"]
            assert told.startswith('Basic realm="API key"' if is_told else "Bearer"), name


async def test_a_page_says_who_is_signed_in_and_how_that_ends(make_app: MakeApp) -> None:
    async with make_app(KEYS_FOR="predictions", API_KEYS=KEYS) as app:
        client = app.test_client()
        headers = {"Host": HOST, **NAVIGATED, **SAME}
        ask = partial(client.post, "/models/exam/predict", form=EXAM)
        page = await (await ask(headers=headers | by_basic())).get_data(as_text=True)
        assert "Signed in with the API key <strong>ann</strong>. Closing the browser" in page
        page = await (await ask(headers=headers | WITH_KEY)).get_data(as_text=True)
        assert "Signed in" not in page


# Pages of other sites ------------------------------------------------------------

# Settings, headers, whether a POST is refused.
SITES: dict[str, tuple[str, dict[str, str], bool]] = {
    "a program": ("", {}, False),
    "our page": ("", {"Sec-Fetch-Site": "same-origin", "Origin": OURS}, False),
    "a bookmark": ("", {"Sec-Fetch-Site": "none"}, False),
    "another site": ("", {"Sec-Fetch-Site": "cross-site", "Origin": OTHER}, True),
    "another site without Origin": ("", {"Sec-Fetch-Site": "cross-site"}, True),
    "a sibling": ("", {"Sec-Fetch-Site": "same-site", "Origin": "https://a.models.example"}, True),
    "a word of the future": ("", {"Sec-Fetch-Site": "same-party"}, True),
    "two words": ("", {"Sec-Fetch-Site": "same-origin, cross-site"}, True),
    "an older browser, our page": ("", {"Origin": OURS}, False),
    "with the usual port": ("", {"Origin": OURS, "Host": "models.example:443"}, False),
    "in capitals": ("", {"Origin": OURS, "Host": "Models.Example"}, False),
    "another port": ("", {"Origin": f"{OURS}:8443"}, True),
    "an older browser, another site": ("", {"Origin": OTHER}, True),
    "a page without an origin": ("", {"Origin": "null"}, True),
    "no URL": ("", {"Origin": "https://[models.example"}, True),
    "a proxy's word for our host": (
        "",
        {"Origin": OTHER, "X-Forwarded-Host": "evil.example"},
        True,
    ),
    "an allowed site": (OTHER, {"Sec-Fetch-Site": "cross-site", "Origin": OTHER}, False),
    "another than the allowed": (OURS, {"Sec-Fetch-Site": "cross-site", "Origin": OTHER}, True),
    "the name of an allowed one in its own": (
        OTHER,
        {"Sec-Fetch-Site": "cross-site", "Origin": f"{OTHER}.io"},
        True,
    ),
    "any site": ("*", {"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
}


@pytest.mark.parametrize(("origins", "headers", "is_refused"), SITES.values(), ids=SITES)
async def test_only_our_pages_and_allowed_ones_and_programs_may_send(
    origins: str, headers: dict[str, str], is_refused: bool, make_app: MakeApp
) -> None:
    async with make_app(CORS_ORIGINS=origins) as app:
        client = app.test_client()
        given = {"Host": "models.example", **headers}
        for method, path in (
            ("POST", "/models/exam/file"),
            ("POST", "/tour/tasks"),
            ("DELETE", "/tour/tasks/999999"),
            ("PUT", "/tour/tasks/999999"),
            ("PATCH", "/tour/tasks/999999"),
        ):
            answer = await client.open(path, method=method, json=EXAM, headers=given)
            assert (answer.status_code == 403) == is_refused, method
            if is_refused:
                assert "page of another site" in (await answer.get_json())["error"]
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            path = f"/models/exam/predict?{QUERY}"
            sent = EXAM if method == "POST" else None
            answer = await client.open(path, method=method, json=sent, headers=given)
            assert answer.status_code == 200


async def test_an_allowed_page_may_send_a_key_and_reads_what_refuses_it(make_app: MakeApp) -> None:
    async with make_app(CORS_ORIGINS=OTHER, KEYS_FOR="predictions", API_KEYS=KEYS) as app:
        client = app.test_client()
        before = await client.options(
            "/models/exam/predict",
            headers={"Origin": OTHER, "Access-Control-Request-Method": "POST"},
        )
        allowed = before.headers["Access-Control-Allow-Headers"].lower()
        assert {"x-api-key", "authorization"} <= set(allowed.replace(" ", "").split(","))
        refused = await client.post("/models/exam/predict", json=EXAM, headers={"Origin": OTHER})
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == OTHER


# Rates ---------------------------------------------------------------------------


async def test_more_than_the_rate_is_refused_until_the_window_ends(make_app: MakeApp) -> None:
    async with make_app(RATE_LIMIT="3/day") as app:
        client = app.test_client()
        got = [(await client.post("/models/exam/predict", json=EXAM)) for _ in range(5)]
        assert [answer.status_code for answer in got] == [200, 200, 200, 429, 429]
        assert 0 < int(got[-1].headers["Retry-After"]) <= 86_400
        assert (await got[-1].get_json()).keys() == {"error"}
        page = await client.get("/models/exam", headers={"Accept": "text/html"})
        assert page.status_code == 429
        assert "<h1" in await page.get_data(as_text=True)
        for path in ("/health/live", "/health/ready", "/v2/health/live", "/static/icon.svg"):
            assert (await client.get(path)).status_code == 200


async def test_each_key_and_each_address_has_a_rate_of_its_own(make_app: MakeApp) -> None:

    async def statuses(headers: dict[str, str]) -> list[int]:
        return [(await client.get("/models", headers=headers)).status_code for _ in range(3)]

    once = [200, 429, 429]
    other = hashlib.sha256(b"other").hexdigest()
    async with make_app(RATE_LIMIT="1/day", API_KEYS=f"{KEYS},bob:{other}", PROXIES=1) as app:
        client = app.test_client()
        assert await statuses({}) == once
        assert await statuses(WITH_KEY) == once
        assert await statuses({"Authorization": "Bearer other"}) == once
        assert await statuses({"X-Forwarded-For": "192.0.2.1"}) == once
        assert await statuses({"X-Forwarded-For": "192.0.2.2"}) == once
        assert await statuses({"X-Forwarded-For": "2001:db8::1"}) == once
        # Another key of nobody's, another claim, another name, another address of the network.
        for again in (
            {"X-Forwarded-For": "192.0.2.1", "X-API-Key": "a guess"},
            {"X-Forwarded-For": "198.51.100.7, 192.0.2.1"},
            {"X-Forwarded-For": "192.0.2.1:4711"},
            {"X-Forwarded-For": "::ffff:192.0.2.1"},
            {"X-Forwarded-For": "[2001:db8::2]:443"},
            {"X-Forwarded-For": "nobody"},
        ):
            assert await statuses(again) == [429, 429, 429]


async def test_without_proxies_an_address_cannot_be_claimed(make_app: MakeApp) -> None:
    async with make_app(RATE_LIMIT="1/day") as app:
        client = app.test_client()
        for number, status in enumerate((200, 429, 429)):
            claimed = {"X-Forwarded-For": f"192.0.2.{number}"}
            assert (await client.get("/models", headers=claimed)).status_code == status


async def test_guesses_of_a_key_are_counted(make_app: MakeApp) -> None:
    async with make_app(RATE_LIMIT="2/day", API_KEYS=KEYS) as app:
        client = app.test_client()
        path = "/v2/repository/models/nothing/load"
        got = [await client.post(path, headers={"X-API-Key": str(n)}) for n in range(3)]
        assert [answer.status_code for answer in got] == [401, 401, 429]
        assert (await client.post(path, headers=WITH_KEY)).status_code == 404


# Beside Quart --------------------------------------------------------------------


async def test_a_refusal_is_known_to_any_layer_below_and_the_key_to_any_above() -> None:
    seen: list[tuple[object, object]] = []

    async def below(scope: Any, receive: Any, send: Any) -> None:
        state = state_of(scope)
        seen.append((type(state.refusal).__name__, state.key))

    async def never(*_: Any) -> Any:
        raise AssertionError("The body was read.")

    app = Quart(__name__)
    app.post("/p/<name>")(predicts(view))
    config = Config.read({}, API_KEYS=KEYS, KEYS_FOR="predictions")
    layer = AccessLayer(below, Access(config, app))
    for key in (b"", b"wrong", SECRET.encode()):
        headers = [(b"x-api-key", key)] if key else []
        await layer(scope_of("POST", "/p/x", headers), never, never)
    assert seen == [("Unauthorized", None), ("Unauthorized", None), ("NoneType", "ann")]


async def view(name: str = "") -> str:
    """A view of a test."""
    return name


def scope_of(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> Any:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }


def test_a_guard_without_anything_to_guard_asks_for_no_key() -> None:
    app = Quart(__name__)
    app.post("/load", endpoint="load")(changes(partial(view)))
    app.post("/infer", endpoint="infer")(predicts(partial(view)))
    for keys_for, expected in (("none", []), ("changes", ["/load"])):
        guard = Guard(Config.read({}, KEYS_FOR=keys_for), app)
        found = [path for path in ("/load", "/infer", "/x") if guard.needs_key("POST", path)]
        assert found == expected


@pytest.mark.process
def test_no_other_spelling_of_an_address_goes_round_a_key(
    serve: Any, bundled: ModelStore, tmp_path: Path
) -> None:
    settings = {
        "QUART_APP_MODEL_STORE": bundled.root,
        "QUART_APP_RECIPES": "",
        "QUART_APP_KEYS_FOR": "predictions",
        "QUART_APP_API_KEYS": KEYS,
    }
    with serve(cwd=tmp_path, **settings) as server:
        server.wait_until_ready()
        path = f"/models/exam/predict?{QUERY}"
        for target in (
            path,
            f"http://127.0.0.1{path}",
            f"http://127.0.0.1/{path}",
            f"//{path}",
            f"///127.0.0.1{path}",
            path.replace("exam", "%65xam"),
            path.replace("/predict", "%2Fpredict"),
            path.replace("predict", "PREDICT"),
            path.replace("/exam", "/./exam"),
            path.replace("?", "/?"),
            path.replace("?", "#?"),
            path.replace("?", ";x?"),
            f"x:{path[1:]}",
        ):
            status = status_of(server, target)
            assert status in {400, 401, 404}, target
        assert status_of(server, path) == 401
        assert status_of(server, f"http://127.0.0.1{path}") == 401
        assert status_of(server, path, SECRET) == 200


def status_of(server: Server, target: str, key: str = "") -> int:
    """What a GET of this target, as it stands, is answered with."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        sent = f"X-API-Key: {key}\r\n" if key else ""
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: x\r\n{sent}Connection: close\r\n\r\n".encode()
        )
        return int(connection.makefile("rb").readline().split()[1])
