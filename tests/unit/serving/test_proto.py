"""The messages of gRPC are those of the published protocol."""

import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2  # type: ignore[import-untyped]

from volary.serving import proto

_DIRECTORY = Path(proto.__file__).parent
_SHARED = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "RepositoryIndex")


def test_the_descriptor_is_that_of_the_proto_file(tmp_path: Path) -> None:
    """To make it anew: python -m grpc_tools.protoc -I DIRECTORY --descriptor_set_out=DIRECTORY/inference.binpb inference.proto."""
    made = tmp_path / proto.DESCRIPTOR
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(_DIRECTORY), f"--descriptor_set_out={made}", "inference.proto"]
    subprocess.run(command, check=True)
    assert made.read_bytes() == (_DIRECTORY / proto.DESCRIPTOR).read_bytes()


def test_numbers_and_types_of_fields_are_those_of_another_client() -> None:
    theirs = descriptor_pb2.FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(theirs)
    ours = descriptor_pb2.FileDescriptorSet.FromString((_DIRECTORY / proto.DESCRIPTOR).read_bytes()).file[0]
    known = {message.name: _fields(message) for message in theirs.message_type}
    for message in ours.message_type:
        for place, field in _fields(message).items():
            assert known[message.name][place] == field, (message.name, place)
    methods = {method.name: (method.input_type, method.output_type) for method in theirs.service[0].method}
    assert {method.name for method in ours.service[0].method} == set(_SHARED)
    assert all(methods[method.name] == (method.input_type, method.output_type) for method in ours.service[0].method)


def _fields(message: descriptor_pb2.DescriptorProto) -> dict[str, tuple[object, ...]]:
    found = {field.name: (field.number, field.type, field.label, field.type_name) for field in message.field}
    for nested in message.nested_type:
        if not nested.options.map_entry:
            found |= {f"{nested.name}.{name}": field for name, field in _fields(nested).items()}
    return found
