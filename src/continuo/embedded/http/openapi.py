"""OpenAPI documents: kubectl validates, merges and explains with them.

A document is named by a hash of what it is made from, so the index needs none of them; each is made when it is first
asked for, and clusters that serve the same share it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version as package_version
from typing import Any

from continuo.embedded.http.discovery import Discovery
from continuo.embedded.http.operations import paths_of
from continuo.embedded.http.wire import Request, Response, accepted, encode, json_response
from continuo.embedded.machinery.builtin import definitions
from continuo.embedded.port import ResourceType
from continuo.resources.errors import NotAcceptable, NotFound
from continuo.resources.meta import Kind

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_V3, _V2 = "#/components/schemas/", "#/definitions/"
_KEPT = 128

Schema = dict[str, Any]
Resources = list[ResourceType]


class Documents:
    """The made documents by their hash, shared by all clusters; the least recently used go first."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The document, made now when it is new."""
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = make()
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(key)
        return found


class OpenApi:
    """Serves /openapi/v2 and /openapi/v3 of one cluster."""

    def __init__(self, discovery: Discovery, version: str, documents: Documents) -> None:
        self._discovery = discovery
        self._version = version
        self._documents = documents
        self._hashes: dict[tuple[str, str], tuple[tuple[int, ...], str, Resources]] = {}

    def serve(self, request: Request, segments: list[str]) -> Response:
        """GET below /openapi."""
        groups = self._groups()
        if segments == ["openapi", "v2"]:
            return self._v2(request, groups)
        if segments[1:2] != ["v3"]:
            raise NotFound("the server could not find the requested resource")
        if len(segments) == 2:
            return self._index(groups)
        found = next((key for key in groups if _path(*key) == "/".join(segments[2:])), None)
        if found is None:
            raise NotFound("the server could not find the requested resource")
        return self._document(request, found, groups[found])

    def _groups(self) -> dict[tuple[str, str], Resources]:
        return {
            (group, version): resources
            for group, versions in self._discovery.groups().items()
            for version, resources in versions.items()
        }

    def _hash(self, key: tuple[str, str], resources: Resources) -> str:
        """The name of the document: of the built-in models' release, and of what is served."""
        marks = tuple(id(resource) for resource in resources)
        found = self._hashes.get(key)
        if found is None or found[0] != marks:
            facts = [[r.kind.plural, r.kind.kind, r.verbs, r.status, bool(r.scale), r.schema] for r in resources]
            content = encode([key, package_version("continuo"), package_version("lightkube-models"), facts])
            # The resources are kept beside their ids, so that an id stays theirs.
            found = self._hashes[key] = (marks, hashlib.sha256(content).hexdigest().upper(), resources)
        return found[1]

    def _index(self, groups: Mapping[tuple[str, str], Resources]) -> Response:
        paths = {
            _path(*key): {"serverRelativeURL": f"/openapi/v3/{_path(*key)}?hash={self._hash(key, resources)}"}
            for key, resources in groups.items()
        }
        return json_response({"paths": paths}, headers=((b"cache-control", b"no-cache, private"),))

    def _document(self, request: Request, key: tuple[str, str], resources: Resources) -> Response:
        if not _accepts_json(request):
            raise NotAcceptable("only the following media types are accepted: application/json")
        digest = self._hash(key, resources)
        etag = f'"{digest}"'
        caching = b"public, immutable" if request.query.get("hash") == digest else b"no-cache, private"
        headers = ((b"etag", etag.encode()), (b"cache-control", caching), (b"vary", b"Accept"))
        if request.header(b"if-none-match") == etag:
            return Response(304, b"", headers=headers)
        body = self._documents.get(digest, lambda: encode(self._make(*key, resources)))
        return Response(200, body, headers=headers)

    def _make(self, group: str, version: str, resources: Resources) -> Schema:
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": self._version},
            "paths": paths_of(resources, component_name),
            "components": {"schemas": _components(group, version, resources)},
        }

    def _v2(self, request: Request, groups: Mapping[tuple[str, str], Resources]) -> Response:
        if not _accepts_json(request):
            raise NotAcceptable("only the following media types are accepted: application/json")
        digest = "v2" + "".join(self._hash(key, resources) for key, resources in groups.items())
        body = self._documents.get(hashlib.sha256(digest.encode()).hexdigest(), lambda: self._make_v2(groups))
        return Response(200, body)

    def _make_v2(self, groups: Mapping[tuple[str, str], Resources]) -> bytes:
        merged: Schema = {}
        for (group, version), resources in groups.items():
            merged |= _components(group, version, resources)
        document = {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": self._version},
            "paths": {},
            "definitions": merged,
        }
        return encode(document).replace(_V3.encode(), _V2.encode())


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _accepts_json(request: Request) -> bool:
    header = request.header(b"accept")
    return not header or any(entry.media in ("application/json", "application/*", "*/*") for entry in accepted(header))


def component_name(resource: ResourceType) -> str:
    """The name of a kind's schema: `io.k8s.api.apps.v1.Deployment`, `dev.continuo.v1alpha1.Offer`."""
    kind = resource.kind
    if not resource.builtin:
        return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    return _builtin_names(kind.group, kind.version).get(kind.kind, f"io.k8s.api.{kind.group or 'core'}.{kind.kind}")


def _builtin_names(group: str, version: str) -> dict[str, str]:
    return {
        name.rpartition(".")[2]: name for name, schema in definitions(group, version).items() if _is_of(schema, group)
    }


def _is_of(schema: Mapping[str, Any], group: str) -> bool:
    return any(entry["group"] == group for entry in schema.get("x-kubernetes-group-version-kind", ()))


def _components(group: str, version: str, resources: Iterable[ResourceType]) -> dict[str, Schema]:
    custom = [resource for resource in resources if not resource.builtin]
    if not custom:
        return definitions(group, version)
    meta = {name: schema for name, schema in definitions("coordination.k8s.io", "v1").items() if name.startswith(_META)}
    for resource in custom:
        name = component_name(resource)
        meta[name] = _custom(resource)
        meta[f"{name}List"] = _custom_list(resource, name)
    return meta


def _gvk(kind: Kind, suffix: str = "") -> list[dict[str, str]]:
    return [{"group": kind.group, "version": kind.version, "kind": kind.kind + suffix}]


def _custom(resource: ResourceType) -> Schema:
    given: Mapping[str, Any] = resource.schema or {"x-kubernetes-preserve-unknown-fields": True}
    about = definitions("coordination.k8s.io", "v1")["io.k8s.api.coordination.v1.Lease"]["properties"]
    properties = {
        **(given.get("properties") or {}),
        "apiVersion": about["apiVersion"],
        "kind": about["kind"],
        "metadata": {"allOf": [{"$ref": f"{_V3}{_META}ObjectMeta"}], "description": "Standard object's metadata."},
    }
    return {**given, "type": "object", "properties": properties, "x-kubernetes-group-version-kind": _gvk(resource.kind)}


def _custom_list(resource: ResourceType, name: str) -> Schema:
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": f"{_V3}{_META}ListMeta"}]},
            "items": {"type": "array", "items": {"$ref": _V3 + name}},
        },
        "x-kubernetes-group-version-kind": _gvk(resource.kind, "List"),
    }
