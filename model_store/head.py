"""All that changes of a model: the file `head.json` beside its versions.

A version's folder is written once. What a name serves, what is tried beside it, and what people
have said of its versions since they were published stands here, and is replaced as a whole by
compare-and-swap: `generation` only grows, and `nonce` is drawn anew each time, so that no two heads
are equal and none is taken for another. Whoever follows a store compares these two and nothing
else.

FORMAT is raised as the manifest's is. Before there were heads the aliases lay in `aliases.json`,
which is read where there is no head.
"""

from __future__ import annotations

import os
import pwd
import secrets
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from .errors import CorruptVersion, words_of
from .manifest import Manifest
from .metadata import Metadata
from .record_settings import RecordSettings

CHAMPION: Final = "champion"
"""The alias whose version serves."""

FORMAT: Final = 1
LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a head, most of which are words."""

FORMER_KEPT: Final = 100

What = Literal[
    "publish",
    "promote",
    "rollback",
    "edit",
    "remove",
    "shadow",
    "canary",
    "stop",
    "gate",
    "failed load",
]
Kind = Literal["shadow", "canary"]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Stamp(msgspec.Struct, frozen=True):
    """Which head it is; that of a model without one is the default."""

    generation: int = 0
    nonce: str = ""


class Gates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a challenger is stopped or promoted by itself.

    `max_errors` and `max_different` are shares, `max_slower` is how many times the champion's
    median it may take. None of them counts before `after` requests were compared. With
    `promote_after` it is promoted once so many were compared and all hold.
    """

    max_errors: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_different: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_slower: Annotated[float, msgspec.Meta(gt=0)] | None = None
    after: Annotated[int, msgspec.Meta(ge=1)] = 500
    promote_after: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Challenger(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is tried beside the champion, on a share of the requests: a `canary` answers
    them, a `shadow` is given copies. `id` is drawn when it begins."""

    kind: Kind
    version: int
    share: Share
    gates: Gates = Gates()
    id: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))
    since: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the history: what was done to a model, when (ISO 8601, UTC), by whom and why.

    `before` is what stood there, as the version that the alias named. `generation` and `nonce` are
    those of the head that it made; of what changes no head, a failed load, the generation is that
    of the head that it followed.
    """

    what: What
    who: str
    why: str | None = None
    version: int | None = None
    before: int | None = None
    alias: str | None = None
    share: float | None = None
    at: str = msgspec.field(default_factory=lambda: now())
    generation: int = 0
    nonce: str = ""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a version after it was published, and the revision that this made."""

    revision: int
    about: Metadata


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is at this moment.

    `versions` are those that were there when it was written, lowest first, and `last` is the
    highest number that was ever used. `former` are the versions that served before, oldest first.
    `edits` are keyed by version. `records` are the settings of recording. `change` is what made
    this head, which stands in the history as well, unless its writer was killed.
    """

    format: int = FORMAT
    generation: int = 0
    nonce: str = ""
    versions: tuple[int, ...] = ()
    last: int = 0
    aliases: dict[str, int] = {}
    former: tuple[int, ...] = ()
    challenger: Challenger | None = None
    edits: dict[int, Edit] = {}
    records: RecordSettings = RecordSettings()
    change: Change | None = None

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.generation, self.nonce)

    def followed_by(self, later: Head, change: Change) -> Head:
        """The head that a change makes of this one, where `later` says what it changes."""
        stamp = {"generation": self.generation + 1, "nonce": secrets.token_hex(8)}
        return msgspec.structs.replace(
            later,
            format=FORMAT,
            former=later.former[-FORMER_KEPT:],
            change=msgspec.structs.replace(change, **stamp),
            **stamp,
        )

    def put(self, manifest: Manifest) -> Manifest:
        """The manifest with what was said of its version since it was published.

        Raises:
            CorruptVersion: that does not fit it.
        """
        edit = self.edits.get(manifest.version)
        if edit is None:
            return manifest
        try:
            edited = edit.about.put(manifest)
        except Exception as error:
            raise CorruptVersion(
                f"What the head of {manifest.name} says of version {manifest.version} does not "
                "fit it; edit it again.",
                words_of(error),
            ) from error
        return msgspec.structs.replace(edited, revision=edit.revision)


def now() -> str:
    """The time of the clock, as the history has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def shell_user() -> str:
    """Who runs this program."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        return str(number)


def write(head: Head) -> bytes:
    """The JSON of a head, indented for a person."""
    return msgspec.json.format(msgspec.json.encode(head), indent=2) + b"\n"


def read(data: bytes, name: str) -> Head:
    """The head of a model in these bytes.

    Raises:
        CorruptVersion: it is none, or one of a newer format.
    """
    try:
        found = msgspec.json.decode(data, type=_Numbered).format
        if found <= FORMAT:
            return msgspec.json.decode(data, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptVersion(
            f"{name}/head.json cannot be read; remove it, which forgets its aliases and words, and "
            "promote again.",
            words_of(error),
        ) from error
    raise CorruptVersion(
        f"The head of {name} has format {found}, and this program reads up to {FORMAT}; upgrade "
        "quart-app."
    )


def read_stamp(data: bytes) -> Stamp | None:
    """Which head it is; None where that cannot be read."""
    try:
        return msgspec.json.decode(data, type=Stamp)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Numbered(msgspec.Struct):
    format: int
