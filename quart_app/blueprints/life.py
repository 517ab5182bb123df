"""A model's life by the API and on its page: promote, roll back, try a version, look back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

import msgspec
from quart import Blueprint, Response, current_app, redirect, render_template, request, url_for
from quart_schema import document_response, hide, tag
from werkzeug.wrappers import Response as WerkzeugResponse

from model_store import Manifest, ModelStoreError
from model_store.errors import ModelNotFound
from model_store.gates import READERS, gates, share
from model_store.head import CHAMPION, Challenger, Change, Head, Kind

from ..about.card import CardVersion, read_card
from ..context import context_of, follow_everywhere, get_registry, get_state, get_until
from ..documents import ErrorBody, Update
from ..inference import InvalidRequest
from ..marks import changes
from ..negotiation import json_response, varied, wants_html
from ..protocols.json_body import parse_object
from ..serving.challenge import Standing
from ..serving.registry import Registry
from ..serving.threads import run_in_daemon

if TYPE_CHECKING:
    from ..about import charts

blueprint = Blueprint("life", __name__, url_prefix="/models/<name>")

SHOWN: Final = 50
"""Changes that the page shows, the newest first."""

LONGEST: Final = 1000
"""Characters of a reason."""

SHARES: Final[Mapping[Kind, float]] = {"shadow": 1.0, "canary": 0.05}
"""Of the requests, where none is given."""

NOBODY: Final = "no key"
"""Who changed something where no key is needed."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is after a change: the `version` that this server answers with, the `champion`
    of the store, and what is tried beside it. Where both differ, `update` says how far it is."""

    model: str
    version: int | None
    champion: int
    aliases: dict[str, int]
    challenger: Challenger | None
    update: Update | None


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A challenger that this server does not ask: it is `loading`, or `failed` for a `reason`."""

    model: str
    kind: str
    version: int
    share: float
    since: str
    state: Literal["loading", "failed"]
    reason: str | None


@blueprint.post("/promote")
@changes
@tag({"life"})
@document_response(Life)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 409)
async def promote(name: str) -> Response | WerkzeugResponse:
    """Let an alias name a version, by default the champion: `{"version": 2}`. Needs an API key."""
    given = await _given({"version", "alias", "why"})
    call = partial(_store().promote, name, _version(given), given.get("alias") or CHAMPION)
    return await _done(name, call, given)


@blueprint.post("/rollback")
@changes
@tag({"life"})
@document_response(Life)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 409)
async def rollback(name: str) -> Response | WerkzeugResponse:
    """Let the version serve that served before. Needs an API key."""
    return await _done(name, partial(_store().rollback, name), await _given({"why"}))


@blueprint.post("/canary")
@changes
@tag({"life"})
@document_response(Life)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 409)
async def canary(name: str) -> Response | WerkzeugResponse:
    """Let a version answer a share: `{"version": 2, "share": 0.05}`, and gates. Needs an API
    key."""
    return await _challenge(name, "canary")


@blueprint.post("/shadow")
@changes
@tag({"life"})
@document_response(Life)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 409)
async def shadow(name: str) -> Response | WerkzeugResponse:
    """Give a version copies of a share: `{"version": 2, "share": 1}`, and gates. Needs an API
    key."""
    return await _challenge(name, "shadow")


@blueprint.post("/stop")
@changes
@tag({"life"})
@document_response(Life)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 409)
async def stop(name: str) -> Response | WerkzeugResponse:
    """Try no version beside the champion any more. Needs an API key."""
    return await _done(name, partial(_store().stop, name), await _given({"why"}))


@blueprint.get("/challenger")
@tag({"life"})
@document_response(Standing)
@document_response(ErrorBody, 404)
async def challenger(name: str) -> Response:
    """What is tried beside the champion, and how it does on this server."""
    head = await asyncio.to_thread(_store().head, name)
    standing = await _standing(get_registry(), name, head)
    if standing is None:
        raise ModelNotFound(f"No version of {name} is tried.")
    return json_response(standing)


@blueprint.get("/history")
@tag({"life"})
@document_response(list[Change])
@document_response(ErrorBody, 404)
async def history(name: str) -> Response:
    """What was done to a model: when, what, by whom and why; the newest last."""
    return json_response(await asyncio.to_thread(_store().history, name))


@blueprint.get("/versions")
@hide
async def versions(name: str) -> Response:
    """The versions of a model, what is tried, and what was done."""
    registry = get_registry()
    servable = await registry.servable(name, until=get_until())
    entry = registry.entries.get(name)
    told = await asyncio.to_thread(_told, registry, name, servable.manifest)
    standing = await _standing(registry, name, told.head)
    page = await render_template(
        "pages/versions.html",
        manifest=servable.manifest,
        versions=told.versions,
        history=told.history,
        standing=standing,
        drawn=_drawn(standing),
        update=None if entry is None else entry.update,
    )
    return varied(Response(page, content_type="text/html; charset=utf-8"))


class _Told(NamedTuple):
    """What the store says of a model's life, the newest change first."""

    head: Head
    versions: list[CardVersion]
    history: list[Change]


def _told(registry: Registry, name: str, serving: Manifest) -> _Told:
    card = read_card(registry.store, name, None, serving)
    store = registry.store
    return _Told(store.head(name), [*card.versions], store.history(name)[-SHOWN:][::-1])


async def _standing(registry: Registry, name: str, head: Head) -> Standing | Trial | None:
    """How the challenger of a model does; None where there is none."""
    running = registry.challenges.get(name)
    if running is not None:
        return running.standing(await running.counted_of_all())
    untried = registry.untried(name)
    found = head.challenger
    if found is None:
        return None
    failed = untried is not None and untried.challenger.id == found.id
    return Trial(
        model=name,
        kind=found.kind,
        version=found.version,
        share=found.share,
        since=found.since,
        state="failed" if failed else "loading",
        reason=untried.reason if untried is not None and failed else None,
    )


def _drawn(standing: Standing | Trial | None) -> list[charts.Bars]:
    """The median and the slowest hundredth of both, and where they were different."""
    if not isinstance(standing, Standing):
        return []
    # Imported for the first that is drawn: a server starts without.
    from ..about import charts

    sides = {"Champion": standing.champion, standing.kind.capitalize(): standing.challenger}
    drawn = []
    for what, title in (("p50_ms", "Median, in ms"), ("p99_ms", "Slowest hundredth, in ms")):
        values = [getattr(side, what) for side in sides.values()]
        if None not in values:
            rounded = [float(f"{value:.3g}") for value in values]
            drawn.append(charts.bars([*sides], rounded, 1, title=title))
    shares = [side.error_share for side in sides.values()]
    if None not in shares:
        found = [each for each in shares if each is not None]
        drawn.append(charts.bars([*sides], found, 1, title="Share of errors", shares=True))
    return drawn


def _store() -> Any:
    return get_registry().store


async def _challenge(name: str, kind: Kind) -> Response | WerkzeugResponse:
    given = await _given({"version", "share", "why", *READERS})
    try:
        part = share(given.get("share", SHARES[kind]))
    except ValueError as error:
        raise InvalidRequest(f"share: expected {error}, got {given['share']!r:.60}.") from None
    try:
        found = gates(given)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    call = partial(_store().challenge, name, _version(given), kind, share=part, gates=found)
    return await _done(name, call, given)


async def _given(known: set[str]) -> dict[str, Any]:
    """What a form or a JSON object says; an empty field is none.

    Raises:
        InvalidRequest: it says something else.
    """
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        form = await request.form
        found: dict[str, Any] = {name: value for name, value in form.items() if value.strip()}
    else:
        body = cast(bytes, await request.get_data())
        found = dict(parse_object(body)) if body.strip() else {}
        found = {name: value for name, value in found.items() if value is not None}
    for name in found:
        if name not in known:
            raise InvalidRequest(f"Expected {', '.join(sorted(known))}, got {name!r:.60}.")
    for name in ("why", "alias"):
        if not isinstance(found.get(name, ""), str):
            raise InvalidRequest(f"{name}: expected a text, got {found[name]!r:.60}.")
        if len(found.get(name, "")) > LONGEST:
            raise InvalidRequest(f"{name}: expected at most {LONGEST} characters.")
    return found


def _version(given: Mapping[str, Any]) -> int | str:
    version = given.get("version")
    if isinstance(version, bool) or not isinstance(version, int | str):
        raise InvalidRequest(f"version: expected a number or an alias, got {version!r:.60}.")
    return version


async def _done(name: str, call: Any, given: Mapping[str, Any]) -> Response | WerkzeugResponse:
    """Change the head, let this server follow it at once, and say what came of it.

    A load that takes longer than the request may goes on.
    """
    registry = get_registry()
    who = get_state().key or NOBODY
    await run_in_daemon(partial(call, who=who, why=given.get("why")))
    await follow_everywhere(context_of(current_app), name, get_until())
    if wants_html(request):
        return redirect(url_for("life.versions", name=name), 303)
    return json_response(await asyncio.to_thread(_life, registry, name))


def _life(registry: Registry, name: str) -> Life:
    entry = registry.entries.get(name)
    manifest = None if entry is None else entry.manifest
    store = registry.store
    head = store.head(name)
    try:
        champion = store.resolve(name)
    except ModelStoreError:
        champion = head.aliases.get(CHAMPION, 0)
    return Life(
        model=name,
        version=None if manifest is None else manifest.version,
        champion=champion,
        aliases=dict(head.aliases),
        challenger=head.challenger,
        update=None if entry is None else entry.update,
    )
