"""What is kept of the predictions of a model, as its head says."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

import msgspec

from .column_facts import JSONLabel

Keeping = Literal["keep", "hash", "drop"]
"""What is done with the values of a column: `hash` keeps which are equal, and not what they are."""

KEEPINGS: Final[tuple[Keeping, ...]] = get_args(Keeping)

DIGEST_BYTES: Final = 12


class RecordSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`share` of the predictions is recorded; None leaves that to the server. `columns` are those
    that are not kept as they are. `key` is what values are hashed with, in hexadecimal digits: it
    is drawn once, so that equal values have equal hashes for as long as there is the model, and
    stands apart from the database.
    """

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    columns: dict[str, Keeping] = {}
    key: str = ""

    def followed_by(
        self, share: float | None = None, columns: Mapping[str, Keeping] | None = None
    ) -> RecordSettings:
        """These settings with others in place of what they say."""
        merged = {**self.columns, **(columns or {})}
        return RecordSettings(
            share=self.share if share is None else share,
            columns={name: how for name, how in merged.items() if how != "keep"},
            key=self.key or secrets.token_hex(16),
        )

    def keeping(self, column: str) -> Keeping:
        """What is done with the values of a column."""
        return self.columns.get(column, "keep")

    def hashed(self, value: JSONLabel | None) -> str | None:
        """What is kept of a value of a column that is hashed; None of a missing one. Numbers that
        are equal have one hash."""
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        data = f"{type(value).__name__}:{value}".encode("utf-8", "surrogatepass")
        key = bytes.fromhex(self.key)
        return hashlib.blake2b(data, key=key, digest_size=DIGEST_BYTES).hexdigest()
