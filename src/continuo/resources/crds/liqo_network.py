"""Liqo's network: gateways, keys, connections, address translation."""

from __future__ import annotations

from continuo.resources import kinds
from continuo.resources.crds.build import (
    AGE,
    Column,
    anything,
    crd,
    flag,
    many,
    named,
    number,
    obj,
    reference,
    strings,
    text,
    time,
    unchanged,
)
from continuo.resources.crds.liqo import CATEGORIES, PEER, blob, state_conditions
from continuo.resources.meta import Object

_TEMPLATE_LABEL = {"networking.liqo.io/gatewaytemplate": "true"}


def _cidr() -> Object:
    return {"type": "string", "format": "cidr"}


def _cidrs() -> Object:
    return obj(cidr=obj(pod=many(_cidr()), external=many(_cidr())))


def _configuration() -> Object:
    status = obj(remote=_cidrs(), conditions=state_conditions(), observedGeneration=number(format="int64"))
    columns: tuple[Column, ...] = (
        ("Desired Pod CIDR", "string", ".spec.remote.cidr.pod"),
        ("Remapped Pod CIDR", "string", ".status.remote.cidr.pod"),
        AGE,
        ("Desired External CIDR", "string", ".spec.remote.cidr.external", 1),
        ("Remapped External CIDR", "string", ".status.remote.cidr.external", 1),
        PEER,
    )
    spec = obj(local=_cidrs(), remote=_cidrs())
    return crd(kinds.CONFIGURATION, spec, status, columns, categories=CATEGORIES)


def _gateways() -> list[Object]:
    one_way = {
        "rule": "!(has(self.port) && has(self.ports))",
        "message": "port and ports are mutually exclusive",
    }
    server_endpoint = obj(
        (),
        (one_way,),
        port=number(1, 65535),
        ports=many(number(1, 65535), most=64),
        serviceType=text("ClusterIP", "NodePort", "LoadBalancer"),
        nodePort=number(0, 65535),
        nodePorts=many(number(0, 65535), most=64),
        loadBalancerIP=text(),
    )
    client_endpoint = obj(
        (),
        (one_way,),
        addresses=many(text()),
        port=number(1, 65535),
        ports=many(number(1, 65535), most=64),
        protocol=text("TCP", "UDP"),
    )
    internal = obj(ip=text(), node=text())
    server = obj(
        serverTemplateRef=reference(), mtu=number(0), endpoint=server_endpoint, secretRef=named(),
        serviceAnnotations=strings(), serviceLabels=strings(),
    )  # fmt: skip
    client = obj(clientTemplateRef=reference(), mtu=number(0), endpoint=client_endpoint, secretRef=named())
    server_status = obj(serverRef=reference(), endpoint=client_endpoint, secretRef=named(), internalEndpoint=internal)
    client_status = obj(clientRef=reference(), secretRef=named(), internalEndpoint=internal)
    server_columns: tuple[Column, ...] = (
        ("TemplateKind", "string", ".spec.serverTemplateRef.kind"),
        ("IP", "string", ".status.endpoint.addresses[*]"),
        ("Port", "string", ".status.endpoint.port"),
        AGE,
        PEER,
    )
    client_columns: tuple[Column, ...] = (
        ("TemplateKind", "string", ".spec.clientTemplateRef.kind"),
        ("IP", "string", ".spec.endpoint.addresses[*]"),
        ("Port", "string", ".spec.endpoint.port"),
        AGE,
        PEER,
    )
    return [
        crd(kinds.GATEWAY_SERVER, server, server_status, server_columns, categories=CATEGORIES),
        crd(kinds.GATEWAY_CLIENT, client, client_status, client_columns, categories=CATEGORIES),
    ]


def _wireguard() -> list[Object]:
    template = obj(
        ("objectKind", "template"),
        objectKind=obj(apiVersion=text(), kind=text()),
        template=obj(metadata=anything(), spec=anything()),
    )
    server = obj(service=anything(), deployment=anything(), metrics=anything(), secretRef=named())
    client = obj(deployment=anything(), metrics=anything(), secretRef=named())
    status = obj(endpoint=anything(), secretRef=named(), internalEndpoint=obj(ip=text(), node=text()))
    templates = [
        crd(kind, template, labels=_TEMPLATE_LABEL, categories=CATEGORIES)
        for kind in (kinds.WG_GATEWAY_SERVER_TEMPLATE, kinds.WG_GATEWAY_CLIENT_TEMPLATE)
    ]
    return [
        crd(kinds.WG_GATEWAY_SERVER, server, status, categories=CATEGORIES),
        crd(kinds.WG_GATEWAY_CLIENT, client, status, categories=CATEGORIES),
        *templates,
    ]


def _public_key_and_connection() -> list[Object]:
    connection = obj(("type", "gatewayRef"), type=text("Server", "Client"), gatewayRef=reference())
    status = obj(value=text("Connected", "Connecting", "Error"), latency=obj(value=text(), timestamp=time()))
    columns: tuple[Column, ...] = (
        ("Type", "string", ".spec.type"),
        ("Status", "string", ".status.value"),
        AGE,
        ("Latency", "string", ".status.latency.value", 1),
    )
    return [
        crd(kinds.PUBLIC_KEY, obj(("publicKey",), publicKey=blob()), categories=CATEGORIES),
        crd(kinds.CONNECTION, connection, status, columns, categories=CATEGORIES),
    ]


def _addresses() -> list[Object]:
    network = obj(
        ("cidr",),
        cidr=unchanged(_cidr(), "CIDR"),
        preAllocated=unchanged(number(0), "PreAllocated"),
    )
    network_columns: tuple[Column, ...] = (
        ("Desired CIDR", "string", ".spec.cidr"),
        ("Remapped CIDR", "string", ".status.cidr"),
        AGE,
    )
    address = {"type": "string", "format": "ipv4"}
    ip = obj(
        ("ip",),
        ip=unchanged(address, "IP"),
        networkRef=reference(),
        serviceTemplate=anything(),
        masquerade=flag(),
    )
    ip_columns: tuple[Column, ...] = (
        ("Local IP", "string", ".spec.ip"),
        ("Remapped IP", "string", ".status.ip"),
        AGE,
    )
    return [
        crd(kinds.NETWORK, network, obj(cidr=_cidr()), network_columns,
            categories=CATEGORIES, required=("spec",)),
        crd(kinds.IP, ip, obj(ip=text(), cidr=text()), ip_columns, categories=CATEGORIES, required=("spec",)),
    ]  # fmt: skip


def liqo_network_crds() -> list[Object]:
    """Gateways, keys, connections and addresses."""
    return [
        _configuration(),
        *_gateways(),
        *_wireguard(),
        *_public_key_and_connection(),
        *_addresses(),
    ]
