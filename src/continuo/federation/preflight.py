"""What must be true of a cluster before it can be joined with another; a failed check says the way out."""

from __future__ import annotations

import ipaddress

from continuo.federation.model import Check, LinkSettings
from continuo.federation.state import EndState
from continuo.resources.meta import Object, is_true


def preflight(end: EndState, peer: EndState | None = None, settings: LinkSettings | None = None) -> tuple[Check, ...]:
    """The checks of one end, in the order in which they make sense; those about the pair need `peer`."""
    checks = [_deployed(end), _reachable(end), _installed(end), _available(end), _addresses(end)]
    if settings is not None:
        checks.append(_gateway(end, settings))
    if peer is not None:
        checks.append(_distinct(end, peer))
    return tuple(checks)


def _check(name: str, ok: bool, good: str, bad: str) -> Check:
    return Check(name, ok, good if ok else bad)


def _deployed(end: EndState) -> Check:
    return _check(
        "Deployed", end.ready, f"cluster {end.name} is deployed and ready",
        f"cluster {end.name} is not ready; the link waits until its control plane and workers are",
    )  # fmt: skip


def _reachable(end: EndState) -> Check:
    return _check(
        "Reachable", end.reachable, f"the API of {end.name} answers",
        f"the API of {end.name} does not answer; check its endpoint and the kubeconfig Secret",
    )  # fmt: skip


def _installed(end: EndState) -> Check:
    return _check(
        "LiqoInstalled", end.cluster_id is not None, f"Liqo is installed in {end.name} as {end.cluster_id}",
        f"Liqo is not installed in {end.name}; add the package liqo to the cluster",
    )  # fmt: skip


def _available(end: EndState) -> Check:
    missing = [d["metadata"]["name"] for d in end.components if not _deployment_available(d)]
    if not end.components:
        return Check(
            "LiqoAvailable", False,
            f"namespace liqo of {end.name} has no Deployment of Liqo; wait for the package, or reinstall it",
        )  # fmt: skip
    return _check(
        "LiqoAvailable", not missing,
        f"all {len(end.components)} components of Liqo in {end.name} are available",
        f"components of Liqo in {end.name} are not available: {', '.join(sorted(missing))}; "
        "look at their pods in namespace liqo",
    )  # fmt: skip


def _deployment_available(deployment: Object) -> bool:
    wanted = (deployment.get("spec") or {}).get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    return bool(ready >= wanted) or is_true(deployment, "Available")


def _addresses(end: EndState) -> Check:
    known = bool(end.pod_cidrs) and end.external_cidr is not None and end.keys is not None
    return _check(
        "AddressesKnown", known, f"{end.name} uses {', '.join(end.pod_cidrs)} for pods",
        f"Liqo in {end.name} has not published its pod and external CIDRs and its keys yet; "
        "look at the Networks and at liqo-controller-manager in namespace liqo",
    )  # fmt: skip


def _gateway(end: EndState, settings: LinkSettings) -> Check:
    addresses = ((end.gateway_server or {}).get("status") or {}).get("endpoint", {}).get("addresses") or ()
    private = [a for a in addresses if _loopback(a)]
    ok = settings.service_type != "ClusterIP" and not private
    bad = (
        "a tunnel gateway of type ClusterIP cannot be reached from elsewhere; use LoadBalancer or NodePort"
        if not private
        else f"the tunnel gateway of {end.name} listens on {', '.join(private)}, which nobody can reach; "
        "give its Service an address that the peer can reach"
    )
    return _check("GatewayReachable", ok, f"the tunnel gateway is exposed as {settings.service_type}", bad)


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False  # a host name


def _distinct(end: EndState, peer: EndState) -> Check:
    same = end.cluster_id is not None and end.cluster_id == peer.cluster_id
    return _check(
        "IdentifiersDiffer", not same, "the two clusters have different identifiers",
        f"{end.name} and {peer.name} both call themselves {end.cluster_id!r}; "
        "install Liqo with discovery.config.clusterID set to a different value in each",
    )  # fmt: skip
