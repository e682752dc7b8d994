"""MetalLB: addresses for Services of type LoadBalancer, from the cluster's IPAddressPools.

Services may share an address when they give the same `metallb.io/allow-shared-ip` key and their ports differ. Without
MetalLB in the cluster (its controller Deployment) such a Service stays pending, as on bare metal.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.embedded.standins.base import Work, stored
from continuo.embedded.standins.kinds import IP_ADDRESS_POOL
from continuo.embedded.standins.workload.events import EventSink
from continuo.resources.kinds import SERVICE
from continuo.resources.meta import Key, Object, annotations_of, key_of, labels_of

NAME = "metallb-controller"
_PREFIXES = ("metallb.io/", "metallb.universe.tf/")
PortKey = tuple[str, int]


def _annotation(service: Object, name: str) -> str:
    annotations = annotations_of(service)
    return next((annotations[prefix + name] for prefix in _PREFIXES if prefix + name in annotations), "")


def addresses_of(entry: str) -> Iterator[str]:
    """The addresses of one pool entry: a CIDR or `first-last`, in order."""
    if "-" in entry:
        first, last = (int(ipaddress.IPv4Address(part.strip())) for part in entry.split("-", 1))
    else:
        network = ipaddress.IPv4Network(entry.strip(), strict=False)
        first, last = int(network.network_address), int(network.broadcast_address)
    for number in range(first, last + 1):
        yield str(ipaddress.IPv4Address(number))


def contains(pool: Object, address: str) -> bool:
    """Whether the pool has the address."""
    number = int(ipaddress.IPv4Address(address))
    for entry in pool["spec"].get("addresses") or ():
        if "-" in entry:
            first, last = (int(ipaddress.IPv4Address(part.strip())) for part in entry.split("-", 1))
        else:
            network = ipaddress.IPv4Network(entry.strip(), strict=False)
            first, last = int(network.network_address), int(network.broadcast_address)
        if first <= number <= last:
            return True
    return False


def _ports(service: Object) -> frozenset[PortKey]:
    return frozenset((port.get("protocol", "TCP"), port["port"]) for port in service["spec"].get("ports") or ())


def _terms(service: Object) -> tuple[str, str]:
    """The sharing key, and what else must agree: nothing, or with the policy Local the selector."""
    local = service["spec"].get("externalTrafficPolicy") == "Local"
    return _annotation(service, "allow-shared-ip"), str(
        sorted((service["spec"].get("selector") or {}).items())
    ) if local else ""


class LoadBalancers:
    """The addresses given to the Services of one cluster."""

    def __init__(self, engine: Engine, api: Api, events: EventSink) -> None:
        self._api, self._events = api, events
        self._installed: set[Key] = set()
        self._given: dict[Key, str] = {}
        self._holders: dict[str, dict[Key, tuple[tuple[str, str], frozenset[PortKey]]]] = {}
        self._waiting: set[Key] = set()
        self._work: Work[Key] = Work(engine, self._handle, name=NAME)

    def stop(self) -> None:
        self._work.stop()

    def on_deployment(self, change: StoredChange) -> None:
        """MetalLB was installed or removed."""
        labels = labels_of(change.object)
        if (
            labels.get("app.kubernetes.io/name") != "metallb"
            or labels.get("app.kubernetes.io/component") != "controller"
        ):
            return
        if change.type == "DELETED":
            self._installed.discard(key_of(change.object))
        elif (change.object.get("status") or {}).get("availableReplicas") and key_of(
            change.object
        ) not in self._installed:
            self._installed.add(key_of(change.object))
            self._retry()

    def on_pool(self, _: StoredChange) -> None:
        """A pool came, changed or went."""
        self._retry()

    def on_service(self, change: StoredChange) -> None:
        """A Service came, changed or went."""
        service, key = change.object, key_of(change.object)
        if change.type == "DELETED" or service["spec"].get("type") != "LoadBalancer":
            self._release(key)
            return
        have = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or ()
        if have and have[0].get("ip") and key not in self._given:
            self._hold(key, service, have[0]["ip"])
        if not have or _terms(service) != self._held(key)[0] or _ports(service) != self._held(key)[1]:
            self._waiting.add(key)
            self._work.add(key)

    def _held(self, key: Key) -> tuple[tuple[str, str], frozenset[PortKey]]:
        return self._holders.get(self._given.get(key, ""), {}).get(key, (("", ""), frozenset()))

    def _hold(self, key: Key, service: Object, address: str) -> None:
        self._given[key] = address
        self._holders.setdefault(address, {})[key] = (_terms(service), _ports(service))

    def _release(self, key: Key) -> None:
        self._waiting.discard(key)
        address = self._given.pop(key, None)
        if address is not None:
            self._holders[address].pop(key, None)
            if not self._holders[address]:
                del self._holders[address]
            self._retry()

    def _retry(self) -> None:
        for key in self._waiting:
            self._work.add(key)

    def _handle(self, key: Key) -> None:
        service = self._api.find(SERVICE, key[1], key[0])
        if service is None or service["spec"].get("type") != "LoadBalancer" or not self._installed:
            return
        held = self._given.get(key)
        if held is not None:
            self._holders[held].pop(key, None)
        address, problem = self._choose(service, held)
        if not address:
            self._given.pop(key, None)
            self._waiting.add(key)
            self._events.emit(service, "Warning", "AllocationFailed", problem, NAME)
            self._api.set_status(service, {"loadBalancer": {}}, NAME)
            return
        self._hold(key, service, address)
        self._waiting.discard(key)
        status = {
            **(service.get("status") or {}),
            "loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]},
        }
        if status != service.get("status"):
            self._api.set_status(service, status, NAME)
            self._events.emit(service, "Normal", "IPAllocated", f'Assigned IP ["{address}"]', NAME)

    def _choose(self, service: Object, held: str | None) -> tuple[str, str]:
        """(address, problem): one of the two is empty."""
        key = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        pools = stored(self._api, IP_ADDRESS_POOL)
        wanted = _annotation(service, "loadBalancerIPs") or service["spec"].get("loadBalancerIP") or ""
        name = _annotation(service, "address-pool")
        if name:
            pools = [pool for pool in pools if pool["metadata"]["name"] == name]
            if not pools:
                return "", f'Failed to allocate IP for "{key}": unknown pool "{name}"'
        elif not wanted:
            pools = [pool for pool in pools if pool["spec"].get("autoAssign", True)]
        if wanted:
            return self._wanted(service, key, pools, wanted.split(",")[0].strip())
        if held and any(contains(pool, held) for pool in pools) and not self._conflict(service, held):
            return held, ""
        for pool in pools:
            for entry in pool["spec"].get("addresses") or ():
                for address in addresses_of(entry):
                    if not self._conflict(service, address):
                        return address, ""
        return "", f'Failed to allocate IP for "{key}": no available IPs'

    def _wanted(self, service: Object, key: str, pools: list[Object], address: str) -> tuple[str, str]:
        if not any(contains(pool, address) for pool in pools):
            return "", f'Failed to allocate IP for "{key}": ["{address}"] is not allowed in config'
        problem = self._conflict(service, address)
        if problem:
            return "", f'Failed to allocate IP for "{key}": can\'t change sharing key for "{key}", {problem}'
        return address, ""

    def _conflict(self, service: Object, address: str) -> str:
        holders = self._holders.get(address)
        if not holders:
            return ""
        terms, ports = _terms(service), _ports(service)
        for (namespace, name), (others, taken) in holders.items():
            if not terms[0] or terms != others:
                return f"address also in use by {namespace}/{name}"
            for protocol, port in sorted(ports & taken):
                return f"port {protocol}/{port} is already in use by {namespace}/{name}"
        return ""
