"""The messages of the SPIFFE Workload API.

Made here of their standard's fields and numbers, in a pool of their own: the `spiffe` package registers the same names in
protobuf's common pool, and whoever comes second there fails.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

SERVICE = "SpiffeWorkloadAPI"
HEADER = ("workload.spiffe.io", "true")

# name: {field: (number, type)}; a type is string, bytes, a message, [one of them] when repeated, {} for a map to bytes
_MESSAGES: dict[str, dict[str, tuple[int, Any]]] = {
    "X509SVIDRequest": {},
    "X509SVID": {
        "spiffe_id": (1, "string"), "x509_svid": (2, "bytes"), "x509_svid_key": (3, "bytes"), "bundle": (4, "bytes"),
        "hint": (5, "string"),
    },
    "X509SVIDResponse": {"svids": (1, ["X509SVID"]), "crl": (2, ["bytes"]), "federated_bundles": (3, {})},
    "X509BundlesRequest": {},
    "X509BundlesResponse": {"crl": (1, ["bytes"]), "bundles": (2, {})},
    "JWTSVIDRequest": {"audience": (1, ["string"]), "spiffe_id": (2, "string")},
    "JWTSVID": {"spiffe_id": (1, "string"), "svid": (2, "string"), "hint": (3, "string")},
    "JWTSVIDResponse": {"svids": (1, ["JWTSVID"])},
    "JWTBundlesRequest": {},
    "JWTBundlesResponse": {"bundles": (1, {})},
    "ValidateJWTSVIDRequest": {"audience": (1, "string"), "svid": (2, "string")},
    "ValidateJWTSVIDResponse": {"spiffe_id": (1, "string"), "claims": (2, ".google.protobuf.Struct")},
}  # fmt: skip

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES}


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="continuo/workload.proto", syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add(message, field, number, kind)
    return file


def _add(message: Any, field: str, number: int, kind: Any) -> None:
    repeated = not isinstance(kind, str)
    made = message.field.add(
        name=field, number=number, label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    )
    if isinstance(kind, dict):
        entry = message.nested_type.add(name="".join(part.title() for part in field.split("_")) + "Entry")
        entry.options.map_entry = True
        _add(entry, "key", 1, "string")
        _add(entry, "value", 2, "bytes")
        made.type, made.type_name = _FIELD.TYPE_MESSAGE, f".{message.name}.{entry.name}"
        return
    single = kind[0] if repeated else kind
    if single in _SCALARS:
        made.type = _SCALARS[single]
    else:
        made.type, made.type_name = _FIELD.TYPE_MESSAGE, single if single.startswith(".") else f".{single}"


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(_file())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _MESSAGES}


MESSAGES = _classes()

METHODS = {
    "FetchX509SVID": ("X509SVIDRequest", "X509SVIDResponse", True),
    "FetchX509Bundles": ("X509BundlesRequest", "X509BundlesResponse", True),
    "FetchJWTSVID": ("JWTSVIDRequest", "JWTSVIDResponse", False),
    "FetchJWTBundles": ("JWTBundlesRequest", "JWTBundlesResponse", True),
    "ValidateJWTSVID": ("ValidateJWTSVIDRequest", "ValidateJWTSVIDResponse", False),
}
"""Request, response, whether the response is a stream."""


def method(channel: Any, name: str) -> Any:
    """What calls that method over a channel."""
    request, response, streams = METHODS[name]
    make = channel.unary_stream if streams else channel.unary_unary
    return make(
        f"/{SERVICE}/{name}",
        request_serializer=MESSAGES[request].SerializeToString,
        response_deserializer=MESSAGES[response].FromString,
    )


def handlers(service: Any) -> Any:
    """What a gRPC server takes for an object that has the five methods."""
    import grpc

    made = {}
    for name, (request, response, streams) in METHODS.items():
        handler = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        made[name] = handler(
            getattr(service, name),
            request_deserializer=MESSAGES[request].FromString,
            response_serializer=MESSAGES[response].SerializeToString,
        )
    return grpc.method_handlers_generic_handler(SERVICE, made)
