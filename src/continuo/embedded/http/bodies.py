"""Request bodies: from bytes in one of the accepted formats to objects and patches, within limits."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from continuo.embedded.http import protobuf
from continuo.embedded.http.wire import Request, decode_json
from continuo.embedded.port import PatchKind
from continuo.resources.errors import BadRequest, InternalError, UnsupportedMediaType
from continuo.resources.meta import Object

BODY_LIMIT = 3 * 1024 * 1024
OBJECT_LIMIT = 1_572_864

STRICT = "strict decoding error"
_JSON = ("application/json", "")
_YAML = ("application/yaml", "application/x-yaml", "text/yaml")
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_PATCHES: Mapping[str, PatchKind] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}


@functools.cache
def _loader() -> type[yaml.CSafeLoader]:
    """YAML with the types of JSON only: dates stay strings."""

    class Loader(yaml.CSafeLoader):
        """A loader of its own, because resolvers belong to the class."""

    resolvers = yaml.CSafeLoader.yaml_implicit_resolvers
    Loader.yaml_implicit_resolvers = {
        first: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:timestamp"]
        for first, entries in resolvers.items()
    }
    return Loader


def parse_yaml(body: bytes) -> Any:
    """YAML (or JSON, which is faster and tried first). Aliases are refused: they can expand without bound."""
    try:
        return decode_json(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        if b"*" in body and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(body, yaml.CSafeLoader)):
            raise BadRequest("the YAML body uses an alias; write the value out")
        return yaml.load(body, _loader())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the YAML body cannot be read: {' '.join(str(error).split())}") from None


def _parse_json(body: bytes) -> Any:
    try:
        return decode_json(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the JSON body cannot be read: {error}") from None


class _Pairs(dict[str, Any]):
    """An object that remembers which of its fields were given more than once."""

    twice: list[str]


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    found = _Pairs(pairs)
    counts = Counter(name for name, _ in pairs) if len(found) < len(pairs) else Counter()
    found.twice = [name for name, count in counts.items() if count > 1]
    return found


def _twice(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _twice(item, f"{path}[{index}]")
    elif isinstance(value, _Pairs):
        prefix = f"{path}." if path else ""
        for name in value.twice:
            yield prefix + name
        for name, item in value.items():
            yield from _twice(item, prefix + name)


def refuse_duplicates(request: Request) -> None:
    """Raises BadRequest when a JSON body gives a field more than once; the fast decoder keeps the last one silently."""
    if _media_type(request) in _JSON and request.body:
        try:
            parsed = json.loads(request.body, object_pairs_hook=_pairs)
            found = [f'duplicate field "{path}"' for path in _twice(parsed, "")]
        except RecursionError:
            raise BadRequest("the JSON body is nested too deeply") from None
        if found:
            raise BadRequest(f"{STRICT}: {', '.join(found)}")


def _media_type(request: Request) -> str:
    return request.header(b"content-type").partition(";")[0].strip().lower()


def read_any(request: Request) -> Any:
    """The body as JSON value, from JSON, YAML or protobuf."""
    media = _media_type(request)
    if media in _JSON:
        return _parse_json(request.body)
    if media in _YAML:
        return parse_yaml(request.body)
    if media == _PROTOBUF:
        return protobuf.decode(request.body)
    raise UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        f"application/json, application/yaml, {_PROTOBUF}"
    )


def read_object(request: Request) -> Object:
    """The body as an object with a metadata object."""
    obj = read_any(request)
    if not isinstance(obj, dict):
        raise BadRequest("the body must be one object with apiVersion, kind and metadata")
    metadata = obj.get("metadata")
    if metadata is None:
        return {**obj, "metadata": {}}
    if not isinstance(metadata, dict):
        raise BadRequest(f"metadata is a {type(metadata).__name__}; it must be an object")
    return obj


def read_patch(request: Request) -> tuple[PatchKind, Any]:
    """The kind of a patch and its content."""
    media = _media_type(request)
    how = _PATCHES.get(media)
    if how is None:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(_PATCHES)
        )
    body = parse_yaml(request.body) if how == "apply" else _parse_json(request.body)
    if how == "json":
        if not isinstance(body, list):
            raise BadRequest("a JSON patch must be a list of operations")
    elif not isinstance(body, dict):
        raise BadRequest(f"a patch of the type {media} must be an object")
    return how, body


def check_size(size: int) -> None:
    """Refuse what a real cluster's store would refuse."""
    if size > OBJECT_LIMIT:
        raise InternalError(f"etcdserver: request is too large ({size} bytes; one object may have {OBJECT_LIMIT})")
