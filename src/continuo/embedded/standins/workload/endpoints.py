"""The endpoint controllers: EndpointSlices (and the older Endpoints) of Services with a selector.

A pod event costs O(services that select it); only slices whose endpoints changed are written, once per short delay.
"""

from __future__ import annotations

from typing import Any

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work
from continuo.embedded.standins.kinds import ENDPOINTS
from continuo.embedded.standins.objects import owner_reference, short_hash
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload.owned import pod_finished, pod_ready
from continuo.resources.kinds import ENDPOINT_SLICE, POD, SERVICE
from continuo.resources.meta import Key, Object, key_of, labels_of

SLICE_SIZE = 100
LEGACY_LIMIT = 1000
_WRITE = Write(manager="kube-controller-manager", trusted=True)
SERVICE_NAME = "kubernetes.io/service-name"


class Members:
    """One Service's pods, each with a fixed place in one of its slices."""

    __slots__ = ("dirty", "pairs", "place", "selector", "slices")

    def __init__(self, selector: dict[str, str]) -> None:
        self.selector = selector
        self.pairs = frozenset(selector.items())
        self.slices: list[dict[Key, Object]] = []
        self.place: dict[Key, int] = {}
        self.dirty: set[int] = set()

    def put(self, key: Key, pod: Object) -> bool:
        """Take the pod's newest state; True when a slice changed."""
        number = self.place.get(key)
        if number is None:
            number = self._room()
            self.place[key] = number
        endpoint = endpoint_of(pod)
        before = self.slices[number].get(key)
        if before is not None and before["endpoint"] == endpoint:
            return False
        self.slices[number][key] = {"endpoint": endpoint, "ports": container_ports(pod)}
        self.dirty.add(number)
        return True

    def drop(self, key: Key) -> bool:
        """The pod is gone; True when it was a member."""
        number = self.place.pop(key, None)
        if number is None:
            return False
        self.slices[number].pop(key, None)
        self.dirty.add(number)
        return True

    def _room(self) -> int:
        if self.slices and len(self.slices[-1]) < SLICE_SIZE:
            return len(self.slices) - 1
        for number in self.dirty:
            if number < len(self.slices) and len(self.slices[number]) < SLICE_SIZE:
                return number
        self.slices.append({})
        return len(self.slices) - 1


def container_ports(pod: Object) -> dict[str, int]:
    """Named container ports."""
    return {
        port["name"]: port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("name")
    }


def endpoint_of(pod: Object) -> Object:
    """One entry of an EndpointSlice."""
    ready, terminating = pod_ready(pod), "deletionTimestamp" in pod["metadata"]
    metadata = pod["metadata"]
    entry: Object = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready and not terminating, "serving": ready, "terminating": terminating},
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
        },
    }  # fmt: skip
    if pod["spec"].get("hostname"):
        entry["hostname"] = pod["spec"]["hostname"]
    return entry


def slice_ports(service: Object, named: dict[str, int]) -> list[Object]:
    """The slice's ports: numbers of the containers, names of the Service."""
    result = []
    for port in service["spec"].get("ports") or ():
        target: Any = port.get("targetPort", port["port"])
        number = named.get(target) if isinstance(target, str) else target
        if number is None:
            continue
        entry = {
            "name": port.get("name", ""),
            "port": number or port["port"],
            "protocol": port.get("protocol", "TCP"),
        }
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        result.append(entry)
    return result


class Endpoints:
    """The endpoints of all Services of one cluster."""

    def __init__(self, engine: Engine, api: Api, settings: Settings) -> None:
        self._api, self._delay = api, settings.scaled(settings.endpoints_delay)
        self._members: dict[Key, Members] = {}
        self._by_pair: dict[tuple[str, str, str], set[Key]] = {}
        self._work: Work[Key] = Work(engine, self._handle, name="endpointslice-controller")

    def stop(self) -> None:
        self._work.stop()

    def on_service(self, change: StoredChange) -> None:
        """A Service came, changed or went."""
        service, key = change.object, key_of(change.object)
        selector = (service.get("spec") or {}).get("selector") or {}
        if change.type == "DELETED" or not selector or service["spec"].get("type") == "ExternalName":
            self._forget(key)
            return
        members = self._members.get(key)
        if members is None or members.selector != selector:
            self._forget(key)
            members = self._members[key] = Members(selector)
            self._by_pair.setdefault((key[0], *min(selector.items())), set()).add(key)
            for pod in self._api.list(POD, key[0], selector):
                if usable(pod):
                    members.put(key_of(pod), pod)
        elif change.previous is not None and change.previous["spec"] == service["spec"]:
            return
        members.dirty.update(range(max(1, len(members.slices))))
        self._work.add_after(key, self._delay)

    def on_pod(self, change: StoredChange) -> None:
        """A pod came, changed or went."""
        if not self._by_pair:
            return
        pod, key = change.object, key_of(change.object)
        before = change.previous
        labels = labels_of(pod)
        if before is not None and labels_of(before) != labels:
            for service in self._selecting(key[0], labels_of(before)):
                if not self._members[service].pairs <= labels.items() and self._members[service].drop(key):
                    self._work.add_after(service, self._delay)
        there = change.type != "DELETED" and usable(pod)
        for service in self._selecting(key[0], labels):
            members = self._members[service]
            if members.put(key, pod) if there else members.drop(key):
                self._work.add_after(service, self._delay)

    def _selecting(self, namespace: str, labels: dict[str, str]) -> list[Key]:
        items = labels.items()
        return [
            service
            for name, value in items
            for service in self._by_pair.get((namespace, name, value), ())
            if self._members[service].pairs <= items
        ]

    def _forget(self, key: Key) -> None:
        members = self._members.pop(key, None)
        if members is not None:
            pair = (key[0], *min(members.selector.items()))
            self._by_pair[pair].discard(key)
            if not self._by_pair[pair]:
                del self._by_pair[pair]

    def _handle(self, key: Key) -> None:
        service, members = self._api.find(SERVICE, key[1], key[0]), self._members.get(key)
        if service is None or members is None or "deletionTimestamp" in service["metadata"]:
            return
        dirty, members.dirty = sorted(members.dirty), set()
        for number in dirty:
            self._write_slice(service, members, number)
        self._write_legacy(service, members)

    def _write_slice(self, service: Object, members: Members, number: int) -> None:
        metadata = service["metadata"]
        name = f"{metadata['name']}-{short_hash([metadata['uid'], number], 5)}"
        entries = members.slices[number] if number < len(members.slices) else {}
        found = self._api.find(ENDPOINT_SLICE, name, metadata["namespace"])
        if not entries and number > 0:
            if found is not None:
                self._api.delete(ENDPOINT_SLICE, name, metadata["namespace"])
            return
        named: dict[str, int] = {}
        for entry in entries.values():
            named.update(entry["ports"])
        labels = {
            **{label: value for label, value in labels_of(service).items() if label != SERVICE_NAME},
            SERVICE_NAME: metadata["name"], "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }  # fmt: skip
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        new: Object = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": name, "namespace": metadata["namespace"], "labels": labels,
                "ownerReferences": [owner_reference(service)],
                **({"annotations": found["metadata"]["annotations"]} if found and "annotations" in found["metadata"] else {}),
            },
            "endpoints": [entry["endpoint"] for entry in entries.values()],
            "ports": slice_ports(service, named) if entries else [],
        }  # fmt: skip
        if found is None:
            self._api.create(new, _WRITE)
        else:
            self._api.update(new, _WRITE)

    def _write_legacy(self, service: Object, members: Members) -> None:
        metadata = service["metadata"]
        ready: list[Object] = []
        waiting: list[Object] = []
        named: dict[str, int] = {}
        for entries in members.slices:
            for entry in entries.values():
                if len(ready) + len(waiting) >= LEGACY_LIMIT:
                    break
                endpoint = entry["endpoint"]
                address = {
                    "ip": endpoint["addresses"][0],
                    "nodeName": endpoint["nodeName"],
                    "targetRef": endpoint["targetRef"],
                }
                named.update(entry["ports"])
                if endpoint["conditions"]["ready"]:
                    ready.append(address)
                elif not endpoint["conditions"]["terminating"]:
                    waiting.append(address)
        subset: Object = {"ports": slice_ports(service, named)}
        if ready:
            subset["addresses"] = ready
        if waiting:
            subset["notReadyAddresses"] = waiting
        new = ENDPOINTS.new(
            metadata["name"], metadata["namespace"],
            metadata={"ownerReferences": [owner_reference(service)]},
            subsets=[subset] if ready or waiting else [],
        )  # fmt: skip
        if self._api.find(ENDPOINTS, metadata["name"], metadata["namespace"]) is None:
            self._api.create(new, _WRITE)
        else:
            self._api.update(new, _WRITE)


def usable(pod: Object) -> bool:
    """Whether the pod can be an endpoint: it has an address and is not finished."""
    return bool((pod.get("status") or {}).get("podIP")) and not pod_finished(pod)
