"""Addresses in chains of clusters that all use 10.0.0.0/16, and names of namespaces: pure, as tables."""

from __future__ import annotations

import pytest

from continuo.federation.reflection import objects, pods, spaces
from continuo.federation.reflection.atlas import drawn
from continuo.federation.reflection.events import told
from continuo.federation.reflection.places import ROOT_CID, ROOT_IP, Atlas, Place, root_of
from continuo.federation.reflection.twin import NAMESPACE, TWIN_UID, Twin
from continuo.resources import kinds
from continuo.resources.meta import Object

OWN = "10.0.0.0/16"
CONSUMER = Atlas("c", {"b": "10.1.0.0/16"}, {"b": "10.71.0.0/16"}, OWN, flat=False)
LINKED = Atlas("c", {"b": "10.1.0.0/16", "p": "10.2.0.0/16"}, {"b": "10.71.0.0/16"}, OWN, flat=False)
BROKER = Atlas("b", {"p": "10.9.0.0/16"}, {}, OWN, {"10.9.0.7": "10.70.0.3"}, flat=False)
FLAT = Atlas("c")


@pytest.mark.parametrize(
    ("atlas", "root", "hop", "seen"),
    [
        (LINKED, Place("p", "10.0.0.7"), Place("b", "10.9.0.7"), "10.2.0.7"),  # a direct way: translated once
        (CONSUMER, Place("p", "10.0.0.7"), Place("b", "10.9.0.7"), "10.71.0.3"),  # through what the broker lends
        (CONSUMER, Place("p", "10.0.0.8"), Place("b", "10.9.0.8"), None),  # it lends nothing for it yet
        (CONSUMER, Place("b", "10.0.0.9"), Place("b", "10.0.0.9"), "10.1.0.9"),  # the neighbour's own pod
        (CONSUMER, Place("c", "10.0.0.5"), Place("b", "10.9.0.5"), "10.0.0.5"),  # it came back to us
        (FLAT, Place("p", "10.0.0.7"), Place("b", "10.3.0.7"), "10.3.0.7"),  # one address space
        (CONSUMER, Place("b", "10.9.0.7"), Place("b", "10.9.0.7"), "10.71.0.3"),  # nobody says what is behind b
        (CONSUMER, Place("b", "10.0.0.9"), Place("b", "10.0.0.9"), "10.1.0.9"),
        (Atlas("c", flat=False), Place("p", "10.0.0.7"), Place("b", "10.9.0.7"), None),  # no network at all (yet)
    ],
)
def test_how_an_address_is_written(atlas: Atlas, root: Place, hop: Place, seen: str | None) -> None:
    assert atlas.seen(root, hop, BROKER) == seen


def copy(ip: str | None, **marks: str) -> Object:
    status = {"phase": "Running", "containerStatuses": [{"name": "c"}], **({"podIP": ip} if ip else {})}
    return {**kinds.POD.new("p", "s", metadata={"annotations": marks, "uid": "u"}), "status": status}


def test_the_place_of_a_pod_is_handed_on_unchanged() -> None:
    assert root_of(copy("10.0.0.7"), "p") == Place("p", "10.0.0.7")
    assert root_of(copy("10.9.0.7", **{ROOT_CID: "p", ROOT_IP: "10.0.0.7"}), "b") == Place("p", "10.0.0.7")
    assert root_of(copy(None, **{ROOT_CID: "p", ROOT_IP: "10.0.0.7"}), "b") == Place("p", "10.0.0.7")
    assert root_of(copy(None), "p") is None


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_a_chain_of_any_depth_ends_in_one_translation(depth: int) -> None:
    """Each hop knows its next one only; the first one has a network of its own to the last."""
    hops = [f"h{number}" for number in range(depth + 1)]
    seen: Object = copy("10.0.3.4")
    for here, there in zip(reversed(hops[:-1]), reversed(hops[1:]), strict=True):
        networks = {there: "10.5.0.0/16"} | ({hops[-1]: "10.6.0.0/16"} if here == hops[0] else {})
        twin = Twin(
            "n", "o", "r", frozenset({"s"}), home_id=here, remote_id=there, here=Atlas(here, networks, flat=False)
        )
        pod = {**kinds.POD.new("p", "s", metadata={"uid": "u"}), "status": {}}
        marked = {**seen, "metadata": {**seen["metadata"], "labels": dict(twin.marks)}}
        marked["metadata"]["annotations"] = {**(seen["metadata"].get("annotations") or {}), TWIN_UID: "u"}
        step = pods.decide(twin, pod, marked)
        assert isinstance(step, pods.Tell)
        seen = {
            **kinds.POD.new("p", "s", metadata={"annotations": step.annotations, "uid": "u"}),
            "status": step.status,
        }
    assert seen["metadata"]["annotations"] == {ROOT_CID: hops[-1], ROOT_IP: "10.0.3.4"}
    assert seen["status"]["podIP"] == "10.6.3.4"


def test_an_atlas_is_drawn_from_configurations_and_addresses_lent() -> None:
    def configuration(peer: str, **cidrs: list[str]) -> Object:
        made = kinds.CONFIGURATION.new(
            peer, f"liqo-tenant-{peer}", metadata={"labels": {"liqo.io/remote-cluster-id": peer}}
        )
        return {**made, "spec": {"local": {"cidr": {"pod": [OWN]}}}, "status": {"remote": {"cidr": cidrs}}}

    lent = {**kinds.IP.new("x", "s"), "spec": {"ip": "10.9.0.7"}, "status": {"ip": "10.70.0.3"}}
    found = [configuration("p", pod=["10.9.0.0/16"], external=["10.72.0.0/16"]), configuration("q")]
    atlas = drawn("b", found, [lent, kinds.IP.new("y", "s", spec={"ip": "10.9.0.8"})])
    assert atlas == Atlas("b", {"p": "10.9.0.0/16"}, {"p": "10.72.0.0/16"}, OWN, {"10.9.0.7": "10.70.0.3"}, flat=False)


def endpoint_slice(*endpoints: Object, **metadata: object) -> Object:
    labels = {"kubernetes.io/service-name": "web"}
    made = kinds.ENDPOINT_SLICE.new("web-1", "s", metadata={"labels": labels, **metadata})
    return {**made, "addressType": "IPv4", "ports": [], "endpoints": list(endpoints)}


def test_endpoints_keep_their_place_through_the_chain() -> None:
    """A slice of the consumer's goes to the broker and on: the provider writes its address by its own map."""
    at_broker = Atlas("b", {"c": "10.4.0.0/16", "p": "10.9.0.0/16"}, pods=OWN, flat=False)
    first = Twin("n1", "oc", "ob", frozenset({"s"}), home_id="c", remote_id="b", there=at_broker)
    here = endpoint_slice({"addresses": ["10.0.0.5"], "nodeName": "worker"})
    copied = objects.copy_of(first, kinds.ENDPOINT_SLICE, here)
    assert copied is not None and copied["endpoints"] == [{"addresses": ["10.4.0.5"]}]
    at_provider = Atlas("p", {"b": "10.8.0.0/16", "c": "10.3.0.0/16"}, pods=OWN, flat=False)
    onward = Twin("n2", "ob", "op", frozenset({"s"}), home_id="b", remote_id="p", here=at_broker, there=at_provider)
    again = objects.copy_of(onward, kinds.ENDPOINT_SLICE, copied)
    assert again is not None and again["endpoints"] == [{"addresses": ["10.3.0.5"]}]


def test_endpoints_without_a_way_are_not_told_and_those_that_run_there_neither() -> None:
    there = Atlas("p", {"b": "10.8.0.0/16"}, pods=OWN, flat=False)
    twin = Twin("n", "ob", "op", frozenset({"s"}), home_id="b", remote_id="p", here=BROKER, there=there)
    slice_ = endpoint_slice({"addresses": ["10.9.0.1"]}, {"addresses": ["10.5.0.1"]}, {"addresses": ["10.0.0.1"]})
    where = {"10.9.0.1": Place("p", "10.0.0.1"), "10.5.0.1": Place("q", "10.0.0.1")}
    copied = objects.copy_of(twin, kinds.ENDPOINT_SLICE, slice_, lambda entry: where.get(entry["addresses"][0]))
    assert copied is not None and copied["endpoints"] == [{"addresses": ["10.8.0.1"]}]


def test_names_of_namespaces_never_meet() -> None:
    assert spaces.remote_name("shop", "milan", "same") == "shop"
    assert spaces.remote_name("shop", "milan", "suffixed") == "shop-milan"
    names = [("a-b", "c"), ("a", "b-c"), ("a", "b"), ("x" * 63, "milan"), ("x" * 62 + "y", "milan"), ("shop", "m" * 40)]
    made = [spaces.remote_name(name, consumer, "suffixed") for name, consumer in names]
    assert len(set(made)) == len(made) and all(len(name) <= 63 for name in made)


def test_a_suffixed_copy_says_what_it_is_of() -> None:
    twin = Twin("n", "o", "r", frozenset({"shop"}), home_id="milan", naming="suffixed", scheduler="broker")
    pod = kinds.POD.new(
        "p", "shop", metadata={"uid": "u", "annotations": {ROOT_CID: "x", ROOT_IP: "y"}}, spec={"containers": []}
    )
    made = pods.copy_of(twin, pod)
    assert made["metadata"]["namespace"] == "shop-milan" and twin.key_here(made) == ("shop", "p")
    assert made["metadata"]["annotations"] == {NAMESPACE: "shop", TWIN_UID: "u"}
    assert made["spec"]["schedulerName"] == "broker"


def test_an_event_there_is_told_about_the_pod_here() -> None:
    twin = Twin("n", "o", "r", frozenset({"s"}))
    pod = kinds.POD.new("p", "s", metadata={"uid": "here"})
    event = kinds.CORE_EVENT.new(
        "p.1", "s", metadata={"uid": "e"}, involvedObject={"uid": "there", "name": "p", "fieldPath": "spec.containers{c}"},
        reason="Pulled", message="m", type="Normal", count=2, source={"component": "kubelet", "host": "w"},
    )  # fmt: skip
    made = told(twin, event, pod, kinds.POD.new("p", "s", metadata={"uid": "there"}))
    assert made is not None and made["involvedObject"]["uid"] == "here" and made["count"] == 2
    assert made["source"] == {"component": "kubelet", "host": "n"}
    assert told(twin, event, pod, kinds.POD.new("p", "s", metadata={"uid": "an older one"})) is None
