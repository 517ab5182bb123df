"""The views of the tour as they are written in Flask. Each has a twin of the same name in `views`.

They serve nothing: their source is shown beside that of the views, and a test runs both and
compares the answers. The tasks are in a list here, as such an app keeps them.
"""

from __future__ import annotations

import itertools
import json
import random
from typing import Any, Final

import gmpy2
from flask import Blueprint, Flask, Response, abort, current_app, render_template, request
from jinja2 import BaseLoader
from markupsafe import escape
from werkzeug.exceptions import HTTPException

from ...errors import DESCRIPTIONS
from ...inference import InvalidRequest
from ...tasks.task import InvalidTask
from ...tasks.tasks import FIRST_TASKS
from .inputs import changes, new_task, number_of

blueprint = Blueprint("tour", __name__)

TASKS: Final = "tasks"
IDS: Final = "ids"


def create_twin(templates: BaseLoader) -> Flask:
    """A Flask app with these views, which is set up as ours is: slashes, the order of keys,
    the lines of templates, and errors in JSON."""
    app = Flask(__name__)
    app.jinja_loader = templates
    app.url_map.merge_slashes = False
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[TASKS] = [
        {"id": id, "title": title, "description": description, "done": False}
        for id, (title, description) in enumerate(FIRST_TASKS, 1)
    ]
    app.extensions[IDS] = itertools.count(len(FIRST_TASKS) + 1)
    app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(InvalidRequest, _invalid)
    app.register_error_handler(InvalidTask, _invalid)
    return app


def _http_error(error: HTTPException) -> Response:
    usual = error.description == type(error).description
    described = DESCRIPTIONS.get(error.code or 500) if usual else None
    response = _error(described or error.description or error.name, error.code or 500)
    for name, value in error.get_headers():
        if name not in {"Content-Type", "Content-Length"}:
            response.headers[name] = value
    return response


def _invalid(error: Exception) -> Response:
    return _error(str(error), 400)


def _error(message: str, status: int) -> Response:
    body = json.dumps({"error": message}, ensure_ascii=False, separators=(",", ":"))
    return Response(body, status, content_type="application/json")


def get_tasks() -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = current_app.extensions[TASKS]
    return tasks


def next_id() -> int:
    return next(current_app.extensions[IDS])  # type: ignore[no-any-return]


@blueprint.get("/hello")
def hello() -> str:
    return "<h1>hello world</h1>"


@blueprint.get("/1")
def first() -> str:
    return "Hello_world 1"


@blueprint.get("/2")
def second() -> str:
    return "Hello_world 2"


@blueprint.get("/<string:name>")
def profile(name: str) -> str:
    return f"<h1>This is the {escape(name)}'s profile.</h1>"


@blueprint.get("/int/<int:n>")
def whole_number(n: int) -> str:
    return f"<h1>This is the {n}'s profile.</h1>"


@blueprint.get("/float/<float:x>")
def decimal_number(x: float) -> str:
    return f"<h1>This is the {x}'s profile.</h1>"


@blueprint.get("/path/<path:p>")
def path(p: str) -> str:
    return f"<h1>This is the {escape(p)}'s profile.</h1>"


@blueprint.get("/heading")
def heading() -> str:
    return render_template("tour/heading.html", heading="Heading from python")


@blueprint.get("/extend")
def extend() -> str:
    return render_template("tour/extend.html")


@blueprint.get("/list")
def names() -> str:
    names = ["Rahul", "Gandhi", "Virat", "Conor"]
    return render_template("tour/list.html", names=names)


@blueprint.get("/condition")
def condition() -> str:
    return render_template("tour/condition.html", number=random.randrange(10))


@blueprint.get("/prime")
def prime_form() -> str:
    return render_template("tour/prime.html")


@blueprint.post("/prime")
def prime() -> str:
    number = number_of(request.form.get("number", ""))
    is_prime = gmpy2.is_prime(number)
    return render_template("tour/prime.html", number=number, is_prime=is_prime)


@blueprint.get("/tasks")
@blueprint.get("/tasks/")
def all_tasks() -> dict[str, Any]:
    return {"tasks": get_tasks()}


@blueprint.post("/tasks")
@blueprint.post("/tasks/")
def add_task() -> tuple[dict[str, Any], int]:
    fields = new_task(request.get_data())
    task = {"id": next_id(), "title": "", "description": "", "done": False}
    task.update(fields)
    get_tasks().append(task)
    return {"task": task}, 201


@blueprint.get("/tasks/<int:id>")
def one_task(id: int) -> dict[str, Any]:
    return {"task": find(id)}


@blueprint.put("/tasks/<int:id>")
def change_task(id: int) -> dict[str, Any]:
    fields = changes(request.get_data())
    task = find(id)
    task.update(fields)
    return {"task": task}


@blueprint.delete("/tasks/<int:id>")
def remove_task(id: int) -> dict[str, Any]:
    get_tasks().remove(find(id))
    return {"result": True}


def find(id: int) -> dict[str, Any]:
    for task in get_tasks():
        if task["id"] == id:
            return task
    abort(404, "There is no such task.")
