"""The stops of the tour: what each shows, and the sources of its views as Python finds them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from . import views

TWINS: Final = f"{__package__}.twins"
View = Callable[..., Awaitable[Any]]


class Address(msgspec.Struct, frozen=True):
    """A view with the values in its address."""

    view: View
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"{views.blueprint.name}.{self.view.__name__}"


class Command(msgspec.Struct, frozen=True):
    """A request by curl; a browser sends few of these."""

    address: Address
    method: str = "GET"
    body: str = ""


class Stop(msgspec.Struct, frozen=True):
    """One idiom. `change` says in a sentence what is otherwise in Quart, `note` what functions
    do that the sources name and do not show."""

    name: str
    title: str
    views: tuple[View, ...]
    addresses: tuple[Address, ...]
    change: str
    note: str = ""
    commands: tuple[Command, ...] = ()

    def quart_source(self) -> str:
        """The source of the views, which serve the addresses."""
        return _source(self.views)

    def flask_source(self) -> str:
        """The source of their twins. They are imported only here."""
        twins = importlib.import_module(TWINS)
        return _source([getattr(twins, view.__name__) for view in self.views])


def _source(functions: tuple[View, ...] | list[Any]) -> str:
    return "\n".join(inspect.getsource(function) for function in functions)


STOPS: Final = (
    Stop(
        "hello",
        "A view in three lines",
        (views.hello,),
        (Address(views.hello),),
        "A view is a coroutine function: async stands before def, and the rest stays as it was.",
    ),
    Stop(
        "resources",
        "Two resources",
        (views.first, views.second),
        (Address(views.first), Address(views.second)),
        "Each view gets its async; routes, and what a view may return, stay as they were.",
    ),
    Stop(
        "routes",
        "Dynamic routes",
        (views.profile, views.whole_number, views.decimal_number, views.path),
        (
            Address(views.profile, {"name": "Ada"}),
            Address(views.profile, {"name": "<Ada>"}),
            Address(views.whole_number, {"n": 7}),
            Address(views.decimal_number, {"x": 1.5}),
            Address(views.path, {"p": "one/two"}),
        ),
        "Converters are those of Werkzeug in both, and what was matched is an argument of the "
        "coroutine.",
    ),
    Stop(
        "heading",
        "Values for a template",
        (views.heading,),
        (Address(views.heading),),
        "render_template is a coroutine, so it is awaited; the template is the same file.",
    ),
    Stop(
        "extend",
        "A template that extends another",
        (views.extend,),
        (Address(views.extend),),
        "Nothing changes in the templates: both have Jinja, and only render_template is awaited.",
    ),
    Stop(
        "list",
        "A list in a template",
        (views.names,),
        (Address(views.names),),
        "A list goes to the template as before, by an awaited render_template.",
    ),
    Stop(
        "condition",
        "A condition in a template",
        (views.condition,),
        (Address(views.condition),),
        "Drawing a number takes no time, so it needs no await; only what waits does.",
    ),
    Stop(
        "prime",
        "A program as a form",
        (views.prime_form, views.prime),
        (Address(views.prime_form),),
        "The form is awaited because it may still be arriving, and the computation goes to a "
        "thread, so that nobody else waits for it.",
        "number_of() checks the digits, alike in both.",
    ),
    Stop(
        "tasks",
        "A REST resource",
        (
            views.all_tasks,
            views.add_task,
            views.one_task,
            views.change_task,
            views.remove_task,
        ),
        (Address(views.all_tasks), Address(views.one_task, {"id": 1})),
        "The body is awaited, and so is the database, which keeps here what is a list there: one "
        "process serves others while it waits, and several processes share the tasks.",
        "new_task() and changes() check the JSON that was sent, alike in both. find() looks a task "
        "up in the list of Flask, or answers 404.",
        (
            Command(Address(views.all_tasks)),
            Command(Address(views.one_task, {"id": 2})),
            Command(Address(views.add_task), "POST", '{"title": "Read a book"}'),
            Command(Address(views.change_task, {"id": 2}), "PUT", '{"done": true}'),
            Command(Address(views.remove_task, {"id": 2}), "DELETE"),
        ),
    ),
)
