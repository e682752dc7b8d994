"""Services: defaults, and the addresses and ports that one cluster hands out."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from continuo.embedded.apicore.failures import invalid_value, required, unsupported
from continuo.embedded.apicore.strategies import Strategy
from continuo.embedded.machinery.fields import FieldError
from continuo.resources.errors import InternalError
from continuo.resources.meta import Object

if TYPE_CHECKING:
    from continuo.embedded.apicore.state import State
    from continuo.embedded.port import Event

_NODE_PORTS: Final = range(30_000, 32_768)
_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


class Addresses:
    """Which cluster addresses and node ports are in use. The next free one is looked for behind the last one given."""

    def __init__(self, cidr: str = "10.96.0.0/16") -> None:
        self.network = ipaddress.ip_network(cidr)
        self._base = int(self.network.network_address)
        self._taken: set[str] = set()
        self._ports: set[int] = set()
        self._next = 10
        self._next_port = 0

    def taken(self, address: str) -> bool:
        return address in self._taken

    def free(self) -> str:
        """An address that is free; taken only when a service with it is committed."""
        size = self.network.num_addresses - 2
        for _ in range(size):
            self._next = self._next % size + 1
            address = str(ipaddress.ip_address(self._base + self._next))
            if address not in self._taken:
                return address
        raise InternalError(f"failed to allocate a serviceIP: range {self.network} is full")

    def free_port(self, reserved: set[int]) -> int:
        """A free node port outside `reserved`."""
        for _ in _NODE_PORTS:
            self._next_port = (self._next_port + 1) % len(_NODE_PORTS)
            port = _NODE_PORTS[self._next_port]
            if port not in self._ports and port not in reserved:
                return port
        raise InternalError("failed to allocate a nodePort: range 30000-32767 is full")

    def port_taken(self, port: int) -> bool:
        return port in self._ports

    def take(self, service: Object) -> None:
        """The service is there."""
        spec = service.get("spec") or {}
        self._taken.update(_addresses(spec))
        self._ports.update(_node_ports(spec))

    def release(self, service: Object) -> None:
        """The service is gone, or about to be replaced."""
        spec = service.get("spec") or {}
        self._taken.difference_update(_addresses(spec))
        self._ports.difference_update(_node_ports(spec))


def _addresses(spec: Object) -> set[str]:
    return {entry for entry in spec.get("clusterIPs") or () if entry and entry != "None"}


def _node_ports(spec: Object) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def committed(state: State, type_: Event, service: Object, previous: Object | None) -> None:
    """Keep the account of what is in use."""
    if previous is not None:
        state.addresses.release(previous)
    if type_ != "DELETED":
        state.addresses.take(service)


# --- defaults and allocation ------------------------------------------------------------------------------------------
def defaulted(service: Object) -> Object:
    """Type, affinity, protocols and target ports."""
    spec = service.get("spec") or {}
    new: Object = {"type": "ClusterIP", "sessionAffinity": "None", **spec}
    if ports := spec.get("ports"):
        new["ports"] = [_port(port) for port in ports]
    if new["type"] == "ExternalName":
        return {**service, "spec": new}
    new.setdefault("internalTrafficPolicy", "Cluster")
    if new["type"] in ("NodePort", "LoadBalancer"):
        new.setdefault("externalTrafficPolicy", "Cluster")
    if new["type"] == "LoadBalancer":
        new.setdefault("allocateLoadBalancerNodePorts", True)
    if new["sessionAffinity"] == "ClientIP":
        new.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    return service if new == spec else {**service, "spec": new}


def _port(port: Any) -> Any:
    if not isinstance(port, dict) or ("protocol" in port and "targetPort" in port):
        return port
    return {"protocol": "TCP", "targetPort": port.get("port"), **port}


def prepare(state: State, service: Object, old: Object | None) -> Object:
    """Give the service its address and node ports, or keep those it has."""
    spec, before = service.get("spec") or {}, (old or {}).get("spec") or {}
    new = {**spec}
    if spec.get("type") == "ExternalName":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            new.pop(name, None)
        return service if new == spec else {**service, "spec": new}
    if not new.get("clusterIP"):
        new["clusterIP"] = before.get("clusterIP") or state.addresses.free()
    new["clusterIPs"] = new.get("clusterIPs") or before.get("clusterIPs") or [new["clusterIP"]]
    new.setdefault("ipFamilies", before.get("ipFamilies") or ["IPv4"])
    new.setdefault("ipFamilyPolicy", before.get("ipFamilyPolicy") or "SingleStack")
    if before and before.get("type") != new["type"] == "ClusterIP":
        new["ports"] = [_without_node_port(port, before) for port in new.get("ports") or ()]
    _give_ports(state, new, before)
    return service if new == spec else {**service, "spec": new}


def _without_node_port(port: Object, before: Object) -> Object:
    """A service that stops having node ports gives back those that it had, unless the writer gave others."""
    if port.get("nodePort") not in _node_ports(before):
        return port
    return {name: value for name, value in port.items() if name != "nodePort"}


def _give_ports(state: State, spec: Object, before: Object) -> None:
    wants = spec["type"] == "NodePort" or (
        spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
    )
    if not wants:
        return
    kept = {(p.get("port"), p.get("protocol")): p["nodePort"] for p in before.get("ports") or () if p.get("nodePort")}
    reserved = _node_ports(spec) | set(kept.values())
    ports = []
    for port in spec.get("ports") or ():
        if not port.get("nodePort"):
            number = kept.get((port.get("port"), port.get("protocol"))) or state.addresses.free_port(reserved)
            reserved.add(number)
            port = {**port, "nodePort": number}
        ports.append(port)
    if ports:
        spec["ports"] = ports


# --- checks -----------------------------------------------------------------------------------------------------------
def check(service: Object, old: Object | None) -> Iterator[FieldError]:
    """What is wrong with a service."""
    spec, before = service.get("spec") or {}, (old or {}).get("spec") or {}
    type_ = spec.get("type")
    if type_ not in _TYPES:
        yield unsupported("spec.type", type_, _TYPES)
    address = spec.get("clusterIP")
    if type_ == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
    elif before.get("clusterIP") and address != before["clusterIP"] and before.get("type") != "ExternalName":
        yield invalid_value("spec.clusterIPs[0]", [address], "may not change once set")
    elif old is None and address and address != "None" and not _is_address(address):
        yield invalid_value(
            "spec.clusterIPs[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        )
    if not spec.get("ports") and address != "None" and type_ != "ExternalName":
        yield required("spec.ports")
    yield from _check_ports(spec)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_ports(spec: Object) -> Iterator[FieldError]:
    ports = spec.get("ports") or []
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        where, name, number = f"spec.ports[{index}]", port.get("name"), port.get("port")
        if len(ports) > 1 and not name:
            yield required(f"{where}.name")
        if name and name in names:
            yield FieldError(f"{where}.name", "Duplicate", name)
        names.add(name)
        if not isinstance(number, int) or not 1 <= number <= 65535:
            yield invalid_value(f"{where}.port", number, "must be between 1 and 65535, inclusive")
        if (port.get("protocol"), number) in numbers:
            yield FieldError(where, "Duplicate", port)
        numbers.add((port.get("protocol"), number))


def check_allocation(state: State, service: Object, old: Object | None) -> Iterator[FieldError]:
    """Addresses and ports asked for by number that someone else has."""
    spec, before = service.get("spec") or {}, (old or {}).get("spec") or {}
    for address in sorted(_addresses(spec) - _addresses(before)):
        if state.addresses.taken(address):
            yield invalid_value("spec.clusterIPs", spec["clusterIPs"], f"failed to allocate IP {address}: provided IP is "
                                "already allocated")  # fmt: skip
    mine = _node_ports(before)
    for index, port in enumerate(spec.get("ports") or ()):
        number = port.get("nodePort")
        if not number or number in mine:
            continue
        if number not in _NODE_PORTS:
            yield invalid_value(f"spec.ports[{index}].nodePort", number, "provided port is not in the valid range. "
                                "The range of valid ports is 30000-32767")  # fmt: skip
        elif state.addresses.port_taken(number):
            yield invalid_value(f"spec.ports[{index}].nodePort", number, "provided port is already allocated")


STRATEGY: Final = Strategy(
    defaults=defaulted, status=lambda _: {"loadBalancer": {}}, prepare=prepare, check=check,
    check_in_cluster=check_allocation, committed=committed,
)  # fmt: skip
