"""The messages of Crossplane's function protocol, built when this is imported, for v1 and for v1beta1.

Generated modules demand the protobuf runtime that they were generated for, and Crossplane's own package demands one exact
grpcio, which the rest of Continuo could then not choose. Names and numbers are the protocol's; both versions are the same
on the wire, so one set of messages serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, struct_pb2

PACKAGE: Final = "apiextensions.fn.proto.v1"
SERVICES: Final = (
    "apiextensions.fn.proto.v1.FunctionRunnerService",
    "apiextensions.fn.proto.v1beta1.FunctionRunnerService",
)
METHOD: Final = "RunFunction"

READY_TRUE: Final = 1
READY_FALSE: Final = 2
FATAL: Final = 1
WARNING: Final = 2
TARGET_COMPOSITE: Final = 1
REQUIRED_RESOURCES: Final = 2
"""The capability of Crossplane that knows `required_resources`."""
STATUS: Final[Mapping[str, int]] = {"Unknown": 1, "True": 2, "False": 3}

_STRUCT = "google.protobuf.Struct"
_DURATION = "google.protobuf.Duration"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES, "enum": _Field.TYPE_INT32}
"""Enumerations are read as their numbers: on the wire they are the same, and a later version's new value does no harm."""

_MESSAGES: Final[Mapping[str, str]] = {
    "RunFunctionRequest": "meta RequestMeta 1; observed State 2; desired State 3; input Struct 4; context Struct 5; "
    "extra_resources map:Resources 6; credentials map:Credentials 7; required_resources map:Resources 8",
    "RunFunctionResponse": "meta ResponseMeta 1; desired State 2; results repeated:Result 3; context Struct 4; "
    "requirements Requirements 5; conditions repeated:Condition 6; output Struct 7",
    "RequestMeta": "tag string 1; capabilities repeated:enum 2",
    "ResponseMeta": "tag string 1; ttl Duration 2",
    "Credentials": "credential_data CredentialData 1",
    "CredentialData": "data map:bytes 1",
    "Resources": "items repeated:Resource 1",
    "Requirements": "extra_resources map:ResourceSelector 1; resources map:ResourceSelector 2",
    "ResourceSelector": "api_version string 1; kind string 2; match_name oneof:string 3; match_labels oneof:MatchLabels 4; "
    "namespace optional:string 5",
    "MatchLabels": "labels map:string 1",
    "State": "composite Resource 1; resources map:Resource 2",
    "Resource": "resource Struct 1; connection_details map:bytes 2; ready enum 3",
    "Result": "severity enum 1; message string 2; reason optional:string 3; target optional:enum 4",
    "Condition": "type string 1; status enum 2; reason string 3; message optional:string 4; target optional:enum 5",
}


def _fields(text: str) -> Iterator[tuple[str, str, str, int]]:
    """(name, rule, type, number) of each field of a line of the table."""
    for field in text.split(";"):
        name, what, number = field.split()
        rule, _, type_ = what.rpartition(":")
        yield name, rule, type_, int(number)


def _typed(field: Any, type_: str) -> None:
    if type_ in _SCALARS:
        field.type = _SCALARS[type_]
        return
    known = {"Struct": _STRUCT, "Duration": _DURATION}
    field.type = _Field.TYPE_MESSAGE
    field.type_name = f".{known.get(type_) or f'{PACKAGE}.{type_}'}"


def _add(message: Any, full_name: str, name: str, rule: str, type_: str, number: int) -> None:
    repeated = rule in ("repeated", "map")
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if rule == "map":
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
        _typed(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), type_)
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{full_name}.{entry.name}"
        return
    _typed(field, type_)
    if rule == "oneof":
        field.oneof_index = 0
    if rule == "optional":
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _schema() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="continuo/run_function.proto", package=PACKAGE, syntax="proto3")
    file.dependency.extend(("google/protobuf/struct.proto", "google/protobuf/duration.proto"))
    for name, text in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if "oneof:" in text:
            message.oneof_decl.add(name="match")
        for field in _fields(text):
            _add(message, f"{PACKAGE}.{name}", *field)
    return file


def _pool() -> descriptor_pool.DescriptorPool:
    """Our own, so that Crossplane's generated messages may be in the same process."""
    pool = descriptor_pool.DescriptorPool()
    for known in (struct_pb2, duration_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        file.ParseFromString(known.DESCRIPTOR.serialized_pb)
        pool.Add(file)
    pool.Add(_schema())
    return pool


_POOL = _pool()


def _message(name: str) -> Callable[..., Any]:
    made: Callable[..., Any] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
    return made


Request = _message("RunFunctionRequest")
Response = _message("RunFunctionResponse")


def read_request(data: bytes) -> Any:
    """For gRPC, as the server's deserializer."""
    return Request.FromString(data)  # type: ignore[attr-defined]


def read_response(data: bytes) -> Any:
    """For gRPC, as a client's deserializer."""
    return Response.FromString(data)  # type: ignore[attr-defined]


def write(message: Any) -> bytes:
    """For gRPC, as its serializer; the same message is always the same bytes, by which Crossplane's cache knows it."""
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def plain(struct: Any) -> dict[str, Any]:
    """A protobuf Struct as a dictionary. Its numbers are all floating; whole ones are integers again here."""
    return {key: _plain(value) for key, value in struct.fields.items()}


def _plain(value: Any) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return plain(value.struct_value)
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
    return None


def fill(struct: Any, value: Mapping[str, Any]) -> None:
    """Put a dictionary into a protobuf Struct."""
    for key, item in value.items():
        _fill(struct.fields[key], item)


def _fill(target: Any, value: Any) -> None:
    if value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        fill(target.struct_value, value)
    else:
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
