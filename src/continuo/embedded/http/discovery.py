"""What the cluster serves, in the three forms in which clients ask for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from continuo.embedded.http.metrics import metric_types
from continuo.embedded.http.reviews import review_types
from continuo.embedded.http.subresources import Gvk, subresources_of
from continuo.embedded.http.wire import Request, Response, accepted, encode
from continuo.embedded.port import Api, ResourceType
from continuo.resources.errors import NotAcceptable, NotFound
from continuo.resources.meta import Kind

_AGGREGATED = "APIGroupDiscoveryList"
_GROUP = "apidiscovery.k8s.io"
_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGES = {"alpha": 0, "beta": 1, None: 2}


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes prefers them when reversed: v2, v1, v1beta2, v1alpha1, then the rest."""
    match = _VERSION.fullmatch(version)
    if not match:
        return (-1, 0, 0, version)
    return (_STAGES[match[2]], int(match[1]), int(match[3] or 0), version)


def _kind(kind: Gvk) -> dict[str, str]:
    return dict(zip(("group", "version", "kind"), kind, strict=True))


def _gvk(kind: Kind) -> Gvk:
    return (kind.group, kind.version, kind.kind)


@dataclass(slots=True)
class _Group:
    name: str
    versions: dict[str, list[ResourceType]] = field(default_factory=dict)

    def ordered(self) -> list[str]:
        return sorted(self.versions, key=version_priority, reverse=True)


class Discovery:
    """The discovery documents of one cluster, made again when what it serves has changed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: tuple[ResourceType, ...] = ()
        self._groups: dict[str, _Group] = {}
        self._documents: dict[str, Response] = {}
        self._reviews = (*review_types(), *metric_types())

    def serve(self, request: Request, segments: list[str]) -> Response:
        """GET /api, /apis and everything below that names no resource."""
        self._refresh()
        root = segments[0]
        aggregated = self._wants_aggregated(request) if len(segments) == 1 else ""
        key = "/".join(segments) + aggregated
        found = self._documents.get(key)
        if found is None:
            found = self._aggregated(root, aggregated) if aggregated else _response(self._legacy(segments))
            self._documents[key] = found
        etag = dict(found.headers).get(b"etag")
        if etag is not None and request.header(b"if-none-match") == etag.decode():
            return Response(304, b"", found.content_type, found.headers)
        return found

    def groups(self) -> dict[str, dict[str, list[ResourceType]]]:
        """Group -> version -> resources."""
        self._refresh()
        return {name: group.versions for name, group in self._groups.items()}

    def _refresh(self) -> None:
        seen = tuple(self._api.resources())
        if len(seen) == len(self._seen) and all(new is old for new, old in zip(seen, self._seen, strict=True)):
            return
        self._seen = seen
        self._documents = {}
        self._groups = {}
        for resource in (*seen, *self._reviews):
            group = self._groups.setdefault(resource.kind.group, _Group(resource.kind.group))
            group.versions.setdefault(resource.kind.version, []).append(resource)

    # --- aggregated ---------------------------------------------------------------------------------------------------
    @staticmethod
    def _wants_aggregated(request: Request) -> str:
        """The version of the aggregated form that the client prefers, or an empty string for the legacy form."""
        for entry in accepted(request.header(b"accept")):
            if entry.media not in ("application/json", "*/*", "application/*", ""):
                continue
            if "as" not in entry.params:
                return ""
            version = entry.params.get("v", "")
            if (entry.params["as"], entry.params.get("g")) == (_AGGREGATED, _GROUP) and version in ("v2", "v2beta1"):
                return version
        raise NotAcceptable("only the following media types are accepted: application/json")

    def _aggregated(self, root: str, version: str) -> Response:
        groups = [group for group in self._groups.values() if bool(group.name) == (root == "apis")]
        document = {
            "kind": _AGGREGATED,
            "apiVersion": f"{_GROUP}/{version}",
            "metadata": {},
            "items": [_aggregated_group(group) for group in groups],
        }
        return _response(document, f"application/json;g={_GROUP};v={version};as={_AGGREGATED}")

    # --- legacy -------------------------------------------------------------------------------------------------------
    def _legacy(self, segments: list[str]) -> dict[str, Any]:
        if segments == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        if segments == ["apis"]:
            groups = [_group(group) for group in self._groups.values() if group.name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        name = segments[1] if segments[0] == "apis" else ""
        group = self._groups.get(name)
        if group is not None and len(segments) == 2 and name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
        version = segments[-1]
        if group is None or version not in group.versions or len(segments) != (3 if name else 2):
            raise NotFound("the server could not find the requested resource")
        group_version = f"{name}/{version}" if name else version
        resources = [entry for resource in group.versions[version] for entry in _legacy_resource(resource)]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _response(document: dict[str, Any], content_type: str = "application/json") -> Response:
    body = encode(document)
    etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'.encode()
    headers = ((b"etag", etag), (b"vary", b"Accept"), (b"cache-control", b"no-cache, private"))
    return Response(200, body, content_type.encode(), headers)


def _group(group: _Group) -> dict[str, Any]:
    versions = [{"groupVersion": f"{group.name}/{version}", "version": version} for version in group.ordered()]
    return {"name": group.name, "versions": versions, "preferredVersion": versions[0]}


def _legacy_resource(resource: ResourceType) -> Iterable[dict[str, Any]]:
    kind = resource.kind
    entry: dict[str, Any] = {
        "name": kind.plural,
        "singularName": resource.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(resource.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    yield entry
    for sub in subresources_of(resource):
        shown = {
            "name": f"{kind.plural}/{sub.name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": sub.kind[2],
            "verbs": list(sub.verbs),
        }
        if sub.kind[:2] != (kind.group, kind.version):
            shown |= {"group": sub.kind[0], "version": sub.kind[1]}
        yield shown


def _aggregated_group(group: _Group) -> dict[str, Any]:
    versions = [
        {
            "version": version,
            "resources": [_aggregated_resource(resource) for resource in group.versions[version]],
            "freshness": "Current",
        }
        for version in group.ordered()
    ]
    metadata: dict[str, Any] = {"name": group.name} if group.name else {}
    return {"metadata": {**metadata, "creationTimestamp": None}, "versions": versions}


def _aggregated_resource(resource: ResourceType) -> dict[str, Any]:
    kind = resource.kind
    entry: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": _kind(_gvk(kind)),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    subresources = [
        {"subresource": sub.name, "responseKind": _kind(sub.kind), "verbs": list(sub.verbs)}
        for sub in subresources_of(resource)
    ]
    if subresources:
        entry["subresources"] = subresources
    return entry
