"""The small pure parts: amounts, comparison, addresses, preflight, offloading."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.federation.addresses import remap
from continuo.federation.compare import ensure, says
from continuo.federation.links import advance
from continuo.federation.model import Apply, LinkPhase, LinkSettings
from continuo.federation.offloading import offload, offloading_state, pin
from continuo.federation.preflight import preflight
from continuo.federation.quantities import capacity, quantity, same_quantity
from continuo.federation.state import EndState, Objects, end_state
from continuo.federation.unlink import retreat
from continuo.federation.watches import WATCHES
from continuo.resources import kinds

READY = kinds.DEPLOYMENT.new("liqo-ipam", "liqo", spec={"replicas": 1}, status={"readyReplicas": 1})
KEYS = kinds.SECRET.new("authentication-keys", "liqo", data={})


def end(name: str = "green", peer: str = "rose", **more: Any) -> EndState:
    fields: dict[str, Any] = {
        "cluster_id": name, "peer_id": peer, "components": (READY,), "pod_cidrs": ("10.200.0.0/16",),
        "external_cidr": "10.70.0.0/16", "keys": KEYS, **more,
    }  # fmt: skip
    return EndState(name, **fields)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("500m", Fraction(1, 2)), ("8Gi", 8 * 2**30), ("1e3", 1000), ("2k", 2000), ("0.5", Fraction(1, 2))],
)
def test_quantity(text: str, value: Fraction) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "abc", "1Zi", "1 Gi x"])
def test_bad_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)


def test_capacity_counts_real_nodes_only() -> None:
    allocatable = {"cpu": "1500m", "memory": "8Gi", "pods": "110", "ephemeral-storage": "10Gi"}
    nodes = [kinds.NODE.new(str(n), status={"allocatable": allocatable}) for n in range(3)]
    virtual = kinds.NODE.new("v", metadata={"labels": {"liqo.io/type": "virtual-node"}}, status=nodes[0]["status"])
    assert capacity([*nodes, virtual]) == {"cpu": "4500m", "memory": "24Gi", "pods": "330"}
    assert capacity([]) == {}


def test_says_is_a_subset_and_knows_amounts() -> None:
    live = {"a": {"b": 1, "c": [1, {"x": 1, "y": 2}]}, "resources": {"cpu": "1", "memory": "1Gi"}}
    assert says(live, {"a": {"c": [1, {"x": 1}]}})
    assert says(live, {"resources": {"cpu": "1000m", "memory": "1024Mi"}})
    assert not says(live, {"a": {"c": [1]}})
    assert not says(live, {"a": {"b": 2}})
    assert not says(live, {"resources": {"cpu": "2"}})
    assert not same_quantity("1", "x")


def test_nothing_is_applied_over_what_is_going() -> None:
    wanted = kinds.CONFIG_MAP.new("a", "b", data={"x": "1"})
    going = kinds.CONFIG_MAP.new("a", "b", metadata={"deletionTimestamp": "now"}, data={})
    assert ensure(end(), going, wanted) == ()
    assert ensure(end(), wanted, wanted) == ()
    assert [write.op for write in ensure(end(), None, wanted)] == [Apply(wanted)]


@given(st.integers(0, 2**32 - 1), st.integers(8, 30), st.integers(0, 2**32 - 1))
def test_remap_keeps_host_bits(ip: int, prefix: int, base: int) -> None:
    import ipaddress

    network = ipaddress.ip_network((base >> (32 - prefix) << (32 - prefix), prefix))
    seen = ipaddress.ip_address(remap(str(ipaddress.ip_address(ip)), str(network)))
    assert seen in network
    assert int(seen) & int(network.hostmask) == ip & int(network.hostmask)


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"ready": False}, "Deployed", "not ready"),
        ({"reachable": False}, "Reachable", "check its endpoint"),
        ({"cluster_id": None}, "LiqoInstalled", "add the package liqo"),
        ({"components": ()}, "LiqoAvailable", "wait for the package"),
        (
            {"components": (kinds.DEPLOYMENT.new("liqo-ipam", "liqo", spec={"replicas": 1}),)},
            "LiqoAvailable", "liqo-ipam",
        ),
        ({"pod_cidrs": ()}, "AddressesKnown", "Networks"),
        ({"cluster_id": "rose"}, "IdentifiersDiffer", "discovery.config.clusterID"),
    ],
)  # fmt: skip
def test_preflight_names_what_is_wrong(change: dict[str, Any], name: str, says: str) -> None:
    peer = end("rose", "green")
    assert all(check.ok for check in preflight(end(), peer, LinkSettings()))
    checks = preflight(replace(end(), **change), peer, LinkSettings())
    failed = [check for check in checks if not check.ok]
    assert [check.name for check in failed] == [name]
    assert says in failed[0].message
    progress = advance(replace(end(), **change), peer)
    assert progress.writes == ()
    assert progress.phase is (LinkPhase.FAILED if name == "IdentifiersDiffer" else LinkPhase.PENDING)
    assert progress.message


def test_cluster_ip_gateways_are_refused() -> None:
    progress = advance(end(), end("rose", "green"), LinkSettings(service_type="ClusterIP"))
    assert "use LoadBalancer or NodePort" in progress.message


def test_first_writes_are_the_namespaces() -> None:
    progress = advance(end(), end("rose", "green"))
    assert {write.op.summary for write in progress.writes} == {
        "Namespace liqo-tenant-rose", "Namespace liqo-tenant-green",
    }  # fmt: skip
    assert progress.phase is LinkPhase.PEERING
    assert advance(end(), end("rose", "green"), established=True).phase is LinkPhase.DEGRADED


def test_denied_slice_is_a_failure_with_the_reason() -> None:
    entries = [{"type": "Resources", "status": "Denied", "reason": "TenantCordoned", "message": "no more"}]
    denied = kinds.RESOURCE_SLICE.new(
        "rose", "liqo-tenant-rose", spec={"providerClusterID": "rose"}, status={"conditions": entries}
    )
    space = kinds.NAMESPACE.new("liqo-tenant-rose")
    progress = advance(end(slices=(denied,), tenant_namespace=space), end("rose", "green"))
    assert (progress.phase, progress.reason) == (LinkPhase.FAILED, "ResourcesDenied")
    assert "TenantCordoned: no more" in progress.message


def test_another_name_of_the_tenant_namespace_is_respected() -> None:
    labels = {"liqo.io/remote-cluster-id": "rose", "liqo.io/tenant-namespace": "true"}
    ids = kinds.CONFIG_MAP.new("liqo-clusterid-configmap", "liqo", data={"CLUSTER_ID": "green"})
    cache = Objects([ids, kinds.NAMESPACE.new("peer-of-mine", metadata={"labels": labels})])
    assert end_state("green", cache, "rose").namespace == "peer-of-mine"
    assert end_state("green", cache, "blue").namespace == "liqo-tenant-blue"
    assert end_state("green", cache, None).cluster_id == "green"


def test_retreat_waits_for_a_dead_peer_unless_forced() -> None:
    slice_ = kinds.RESOURCE_SLICE.new("rose", "liqo-tenant-rose", spec={"providerClusterID": "rose"})
    foreign = kinds.FOREIGN_CLUSTER.new("rose", spec={"clusterID": "rose"})
    here = end(slices=(slice_,), foreign_cluster=foreign)
    there = end("rose", "green", reachable=False, slices=(slice_,))
    waiting = retreat(here, there)
    assert (waiting.phase, waiting.reason, waiting.writes) == (LinkPhase.UNPEERING, "PeerUnreachable", ())
    forced = retreat(here, there, LinkSettings(force=True))
    assert {(w.cluster, w.op.summary) for w in forced.writes} == {
        ("green", "ForeignCluster rose"), ("green", "ResourceSlice liqo-tenant-rose/rose"),
    }  # fmt: skip
    assert retreat(end(), end("rose", "green")).phase is LinkPhase.GONE


def test_watches_have_no_doubles_and_no_wide_secrets() -> None:
    assert len(set(WATCHES)) == len(WATCHES)
    assert all(w.labels or w.fields for w in WATCHES if w.kind in (kinds.SECRET, kinds.CONFIG_MAP, kinds.NAMESPACE))


def test_offload() -> None:
    wanted = offload("shop", "green", ["rose", "blue", "rose"])
    assert wanted["metadata"] == {"name": "offloading", "namespace": "shop"}
    assert wanted["spec"]["namespaceMappingStrategy"] == "EnforceSameName"
    terms = wanted["spec"]["clusterSelector"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["blue", "rose"]
    with pytest.raises(ValueError, match="no cluster"):
        offload("shop", "green", [])
    with pytest.raises(ValueError, match="green itself"):
        offload("shop", "green", ["green"])


def test_pin() -> None:
    assert "tolerations" not in pin(None)
    term = pin("rose")["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] == ["rose"]


@pytest.mark.parametrize(
    ("status", "phase", "reason"),
    [
        (None, "Pending", "NotSeen"),
        ({"offloadingPhase": "Ready"}, "Ready", "Ready"),
        ({"offloadingPhase": "InProgress"}, "Progressing", "InProgress"),
        ({"offloadingPhase": "NoClusterSelected"}, "Failed", "NoClusterSelected"),
        ({"offloadingPhase": "Novelty"}, "Progressing", "Novelty"),
    ],
)
def test_offloading_state(status: Any, phase: str, reason: str) -> None:
    found = kinds.NAMESPACE_OFFLOADING.new("offloading", "shop", **({"status": status} if status else {}))
    state = offloading_state(found)
    assert (state.phase, state.reason) == (phase, reason)
    assert offloading_state(None).reason == "NotOffloaded"
