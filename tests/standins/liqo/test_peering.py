"""The whole way from two clusters to one, and back, by the writes of `continuo.federation` alone."""

from __future__ import annotations

import base64
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import yaml

from continuo.embedded.port import Write
from continuo.embedded.standins.faults import LINK_DOWN, Faults, set_outage
from continuo.embedded.standins.liqo import LiqoStandIn
from continuo.federation.model import LinkPhase, LinkSettings
from continuo.federation.unlink import retreat
from continuo.resources import kinds
from continuo.resources.meta import condition, is_true, labels_of

LIQO_KINDS = (
    kinds.CONFIGURATION, kinds.GATEWAY_CLIENT, kinds.PUBLIC_KEY, kinds.CONNECTION, kinds.TENANT, kinds.IDENTITY,
    kinds.RESOURCE_SLICE, kinds.VIRTUAL_NODE, kinds.NAMESPACE_MAP, kinds.NETWORK, kinds.QUOTA, kinds.SECRET,
    kinds.DEPLOYMENT, kinds.FOREIGN_CLUSTER,
)  # fmt: skip


def everything(api: Any) -> set[tuple[str, str, str]]:
    """Every object of a cluster, but for events and leases."""
    found = set()
    for served in api.resources():
        if served.kind.plural not in ("events", "leases", "pods", "replicasets", "endpointslices"):
            for obj in api.list(served.kind):
                found.add((obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
    return found


def test_both_directions(bench: Any) -> None:
    rome, milan = bench.cluster("rome"), bench.cluster("milan")
    progress = bench.link("rome", "milan")
    assert progress.phase is LinkPhase.CONNECTED
    assert progress.steps_done == progress.steps_total
    for api, peer in ((rome, "milan"), (milan, "rome")):
        node = api.get(kinds.NODE, peer)
        assert is_true(node, "Ready")
        assert node["status"]["capacity"] == {"cpu": "64", "memory": "64Gi", "pods": "500"}
        foreign = api.get(kinds.FOREIGN_CLUSTER, peer)
        assert foreign["status"]["role"] == "ConsumerAndProvider"
        assert condition(foreign, "APIServerStatus")["status"] == "Established"
    assert bench.end("rome", "milan").latency.endswith("ms")
    before = bench.applied, rome.version
    assert bench.step("rome", "milan").writes == ()
    bench.world.run(30)
    assert (bench.applied, rome.version) == before, "a healthy link is left alone"


def test_one_direction(bench: Any) -> None:
    rome, milan = bench.cluster("rome"), bench.cluster("milan")
    settings = LinkSettings(service_type="NodePort", direction="first-consumes", server="first")
    bench.link("rome", "milan", settings)
    assert rome.find(kinds.NODE, "milan") is not None
    assert milan.find(kinds.NODE, "rome") is None
    assert rome.list(kinds.GATEWAY_SERVER) and milan.list(kinds.GATEWAY_CLIENT)
    assert rome.get(kinds.FOREIGN_CLUSTER, "milan")["status"]["role"] == "Provider"
    assert milan.get(kinds.FOREIGN_CLUSTER, "rome")["status"]["role"] == "Consumer"


def test_a_direction_can_be_taken_back(pair: Any) -> None:
    rome, milan = pair.api("rome"), pair.api("milan")
    settings = LinkSettings(service_type="NodePort", direction="first-consumes")
    pair.link("rome", "milan", settings)
    assert rome.find(kinds.NODE, "milan") is not None and milan.find(kinds.NODE, "rome") is None
    assert rome.list(kinds.TENANT) == [] and milan.list(kinds.IDENTITY) == []
    pair.link("rome", "milan")
    assert milan.find(kinds.NODE, "rome") is not None


def test_the_listening_end_can_change(pair: Any) -> None:
    rome, milan = pair.api("rome"), pair.api("milan")
    assert milan.list(kinds.GATEWAY_SERVER) and rome.list(kinds.GATEWAY_CLIENT)
    pair.link("rome", "milan", LinkSettings(service_type="NodePort", server="first"))
    assert rome.list(kinds.GATEWAY_SERVER) and milan.list(kinds.GATEWAY_CLIENT)
    assert not milan.list(kinds.GATEWAY_SERVER) and not rome.list(kinds.GATEWAY_CLIENT)


def test_same_networks_are_remapped(pair: Any) -> None:
    for name, peer in (("rome", "milan"), ("milan", "rome")):
        found = pair.api(name).get(kinds.CONFIGURATION, peer, f"liqo-tenant-{peer}")
        assert found["status"]["remote"]["cidr"] == {"pod": ["10.1.0.0/16"], "external": ["10.2.0.0/16"]}
        assert found["spec"]["local"]["cidr"] == {"pod": ["10.200.0.0/16"], "external": ["10.70.0.0/16"]}


def test_different_networks_stay(bench: Any) -> None:
    bench.cluster("rome", pods="10.200.0.0/16")
    bench.cluster("milan", pods="10.201.0.0/16")
    bench.link("rome", "milan")
    found = bench.api("rome").get(kinds.CONFIGURATION, "milan", "liqo-tenant-milan")
    assert found["status"]["remote"]["cidr"]["pod"] == ["10.201.0.0/16"]


def test_unlink_leaves_nothing(bench: Any) -> None:
    clusters = [bench.cluster("rome"), bench.cluster("milan")]
    before = [everything(api) for api in clusters]
    bench.link("rome", "milan")
    assert [everything(api) for api in clusters] != before
    progress = bench.unlink("rome", "milan")
    bench.world.run(5)
    assert progress.phase is LinkPhase.GONE
    assert [everything(api) - seen for api, seen in zip(clusters, before, strict=True)] == [set(), set()]
    bench.link("rome", "milan")


@pytest.mark.parametrize("seed", range(6))
def test_any_write_may_be_lost(bench: Any, seed: int) -> None:
    rng = Random(seed)
    clusters = [bench.cluster("rome"), bench.cluster("milan")]
    before = [everything(api) for api in clusters]
    bench.link("rome", "milan", lose=lambda: rng.random() < 0.5, rounds=200)
    bench.unlink("rome", "milan", lose=lambda: rng.random() < 0.5, rounds=200)
    bench.world.run(5)
    assert [everything(api) - seen for api, seen in zip(clusters, before, strict=True)] == [set(), set()]


@pytest.mark.parametrize("seed", range(4))
def test_unlink_in_the_middle_of_linking(bench: Any, seed: int) -> None:
    rng = Random(seed)
    clusters = [bench.cluster("rome"), bench.cluster("milan")]
    before = [everything(api) for api in clusters]
    for _ in range(rng.randrange(1, 9)):
        for write in bench.step("rome", "milan").writes:
            bench.perform(write)
        bench.world.run(rng.choice((0.0, 0.1, 0.5)))
    bench.unlink("rome", "milan")
    bench.world.run(5)
    assert [everything(api) - seen for api, seen in zip(clusters, before, strict=True)] == [set(), set()]


@pytest.mark.parametrize("kind", LIQO_KINDS, ids=lambda kind: kind.kind)
def test_what_is_deleted_comes_back(lasting_pair: Any, kind: Any) -> None:
    pair = lasting_pair
    rome = pair.api("rome")
    victims = [obj for obj in rome.list(kind) if "liqo.io/remote-cluster-id" in labels_of(obj)]
    assert victims
    for victim in victims:
        rome.delete(kind, victim["metadata"]["name"], victim["metadata"].get("namespace", ""))
    pair.world.run(1)
    assert pair.link("rome", "milan").phase is LinkPhase.CONNECTED
    pair.world.run(2)
    assert len(rome.list(kind)) >= len(victims)


def test_edits_are_undone(pair: Any) -> None:
    milan = pair.api("milan")
    body = {"spec": {"remote": {"cidr": {"pod": ["10.99.0.0/16"]}}}}
    milan.patch(kinds.CONFIGURATION, "rome", "liqo-tenant-rome", "merge", body, Write(manager="someone"))
    pair.world.run(1)
    progress = pair.step("rome", "milan")
    assert [write.op.summary for write in progress.writes] == ["Configuration liqo-tenant-rome/rome"]
    pair.link("rome", "milan")
    found = milan.get(kinds.CONFIGURATION, "rome", "liqo-tenant-rome")
    assert found["spec"]["remote"]["cidr"]["pod"] == ["10.200.0.0/16"]
    assert found["status"]["remote"]["cidr"]["pod"] == ["10.1.0.0/16"]


def test_forged_signature_is_refused(bench: Any) -> None:
    """Somebody writes a Tenant with another key: no certificate, no rights."""
    bench.cluster("rome")
    milan = bench.cluster("milan")
    bench.cluster("thief")
    bench.link("rome", "milan")
    tenant = milan.get(kinds.TENANT, "rome", "liqo-tenant-rome")
    keys = bench.api("thief").get(kinds.SECRET, "authentication-keys", "liqo")
    bench.unlink("rome", "milan")
    bench.world.run(2)
    for write in bench.step("rome", "milan").writes:
        bench.perform(write)
    bench.world.run(1)
    forged = kinds.TENANT.new(
        "rome", "liqo-tenant-rome", metadata={"labels": {"liqo.io/remote-cluster-id": "rome"}},
        spec={**tenant["spec"], "publicKey": keys["data"]["publicKey"]},
    )  # fmt: skip
    milan.create(forged)
    bench.world.run(1)
    assert "authParams" not in (milan.get(kinds.TENANT, "rome", "liqo-tenant-rome").get("status") or {})
    assert milan.list(kinds.ROLE_BINDING, "liqo-tenant-rome") == []
    assert bench.link("rome", "milan").phase is LinkPhase.CONNECTED


def test_link_drops_and_recovers(pair: Any) -> None:
    rome = pair.api("rome")
    faults = Faults(pair.world.engine)
    faults.inject(LINK_DOWN, kinds.FOREIGN_CLUSTER, "rome", cluster="milan")
    pair.world.run(1)
    progress = pair.step("rome", "milan")
    assert (progress.phase, progress.reason) == (LinkPhase.DEGRADED, "TunnelDown")
    assert progress.writes == ()
    assert condition(rome.get(kinds.NODE, "milan"), "Ready")["status"] == "False"
    connection = rome.list(kinds.CONNECTION)[0]
    assert connection["status"]["value"] == "Error"
    faults.heal(LINK_DOWN, kinds.FOREIGN_CLUSTER, "rome", cluster="milan")
    pair.world.run(1)
    assert pair.step("rome", "milan").phase is LinkPhase.CONNECTED


def test_dead_peer(pair: Any) -> None:
    rome, milan = pair.api("rome"), pair.api("milan")
    set_outage(milan, "drop")
    pair.world.run(3)
    assert pair.step("rome", "milan").phase is LinkPhase.PENDING
    assert condition(rome.get(kinds.FOREIGN_CLUSTER, "milan"), "APIServerStatus")["status"] == "Error"
    assert condition(rome.get(kinds.NODE, "milan"), "Ready")["status"] == "False"
    stuck = pair.end("rome", "milan"), pair.end("milan", "rome")
    progress = retreat(*stuck)
    assert (progress.reason, progress.writes) == ("PeerUnreachable", ())
    force = LinkSettings(force=True)
    pair.unlink("rome", "milan", force)
    pair.world.run(3)
    assert rome.find(kinds.NAMESPACE, "liqo-tenant-milan") is None
    assert rome.find(kinds.FOREIGN_CLUSTER, "milan") is None
    assert rome.find(kinds.NODE, "milan") is None


def test_restart_of_the_stand_in(bench: Any) -> None:
    """Stopped and replaced at any point, it goes on from what is stored."""
    bench.cluster("rome")
    bench.cluster("milan")
    for _ in range(12):
        for write in bench.step("rome", "milan").writes:
            bench.perform(write)
        bench.world.run(0.01)
        bench.liqo.stop()
        bench.liqo = LiqoStandIn(bench.world.engine, rng=Random(6), settings=bench.world.settings)
        bench.world.start(bench.liqo)
    assert bench.link("rome", "milan").phase is LinkPhase.CONNECTED


def test_three_clusters(bench: Any) -> None:
    for name in ("rome", "milan", "turin"):
        bench.cluster(name)
    for first, second in (("rome", "milan"), ("rome", "turin"), ("milan", "turin")):
        bench.link(first, second)
    seen = {
        peer: bench.api("rome").get(kinds.CONFIGURATION, peer, f"liqo-tenant-{peer}")["status"]["remote"]["cidr"]["pod"]
        for peer in ("milan", "turin")
    }
    assert seen == {"milan": ["10.1.0.0/16"], "turin": ["10.3.0.0/16"]}
    bench.unlink("rome", "milan")
    assert bench.step("rome", "turin").phase is LinkPhase.CONNECTED


def test_in_band(bench: Any) -> None:
    """Liqo's own traffic through the tunnel: the kubeconfig leads to the provider's proxy, as the consumer sees it."""
    rome = bench.cluster("rome")
    bench.cluster("milan")
    bench.link("rome", "milan", LinkSettings(service_type="NodePort", in_band=True))
    secret = rome.get(kinds.SECRET, "kubeconfig-controlplane-milan", "liqo-tenant-milan")
    config = yaml.safe_load(base64.b64decode(secret["data"]["kubeconfig"]))
    assert config["clusters"][0]["cluster"]["proxy-url"] == "http://10.2.0.1:8118"


def test_everything_fits_the_schemas(pair: Any) -> None:
    """What the stand-in writes past the validation would also have passed it."""
    for name in ("rome", "milan"):
        api = pair.api(name)
        for served in list(api.resources()):
            if not served.kind.group.endswith("liqo.io"):
                continue
            for obj in api.list(served.kind):
                strict = Write(manager="judge", field_validation="Strict", dry_run=True)
                changed = {**obj, "metadata": {**obj["metadata"], "labels": {**labels_of(obj), "touched": "yes"}}}
                api.update(changed, strict)
                if "status" in obj:
                    again = {**obj, "status": {**obj["status"]}}
                    assert api.update(again, strict, subresource="status")["status"] == obj["status"]


def test_a_cluster_that_vanishes(pair: Any) -> None:
    rome = pair.api("rome")
    gone = pair.end("milan", "rome")
    pair.world.engine.remove_cluster("milan")
    pair.world.run(3)
    assert condition(rome.get(kinds.NODE, "milan"), "Ready")["status"] == "False"
    for _ in range(30):
        progress = retreat(pair.end("rome", "milan"), replace(gone, reachable=False), LinkSettings(force=True))
        for write in progress.writes:
            pair.perform(write)
        pair.world.run(0.5)
    assert progress.phase is LinkPhase.GONE
    assert rome.find(kinds.NODE, "milan") is None
