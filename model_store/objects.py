"""Objects in a bucket, by obstore: read, made once, replaced by compare-and-swap.

What went wrong is one of three things here: an object is there already (`AlreadyThere`), it is
another one than that which was read (`Changed`), or the bucket did not answer as a bucket does
(`StoreUnreachable`). After a failure nothing is asked of the bucket for a moment, so that nobody
waits for it again and again. obstore is imported at first use (the extra `objects`).

A request that was repeated since its answer was lost may be told that its own first try is in its
way. So whoever makes or replaces an object gives it bytes that nobody else writes, and looks.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and
https://developmentseed.org/obstore/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from .errors import CorruptVersion, MissingExtra, StoreForbidden, StoreUnreachable, words_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

SCHEME: Final = "s3://"
PAUSE: Final = 5.0
"""Seconds for which a bucket that did not answer is not asked again."""

CLIENT: Final = {"connect_timeout": "3s", "timeout": "10s", "allow_http": True}
BULK: Final = CLIENT | {"timeout": "30m"}
"""How long one request may take: of the small objects, and of the files of a version. Whether it is
http the endpoint says that the operator names; the cloud's own is https."""

RETRY: Final = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}
PIECE: Final = 4 * 1024 * 1024
"""Bytes of a file that are taken from the bucket at a time, at least."""


class AlreadyThere(Exception):
    """An object that was to be made is there."""


class Changed(Exception):
    """An object that was to be replaced is not the one that was read."""


class Unchanged(Exception):
    """An object is still the one that was read."""


class Tag(NamedTuple):
    """Which content of an object it is, as the bucket calls it."""

    etag: str | None
    version: str | None


class Found(NamedTuple):
    data: bytes
    tag: Tag


class Listed(NamedTuple):
    key: str
    at: datetime


class Objects:
    """The objects below one prefix of a bucket. Every method blocks on the network.

    `failures` counts what the bucket did not answer since the program started.
    """

    def __init__(self, small: ObjectStore, bulk: ObjectStore | None = None) -> None:
        self._small = small
        self._bulk = bulk or small
        self._asleep_until = 0.0
        self.failures = 0
        self.is_reachable = True

    @classmethod
    def open(cls, url: str) -> Objects:
        """Those below `s3://bucket/prefix`. Keys, region and endpoint are the cloud's own
        variables (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …), or come from the
        machine's role.

        Raises:
            MissingExtra: obstore is not installed.
            ValueError: it is no such URL.
        """
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ImportError as error:
            raise MissingExtra(
                "A store in a bucket needs the package obstore: pip install 'quart-app[objects]'."
            ) from error
        options: Any = [CLIENT, BULK]
        retry: Any = RETRY
        try:
            small, bulk = (
                S3Store.from_url(url, client_options=each, retry_config=retry) for each in options
            )
        except (BaseError, ValueError) as error:
            raise ValueError(f"{SCHEME}BUCKET/PREFIX") from error
        return cls(small, bulk)

    def get(self, key: str, limit: int, unlike: Tag | None = None) -> Found | None:
        """An object, or None where there is none.

        Raises:
            Unchanged: it is still the content `unlike`.
            StoreUnreachable: the bucket does not answer.
            CorruptVersion: the object is larger than `limit` bytes.
        """
        import obstore
        from obstore.exceptions import NotModifiedError

        options: Any = {}
        if unlike is not None and unlike.etag is not None:
            options = {"if_none_match": unlike.etag}

        def ask() -> Found:
            answer = obstore.get(self._small, key, options=options)
            if answer.meta["size"] > limit:
                raise CorruptVersion(f"{key} in the bucket is larger than {limit} bytes.")
            return Found(bytes(answer.bytes()), _tag_of(answer.meta))

        try:
            return self._asked(ask)
        except FileNotFoundError:
            return None
        except NotModifiedError:
            raise Unchanged from None

    def pieces(self, key: str) -> Iterator[bytes]:
        """A large object, a piece at a time; none where there is no such object.

        Raises:
            StoreUnreachable
        """
        import obstore

        try:
            stream = iter(self._asked(lambda: obstore.get(self._bulk, key).stream(PIECE)))
        except FileNotFoundError:
            return
        while (piece := self._asked(lambda: next(stream, None))) is not None:
            yield bytes(piece)

    def create(self, key: str, data: bytes) -> Tag:
        """Make an object that is not there.

        Raises:
            AlreadyThere, StoreUnreachable
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            return self._put(key, data, "create")
        except (AlreadyExistsError, PreconditionError):
            raise AlreadyThere from None

    def make(self, key: str, data: bytes) -> bool:
        """Make an object that is not there; whether it is this one that is there then, also where
        the answer to the first try was lost.

        Raises:
            StoreUnreachable
        """
        try:
            self.create(key, data)
        except AlreadyThere:
            found = self.get(key, len(data))
            return found is not None and found.data == data
        return True

    def replace(self, key: str, data: bytes, tag: Tag) -> Tag:
        """Put a content in place of that which was read.

        Raises:
            Changed, StoreUnreachable
        """
        from obstore.exceptions import NotFoundError, PreconditionError

        mode = {name: value for name, value in _named(tag).items() if value is not None}
        try:
            return self._put(key, data, mode)
        except (NotFoundError, PreconditionError):
            raise Changed from None

    def put(self, key: str, data: bytes) -> None:
        """Write an object that nobody else writes, however large.

        Raises:
            StoreUnreachable
        """
        import obstore

        self._written(lambda: obstore.put(self._bulk, key, data))

    def listed(self, prefix: str) -> list[Listed]:
        """The objects whose keys begin with a folder, and when they were written, by the bucket's
        clock.

        Raises:
            StoreUnreachable
        """
        import obstore

        def ask() -> list[Listed]:
            pages = obstore.list(self._small, prefix=prefix)
            return [Listed(each["path"], each["last_modified"]) for page in pages for each in page]

        return self._asked(ask)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, of which some may be gone.

        Raises:
            StoreUnreachable
        """
        import obstore

        for key in keys:
            try:
                self._written(partial(obstore.delete, self._small, key))
            except FileNotFoundError:
                continue

    def _put(self, key: str, data: bytes, mode: Any) -> Tag:
        import obstore

        put = obstore.put
        answer = self._written(lambda: put(self._small, key, data, mode=mode, use_multipart=False))
        return Tag(answer["e_tag"], answer["version"])

    def _written(self, write: Callable[[], T]) -> T:
        """What the bucket answers to a write. One that it forbids says nothing of whether it can be
        read."""
        from obstore import exceptions as told

        def ask() -> T:
            try:
                return write()
            except (told.PermissionDeniedError, told.UnauthenticatedError) as error:
                raise StoreForbidden(
                    "The bucket does not allow writing to this key.", words_of(error)[:WORDS]
                ) from error

        return self._asked(ask)

    def _asked(self, ask: Callable[[], T]) -> T:
        """What the bucket answers; what it says of an object is raised as it is."""
        from obstore import exceptions as told

        if time.monotonic() < self._asleep_until:
            raise StoreUnreachable("The bucket of the models cannot be reached.")
        try:
            answer = ask()
        except (
            FileNotFoundError,
            told.AlreadyExistsError,
            told.PreconditionError,
            told.NotModifiedError,
        ):
            self.is_reachable = True
            raise
        except (told.BaseError, OSError) as error:
            self.failures += 1
            self.is_reachable = False
            self._asleep_until = time.monotonic() + PAUSE
            raise StoreUnreachable(
                "The bucket of the models cannot be reached.", words_of(error)[:WORDS]
            ) from error
        self.is_reachable = True
        return answer


WORDS: Final = 500
"""Characters of what the library says, which repeats itself at length."""


def _tag_of(meta: Any) -> Tag:
    return Tag(meta["e_tag"], meta["version"])


def _named(tag: Tag) -> dict[str, str | None]:
    return {"e_tag": tag.etag, "version": tag.version}
