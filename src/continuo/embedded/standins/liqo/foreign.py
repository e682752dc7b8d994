"""ForeignCluster: the summary of a peering, every field inferred from the rest."""

from __future__ import annotations

from collections.abc import Mapping

from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.authentication import has_credentials
from continuo.embedded.standins.liqo.site import Site, labels
from continuo.embedded.standins.liqo.virtualnodes import node_ready
from continuo.embedded.standins.objects import cond, conditions
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, deleting

_GATEWAYS = {"Ready": "GatewaysReady", "NotReady": "GatewaysNotReady"}
_REASONS: Mapping[str, Mapping[str, str]] = {
    "NetworkConfigurationStatus": {"Ready": "NetworkConfigurationPresence", "NotReady": "NetworkConfigurationMissing"},
    "NetworkGatewayPresence": {"Ready": "GatewayPresence", "NotReady": "GatewayMissing"},
    "NetworkGatewayServerStatus": _GATEWAYS,
    "NetworkGatewayClientStatus": _GATEWAYS,
    "NetworkConnectionStatus": {
        "Established": "ConnectionEstablished", "Pending": "ConnectionPending", "Error": "ConnectionError",
        "None": "ConnectionMissing",
    },
    "AuthTenantStatus": {"Ready": "TenantReady", "NotReady": "TenantNotReady"},
    "AuthIdentityControlPlaneStatus": {"Ready": "IdentityReady", "NotReady": "IdentityNotReady"},
    "OffloadingVirtualNodeStatus": {"Ready": "VirtualNodesReady"},
    "OffloadingNodeStatus": {"Ready": "NodesReady", "SomeNotReady": "NodesSomeNotReady", "NotReady": "NodesNotReady"},
}  # fmt: skip
"""Why a condition says what it says, by the condition's type and its word."""


class ForeignClusters:
    """The foreign-cluster controller of one cluster."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def start(self) -> None:
        """Nothing of its own: the site's events suffice."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def peer(self, peer: str) -> None:
        """Create the summary with the first object of the peer, and keep it true."""
        site = self._site
        seen = _Seen(site, peer)
        known = site.find(kinds.FOREIGN_CLUSTER, peer)
        if known is None:
            if not seen.anything:
                return
            made = kinds.FOREIGN_CLUSTER.new(peer, metadata={"labels": labels(peer)}, spec={"clusterID": peer})
            known = site.ensure(kinds.FOREIGN_CLUSTER, made)
        if not deleting(known):
            site.api.set_status(known, self._status(known, seen, peer), names.MANAGER)

    def _status(self, known: Object, seen: _Seen, peer: str) -> Object:
        site, before, other = self._site, known.get("status") or {}, self._site.other(peer)
        now = site.now()
        modules = before.get("modules") or {}

        def module(name: str, enabled: bool, entries: list[Object]) -> Object:
            old = (modules.get(name) or {}).get("conditions")
            return {"enabled": enabled, "conditions": conditions(old, entries if enabled else [], now)}

        consumes, provides = seen.identity is not None or bool(seen.virtual), seen.tenant is not None
        role = {(True, True): "ConsumerAndProvider", (True, False): "Provider", (False, True): "Consumer"}
        status: Object = {
            "role": role.get((consumes, provides), "Unknown"),
            "observedGeneration": known["metadata"].get("generation", 1),
            "modules": {
                "networking": module("networking", bool(seen.configuration), seen.network()),
                "authentication": module("authentication", consumes or provides, seen.access()),
                "offloading": module("offloading", bool(seen.virtual), seen.offloading()),
            },
            "conditions": conditions(before.get("conditions"), [self._api(peer, seen)], now),
        }
        local, remote = site.tenants.get(peer), has_credentials(site, peer)
        spaces = {name: value for name, value in (("local", local), ("remote", remote)) if value}
        if spaces:
            status["tenantNamespace"] = spaces
        if seen.identity is not None and other is not None:
            status["apiServerUrl"] = site.engine.url(other.api.name)
        return status

    def _api(self, peer: str, seen: _Seen) -> Object:
        other = self._site.other(peer)
        if seen.identity is None:
            return cond("APIServerStatus", "None", "NoIdentity", "there are no credentials for the peer")
        if other is not None and other.up:
            return cond("APIServerStatus", "Established", "APIServerReady", "the API of the peer answers")
        return cond("APIServerStatus", "Error", "APIServerNotReady", "the API of the peer does not answer")


class _Seen:
    """Everything that there is about a peer."""

    def __init__(self, site: Site, peer: str) -> None:
        self._site = site
        namespace = site.tenants.get(peer)

        def of(kind: Kind) -> list[Object]:
            return site.all(kind, namespace) if namespace else []

        self.configuration = of(kinds.CONFIGURATION)
        self.servers, self.clients = of(kinds.GATEWAY_SERVER), of(kinds.GATEWAY_CLIENT)
        self.connections, self.virtual = of(kinds.CONNECTION), of(kinds.VIRTUAL_NODE)
        self.tenant = next(iter(of(kinds.TENANT)), None)
        self.identity = next(
            (i for i in of(kinds.IDENTITY) if (i.get("spec") or {}).get("type") == "ControlPlane"), None
        )
        self.nodes = [site.find(kinds.NODE, name) for name, owner in site.nodes.items() if owner == peer]
        self.anything = bool(
            self.configuration or self.servers or self.clients or self.connections or self.virtual
            or self.tenant or self.identity or self.nodes
        )  # fmt: skip

    def network(self) -> list[Object]:
        """The conditions of the networking module."""
        done = all((c.get("status") or {}).get("remote") for c in self.configuration)
        entries = [
            _state("NetworkConfigurationStatus", "Ready" if done else "NotReady"),
            _state("NetworkGatewayPresence", "Ready" if self.servers or self.clients else "NotReady"),
        ]
        for kind, gateways in (("Server", self.servers), ("Client", self.clients)):
            if gateways:
                runs = all(self._runs(gateway) for gateway in gateways)
                entries.append(_state(f"NetworkGateway{kind}Status", "Ready" if runs else "NotReady"))
        values = {(c.get("status") or {}).get("value") for c in self.connections}
        word = "Error" if "Error" in values else "Established" if values == {"Connected"} else "Pending"
        entries.append(_state("NetworkConnectionStatus", word if self.connections else "None"))
        return entries

    def _runs(self, gateway: Object) -> bool:
        found = self._site.find(kinds.DEPLOYMENT, f"gw-{gateway['metadata']['name']}", gateway["metadata"]["namespace"])
        return bool(((found or {}).get("status") or {}).get("readyReplicas"))

    def access(self) -> list[Object]:
        """The conditions of the authentication module."""
        entries = []
        if self.tenant is not None:
            ready = bool((self.tenant.get("status") or {}).get("authParams"))
            entries.append(_state("AuthTenantStatus", "Ready" if ready else "NotReady"))
        if self.identity is not None:
            ready = bool((self.identity.get("status") or {}).get("kubeconfigSecretRef"))
            entries.append(_state("AuthIdentityControlPlaneStatus", "Ready" if ready else "NotReady"))
        return entries

    def offloading(self) -> list[Object]:
        """The conditions of the offloading module."""
        ready = [node_ready(node) for node in self.nodes]
        word = "Ready" if ready and all(ready) else "SomeNotReady" if any(ready) else "NotReady"
        return [_state("OffloadingVirtualNodeStatus", "Ready"), _state("OffloadingNodeStatus", word)]


def _state(kind: str, word: str) -> Object:
    return cond(kind, word, _REASONS[kind][word], "")
