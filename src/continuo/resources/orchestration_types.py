"""The words and scalar types of a LowLevelOrchestration: enums, names, addresses, quantities, and bounds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

MAX_CLUSTERS, MAX_LINKS, MAX_APPS, MAX_COMPONENTS = 64, 128, 64, 32
MAX_EXPOSE, MAX_VARIABLES, MAX_STORAGE, MAX_ARGS, MAX_RESOURCES = 16, 128, 8, 64, 16
MAX_REQUIREMENTS, MAX_MEMBERS = 32, 32


def doc(text: str, **extra: Any) -> Meta:
    """What a field means, for the schema and the reference page; `extra` goes to the schema builder."""
    return Meta(description=text, extra=extra or None)


def many(text: str, most: int, least: int | None = None, **extra: Any) -> Meta:
    """What a list or map means, and how many entries it may have."""
    return Meta(description=text, max_length=most, min_length=least, extra=extra or None)


def by_name(text: str, most: int, least: int | None = None) -> Meta:
    """A list whose entries are told apart by `name`, so that each may have its own writer."""
    return many(text, most, least, list_type="map", keys=["name"])


class Provider(StrEnum):
    """Where a cluster comes from; the last three are a shorthand: OpenStack with that bootstrap."""

    OPENSTACK = "openstack"
    EXISTING = "existing"
    DEV = "dev"
    KUBEADM = "kubeadm"
    K3S = "k3s"
    MICROK8S = "microk8s"


class Bootstrap(StrEnum):
    """What turns machines into a Kubernetes cluster."""

    KUBEADM = "kubeadm"
    K3S = "k3s"
    MICROK8S = "microk8s"


class Tier(StrEnum):
    """Where in the continuum a cluster sits."""

    CLOUD = "cloud"
    EDGE = "edge"
    DEVICE = "device"


class PlacementHint(StrEnum):
    """The tier that a component would like."""

    CLOUD = "CLOUD"
    EDGE = "EDGE"
    DEVICE = "DEVICE"


class Package(StrEnum):
    """Add-ons of a cluster; `metallb` and `nginx` mean `loadbalancer` and `ingress`."""

    LOADBALANCER = "loadbalancer"
    INGRESS = "ingress"
    LIQO = "liqo"
    PROMETHEUS = "prometheus"
    KAFKA = "kafka"
    METALLB = "metallb"
    NGINX = "nginx"


class Cni(StrEnum):
    """The network plugin that is installed."""

    FLANNEL = "flannel"
    CALICO = "calico"
    NONE = "none"


class Protocol(StrEnum):
    """What is spoken on an exposed port."""

    TCP = "TCP"
    UDP = "UDP"
    HTTP = "HTTP"
    HTTPS = "HTTPS"


class StorageKind(StrEnum):
    """Whether data outlives the pod."""

    LOCAL = "local"
    PERSISTENT = "persistent"


class AccessMode(StrEnum):
    """Who may mount a persistent volume."""

    READ_WRITE_ONCE = "ReadWriteOnce"
    READ_WRITE_MANY = "ReadWriteMany"
    READ_ONLY_MANY = "ReadOnlyMany"
    READ_WRITE_ONCE_POD = "ReadWriteOncePod"


CANONICAL_PACKAGE = {Package.METALLB: Package.LOADBALANCER, Package.NGINX: Package.INGRESS}
DEFAULT_PACKAGES = (Package.LOADBALANCER, Package.INGRESS, Package.LIQO, Package.PROMETHEUS)

_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_ADDRESS = rf"{_OCTET}(\.{_OCTET}){{3}}"
_LABEL_WORDS = "lower-case letters, digits and dashes, beginning and ending with a letter or digit"


def _text(most: int, pattern: str | None = None, least: int = 1, **extra: Any) -> Meta:
    """A string's bounds; `says` in `extra` is what the API server answers where the pattern does not fit."""
    return Meta(min_length=least, max_length=most, pattern=pattern, extra=extra or None)


ClusterName = Annotated[str, _text(40, _LABEL, says=f"must be a cluster name: {_LABEL_WORDS}")]
AppName = Annotated[str, _text(53, _LABEL, says=f"must be a DNS label: {_LABEL_WORDS}")]
ComponentName = Annotated[
    str,
    _text(
        53,
        r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        says="must be a service name: lower-case letters, digits and dashes, beginning with a letter",
    ),
]
ClusterRef = Annotated[str, _text(40)]
ComponentRef = Annotated[str, _text(53)]
ObjectName = Annotated[str, _text(253, _SUBDOMAIN)]
HostName = Annotated[str, _text(253, _SUBDOMAIN)]
Word = Annotated[str, _text(128)]
Owner = Annotated[str, _text(253)]
Ipv4 = Annotated[str, _text(15, rf"^{_ADDRESS}$", says="must be an IPv4 address such as 203.0.113.7")]
Cidr = Annotated[
    str, _text(18, rf"^{_ADDRESS}/(3[0-2]|[12]?\d)$", says="must be an IPv4 network such as 10.244.0.0/16")
]
KubernetesVersion = Annotated[
    str, _text(64, r"^v?\d+\.\d+\.\d+([+-].+)?$", says="must be a full version such as v1.32.4")
]
Image = Annotated[
    str,
    _text(512, r"^[a-zA-Z0-9]\S*$", says="must be an image reference such as registry.example.org/app:1.0"),
]
Port = Annotated[int, Meta(ge=1, le=65535, extra={"format": "int32"})]
PortName = Annotated[str, _text(63, r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
EnvName = Annotated[str, _text(253, r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
EnvValue = Annotated[str, _text(8192, least=0)]
MountPath = Annotated[str, _text(128, r"^/[^:]*$", says="must be an absolute path without a colon")]
Quantity = (
    Annotated[str, _text(32, r"^(\d+(\.\d*)?|\.\d+)(m|[kMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$")] | Annotated[int, Meta(ge=0)]
)
ResourceName = Annotated[str, _text(128)]
Argument = Annotated[str, _text(2048, least=0)]
Degrees = Annotated[str, _text(24, r"^-?\d{1,3}(\.\d+)?$")]
