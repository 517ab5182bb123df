"""API keys: who may do what changes the server.

A setting holds the sha256 of each key, never the key, so that whoever reads the settings cannot use
them. A key has the entropy of a random one, so it needs no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

from werkzeug.datastructures import Headers

BEARER: Final = "bearer "
RANDOM_BYTES: Final = 32
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of keys with their digests."""

    digests: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The keys in `name:sha256,…`, where the digest has 64 hexadecimal digits.

        Raises:
            ValueError: what was expected, in words.
        """
        found = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, digest = part.partition(":")
            if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest.lower()) or name in found:
                raise ValueError("name:sha256 of each key, with commas between them")
            found[name] = bytes.fromhex(digest)
        return cls(tuple(found.items()))

    def __bool__(self) -> bool:
        return bool(self.digests)

    def __str__(self) -> str:
        return ",".join(f"{name}:{digest.hex()}" for name, digest in self.digests)

    def owner(self, key: str) -> str | None:
        """The name of a key, or None; as slow for a wrong key as for a right one."""
        digest = _digest(key)
        owner = None
        for name, known in self.digests:
            if hmac.compare_digest(digest, known):
                owner = name
        return owner

    @classmethod
    def make(cls, name: str) -> tuple[str, Self]:
        """A new random key, and what the setting holds of it.

        Raises:
            ValueError: what a name may be, in words.
        """
        if not _NAME.fullmatch(name):
            raise ValueError("a name of up to 64 letters, digits, '.', '_' and '-'")
        key = secrets.token_urlsafe(RANDOM_BYTES)
        return key, cls(((name, _digest(key)),))


NO_KEYS: Final = Keys()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def sent(headers: Headers) -> list[str]:
    """The keys in `Authorization: Bearer` and in `X-API-Key`; a proxy may need the other one."""
    authorization = headers.get("Authorization", "")
    found = headers.get_all("X-API-Key")
    if authorization.lower().startswith(BEARER):
        found.insert(0, authorization[len(BEARER) :].strip())
    return found
