"""The words in which federation answers: settings of a link, its progress, the writes that bring it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

from continuo.resources.meta import Kind, Object, key_of


class LinkPhase(StrEnum):
    """Where a link stands."""

    PENDING = "Pending"
    PEERING = "Peering"
    CONNECTED = "Connected"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    UNPEERING = "Unpeering"
    GONE = "Gone"


Direction: TypeAlias = Literal["both", "first-consumes", "second-consumes"]


ServiceType: TypeAlias = Literal["LoadBalancer", "NodePort", "ClusterIP"]
"""How a tunnel gateway is reached."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How a link is to be made; the defaults suit two clusters whose APIs reach each other."""

    direction: Direction = "both"
    """Who gets a virtual node: both ends, or only the first (second) of the pair."""
    server: Literal["auto", "first", "second"] = "auto"
    """Which end's tunnel gateway listens; auto keeps the one that listens already, else the second."""
    service_type: ServiceType = "LoadBalancer"
    port: int = 51840
    node_port: int | None = None
    mtu: int = 1340
    service_annotations: Mapping[str, str] = field(default_factory=dict)
    """For the gateway's Service, e.g. MetalLB's shared-IP annotation."""
    in_band: bool = False
    """Send Liqo's own control traffic through the tunnel: only the tunnel's port has to be reachable."""
    resource_class: str = "default"
    resources: Mapping[str, str] = field(default_factory=dict)
    """What each end asks the other for; empty: all that the other end has."""
    force: bool = False
    """When a peer is dead, remove a link without its cooperation."""


DEFAULT_RESOURCES: Mapping[str, str] = {"cpu": "16", "memory": "64Gi", "pods": "440"}
"""Asked for when neither the settings nor the provider's capacity say anything."""


@dataclass(frozen=True, slots=True)
class Apply:
    """A server-side apply of exactly these fields."""

    object: Object

    @property
    def summary(self) -> str:
        """`Tenant liqo-tenant-rome/rome`: for plans and logs."""
        return _summary(self.object["kind"], *key_of(self.object))


@dataclass(frozen=True, slots=True)
class Delete:
    """A deletion; what is gone already counts as done."""

    kind: Kind
    namespace: str
    name: str

    @property
    def summary(self) -> str:
        """`Tenant liqo-tenant-rome/rome`: for plans and logs."""
        return _summary(self.kind.kind, self.namespace, self.name)


def _summary(kind: str, namespace: str, name: str) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


@dataclass(frozen=True, slots=True)
class ClusterWrite:
    """One write to one cluster."""

    cluster: str
    """The name of the end, as given in its EndState."""
    op: Apply | Delete


@dataclass(frozen=True, slots=True)
class Check:
    """One precondition of a link; `message` says what is wrong and what to do when it is not ok."""

    name: str
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class LinkProgress:
    """Where a link stands, why, and what to write now."""

    phase: LinkPhase
    reason: str
    message: str
    steps_done: int
    steps_total: int
    writes: tuple[ClusterWrite, ...] = ()
