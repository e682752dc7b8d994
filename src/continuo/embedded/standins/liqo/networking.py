"""Networks of peers, gateways, keys and the tunnel: what Liqo does for Configuration, Gateway*, PublicKey, Connection."""

from __future__ import annotations

import base64

from continuo.embedded.standins.faults import LINK_DOWN, LINK_JITTER, LINK_LATENCY, fault
from continuo.embedded.standins.liqo import crypto, names
from continuo.embedded.standins.liqo.ipam import Remap, dashed
from continuo.embedded.standins.liqo.site import Site, labels
from continuo.embedded.standins.objects import cond, conditions, owner_reference
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, deleting, labels_of

DEFAULT_PORT = 51840
PING = 1.0
"""Seconds between two measurements of a link whose latency varies."""


class Networking:
    """The networking controllers of one cluster."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def start(self) -> None:
        """Nothing of its own: the site's events suffice."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def peer(self, peer: str) -> None:
        """Networks, gateways and tunnel of one peer."""
        namespace = self._site.tenants.get(peer)
        if namespace is None:
            self._site.peers[peer].pods = self._site.peers[peer].external = None
            return
        self._configuration(peer, namespace)
        for kind in (kinds.GATEWAY_SERVER, kinds.GATEWAY_CLIENT):
            for gateway in self._site.all(kind, namespace):
                if not deleting(gateway):
                    self._gateway(peer, kind, gateway)
        self._connection(peer, namespace)

    # --- addresses ----------------------------------------------------------------------------------------------------
    def _configuration(self, peer: str, namespace: str) -> None:
        view = self._site.peers[peer]
        found = next(iter(self._site.all(kinds.CONFIGURATION, namespace)), None)
        if found is None or deleting(found):
            view.pods = view.external = None
            return
        asked = ((found.get("spec") or {}).get("remote") or {}).get("cidr") or {}
        seen = {kind: self._networks(peer, found, kind, asked.get(kind) or []) for kind in ("pod", "external")}
        if any(None in cidrs for cidrs in seen.values()):
            return
        got = {kind: [str(cidr) for cidr in cidrs] for kind, cidrs in seen.items()}
        found = self._site.ensure(kinds.CONFIGURATION, {**_head(found), "spec": {"local": {"cidr": self._own()}}})
        status = found.get("status") or {}
        entries = [cond("NetworkCIDRsConfigured", True, "NetworkCIDRsConfigured", "the networks are remapped")]
        entries = conditions(status.get("conditions"), entries, self._site.now())
        self._site.api.set_status(found, {"remote": {"cidr": got}, "conditions": entries}, names.MANAGER)
        view.pods = _mapping(view.pods, got["pod"])
        view.external = _mapping(view.external, got["external"])

    def _own(self) -> Object:
        cidrs: dict[str, list[str]] = {"pod": [], "external": []}
        for network in self._site.all(kinds.NETWORK, names.NAMESPACE):
            kind = labels_of(network).get(names.NETWORK_TYPE, "").removesuffix("-cidr")
            cidr = (network.get("status") or {}).get("cidr")
            if kind in cidrs and cidr:
                cidrs[kind].append(cidr)
        return cidrs

    def _networks(self, peer: str, owner: Object, kind: str, cidrs: list[str]) -> list[str | None]:
        """One Network per asked CIDR; its status is the network as it is seen here."""
        result: list[str | None] = []
        namespace = owner["metadata"]["namespace"]
        for cidr in cidrs:
            name = dashed(f"{peer}-{kind}", cidr)
            metadata = {
                "labels": labels(peer, **{names.CIDR_TYPE: kind}),
                "ownerReferences": [owner_reference(owner)],
            }
            network = self._site.ensure(
                kinds.NETWORK, kinds.NETWORK.new(name, namespace, metadata=metadata, spec={"cidr": cidr})
            )
            held = (network.get("status") or {}).get("cidr")
            if held is None or held.rpartition("/")[2] != cidr.rpartition("/")[2]:
                held = self._site.ipam.acquire(f"{namespace}/{name}", cidr)
                if held is not None:
                    self._site.api.set_status(network, {"cidr": held}, names.MANAGER)
            result.append(held)
        return result

    # --- gateways -----------------------------------------------------------------------------------------------------
    def _gateway(self, peer: str, kind: Kind, gateway: Object) -> None:
        """The gateway's key, workload and service, and what its status says of them."""
        site, (namespace, name) = self._site, (gateway["metadata"]["namespace"], gateway["metadata"]["name"])
        made = f"gw-{name}"
        metadata = {
            "labels": labels(peer, **{names.GATEWAY_RESOURCE: "true", names.GATEWAY_NAME: name}),
            "ownerReferences": [owner_reference(gateway)],
        }
        secret = ((gateway.get("spec") or {}).get("secretRef") or {}).get("name") or made
        if site.find(kinds.SECRET, secret, namespace) is None:
            private, public = crypto.tunnel_keys(site.world.rng)
            data = {"privateKey": base64.b64encode(private).decode(), "publicKey": base64.b64encode(public).decode()}
            site.ensure(kinds.SECRET, kinds.SECRET.new(secret, namespace, metadata=metadata, data=data, type="Opaque"))
        site.ensure(kinds.DEPLOYMENT, _gateway_deployment(made, namespace, metadata, name))
        status: Object = {**(gateway.get("status") or {}), "secretRef": {"name": secret, "namespace": namespace}}
        if kind is kinds.GATEWAY_SERVER:
            service = site.ensure(kinds.SERVICE, _gateway_service(made, namespace, metadata, gateway))
            endpoint = self._endpoint(service)
            if endpoint is None:
                status.pop("endpoint", None)
            else:
                status["endpoint"] = endpoint
        site.api.set_status(gateway, status, names.MANAGER)

    def _endpoint(self, service: Object) -> Object | None:
        """Where the tunnel can be reached; None until the Service has an address."""
        spec = service["spec"]
        port = spec["ports"][0]
        if spec["type"] == "LoadBalancer":
            ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
            addresses = [entry.get("ip") or entry.get("hostname") for entry in ingress]
            number = port["port"]
        elif spec["type"] == "NodePort":
            addresses, number = self._node_addresses(), port.get("nodePort")
        else:
            addresses, number = [spec.get("clusterIP")], port["port"]
        addresses = [entry for entry in addresses if entry]
        if not addresses or not number:
            return None
        return {"addresses": addresses, "port": number, "protocol": "UDP"}

    def _node_addresses(self) -> list[str]:
        for node in self._site.all(kinds.NODE):
            if labels_of(node).get(names.TYPE) == names.VIRTUAL_NODE:
                continue
            for entry in (node.get("status") or {}).get("addresses") or ():
                if entry["type"] == "InternalIP":
                    return [entry["address"]]
        return []

    # --- the tunnel ---------------------------------------------------------------------------------------------------
    def _connection(self, peer: str, namespace: str) -> None:
        """One Connection per gateway that knows the peer's key; without that it goes."""
        site = self._site
        gateway = self.gateway(namespace)
        known = next((k for k in site.all(kinds.PUBLIC_KEY, namespace) if not deleting(k)), None)
        if gateway is None or known is None:
            for old in site.all(kinds.CONNECTION, namespace):
                if not deleting(old):
                    site.drop(kinds.CONNECTION, old["metadata"]["name"], namespace)
            return
        kind, obj = gateway
        reference = {key: obj[key] for key in ("apiVersion", "kind")} | {
            "name": obj["metadata"]["name"], "namespace": namespace,
        }  # fmt: skip
        wanted = kinds.CONNECTION.new(
            f"gw-{obj['metadata']['name']}", namespace,
            metadata={"labels": labels(peer), "ownerReferences": [owner_reference(obj)]},
            spec={"type": "Server" if kind is kinds.GATEWAY_SERVER else "Client", "gatewayRef": reference},
        )  # fmt: skip
        live = site.ensure(kinds.CONNECTION, wanted)
        before = (live.get("status") or {}).get("value")
        if self.tunnel_up(peer):
            value = self._round_trip(peer, live)
            if before != "Connected" or value is not None:
                latency = {"value": value or f"{site.world.rng.uniform(0.4, 12.0):.3f}ms", "timestamp": site.now()}
                site.api.set_status(live, {"value": "Connected", "latency": latency}, names.MANAGER)
        else:
            value = "Error" if before in ("Connected", "Error") else "Connecting"
            if before != value:
                site.api.set_status(live, {"value": value}, names.MANAGER)

    def _round_trip(self, peer: str, connection: Object) -> str | None:
        """A round trip as faults want it, where it is to be told now; with a jitter there is another one in a second."""
        site = self._site
        asked, jitter = self._milliseconds(peer, LINK_LATENCY), self._milliseconds(peer, LINK_JITTER)
        if asked is None and jitter is None:
            return None
        view, status = site.peers[peer], connection.get("status") or {}
        said = ((status.get("latency") or {}).get("value") or "").removesuffix("ms")
        if view.round_trip is None:
            view.round_trip = float(said) if said else site.world.rng.uniform(0.4, 12.0)
        steady = view.round_trip if asked is None else asked
        if jitter is not None:
            site.work.add_after(peer, site.world.scaled(PING))
            # Two numbers below w differ by w/3 in the mean.
            return f"{steady + site.world.rng.uniform(0, 3 * jitter):.3f}ms"
        return f"{steady:.3f}ms" if said != f"{steady:.3f}" else None

    def _milliseconds(self, peer: str, name: str) -> float | None:
        """A fault at either end, as a number; what is none does nothing."""
        site, other = self._site, self._site.other(peer)
        said = fault(site.find(kinds.FOREIGN_CLUSTER, peer), name)
        if said is None and other is not None:
            said = fault(other.find(kinds.FOREIGN_CLUSTER, site.id), name)
        try:
            return max(0.0, float(said)) if said is not None else None
        except ValueError:
            return None

    def gateway(self, namespace: str) -> tuple[Kind, Object] | None:
        """The gateway towards a peer: a pair of clusters has one in each."""
        for kind in (kinds.GATEWAY_SERVER, kinds.GATEWAY_CLIENT):
            for obj in self._site.all(kind, namespace):
                if not deleting(obj):
                    return kind, obj
        return None

    def tunnel_up(self, peer: str) -> bool:
        """Whether packets would pass: both gateways run, know each other's keys, and nothing is broken."""
        site, other = self._site, self._site.other(peer)
        if other is None or not site.up or not other.up:
            return False
        here, there = Networking(site)._half(peer), Networking(other)._half(site.id)
        if here is None or there is None or here.server == there.server:
            return False
        if here.knows != there.key or there.knows != here.key:
            return False
        server, client = (here, there) if here.server else (there, here)
        broken = fault(site.find(kinds.FOREIGN_CLUSTER, peer), LINK_DOWN) is not None
        broken = broken or fault(other.find(kinds.FOREIGN_CLUSTER, site.id), LINK_DOWN) is not None
        return not broken and here.runs and there.runs and server.endpoint == client.endpoint

    def _half(self, peer: str) -> _Half | None:
        site, namespace = self._site, self._site.tenants.get(peer)
        gateway = self.gateway(namespace) if namespace else None
        if namespace is None or gateway is None:
            return None
        kind, obj = gateway
        status = obj.get("status") or {}
        secret = site.find(kinds.SECRET, (status.get("secretRef") or {}).get("name", ""), namespace)
        known = next((k for k in site.all(kinds.PUBLIC_KEY, namespace) if not deleting(k)), None)
        workload = site.find(kinds.DEPLOYMENT, f"gw-{obj['metadata']['name']}", namespace)
        server = kind is kinds.GATEWAY_SERVER
        endpoint = (status if server else obj.get("spec") or {}).get("endpoint") or {}
        return _Half(
            server=server,
            key=((secret or {}).get("data") or {}).get("publicKey"),
            knows=((known or {}).get("spec") or {}).get("publicKey"),
            runs=bool(((workload or {}).get("status") or {}).get("readyReplicas")),
            endpoint=(tuple(endpoint.get("addresses") or ()), endpoint.get("port")),
        )


class _Half:
    """One end of a tunnel."""

    __slots__ = ("endpoint", "key", "knows", "runs", "server")

    def __init__(
        self, *, server: bool, key: str | None, knows: str | None, runs: bool, endpoint: tuple[tuple[str, ...], object]
    ) -> None:
        self.server, self.key, self.knows, self.runs, self.endpoint = server, key, knows, runs, endpoint


def _mapping(before: Remap | None, cidrs: list[str]) -> Remap | None:
    if not cidrs:
        return None
    return before if before is not None and before.cidr == cidrs[0] else Remap(cidrs[0])


def _head(obj: Object) -> Object:
    metadata = {name: obj["metadata"][name] for name in ("name", "namespace") if name in obj["metadata"]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def _gateway_deployment(name: str, namespace: str, metadata: Object, gateway: str) -> Object:
    match = {names.GATEWAY_NAME: gateway}
    pod = {
        "metadata": {
            "labels": {
                **match, "networking.liqo.io/component": "gateway", "networking.liqo.io/active": "true",
                names.REMOTE: metadata["labels"][names.REMOTE],
            }
        },
        "spec": {"containers": [{"name": "wireguard", "image": "ghcr.io/liqotech/gateway/wireguard:v1.2.0"}]},
    }  # fmt: skip
    spec = {"replicas": 1, "selector": {"matchLabels": match}, "template": pod}
    return kinds.DEPLOYMENT.new(name, namespace, metadata=metadata, spec=spec)


def _gateway_service(name: str, namespace: str, metadata: Object, gateway: Object) -> Object:
    spec = gateway.get("spec") or {}
    endpoint = spec.get("endpoint") or {}
    port: Object = {"name": "wireguard", "port": endpoint.get("port") or DEFAULT_PORT, "protocol": "UDP"}
    if endpoint.get("nodePort") and endpoint.get("serviceType") == "NodePort":
        port["nodePort"] = endpoint["nodePort"]
    metadata = {**metadata, "labels": {**metadata["labels"], **(spec.get("serviceLabels") or {})}}
    if spec.get("serviceAnnotations"):
        metadata["annotations"] = dict(spec["serviceAnnotations"])
    body: Object = {
        "type": endpoint.get("serviceType") or "ClusterIP",
        "selector": {names.GATEWAY_NAME: gateway["metadata"]["name"]},
        "ports": [port],
    }
    if endpoint.get("loadBalancerIP"):
        body["loadBalancerIP"] = endpoint["loadBalancerIP"]
    return kinds.SERVICE.new(name, namespace, metadata=metadata, spec=body)
