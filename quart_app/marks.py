"""Marks on views: what those outside must know of one, said where the view stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from msgspec import structs

from .protocols.protocol import Protocol

View = TypeVar("View", bound=Callable[..., Any])

ATTRIBUTE: Final = "_quart_app_marks"


class Marks(msgspec.Struct, frozen=True):
    """What is known of a view.

    `predicts`: it predicts, or hands out what was predicted. `keeps`: it leaves something behind,
    so that no page of another site may send it. `changes`: it changes what the server serves.
    `guarded`: it needs a key where predictions do. `records`: it hands out what was recorded of
    predictions, and needs a key whatever the settings say. `figures`: it hands out figures of that,
    and needs a key where there are any. `page`: without a query it is a mere page. `protocol`: the
    one that it speaks. `answers`: what answers it without Quart, where that can. `only_with`: the
    setting without which none of this holds.
    """

    predicts: bool = False
    keeps: bool = False
    changes: bool = False
    guarded: bool = False
    records: bool = False
    figures: bool = False
    page: bool = False
    protocol: Protocol | None = None
    answers: Callable[..., Any] | None = None
    only_with: str | None = None


NONE: Final = Marks()


def marks_of(view: Callable[..., Any]) -> Marks:
    """The marks of a view; of one without any, those that say nothing."""
    return getattr(view, ATTRIBUTE, NONE)


def mark(**marks: Any) -> Callable[[View], View]:
    """Set these fields of `Marks` for a view."""

    def marked(view: View) -> View:
        setattr(view, ATTRIBUTE, structs.replace(marks_of(view), **marks))
        return view

    return marked


def predicts(view: View) -> View:
    """Mark a view that predicts and leaves nothing behind."""
    return mark(predicts=True)(view)


def keeps_predictions(view: View) -> View:
    """Mark a view that predicts and keeps the result, or hands it out."""
    return mark(predicts=True, keeps=True)(view)


def changes(view: View) -> View:
    """Mark a view that changes what the server serves."""
    return mark(changes=True)(view)


def guarded(view: View) -> View:
    """Mark a view that does not predict, and needs a key where predictions do."""
    return mark(guarded=True)(view)


def keeps_feedback(view: View) -> View:
    """Mark a view that keeps what a client says of predictions, and needs a key where these do."""
    return mark(guarded=True, keeps=True)(view)


def records(view: View) -> View:
    """Mark a view that hands out what was recorded, which nobody reads without a key."""
    return mark(records=True)(view)


def figures(view: View) -> View:
    """Mark a view that hands out figures of what was recorded."""
    return mark(figures=True)(view)


def form_page(view: View) -> View:
    """Mark a view that predicts with the values in its query, and without any is a mere page."""
    return mark(predicts=True, page=True)(view)


def speaks(protocol: Protocol) -> Callable[[View], View]:
    """Mark a view that predicts by a protocol."""
    return mark(predicts=True, protocol=protocol)
