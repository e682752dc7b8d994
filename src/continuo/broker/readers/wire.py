"""The messages of `resource_reader.proto`, built when this is imported.

Generated modules demand the protobuf runtime that they were generated for; six small messages are not worth that tie. A
test holds this and the .proto file together, which is there for those who generate clients in other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

SERVICE: Final = "resource_reader"
READ, REMOVE, SUBSCRIBE = "ReadResources", "RemoveCluster", "Subscribe"
_FIELD = descriptor_pb2.FieldDescriptorProto


def _text(message: descriptor_pb2.DescriptorProto, name: str, number: int) -> None:
    message.field.add(name=name, number=number, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)


def _schema() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="continuo/resource_reader.proto", syntax="proto3")
    _text(file.message_type.add(name="ReadRequest"), "originator", 1)
    response = file.message_type.add(name="ReadResponse")
    entry = response.nested_type.add(name="ResourcesEntry")
    _text(entry, "key", 1)
    _text(entry, "value", 2)
    entry.options.map_entry = True
    response.field.add(
        name="resources", number=1, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_REPEATED,
        type_name=".ReadResponse.ResourcesEntry",
    )  # fmt: skip
    _text(file.message_type.add(name="RemoveRequest"), "cluster", 1)
    for empty in ("RemoveResponse", "SubscribeRequest", "UpdateNotification"):
        file.message_type.add(name=empty)
    service = file.service.add(name=SERVICE)
    for method, asked, answer in (
        (READ, "ReadRequest", "ReadResponse"),
        (REMOVE, "RemoveRequest", "RemoveResponse"),
        (SUBSCRIBE, "SubscribeRequest", "UpdateNotification"),
    ):
        service.method.add(
            name=method, input_type=f".{asked}", output_type=f".{answer}", server_streaming=method == SUBSCRIBE
        )
    return file


DESCRIPTOR: Final = _schema()
_POOL = descriptor_pool.DescriptorPool()  # our own, so that another copy of these messages in the process does no harm
_POOL.Add(DESCRIPTOR)


def _message(name: str) -> Callable[..., Any]:
    made: Callable[..., Any] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))
    return made


ReadRequest = _message("ReadRequest")
ReadResponse = _message("ReadResponse")
RemoveRequest = _message("RemoveRequest")
RemoveResponse = _message("RemoveResponse")
SubscribeRequest = _message("SubscribeRequest")
UpdateNotification = _message("UpdateNotification")

METHODS: Final[Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    READ: (ReadRequest, ReadResponse),
    REMOVE: (RemoveRequest, RemoveResponse),
    SUBSCRIBE: (SubscribeRequest, UpdateNotification),
}


def encode(message: Message) -> bytes:
    """For gRPC, as its serializer."""
    return message.SerializeToString()


def decoder(of: Callable[..., Any]) -> Callable[[bytes], Any]:
    """For gRPC, as its deserializer."""
    parse: Callable[[bytes], Any] = of.FromString  # type: ignore[attr-defined]
    return parse
