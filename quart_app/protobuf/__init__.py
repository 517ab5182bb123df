"""The messages of gRPC, in a descriptor pool of their own.

`descriptors.binpb` is made of the .proto files beside it, by `make protos`. Modules that protoc
generates would enter their messages in the one pool of the process, where those of a client of the
same protocol, with the same names, are refused as duplicates.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

DESCRIPTORS: Final = Path(__file__).with_name("descriptors.binpb")

Message = Any
"""A message. Its fields are made while the program runs, and unknown to a type checker."""


@cache
def pool() -> DescriptorPool:
    """Every message and service that is served."""
    found = DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    for file in files.file:
        found.Add(file)
    return found


@cache
def message_class(name: str) -> type[Message]:
    """The class of a message, by its full name, as `inference.ModelInferRequest`."""
    found: type[Message] = GetMessageClass(pool().FindMessageTypeByName(name))
    return found


class InvalidMessage(ValueError):
    """Bytes that are not the message that was expected."""


def parsed(kind: type[Message], data: bytes | bytearray) -> Message:
    """The message in these bytes.

    Raises:
        InvalidMessage
    """
    message = kind()
    try:
        message.ParseFromString(bytes(data))
    except DecodeError:
        raise InvalidMessage(f"Expected a message {kind.DESCRIPTOR.full_name}.") from None
    return message
