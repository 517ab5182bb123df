"""The idioms of Flask in Quart. Each view has a twin of the same name in `twins`."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import gmpy2
from markupsafe import escape
from quart import Blueprint, render_template, request

from .app_tasks import get_tasks
from .inputs import changes, new_task, number_of

blueprint = Blueprint("tour", __name__)


@blueprint.get("/hello")
async def hello() -> str:
    return "<h1>hello world</h1>"


@blueprint.get("/1")
async def first() -> str:
    return "Hello_world 1"


@blueprint.get("/2")
async def second() -> str:
    return "Hello_world 2"


@blueprint.get("/<string:name>")
async def profile(name: str) -> str:
    return f"<h1>This is the {escape(name)}'s profile.</h1>"


@blueprint.get("/int/<int:n>")
async def whole_number(n: int) -> str:
    return f"<h1>This is the {n}'s profile.</h1>"


@blueprint.get("/float/<float:x>")
async def decimal_number(x: float) -> str:
    return f"<h1>This is the {x}'s profile.</h1>"


@blueprint.get("/path/<path:p>")
async def path(p: str) -> str:
    return f"<h1>This is the {escape(p)}'s profile.</h1>"


@blueprint.get("/heading")
async def heading() -> str:
    return await render_template("tour/heading.html", heading="Heading from python")


@blueprint.get("/extend")
async def extend() -> str:
    return await render_template("tour/extend.html")


@blueprint.get("/list")
async def names() -> str:
    names = ["Rahul", "Gandhi", "Virat", "Conor"]
    return await render_template("tour/list.html", names=names)


@blueprint.get("/condition")
async def condition() -> str:
    return await render_template("tour/condition.html", number=random.randrange(10))


@blueprint.get("/prime")
async def prime_form() -> str:
    return await render_template("tour/prime.html")


@blueprint.post("/prime")
async def prime() -> str:
    form = await request.form
    number = number_of(form.get("number", ""))
    is_prime = await asyncio.to_thread(gmpy2.is_prime, number)
    return await render_template("tour/prime.html", number=number, is_prime=is_prime)


@blueprint.get("/tasks")
@blueprint.get("/tasks/")
async def all_tasks() -> dict[str, Any]:
    return {"tasks": await get_tasks().all()}


@blueprint.post("/tasks")
@blueprint.post("/tasks/")
async def add_task() -> tuple[dict[str, Any], int]:
    task = new_task(await request.get_data())
    return {"task": await get_tasks().add(**task)}, 201


@blueprint.get("/tasks/<int:id>")
async def one_task(id: int) -> dict[str, Any]:
    return {"task": await get_tasks().get(id)}


@blueprint.put("/tasks/<int:id>")
async def change_task(id: int) -> dict[str, Any]:
    fields = changes(await request.get_data())
    return {"task": await get_tasks().update(id, **fields)}


@blueprint.delete("/tasks/<int:id>")
async def remove_task(id: int) -> dict[str, Any]:
    await get_tasks().remove(id)
    return {"result": True}
