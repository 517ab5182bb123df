"""The messages of gRPC: their descriptors are those of the .proto files, in a pool of their own."""

from __future__ import annotations

from pathlib import Path

import grpc_tools.protoc
from google.protobuf import descriptor_pool

from quart_app import protobuf

FOLDER = protobuf.DESCRIPTORS.parent


def test_the_descriptors_are_made_of_the_proto_files_as_they_are(tmp_path: Path) -> None:
    made = tmp_path / "descriptors.binpb"
    files = sorted(map(str, FOLDER.glob("*.proto")))
    arguments = ["protoc", f"-I{FOLDER}", f"--descriptor_set_out={made}", *files]
    assert grpc_tools.protoc.main(arguments) == 0
    assert protobuf.DESCRIPTORS.read_bytes() == made.read_bytes(), "make protos"


def test_the_messages_stand_in_no_pool_that_others_share() -> None:
    name = protobuf.message_class("inference.ModelInferRequest").DESCRIPTOR.full_name
    assert protobuf.pool().FindMessageTypeByName(name).full_name == name
    try:
        descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        return
    raise AssertionError(f"{name} stands in the pool of the process")
