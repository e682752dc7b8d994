"""Services of boards that are exposed, and the networks that boards share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.boards_types import (
    GROUP,
    MAX_EXTRA,
    VERSION,
    Count,
    Extra,
    Id,
    Name36,
    Ref,
    RefSelector,
    Short,
    Text,
)
from continuo.resources.meta import Kind
from continuo.resources.orchestration_types import Cidr, Ipv4, Port, doc, many

SERVICE = Kind(GROUP, VERSION, "Service", "services")
EXPOSED_SERVICE = Kind(GROUP, VERSION, "ExposedService", "exposedservices", short_names=("exposed",))
VIRTUAL_NETWORK = Kind(GROUP, VERSION, "VirtualNetwork", "virtualnetworks", short_names=("vnet",))
PORT = Kind(GROUP, VERSION, "Port", "ports")

GroupName = Annotated[
    str,
    Meta(min_length=1, max_length=36, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
         extra={"says": "must be lower-case letters, digits and dashes, beginning and ending with a letter or digit"}),
]  # fmt: skip
Mac = Annotated[
    str,
    Meta(min_length=17, max_length=17, pattern=r"^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$",
         extra={"says": "must be a unicast MAC address in lower case such as fa:16:3e:00:00:01"}),
]  # fmt: skip


class Transport(StrEnum):
    """What is carried. Tunnels carry TCP only."""

    TCP = "TCP"


class ServiceParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A port that boards listen on, under a name."""

    name: Annotated[Name36 | None, doc("Its name there; the object's name where absent.")] = None
    port: Annotated[Port | None, doc("The TCP port on the board.")] = None
    protocol: Annotated[Transport, doc("What is spoken.")] = Transport.TCP
    extra: Annotated[Extra, many("Whatever else is to be kept with it.", MAX_EXTRA)] = {}


class ServiceObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A service as the endpoint knows it."""

    uuid: Annotated[Short, Meta(description="Its id.")] = ""


class ExposedServiceParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A board's service that is reached from outside, through a tunnel."""

    board_id: Annotated[Id | None, doc("The board.")] = None
    board_ref: Annotated[Ref | None, doc("The Board whose id that is.")] = None
    board_selector: Annotated[RefSelector | None, doc("The Board whose id that is, by labels.")] = None
    service_id: Annotated[Id | None, doc("The service.")] = None
    service_ref: Annotated[Ref | None, doc("The Service whose id that is.")] = None
    service_selector: Annotated[RefSelector | None, doc("The Service whose id that is, by labels.")] = None
    port: Annotated[Port | None, doc("The TCP port on the board, instead of a service: one is made for it.")] = None


class ExposedServiceObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where a service is reached."""

    service: Annotated[Short, Meta(description="The service's id.")] = ""
    host: Annotated[Short, Meta(description="The address.")] = ""
    public_port: Annotated[Count, Meta(description="The port there.")] = 0
    up: Annotated[bool, Meta(description="Whether the board's end of the tunnel is there.")] = False
    message: Annotated[Text, Meta(description="Why not.")] = ""


class Encryption(StrEnum):
    """What protects frames on their way."""

    TLS = "tls"


class Direction(StrEnum):
    """Whose traffic a rule is about."""

    INGRESS = "ingress"
    EGRESS = "egress"


class RuleProtocol(StrEnum):
    """What a rule is about."""

    ANY = "any"
    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


class SecurityRule(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Traffic that is let through; everything else is not."""

    direction: Annotated[Direction, doc("To the port, or from it.")] = Direction.INGRESS
    protocol: Annotated[RuleProtocol, doc("The protocol.")] = RuleProtocol.ANY
    port_min: Annotated[Port | None, doc("The first port of TCP or UDP.")] = None
    port_max: Annotated[Port | None, doc("The last one; the first where absent.")] = None
    remote_cidr: Annotated[Cidr | None, doc("Only from, or to, these addresses.")] = None
    remote_group: Annotated[GroupName | None, doc("Only from, or to, ports of this security group.")] = None


class SecurityGroup(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Rules that ports of the network may take."""

    name: Annotated[GroupName, doc("Its name; `default` is what ports have that name none.")]
    rules: Annotated[tuple[SecurityRule, ...], many("What is let through.", 64)] = ()


class VirtualNetworkParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A layer-2 network between boards, encrypted."""

    name: Annotated[Name36 | None, doc("Its name there; the object's name where absent.")] = None
    cidr: Annotated[Cidr | None, doc("Its addresses.")] = None
    gateway: Annotated[Ipv4 | None, doc("The address of the port that leads to other networks (`extra.routes`).")] = (
        None
    )
    mtu: Annotated[
        Annotated[int, Meta(ge=576, le=9000, extra={"format": "int32"})], doc("The largest packet, in bytes.")
    ] = 1400
    encryption: Annotated[Encryption, doc("What protects frames on their way.")] = Encryption.TLS
    security_groups: Annotated[
        tuple[SecurityGroup, ...], many("What its ports may say to each other.", 16, list_type="map", keys=["name"])
    ] = ()
    extra: Annotated[Extra, many("Whatever else is to be kept with it.", MAX_EXTRA)] = {}


class VirtualNetworkObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A network as the endpoint knows it."""

    uuid: Annotated[Short, Meta(description="Its id.")] = ""
    cidr: Annotated[Short, Meta(description="Its addresses.")] = ""
    gateway: Annotated[Short, Meta(description="Its gateway.")] = ""
    ports: Annotated[Count, Meta(description="How many ports it has.")] = 0


class PortParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A board's end of a network: an interface on the board."""

    name: Annotated[Name36 | None, doc("Its name there; the object's name where absent.")] = None
    board_id: Annotated[Id | None, doc("The board.")] = None
    board_ref: Annotated[Ref | None, doc("The Board whose id that is.")] = None
    board_selector: Annotated[RefSelector | None, doc("The Board whose id that is, by labels.")] = None
    network_id: Annotated[Id | None, doc("The network: a VirtualNetwork's id, or Neutron's.")] = None
    network_ref: Annotated[Ref | None, doc("The VirtualNetwork whose id that is.")] = None
    network_selector: Annotated[RefSelector | None, doc("The VirtualNetwork whose id that is, by labels.")] = None
    subnet_id: Annotated[Id | None, doc("The subnet, where Neutron makes the network.")] = None
    security_groups: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=36)], ...],
        many("Security groups of the network, or ids of Neutron's.", 16, list_type="set"),
    ] = ()
    allowed_addresses: Annotated[
        tuple[Cidr, ...],
        many("Networks that it leads to: it carries for their addresses as well.", 16, list_type="set"),
    ] = ()
    mac: Annotated[Mac | None, doc("The interface's address; one is chosen where absent.")] = None
    ip: Annotated[Ipv4 | None, doc("Its IPv4 address; one is chosen where absent.")] = None
    extra: Annotated[Extra, many("Whatever else is to be kept with it.", MAX_EXTRA)] = {}


class PortObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A port as the endpoint knows it."""

    uuid: Annotated[Short, Meta(description="Its id.")] = ""
    vif_name: Annotated[Short, Meta(description="The interface on the board.")] = ""
    mac: Annotated[Short, Meta(description="Its address.")] = ""
    ip: Annotated[Short, Meta(description="Its IPv4 address.")] = ""
    board_end: Annotated[bool, Meta(description="Whether the board has the interface.")] = False
    cloud_end: Annotated[bool, Meta(description="Whether the network has the connection.")] = False
    message: Annotated[Text, Meta(description="What is wrong, and what would mend it.")] = ""
