"""The CRD replicator: specs of ResourceSlices and NamespaceMaps go to the peer, their status comes back."""

from __future__ import annotations

from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.authentication import has_credentials
from continuo.embedded.standins.liqo.site import WRITE, Site
from continuo.embedded.standins.objects import with_finalizer, without_finalizer
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, annotations_of, condition, deleting, labels_of

REPLICATED_KINDS = (kinds.RESOURCE_SLICE, kinds.NAMESPACE_MAP)


class Replicator:
    """The replicator of one cluster."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def start(self) -> None:
        """Nothing of its own: the site's events suffice."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def peer(self, peer: str) -> None:
        """Everything of ours that the peer should have."""
        namespace = self._site.tenants.get(peer)
        if namespace is None:
            return
        remote = has_credentials(self._site, peer)
        other = self._site.other(peer)
        reachable = other is not None and other.up
        dead = is_dead(self._site, peer)
        for kind in REPLICATED_KINDS:
            for local in self._site.all(kind, namespace):
                marks = labels_of(local)
                if marks.get(names.REPLICATION) != "true" or marks.get(names.REMOTE_ID) != peer:
                    continue
                if dead and deleting(local):
                    self._let_go(local)
                elif reachable and other is not None and remote is not None:
                    self._replicate(kind, local, other, remote)

    def _replicate(self, kind: Kind, local: Object, other: Site, remote: str) -> None:
        name = local["metadata"]["name"]
        copy = other.find(kind, name, remote)
        if deleting(local):
            if copy is None:
                self._let_go(local)
            elif not deleting(copy):
                other.drop(kind, name, remote)
            return
        held = with_finalizer(local, names.REPLICATOR_FINALIZER)
        if held is not local:
            local = self._site.api.update(held, WRITE)
        if copy is None:
            self._create(kind, local, other, remote)
            return
        if deleting(copy):
            return
        if copy.get("spec") != local.get("spec"):
            copy = other.api.update({**copy, "spec": local.get("spec")}, WRITE)
        if "status" in copy and copy["status"] != local.get("status"):
            self._site.api.set_status(local, copy["status"], names.MANAGER)

    def _create(self, kind: Kind, local: Object, other: Site, remote: str) -> None:
        space = other.find(kinds.NAMESPACE, remote)
        if space is None or deleting(space):
            return
        own = self._site.id
        marks = {
            **labels_of(local), names.REPLICATION: "false", names.REPLICATED: "true",
            names.ORIGIN_ID: own, names.REMOTE: own,
        }  # fmt: skip
        metadata = {"labels": marks, "annotations": dict(annotations_of(local))}
        copy = kind.new(local["metadata"]["name"], remote, metadata=metadata, spec=local.get("spec") or {})
        other.api.create(copy, WRITE)

    def _let_go(self, local: Object) -> None:
        if names.REPLICATOR_FINALIZER in (local["metadata"].get("finalizers") or ()):
            self._site.api.update(without_finalizer(local, names.REPLICATOR_FINALIZER), WRITE)


def is_dead(site: Site, peer: str) -> bool:
    """Whether people said that the peer is gone for good, and it looks so."""
    foreign = site.find(kinds.FOREIGN_CLUSTER, peer)
    if foreign is None or annotations_of(foreign).get(names.UNREACHABLE) != "true":
        return False
    status = condition(foreign, "APIServerStatus")
    return status is None or status.get("status") != "Established"
