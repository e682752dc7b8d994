"""The network of a link, set up once for both directions: configurations, gateways, keys, connection."""

from __future__ import annotations

import base64
from typing import Any

from continuo.federation import names
from continuo.federation.compare import ensure, remove, settled
from continuo.federation.model import LinkSettings
from continuo.federation.state import EndState
from continuo.federation.steps import Step, has_namespace, in_tenant_namespace, labels, name_of
from continuo.resources import kinds
from continuo.resources.meta import Object, deleting


def steps(first: EndState, second: EndState, settings: LinkSettings) -> list[Step]:
    """All steps that give the pair a tunnel."""
    server, client = server_and_client(first, second, settings)
    return [
        tenant_namespace(first),
        tenant_namespace(second),
        configuration(first, second),
        configuration(second, first),
        gateway_server(server, settings),
        gateway_client(client, server, settings),
        public_key(first, second),
        public_key(second, first),
        connection(first),
        connection(second),
    ]


def server_and_client(first: EndState, second: EndState, settings: LinkSettings) -> tuple[EndState, EndState]:
    """Which end listens: as set; else the one that listens already; else the second."""
    if settings.server == "auto":
        listens = first.gateway_server is not None and second.gateway_server is None
        return (first, second) if listens else (second, first)
    return (first, second) if settings.server == "first" else (second, first)


def tenant_namespace(end: EndState) -> Step:
    """The namespace that holds everything about the peer."""
    peer = end.peer_id or ""
    wanted = kinds.NAMESPACE.new(
        end.namespace,
        metadata={"labels": labels(peer, **{names.TENANT_NAMESPACE: "true"}) | names.POD_SECURITY},
    )
    return Step(
        "CreatingTenantNamespaces", settled(end.tenant_namespace, wanted),
        f"namespace {end.namespace} of {end.name} to exist", ensure(end, end.tenant_namespace, wanted),
    )  # fmt: skip


def configuration(end: EndState, peer: EndState) -> Step:
    """What the end must know of the peer's addresses; Liqo answers with the remapped ones."""
    wait = f"Liqo in {end.name} to accept the addresses of {peer.name}"
    if not has_namespace(end) or not peer.pod_cidrs or peer.external_cidr is None:
        return Step("ExchangingAddresses", False, wait)
    wanted = in_tenant_namespace(end, kinds.CONFIGURATION, peer.cluster_id or "")
    wanted["spec"] = {"remote": {"cidr": {"pod": list(peer.pod_cidrs), "external": [peer.external_cidr]}}}
    live = end.configuration
    done = settled(live, wanted) and remote_cidr(end, "pod") is not None
    return Step("ExchangingAddresses", done, wait, ensure(end, live, wanted))


def remote_cidr(end: EndState, kind: str) -> str | None:
    """The peer's pod or external network as this end sees it."""
    status: dict[str, Any] = (end.configuration or {}).get("status") or {}
    cidrs = ((status.get("remote") or {}).get("cidr") or {}).get(kind) or ()
    return str(cidrs[0]) if cidrs else None


def gateway_server(end: EndState, settings: LinkSettings) -> Step:
    """The listening side of the tunnel."""
    wait = f"the tunnel gateway of {end.name} to get an address ({settings.service_type})"
    if not has_namespace(end):
        return Step("StartingGateways", False, wait)
    if end.gateway_client is not None:
        return Step("StartingGateways", False, wait, remove(end, kinds.GATEWAY_CLIENT, end.gateway_client))
    wanted = in_tenant_namespace(end, kinds.GATEWAY_SERVER, name_of(end.gateway_server, end.peer_id or ""))
    endpoint: Object = {"port": settings.port, "serviceType": settings.service_type}
    if settings.node_port is not None and settings.service_type == "NodePort":
        endpoint["nodePort"] = settings.node_port
    wanted["spec"] = {
        "mtu": settings.mtu,
        "endpoint": endpoint,
        "serverTemplateRef": _template("WgGatewayServerTemplate", "wireguard-server"),
    }
    if settings.service_annotations:
        wanted["spec"]["serviceAnnotations"] = dict(settings.service_annotations)
    done = settled(end.gateway_server, wanted) and endpoint_of(end) is not None
    return Step("StartingGateways", done, wait, ensure(end, end.gateway_server, wanted))


def endpoint_of(server: EndState) -> Object | None:
    """Where the gateway can be reached, in the form a client wants; None until Liqo knows."""
    endpoint: Object = ((server.gateway_server or {}).get("status") or {}).get("endpoint") or {}
    if not endpoint.get("addresses") or not (endpoint.get("port") or endpoint.get("ports")):
        return None
    return {key: endpoint[key] for key in ("addresses", "port", "ports", "protocol") if endpoint.get(key)}


def gateway_client(end: EndState, server: EndState, settings: LinkSettings) -> Step:
    """The calling side of the tunnel."""
    wait = f"the tunnel gateway of {end.name} to start"
    if not has_namespace(end):
        return Step("StartingGateways", False, wait)
    if end.gateway_server is not None:
        return Step("StartingGateways", False, wait, remove(end, kinds.GATEWAY_SERVER, end.gateway_server))
    endpoint = endpoint_of(server)
    if endpoint is None or (server.gateway_server is not None and deleting(server.gateway_server)):
        return Step("StartingGateways", False, f"{wait}, once {server.name} has an address")
    wanted = in_tenant_namespace(end, kinds.GATEWAY_CLIENT, name_of(end.gateway_client, end.peer_id or ""))
    wanted["spec"] = {
        "mtu": settings.mtu,
        "endpoint": endpoint,
        "clientTemplateRef": _template("WgGatewayClientTemplate", "wireguard-client"),
    }
    done = settled(end.gateway_client, wanted)
    return Step("StartingGateways", done, wait, ensure(end, end.gateway_client, wanted))


def _template(kind: str, name: str) -> Object:
    return {
        "apiVersion": "networking.liqo.io/v1beta1",
        "kind": kind,
        "name": name,
        "namespace": names.LIQO_NAMESPACE,
    }


def public_key(end: EndState, peer: EndState) -> Step:
    """The peer's tunnel key, at this end."""
    wait = f"the tunnel key of {peer.name}"
    if not has_namespace(end) or peer.gateway_key is None:
        return Step("ExchangingKeys", False, wait)
    extra = {names.GATEWAY_RESOURCE: "true"}
    wanted = in_tenant_namespace(end, kinds.PUBLIC_KEY, names.public_key(end.peer_id or ""), extra)
    wanted["spec"] = {"publicKey": base64.b64encode(peer.gateway_key).decode()}
    ours = wanted["metadata"]["name"]
    live = next((key for key in end.public_keys if key["metadata"]["name"] == ours), None)
    return Step("ExchangingKeys", settled(live, wanted), wait, ensure(end, live, wanted))


def connection(end: EndState) -> Step:
    """Whether the tunnel stands, as this end's gateway sees it."""
    value = ((end.connection or {}).get("status") or {}).get("value")
    return Step(
        "TunnelDown" if value == "Error" else "ConnectingTunnel", value == "Connected",
        f"the tunnel of {end.name} to its peer ({value or 'not tried yet'})", broken=value == "Error",
    )  # fmt: skip
