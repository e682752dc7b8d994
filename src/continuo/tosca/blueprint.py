"""A blueprint as typed, frozen data: what the application is, with nothing left of how YAML or TOSCA spelt it.

Every part keeps its template's name (`key`) and the place where it is written, so that later steps can point at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from continuo.tosca.inputs import Declaration
from continuo.tosca.yaml_nodes import Node, Spot

StorageKind = Literal["persistent", "local"]


@dataclass(frozen=True, slots=True)
class Document:
    """A blueprint's text after YAML; inputs are bound to it once they are known."""

    file: str
    root: Node


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a filter asks of a number. Equal bounds mean exactly that; no bound (or only zeroes) means no wish."""

    low: Fraction | None = None
    high: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, as the text that the process will see."""

    name: str
    value: str
    in_clear: bool
    """The value stands in the blueprint itself rather than coming from whoever deploys it."""
    secret: bool
    """Its name, or an input that it is made of, says that nobody else may see it."""
    at: Spot


@dataclass(frozen=True, slots=True)
class Attachment:
    """A storage, and where it appears in a component's file system."""

    storage: str
    location: str
    at: Spot


@dataclass(frozen=True, slots=True)
class Storage:
    """A volume; `size` in bytes."""

    key: str
    name: str
    kind: StorageKind
    size: Fraction
    access: str
    at: Spot


@dataclass(frozen=True, slots=True)
class Gpu:
    """What is asked of graphics processors."""

    model: str = ""
    dedicated: bool = False
    units: int = 0


@dataclass(frozen=True, slots=True)
class Host:
    """A `Charity.Node`: what a component needs of the place where it runs."""

    key: str
    at: Spot
    cpus: Bounds = Bounds()
    memory: Bounds = Bounds()
    disk: Bounds = Bounds()
    gpu: Gpu | None = None
    cluster: str = ""
    datacenter: str = ""
    pin_at: Spot | None = None
    """Where the cluster or data centre is named."""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the application that Continuo runs, or (`external`) one that already runs elsewhere."""

    key: str
    name: str
    at: Spot
    external: bool = False
    image: str = ""
    replicas: int = 1
    hint: str = ""
    host: str = ""
    environment: tuple[Variable, ...] = ()
    geolocation: Mapping[str, str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VirtualLink:
    """A network that connection points share; a missing number means no requirement."""

    key: str
    name: str
    at: Spot
    bandwidth_bps: Fraction | None = None
    latency_ms: Fraction | None = None
    jitter_ms: Fraction | None = None


@dataclass(frozen=True, slots=True)
class ConnectionPoint:
    """One end of virtual links: `binding` and `links` are keys of templates."""

    key: str
    name: str
    at: Spot
    binding: str
    links: tuple[str, ...]
    port: int | None = None
    protocol: str = ""
    public: bool | None = None


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One application. Mappings are in document order, by template key."""

    document: Document
    name: str
    author: str
    version: str
    description: str
    tls_secret: str
    """Metadata `tls_secret`: the Secret with the certificate for public exposures."""
    at: Spot
    inputs: Mapping[str, Declaration]
    components: Mapping[str, Component]
    hosts: Mapping[str, Host]
    storages: Mapping[str, Storage]
    links: Mapping[str, VirtualLink]
    points: Mapping[str, ConnectionPoint]
    outputs: Mapping[str, Node]

    def host_of(self, component: Component) -> Host | None:
        """What the component asks of its place, if anything."""
        return self.hosts.get(component.host)
