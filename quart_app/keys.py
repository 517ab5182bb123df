"""API keys: who may do what changes the server, and to which models.

A setting holds the sha256 of each key, never the key, so that whoever reads the settings cannot use
them. A key has the entropy of a random one, so it needs no slow hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Container, Sequence
from typing import Final, NamedTuple, Self

import msgspec
from werkzeug.datastructures import Headers

from model_store import ModelStoreError
from model_store.store import require_name

BEARER: Final = "bearer "
BASIC: Final = "basic "
RANDOM_BYTES: Final = 32
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class KeyNotForModel(Exception):
    """The API key is one for other models. The message is a sentence for whoever sent it."""


class Basic(NamedTuple):
    """What a browser sends by HTTP Basic: the name of a key and the key."""

    name: str
    key: str


class Key(msgspec.Struct, frozen=True):
    """A key as the setting has it. `models` are those that it is for; None where it is for all."""

    name: str
    digest: bytes
    models: tuple[str, ...] | None = None

    def __str__(self) -> str:
        only = "" if self.models is None else f":{'+'.join(self.models)}"
        return f"{self.name}:{self.digest.hex()}{only}"


class Keys(msgspec.Struct, frozen=True):
    """The keys that the server knows."""

    known: tuple[Key, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The keys in `name:sha256[:model+model],…`, where the digest has 64 hexadecimal digits.

        Raises:
            ValueError: what was expected, in words.
        """
        found: dict[str, Key] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, rest = part.partition(":")
            digest, is_limited, models = rest.partition(":")
            known = {key.digest.hex() for key in found.values()}
            if (
                not _NAME.fullmatch(name)
                or not _DIGEST.fullmatch(digest.lower())
                or name in found
                or digest.lower() in known  # it would be the key of two, with the rights of one
            ):
                raise ValueError(
                    "name:sha256 or name:sha256:model+model of each key, with commas between them"
                )
            only = _models(models.split("+")) if is_limited else None
            found[name] = Key(name, bytes.fromhex(digest), only)
        return cls(tuple(found.values()))

    def __bool__(self) -> bool:
        return bool(self.known)

    def __str__(self) -> str:
        return ",".join(map(str, self.known))

    def owner(self, key: str) -> Key | None:
        """What is known of a key, or None; as slow for a wrong key as for a right one."""
        digest = _digest(key)
        owner = None
        for known in self.known:
            if hmac.compare_digest(digest, known.digest):
                owner = known
        return owner

    def owner_of_basic(self, sent: Basic) -> Key | None:
        """The same of what came by HTTP Basic, where the name has to be that of the key."""
        owner = self.owner(sent.key)
        return owner if owner is not None and owner.name == sent.name else None

    @classmethod
    def make(cls, name: str, models: Sequence[str] = ()) -> tuple[str, Self]:
        """A new random key, and what the setting holds of it. Without `models` it is for all.

        Raises:
            ValueError: what a name may be, in words.
        """
        if not _NAME.fullmatch(name):
            raise ValueError("a name of up to 64 letters, digits, '.', '_' and '-'")
        key = secrets.token_urlsafe(RANDOM_BYTES)
        return key, cls((Key(name, _digest(key), _models(models) if models else None),))


NO_KEYS: Final = Keys()


def require_for(models: Container[str] | None, model: str) -> None:
    """Do nothing where a key for these models alone, or for all (None), is one for this model.

    Raises:
        KeyNotForModel
    """
    if models is not None and model not in models:
        raise KeyNotForModel(f"This API key is not for the model {model!r}.")


def _models(names: Sequence[str]) -> tuple[str, ...]:
    try:
        for name in names:
            require_name(name)
    except ModelStoreError:
        raise ValueError("names of models after the sha256 of a key, with + between them") from None
    return tuple(dict.fromkeys(names))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def sent(headers: Headers) -> list[str]:
    """The keys in `Authorization: Bearer` and in `X-API-Key`; a proxy may need the other one."""
    authorization = headers.get("Authorization", "")
    found = headers.get_all("X-API-Key")
    if authorization.lower().startswith(BEARER):
        found.insert(0, authorization[len(BEARER) :].strip())
    return found


def sent_by_basic(headers: Headers) -> Basic | None:
    """What a browser sends of itself once its user has entered a key (RFC 7617)."""
    authorization = headers.get("Authorization", "")
    if not authorization.lower().startswith(BASIC):
        return None
    try:
        text = base64.b64decode(authorization[len(BASIC) :].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, key = text.partition(":")
    return Basic(name, key) if colon else None
