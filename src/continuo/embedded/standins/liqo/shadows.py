"""The provider's side of offloading: ShadowPods kept alive as Pods, ShadowEndpointSlices translated."""

from __future__ import annotations

from continuo.embedded.port import StoredChange, Write
from continuo.embedded.standins.base import Listeners, Work
from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.ipam import number_of
from continuo.embedded.standins.liqo.networking import Networking
from continuo.embedded.standins.liqo.site import PeerView, Site
from continuo.embedded.standins.objects import owner_reference
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Key, Object, key_of
from continuo.resources.reflected import GONE_PHASES, same_meaning

WRITE = Write(manager=names.MANAGER, trusted=True)
BATCH = 256


class Shadows:
    """The shadow-pod and shadow-endpoint-slice controllers of one cluster."""

    def __init__(self, site: Site) -> None:
        self._site, self._api = site, site.api
        self._listeners = Listeners(site.engine, site.api)
        self._work: Work[Key] = Work(site.engine, self._pod, name=f"liqo shadow pods {site.id}", batch=BATCH)
        self._slices: Work[Key] = Work(site.engine, self._slice, name=f"liqo shadow endpoints {site.id}")
        self._slices_of: dict[str, dict[Key, None]] = {}
        self._up: dict[str, bool] = {}

    def start(self) -> None:
        """Follow shadows and what became of them."""
        self._listeners.follow(kinds.SHADOW_POD, self._on_shadow)
        self._listeners.follow(kinds.SHADOW_ENDPOINT_SLICE, self._on_slice)
        self._listeners.follow(kinds.ENDPOINT_SLICE, self._on_endpoints)
        self._listeners.follow(kinds.POD, self._on_pod)

    def stop(self) -> None:
        """Let go."""
        self._listeners.stop()
        self._work.stop()
        self._slices.stop()

    def peer(self, peer: str) -> None:
        """The peer's endpoints follow the link: none is ready while nobody can reach it."""
        up = self._reachable(peer)
        if self._up.get(peer) != up:
            self._up[peer] = up
            for key in self._slices_of.get(peer, ()):
                self._slices.add(key)

    # --- events -------------------------------------------------------------------------------------------------------
    def _on_shadow(self, change: StoredChange) -> None:
        key = key_of(change.object)
        if change.type != "DELETED":
            if change.previous is None or not same_meaning(change.previous, change.object):
                self._work.add(key)
            return
        pod = self._api.find(kinds.POD, key[1], key[0])
        if pod is not None and _ours(pod):
            self._site.drop(kinds.POD, key[1], key[0])
        else:
            self._tell(change.object)

    def _on_pod(self, change: StoredChange) -> None:
        pod = change.object
        if not _ours(pod):
            return
        if change.type == "ADDED":
            return  # its origin has nothing to learn yet
        if change.type == "DELETED":
            self._work.add(key_of(pod))
        elif change.previous is not None and change.previous.get("status") is pod.get("status"):
            if change.previous["metadata"].get("labels") != pod["metadata"].get("labels"):
                self._work.add(key_of(pod))
            return
        elif change.previous is not None and _phase(change.previous) != _phase(pod):
            self._work.add(key_of(pod))
        self._tell(pod)

    def _tell(self, obj: Object) -> None:
        """Have the origin look at its pod."""
        origin = obj["metadata"]["labels"].get(names.ORIGIN)
        site = self._site.world.sites.get(origin)
        twin = self._site.twins.get(obj["metadata"]["namespace"])
        if site is not None and twin is not None:
            site.look_at_pod((twin[1], obj["metadata"]["name"]))

    # --- pods ---------------------------------------------------------------------------------------------------------
    def _pod(self, key: Key) -> None:
        shadow = self._api.find(kinds.SHADOW_POD, key[1], key[0])
        if shadow is None or "deletionTimestamp" in shadow["metadata"]:
            return
        pod = self._api.find(kinds.POD, key[1], key[0])
        if pod is None:
            if (shadow.get("status") or {}).get("phase") not in GONE_PHASES:
                self._run(shadow)
            return
        if not _ours(pod):
            return
        marks = {**(shadow["metadata"].get("labels") or {}), names.MANAGED_BY: "shadowpod"}
        have = pod["metadata"].get("labels") or {}
        if not marks.items() <= have.items():
            metadata = {**pod["metadata"], "labels": {**have, **marks}}
            pod = self._api.update({**pod, "metadata": metadata}, WRITE)
        phase = _phase(pod)
        if phase and phase != "Pending" and (shadow.get("status") or {}).get("phase") != phase:
            self._api.set_status(shadow, {"phase": phase}, names.MANAGER)

    def _run(self, shadow: Object) -> None:
        given = shadow["metadata"]
        labels = {**(given.get("labels") or {}), names.MANAGED_BY: "shadowpod"}
        metadata: Object = {"labels": labels, "ownerReferences": [owner_reference(shadow)]}
        if given.get("annotations"):
            metadata["annotations"] = given["annotations"]
        pod = kinds.POD.new(given["name"], given["namespace"], metadata=metadata, spec=shadow["spec"]["pod"])
        try:
            self._api.create(pod, WRITE)
        except AlreadyExists:
            return
        except NotFound:
            self._work.add_after(key_of(shadow), 0.5)

    # --- endpoints ----------------------------------------------------------------------------------------------------
    def _on_slice(self, change: StoredChange) -> None:
        key = key_of(change.object)
        origin = (change.object["metadata"].get("labels") or {}).get(names.ORIGIN)
        if origin is None:
            return
        keys = self._slices_of.setdefault(origin, {})
        if change.type == "DELETED":
            keys.pop(key, None)
            self._site.drop(kinds.ENDPOINT_SLICE, key[1], key[0])
        else:
            keys[key] = None
            self._slices.add(key)

    def _on_endpoints(self, change: StoredChange) -> None:
        marks = change.object["metadata"].get("labels") or {}
        if change.previous is not None and marks.get(names.MANAGED_BY) == "shadowendpointslice":
            self._slices.add(key_of(change.object))

    def _slice(self, key: Key) -> None:
        shadow = self._api.find(kinds.SHADOW_ENDPOINT_SLICE, key[1], key[0])
        if shadow is None or "deletionTimestamp" in shadow["metadata"]:
            return
        origin = shadow["metadata"]["labels"][names.ORIGIN]
        view = self._site.peers.get(origin)
        if view is None or view.pods is None:
            self._slices.add_after(key, 1.0)
            return
        template, reachable = shadow["spec"]["template"], self._up.get(origin, False)
        endpoints = [self._seen(entry, origin, view, reachable) for entry in template.get("endpoints") or ()]
        marks = {**shadow["metadata"]["labels"], names.MANAGED_BY: "shadowendpointslice"}
        metadata: Object = {"labels": marks, "ownerReferences": [owner_reference(shadow)]}
        wanted: Object = {
            **kinds.ENDPOINT_SLICE.new(key[1], key[0], metadata=metadata),
            "addressType": template.get("addressType", "IPv4"), "endpoints": endpoints,
            "ports": template.get("ports") or [],
        }  # fmt: skip
        self._site.ensure(kinds.ENDPOINT_SLICE, wanted)

    def _seen(self, entry: Object, origin: str, view: PeerView, reachable: bool) -> Object:
        """One endpoint as it is reached from here."""
        conditions = dict(entry.get("conditions") or {})
        if not reachable:
            conditions["ready"] = False
        addresses = [self._address(ip, origin, view) for ip in entry.get("addresses") or ()]
        return {**entry, "addresses": addresses, "conditions": conditions}

    def _address(self, ip: str, origin: str, view: PeerView) -> str:
        assert view.pods is not None
        other = self._site.other(origin)
        if view.external is not None and other is not None and other.is_external(number_of(ip)):
            return view.external(ip)
        return view.pods(ip)

    def _reachable(self, peer: str) -> bool:
        return Networking(self._site).tunnel_up(peer)


def _ours(pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get(names.MANAGED_BY) == "shadowpod"


def _phase(pod: Object) -> str | None:
    phase: str | None = (pod.get("status") or {}).get("phase")
    return phase
