"""Reflected objects: services, their endpoints, configuration and secrets follow the pods to the provider."""

from __future__ import annotations

from continuo.embedded.port import StoredChange, Write
from continuo.embedded.standins.base import Listeners, Work, lookup
from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.ipam import number_of
from continuo.embedded.standins.liqo.site import Mapped, Site
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, Forbidden, NotFound
from continuo.resources.meta import Kind, Object, annotations_of, labels_of
from continuo.resources.reflected import ROOT_CA, body_of, is_token, merged, passed_annotations, root_ca

WRITE = Write(manager=names.KUBELET, trusted=True)
_KINDS: dict[str, Kind] = {
    kind.kind: kind for kind in (kinds.SERVICE, kinds.CONFIG_MAP, kinds.SECRET, kinds.INGRESS, kinds.ENDPOINT_SLICE)
}
_Key = tuple[str, str, str]


class Reflection:
    """The reflectors of all virtual kubelets of one cluster, except those of pods."""

    def __init__(self, site: Site) -> None:
        self._site, self._api = site, site.api
        self._listeners = Listeners(site.engine, site.api)
        self.work: Work[_Key] = Work(site.engine, self._handle, name=f"liqo reflection {site.id}")

    def start(self) -> None:
        """Follow what may have to be reflected."""
        for kind in _KINDS.values():
            self._listeners.follow(kind, self._on_change)

    def stop(self) -> None:
        """Let go."""
        self._listeners.stop()
        self.work.stop()

    def peer(self, peer: str) -> None:
        """Nothing: namespaces and objects have their own events."""

    def namespace_changed(self, namespace: str) -> None:
        """The namespace now exists at a peer, or no longer: look at everything in it."""
        for name, kind in _KINDS.items():
            for obj in self._site.all(kind, namespace):
                self.work.add((name, namespace, obj["metadata"]["name"]))

    def _on_change(self, change: StoredChange) -> None:
        metadata = change.object["metadata"]
        namespace = metadata.get("namespace", "")
        if namespace in self._site.namespaces:
            self.work.add((change.kind.kind, namespace, metadata["name"]))
        twin = self._site.twins.get(namespace)
        if twin is not None and change.previous is not None:
            self._copy_changed(change, twin)

    def _copy_changed(self, change: StoredChange, twin: tuple[str, str]) -> None:
        """Somebody touched a copy here: its origin looks at it again."""
        marks = labels_of(change.object) or labels_of(change.previous or change.object)
        site = self._site.world.sites.get(marks.get(names.ORIGIN, ""))
        if site is not None and site.id == twin[0]:
            name = change.object["metadata"]["name"]
            if change.kind.kind == "ConfigMap" and name == root_ca(site.id):
                name = ROOT_CA
            site.look_at_object((change.kind.kind, twin[1], name))

    # --- one object ---------------------------------------------------------------------------------------------------
    def _handle(self, key: _Key) -> None:
        kind = _KINDS[key[0]]
        obj = lookup(self._api, kind, key[2], key[1])
        for mapped in self._site.namespaces.get(key[1], ()):
            other = self._site.other(mapped.peer)
            if other is None or not self._site.peers[mapped.peer].api_up:
                self.work.add_after(key, 5.0)
            elif kind is kinds.ENDPOINT_SLICE:
                self._endpoints(key, obj, other, mapped)
            else:
                self._copy(kind, key, obj, other, mapped)

    def _copy(self, kind: Kind, key: _Key, obj: Object | None, other: Site, mapped: Mapped) -> None:
        name = root_ca(self._site.id) if kind is kinds.CONFIG_MAP and key[2] == ROOT_CA else key[2]
        if obj is None or "deletionTimestamp" in obj["metadata"] or _skipped(kind, obj):
            self._remove(kind, name, other, mapped)
            return
        self._write(kind, {**_metadata(obj, kind, name, self._site.id, mapped), **body_of(kind, obj)}, other)

    def _write(self, kind: Kind, wanted: Object, other: Site) -> None:
        name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
        live = lookup(other.api, kind, name, namespace)
        if live is None:
            try:
                other.api.create(wanted, WRITE)
            except (AlreadyExists, NotFound, Forbidden):
                return  # the namespace is going, or a like-named object came first: its own events bring us back
            return
        if not self._is_copy(live, other):
            return
        wanted = merged(kind, live, wanted)
        if wanted != live:
            other.api.update(wanted, WRITE)

    def _is_copy(self, obj: Object, other: Site) -> bool:
        marks = labels_of(obj)
        return marks.get(names.ORIGIN) == self._site.id and marks.get(names.DESTINATION) == other.id

    def _remove(self, kind: Kind, name: str, other: Site, mapped: Mapped) -> None:
        live = lookup(other.api, kind, name, mapped.remote)
        if live is not None and self._is_copy(live, other) and "deletionTimestamp" not in live["metadata"]:
            other.drop(kind, name, mapped.remote)

    # --- endpoints ----------------------------------------------------------------------------------------------------
    def _endpoints(self, key: _Key, obj: Object | None, other: Site, mapped: Mapped) -> None:
        """What of a slice the peer cannot see by itself: every endpoint that does not run there."""
        if obj is not None and names.ORIGIN in labels_of(obj):
            return
        if obj is None or "deletionTimestamp" in obj["metadata"] or not labels_of(obj).get(names.SERVICE_NAME):
            self._remove(kinds.SHADOW_ENDPOINT_SLICE, key[2], other, mapped)
            return
        nodes, endpoints = self._site.nodes, []
        for entry in obj.get("endpoints") or ():
            if nodes.get(entry.get("nodeName") or "") == mapped.peer:
                continue
            addresses = [self._outward(ip, key[1]) for ip in entry.get("addresses") or ()]
            shown = {name: entry[name] for name in ("conditions", "hostname") if name in entry}
            endpoints.append({**shown, "addresses": addresses, "nodeName": self._site.id})
        marks = {
            **labels_of(obj), names.SLICE_MANAGED_BY: names.SLICE_REFLECTED,
            **names.pair(self._site.id, other.id),
        }  # fmt: skip
        template = {
            "addressType": obj.get("addressType", "IPv4"), "ports": obj.get("ports") or [], "endpoints": endpoints,
        }  # fmt: skip
        wanted = kinds.SHADOW_ENDPOINT_SLICE.new(
            key[2], mapped.remote, metadata={"labels": marks}, spec={"template": template}
        )
        self._write(kinds.SHADOW_ENDPOINT_SLICE, wanted, other)

    def _outward(self, ip: str, namespace: str) -> str:
        """An address that the peer can translate: our pods' as they are, any other through an IP object."""
        if self._site.is_local_pod(number_of(ip)):
            return ip
        name = f"{ip.replace('.', '-')}"
        known = self._site.find(kinds.IP, name, namespace)
        if known is None:
            known = self._site.ensure(kinds.IP, kinds.IP.new(name, namespace, spec={"ip": ip}))
        status = known.get("status") or {}
        if not status.get("ip"):
            address = self._site.next_external()
            if address is None:
                return ip
            status = {"ip": address, "cidr": str(self._site.external_cidr)}
            self._site.api.set_status(known, status, names.MANAGER)
        return str(status["ip"])


def _skipped(kind: Kind, obj: Object) -> bool:
    if annotations_of(obj).get(names.SKIP, "false") not in ("false",):
        return True
    return is_token(kind, obj)


def _metadata(obj: Object, kind: Kind, name: str, origin: str, mapped: Mapped) -> Object:
    metadata: Object = {"labels": {**labels_of(obj), **names.pair(origin, mapped.peer)}}
    annotations = passed_annotations(obj)
    if annotations:
        metadata["annotations"] = annotations
    return kind.new(name, mapped.remote, metadata=metadata)
