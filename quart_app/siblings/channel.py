"""Messages between the workers of a server, each of which listens on a socket in their folder.

A question is a connection: a frame there, a frame back, each with its length before it. A worker
that has died refuses, and is passed over. One that hangs takes the connection and answers nothing,
so whoever asks waits for some tenths of a second at most. The folder is private to the server's
user, so whoever can connect is one of us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..server.place import Place

PATIENCE: Final = 0.3
"""Seconds that a question may take, where nothing else is said."""

MOST: Final = 32 * 1024 * 1024
"""Bytes of a frame."""

SUFFIX: Final = ".sock"

LONGEST_ADDRESS: Final = 100
"""Bytes of the address of a socket; Linux takes 107, others fewer."""

BACKLOG: Final = 128

_length: Final = struct.Struct(">I")

logger = logging.getLogger(__name__)

Handler = Callable[[bytes], Awaitable[bytes]]


class Message(msgspec.Struct, array_like=True):
    """A question about a `subject`."""

    subject: str
    body: bytes


class Reply(msgspec.Struct, array_like=True):
    """What came of it; no body where it failed, as the log of who was asked says."""

    body: bytes | None


_message: Final = msgspec.msgpack.Decoder(Message)
_reply: Final = msgspec.msgpack.Decoder(Reply)
_encoder: Final = msgspec.msgpack.Encoder()


class Name(NamedTuple):
    """A worker. No two that share a folder are equal, also where a process has the id of another
    before it."""

    slot: int
    generation: int
    process: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.slot}.{self.generation}.{self.process}.{self.nonce}"

    @classmethod
    def read(cls, text: str) -> Name | None:
        """The name that stands in that of a file; None where there is none."""
        try:
            slot, generation, process, nonce = text.split(".")
            return cls(int(slot), int(generation), int(process), nonce)
        except ValueError:
            return None


class Channel:
    """One worker's end. Belongs to its event loop, but for `is_there`."""

    def __init__(self, place: Place) -> None:
        assert place.folder is not None
        self.place = place
        self.folder: Path = place.folder
        self.name = Name(place.slot, place.generation, os.getpid(), secrets.token_hex(4))
        self._handlers: dict[str, Handler] = {}
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: set[Name] = set()

    def on(self, subject: str, handler: Handler) -> None:
        """Let `handler` answer what others ask about a subject."""
        self._handlers[subject] = handler

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the folder has gone, or cannot be written.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # It gets its name when it listens: one with a name that refuses is a dead worker's.
            new = self._path(self.name).with_name(f".{self.name}")
            with _address(new) as address:
                sock.bind(address)
            sock.listen(BACKLOG)
            new.rename(self._path(self.name))
            self._server = await asyncio.start_unix_server(self._answer, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Listen no more; what was asked and is not answered yet stays so."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(OSError):
            self._path(self.name).unlink()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(
        self, subject: str, body: bytes = b"", *, seconds: float = PATIENCE
    ) -> Mapping[Name, bytes | None]:
        """What each of the others answers within this time; None of one that answers nothing, or
        fails. Those that have died are left out."""
        others = self.others()
        if not others:
            return {}
        asked = [self._ask(other, subject, body, seconds) for other in others]
        found = await asyncio.gather(*asked)
        return {
            other: None if reply is None else reply.body
            for other, reply in zip(others, found, strict=True)
            if not isinstance(reply, _Gone)
        }

    def others(self) -> list[Name]:
        """All that have a socket but this one, by slot; some may have died."""
        found = []
        with contextlib.suppress(OSError):
            for file in os.listdir(self.folder):
                name = Name.read(file.removesuffix(SUFFIX)) if file.endswith(SUFFIX) else None
                if name is not None and name != self.name:
                    found.append(name)
        return sorted(found)

    def is_there(self, name: Name) -> bool:
        """Whether a worker lives; one that hangs does. Blocks for less than a millisecond."""
        if name == self.name:
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            try:
                with _address(self._path(name)) as address:
                    sock.connect(address)
            except BlockingIOError:  # more wait for it than it has taken
                return True
            except OSError:
                return False
            return True

    def _path(self, name: Name) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    async def _ask(
        self, other: Name, subject: str, body: bytes, seconds: float
    ) -> Reply | _Gone | None:
        try:
            async with asyncio.timeout(seconds):
                reply = await self._exchange(other, Message(subject, body))
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                self._path(other).unlink()
            return _Gone()
        except (FileNotFoundError, ConnectionError, asyncio.IncompleteReadError):
            return _Gone()
        except TimeoutError:
            self._note_silent(other, f"it does not answer within {seconds:g} s")
            return None
        except (OSError, msgspec.MsgspecError, _TooLong) as error:
            self._note_silent(other, str(error))
            return None
        self._silent.discard(other)
        return reply

    async def _exchange(self, other: Name, message: Message) -> Reply:
        with _address(self._path(other)) as address:
            reader, writer = await asyncio.open_unix_connection(address)
        try:
            _write(writer, _encoder.encode(message))
            return _reply.decode(await _read(reader))
        finally:
            writer.close()

    def _note_silent(self, other: Name, why: str) -> None:
        """Log that a worker cannot be asked, once until it answers again."""
        if other not in self._silent:
            self._silent.add(other)
            logger.info("worker %s cannot be asked: %s", other, why)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # Whoever looks whether this worker lives says nothing.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    message = _message.decode(await _read(reader))
                _write(writer, _encoder.encode(Reply(await self._handled(message))))
                await writer.drain()
        except (msgspec.MsgspecError, _TooLong) as error:
            logger.warning("a worker asked what cannot be read: %s", error)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _handled(self, message: Message) -> bytes | None:
        handler = self._handlers.get(message.subject)
        if handler is None:
            logger.warning("a worker asked about %.40r, which is not known here", message.subject)
            return None
        try:
            return await handler(message.body)
        except Exception:
            logger.exception("what another worker asked about %s failed", message.subject)
            return None


class _Gone:
    """Instead of a reply: the worker has died."""


class _TooLong(Exception):
    """A frame has more bytes than it may have."""


async def _read(reader: asyncio.StreamReader) -> bytes:
    (length,) = _length.unpack(await reader.readexactly(_length.size))
    if length > MOST:
        raise _TooLong(f"it has {length} bytes, and may have {MOST}")
    return await reader.readexactly(length)


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    if len(frame) > MOST:
        raise _TooLong(f"it has {len(frame)} bytes, and may have {MOST}")
    writer.write(_length.pack(len(frame)) + frame)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """The path of a socket, for as long as it is used; by way of a descriptor of its folder where
    it is longer than an address may be (Linux alone)."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)
