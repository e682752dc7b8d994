"""Which kinds a cluster serves, and which `Kind` an object's apiVersion and kind mean there.

Well-known kinds need no request. For others one group version is asked once and remembered; what is *not* served is
never remembered, because a CRD may be installed at any moment.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from continuo.resources import kinds
from continuo.resources.errors import BadRequest, NotFound
from continuo.resources.meta import Kind, Object

WELL_KNOWN: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind for kind in vars(kinds).values() if isinstance(kind, Kind)
}


class _Raw(Protocol):
    async def raw(self, path: str) -> bytes: ...


class Discovery:
    """One cluster's discovery, cached by group version."""

    def __init__(self, cluster: _Raw) -> None:
        self._cluster = cluster
        self._kinds: dict[tuple[str, str], Kind] = {}

    def remember(self, kind: Kind) -> None:
        """Spare the request for a kind that the caller knows."""
        self._kinds[kind.api_version, kind.kind] = kind

    async def kind_of(self, obj: Object) -> Kind:
        """The `Kind` of an object; raises NotFound with a sentence when the cluster does not serve it."""
        api_version, kind = obj.get("apiVersion"), obj.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            raise BadRequest("the object has no apiVersion and kind: both are needed to know where to send it")
        known = WELL_KNOWN.get((api_version, kind)) or self._kinds.get((api_version, kind))
        if known is not None:
            return known
        await self._load(api_version)
        if (api_version, kind) not in self._kinds:
            raise NotFound(
                f"the cluster serves no kind {kind} in {api_version}: install its CRD, or correct apiVersion"
            )
        return self._kinds[api_version, kind]

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster serves this kind at this version, asked anew each time."""
        try:
            return any(entry.plural == kind.plural for entry in await self._load(kind.api_version))
        except NotFound:
            return False

    async def versions(self) -> list[str]:
        """All group versions that the cluster serves, the core group's first."""
        core = _decode(await self._cluster.raw("/api"))
        groups = _decode(await self._cluster.raw("/apis"))
        found: list[str] = list(core.get("versions") or ())
        for group in groups.get("groups") or ():
            found += (version["groupVersion"] for version in group.get("versions") or ())
        return found

    async def namespaced(self) -> list[Kind]:
        """Every kind that can be listed in a namespace, each in one version."""
        found: dict[tuple[str, str], Kind] = {}
        for api_version in await self.versions():
            group, _, version = api_version.rpartition("/")
            answer = _decode(await self._cluster.raw(f"/apis/{group}/{version}" if group else f"/api/{version}"))
            for entry in answer.get("resources") or ():
                if "/" not in entry["name"] and entry.get("namespaced") and "list" in (entry.get("verbs") or ()):
                    found.setdefault((group, entry["name"]), _kind(group, version, entry))
        return list(found.values())

    async def _load(self, api_version: str) -> list[Kind]:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            answer = _decode(await self._cluster.raw(path))
        except NotFound as error:
            raise NotFound(
                f"the cluster does not serve {api_version}: install its CRD, or correct apiVersion"
            ) from error
        found = [_kind(group, version, entry) for entry in answer.get("resources") or () if "/" not in entry["name"]]
        for kind in found:
            self._kinds[kind.api_version, kind.kind] = kind
        return found


def _kind(group: str, version: str, entry: dict[str, Any]) -> Kind:
    return Kind(
        group,
        version,
        entry["kind"],
        entry["name"],
        bool(entry["namespaced"]),
        tuple(entry.get("shortNames") or ()),
    )


def _decode(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])
