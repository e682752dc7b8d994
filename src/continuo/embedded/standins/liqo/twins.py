"""The provider's side of offloaded namespaces: it creates what a replicated NamespaceMap asks for, and says so there."""

from __future__ import annotations

from continuo.embedded.port import StoredChange
from continuo.embedded.standins.base import Listeners, Work
from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.site import WRITE, Site, labels
from continuo.embedded.standins.objects import with_finalizer, without_finalizer
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, deleting, labels_of

ACCEPTED, BACK_OFF, TERMINATING = "Accepted", "CreationLoopBackOff", "Terminating"


class Twins:
    """The namespace-map controller of one cluster, as provider."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._listeners = Listeners(site.engine, site.api)
        self._work: Work[str] = Work(site.engine, self._map, name=f"liqo twins {site.id}")
        self._blocked: dict[str, str] = {}
        """Origins that wait for a namespace of that name to go."""

    def start(self) -> None:
        """Follow the maps and the namespaces."""
        self._listeners.follow(kinds.NAMESPACE_MAP, self._on_map)
        self._listeners.follow(kinds.NAMESPACE, self._on_namespace)

    def stop(self) -> None:
        """Let go."""
        self._listeners.stop()
        self._work.stop()

    def peer(self, peer: str) -> None:
        """Nothing: maps and namespaces have their own events."""

    def _on_map(self, change: StoredChange) -> None:
        marks = labels_of(change.object)
        if marks.get(names.REPLICATED) == "true" and change.type != "DELETED":
            before, after = (change.previous or {}).get("spec"), change.object.get("spec")
            if change.previous is None or before != after or deleting(change.object):
                self._work.add(marks[names.REMOTE])

    def _on_namespace(self, change: StoredChange) -> None:
        name = change.object["metadata"]["name"]
        if names.BY_NAMESPACE_MAP in annotations_of(change.object):
            origin = labels_of(change.object).get(names.REMOTE)
            if origin and (change.type == "DELETED" or change.previous is None or deleting(change.object)):
                self._work.add(origin)
        if change.type == "DELETED" and name in self._blocked:
            self._work.add(self._blocked.pop(name))

    def _map(self, origin: str) -> None:
        tenant = self._site.tenants.get(origin)
        found = self._replicated(tenant) if tenant else None
        if found is None:
            return
        if not deleting(found):
            held = with_finalizer(found, names.MAP_FINALIZER)
            if held is not found:
                found = self._site.api.update(held, WRITE)
        status = found.get("status") or {}
        current = status.get("currentMapping") or {}
        desired = {} if deleting(found) else (found.get("spec") or {}).get("desiredMapping") or {}
        mapping: dict[str, Object] = {}
        for local, remote in desired.items():
            known = current.get(local)
            if known is not None and known.get("phase") == ACCEPTED and self._stands(origin, local, remote):
                mapping[local] = known
            else:
                mapping[local] = {"remoteNamespace": remote, "phase": self._create(origin, local, remote, str(tenant))}
        for local, entry in current.items():
            if local not in desired and self._remove(origin, entry["remoteNamespace"]):
                mapping[local] = {**entry, "phase": TERMINATING}
        found = self._site.api.set_status(found, {**status, "currentMapping": mapping}, names.MANAGER)
        if deleting(found) and not mapping:
            self._site.api.update(without_finalizer(found, names.MAP_FINALIZER), WRITE)

    def _replicated(self, tenant: str) -> Object | None:
        for found in self._site.all(kinds.NAMESPACE_MAP, tenant):
            if labels_of(found).get(names.REPLICATED) == "true":
                return found
        return None

    def _stands(self, origin: str, local: str, remote: str) -> bool:
        if self._site.twins.get(remote) != (origin, local):
            return False
        space = self._site.find(kinds.NAMESPACE, remote)
        return space is not None and not deleting(space) and self._made(space, origin)

    def _create(self, origin: str, local: str, remote: str, tenant: str) -> str:
        space = self._site.find(kinds.NAMESPACE, remote)
        if space is not None:
            mine = self._made(space, origin)
            if mine and not deleting(space):
                return ACCEPTED
            self._blocked[remote] = origin
            return TERMINATING if mine else BACK_OFF
        metadata = {
            "labels": labels(origin),
            "annotations": {names.BY_NAMESPACE_MAP: f"{tenant}/{self._site.id}", names.ORIGINAL_NAME: local},
        }
        self._site.ensure(kinds.NAMESPACE, kinds.NAMESPACE.new(remote, metadata=metadata))
        self._site.ensure(
            kinds.ROLE_BINDING,
            kinds.ROLE_BINDING.new(
                tenant, remote, metadata={"labels": labels(origin)},
                subjects=[{"kind": "Group", "name": origin, "apiGroup": "rbac.authorization.k8s.io"}],
                roleRef={
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                    "name": "liqo-virtual-kubelet-remote",
                },
            ),
        )  # fmt: skip
        return ACCEPTED

    def _made(self, space: Object, origin: str) -> bool:
        """Whether it was made for that map, and nobody made it theirs since."""
        map_name = f"{self._site.tenants.get(origin)}/{self._site.id}"
        return (
            labels_of(space).get(names.REMOTE) == origin
            and annotations_of(space).get(names.BY_NAMESPACE_MAP) == map_name
        )

    def _remove(self, origin: str, remote: str) -> bool:
        """Delete a twin; whether it is still there."""
        space = self._site.find(kinds.NAMESPACE, remote)
        if space is None or not self._made(space, origin):
            return False
        if not deleting(space):
            self._site.drop(kinds.NAMESPACE, remote)
        return self._site.find(kinds.NAMESPACE, remote) is not None
