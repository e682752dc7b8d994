"""Who depends on a cluster, a link or a provider."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.orchestrator.impact import Inventory, Subject, impact, subjects
from continuo.resources.loop import ADJUSTMENT, AdjustmentSpec, decode_adjustment
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, LowLevelOrchestration, decode

Found = tuple[LowLevelOrchestration, AdjustmentSpec]


def cluster(name: str, **more: Any) -> Object:
    return {"name": name, "kubernetes-version": "v1.34.2", **more}


def component(name: str, cluster: str | None = None, **more: Any) -> Object:
    placed = {"cluster-selector": cluster} if cluster else {"placement": {}}
    return {"name": name, "image": "x", **placed, **more}


def orchestration() -> Found:
    spec = {
        "clusters": [
            cluster("rose", datacenter="milan"), cluster("green", datacenter="turin"),
            {"name": "old", "provider": "existing", "kubeconfig": "old-secret", "datacenter": "turin"},
        ],
        "links": [["rose", "green"]],
        "apps": [
            {"name": "shop", "owner": "ann", "cluster": "rose",
             "components": [component("web"), component("db", "rose"), component("log", "old")],
             "link-requirements": [{"name": "fast", "members": ["web", "db"], "latencyMs": 5}]},
            {"name": "hub", "owner": "bob", "cluster": "green", "components": [component("hub", "green")]},
        ],
    }  # fmt: skip
    urls = [
        {"name": "http", "url": "https://hub.example.org/"},
        {"name": "in", "url": "tcp://hub.hub.svc.cluster.local:80"},
    ]
    told = {"name": "hub", "phase": "Running", "components": [{"name": "hub", "phase": "Running", "urls": urls}]}
    obj = LOW_LEVEL_ORCHESTRATION.new("main", "default", spec=spec, status={"apps": [told]})
    place = {"component": "shop/web", "cluster": "green", "decision": "d", "since": "2026-01-01T00:00:00Z"}
    return decode(obj), decode_adjustment(ADJUSTMENT.new("main", "default", spec={"places": [place]}))


def named(name: str, spec: Object, kind: str = "", namespace: str = "") -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def inventory(**more: Any) -> Inventory:
    return Inventory([orchestration()], **more)


def told(found: Object, kind: str, field: str) -> list[str]:
    return [entry[field] for entry in found[kind]]


def test_a_cluster_takes_along_what_runs_there_and_what_has_its_home_there() -> None:
    found = impact(inventory(), Subject("cluster", "green"))
    assert told(found, "components", "component") == ["shop/web", "hub/hub"], "by its Adjustment, by its selector"
    assert told(found, "applications", "why") == ["1 of 3 components", "its home is green"]
    assert found["owners"] == ["ann", "bob"] and told(found, "links", "clusters") == [["green", "rose"]]
    assert told(found, "urls", "url") == ["https://hub.example.org/"], "what only clusters know is nobody's address"


def test_a_link_takes_along_what_is_reached_over_it_and_what_talks_over_it() -> None:
    found = impact(inventory(), Subject("link", "green/rose"))
    assert told(found, "components", "component") == ["shop/web", "shop/db"]
    assert found["components"][1]["why"] == "talks over the link (fast)" and found["clusters"] == []


def test_a_data_centre_and_a_provider_are_their_clusters() -> None:
    assert impact(inventory(), Subject("datacenter", "turin"))["clusters"] == ["main/green", "main/old"]
    found = impact(inventory(), Subject("provider", "existing"))
    assert found["clusters"] == ["main/old"] and told(found, "components", "component") == ["shop/log"]


def test_contracts_of_brokers_are_known_by_secret_and_by_id() -> None:
    parties = {
        "providers": [named("by-secret", {"kubeconfig": {"name": "old-secret"}}), named("by-id", {"clusterID": "main-green"}),
                      named("other", {})],
        "consumers": [named("main-rose", {})],
        "contracts": [named(f"c{n}", {"provider": p, "consumer": c, "offer": "cpu", "plan": "s"}) for n, (p, c) in enumerate(
            [("by-secret", "x"), ("by-id", "x"), ("other", "x"), ("other", "main-rose")])],
    }  # fmt: skip
    found = inventory(**parties)
    assert told(impact(found, Subject("cluster", "old")), "contracts", "contract") == ["c0"]
    assert told(impact(found, Subject("cluster", "green")), "contracts", "contract") == ["c1"]
    assert impact(found, Subject("cluster", "rose"))["contracts"][0]["why"] == "main-rose bought it"
    assert told(impact(found, Subject("provider", "other")), "contracts", "contract") == ["c2", "c3"]
    assert impact(found, Subject("provider", "by-id"))["clusters"] == ["main/green"], "the Provider is that cluster"


def test_sensors_are_known_by_whose_they_are_and_what_rests_on_them() -> None:
    sensor = {"owner": {"nodeID": "main-green"}, "flavorType": {"typeIdentifier": "Sensor"}}
    trade = {
        "flavors": [named("humidity", sensor), named("elsewhere", {"owner": {"nodeID": "far"}})],
        "purchases": [named("sold", {"seller": {"nodeID": "main-green"}, "buyer": {"nodeID": "far"}}),
                      named("bought", {"seller": {"nodeID": "far"}, "buyer": {"nodeID": "main-green"}}),
                      named("not", {"seller": {"nodeID": "far"}, "buyer": {"nodeID": "near"}})],
        "allocations": [named("a", {"contract": {"name": "sold"}}), named("b", {"contract": {"name": "not"}})],
    }  # fmt: skip
    found = impact(inventory(**trade), Subject("cluster", "green"))["sensors"]
    assert [(entry["kind"], entry["name"]) for entry in found] == [
        ("Flavor (Sensor)", "humidity"), ("Contract", "sold"), ("Contract", "bought"), ("Allocation", "a"),
    ]  # fmt: skip


def test_boards_are_known_by_the_address_of_their_hub() -> None:
    there = {
        "endpoints": [named("default", {"endpoint": "https://hub.example.org/iotronic"}, "ClusterProviderConfig"),
                      named("own", {"endpoint": "https://hub.example.org"}, "ProviderConfig", "lab"),
                      named("far", {"endpoint": "https://far.example.org"}, "ProviderConfig", "lab")],
        "boards": [named("one", {}, "Board", "lab"),
                   named("two", {"providerConfigRef": {"kind": "ProviderConfig", "name": "own"}}, "Board", "lab"),
                   named("three", {"providerConfigRef": {"kind": "ProviderConfig", "name": "own"}}, "Board", "other"),
                   named("four", {"providerConfigRef": {"kind": "ProviderConfig", "name": "far"}}, "Board", "lab")],
    }  # fmt: skip
    found = impact(inventory(**there), Subject("cluster", "green"))
    assert told(found, "boards", "board") == ["one", "two"]
    assert impact(inventory(**there), Subject("cluster", "rose"))["boards"] == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("green", ["cluster green"]), ("rose/green", ["link green/rose"]), ("milan", ["datacenter milan"]),
        ("openstack", ["provider openstack"]), ("cluster/green", ["cluster green"]), ("link/rose/green", ["link green/rose"]),
        ("provider/existing", ["provider existing"]), ("seller", ["provider seller"]), ("mars", []), ("a/b", []),
        ("provider/", []), ("link/green", []), ("a/b/c", []), ("old", ["cluster old", "provider old"]),
    ],
)  # fmt: skip
def test_a_name_means_what_has_it(name: str, meant: list[str]) -> None:
    found = inventory(providers=[named("seller", {}), named("old", {})])
    assert [str(subject) for subject in subjects(found, name)] == meant
