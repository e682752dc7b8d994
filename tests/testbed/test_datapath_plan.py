"""Where calls end, and plans that cannot be: worked out before anything is built."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.broker.aggregate.addresses import Mapped, Relay, View, inward, outward
from continuo.federation.reflection.places import Place
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.testbed.datapath import rules
from continuo.testbed.datapath.decided import Seen, plan_of
from continuo.testbed.datapath.latency import Latency, share
from continuo.testbed.datapath.plan import BadPlan, End, Link, Member, NoWay, Plan, Way, follow
from testbed.datapaths import EXTERNAL, POD, PODS, plan


@pytest.mark.parametrize(
    ("start", "ip", "links", "cluster"),
    [
        ("milan", POD, (), "milan"),
        ("broker", "10.1.3.4", (0,), "milan"),
        ("broker", "10.2.3.4", (1,), "turin"),
        ("rome", "10.72.0.5", (2, 0), "milan"),
        ("rome", "10.72.0.6", (2, 1), "turin"),
        ("rome", "10.20.3.4", (3,), "milan"),
        ("oslo", "10.30.3.4", (4,), "milan"),
        ("rome", "10.71.3.4", (2,), "broker"),
        ("milan", "10.63.3.4", (3,), "rome"),
    ],
)
def test_where_a_call_ends(start: str, ip: str, links: tuple[int, ...], cluster: str) -> None:
    assert follow(plan(), start, ip) == Way(links, cluster, POD)


@pytest.mark.parametrize(
    ("start", "ip", "says"),
    [
        ("rome", "10.72.0.9", "cluster broker has not published 10.70.0.9"),
        ("rome", "192.0.2.1", "cluster rome knows no way to 192.0.2.1"),
        ("rome", "10.1.3.4", "cluster rome knows no way to 10.1.3.4"),
        ("bern", POD, "the data path has no cluster bern; it has milan, turin, rome, oslo, broker"),
    ],
)
def test_addresses_that_lead_nowhere(start: str, ip: str, says: str) -> None:
    with pytest.raises(NoWay, match=says):
        follow(plan(), start, ip)


def test_two_that_pass_each_others_calls_on_are_a_circle() -> None:
    members = (
        Member("a", PODS, EXTERNAL, {"10.2.0.5": "10.70.0.5"}), Member("b", PODS, EXTERNAL, {"10.4.0.5": "10.70.0.5"}),
        Member("c", PODS, EXTERNAL, {"10.6.0.5": "10.70.0.5"}),
    )  # fmt: skip
    links = (
        Link(End("a", "10.1.0.0/16", "10.2.0.0/16"), End("b", "10.1.0.0/16", "10.2.0.0/16")),
        Link(End("b", "10.3.0.0/16", "10.4.0.0/16"), End("c", "10.3.0.0/16", "10.4.0.0/16")),
        Link(End("c", "10.5.0.0/16", "10.6.0.0/16"), End("a", "10.5.0.0/16", "10.6.0.0/16")),
    )
    with pytest.raises(NoWay, match="go in a circle through cluster a"):
        follow(Plan(members, links), "a", "10.2.0.5")


_hosts = st.integers(1, 65534).map(lambda number: f"10.0.{number >> 8}.{number & 255}")
_nets = st.lists(st.integers(1, 254), min_size=7, max_size=7, unique=True)


@given(pods=st.lists(st.tuples(st.sampled_from(["milan", "turin"]), _hosts), min_size=1, max_size=8), nets=_nets)
def test_calls_end_where_the_aggregators_addresses_mean_it(pods: list[tuple[str, str]], nets: list[int]) -> None:
    milan, turin, external, at_pods, at_external, back, hidden = (f"10.{number}.0.0/16" for number in nets)
    places = [Place(*pod) for pod in pods]
    seen = {"milan": Mapped(PODS, milan), "turin": Mapped(PODS, turin)}
    relay = Relay("broker", seen, external).publish(*places)
    view = View(Mapped(PODS, at_pods), Mapped(external, at_external))
    members = (
        Member("rome"), Member("milan"), Member("turin"), Member("broker", PODS, external, relay.published),
    )  # fmt: skip
    links = (
        Link(End("rome", at_pods, at_external), End("broker", back)),
        *(Link(End("broker", seen[name].seen), End(name, back, hidden)) for name in seen),
    )
    made = Plan(members, links)
    for place in places:
        address = outward(place, relay, view)
        way = follow(made, "rome", address)
        assert Place(way.cluster, way.ip) == place == inward(address, relay, view)
        assert follow(made, "broker", relay.sees(place)).links == way.links[1:]


_two = (Member("a"), Member("b"))
_good = Link(End("a", "10.1.0.0/16"), End("b", "10.1.0.0/16"))


@pytest.mark.parametrize(
    ("members", "links", "says"),
    [
        ((Member("a b"),), (), "'a b' is no name of a cluster"),
        ((Member("a"), Member("a")), (), "there are two clusters a"),
        ((Member("a", "10.0.0.0/33"),), (), "'10.0.0.0/33' of cluster a is no IPv4 network"),
        ((Member("a", PODS, EXTERNAL, {"x": "10.70.0.5"}),), (), "'x' of cluster a is no IPv4 address"),
        ((Member("a"),), (_good,), "link a-b has an end in b, which is no cluster of the plan"),
        (_two, (replace(_good, other=End("b", "all")),), "'all' at b of link a-b is no IPv4 network"),
        (_two, (_good, _good), "link a-b is there twice"),
        (_two, (Link(_good.one, End("a", "10.2.0.0/16")),), "link a-a joins a cluster to itself"),
        (_two, (replace(_good, one=End("a", "10.1.0.0/24")),), "cluster a cannot see 10.0.0.0/16 of b as 10.1.0.0/24"),
        (_two, (replace(_good, one=End("a", PODS)),), r"cluster a cannot tell its own pods \(10.0.0.0/16\) from b"),
        (_two, (replace(_good, one=End("a", "10.1.0.0/16", "10.2.0.0/16")),), "an external network of b, which has none"),
        ((Member("a", caller="10.9.0.1"),), (), "cluster a calls from 10.9.0.1, which is not in its pod network"),
        ((Member("a", published={"10.1.0.5": "10.70.0.5"}),), (), "publishes addresses and has no external network"),
        (
            (Member("a", PODS, EXTERNAL, {"10.1.0.5": "10.70.0.5"}),), (),
            "cluster a publishes 10.1.0.5 as 10.70.0.5 and knows no way to it",
        ),
        (
            (Member("a", PODS, EXTERNAL, {"10.1.0.5": "10.70.0.0"}), Member("b")), (_good,),
            "cluster a cannot publish 10.70.0.0: it is not one to lend",
        ),
        (
            (Member("a", PODS, EXTERNAL, {"10.1.0.5": "10.70.0.5", "10.1.0.6": "10.70.0.5"}), Member("b")), (_good,),
            "cluster a publishes two pods under one address",
        ),
        (
            (Member("a", PODS, EXTERNAL, {"10.1.0.5": "10.70.0.5"}), Member("b")), (_good,),
            "cluster b must see the external network of a, which passes calls on to it",
        ),
    ],
)  # fmt: skip
def test_plans_that_cannot_be(members: tuple[Member, ...], links: tuple[Link, ...], says: str) -> None:
    with pytest.raises(BadPlan, match=says):
        Plan(members, links)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadPlan, match=r"'x y' is no name.*; 'p' of cluster b is no IPv4 network"):
        Plan((Member("x y"), Member("b", "p")))


def test_only_who_passes_calls_on_has_the_kernel_follow_connections() -> None:
    found = {member.name: rules.ruleset(plan(), member) for member in plan().members}
    assert [name for name, text in found.items() if "type nat" in text] == ["broker"]


def test_what_calls_took() -> None:
    latency = Latency((1.0, 3.0, 2.0), (0.5, 1.0, 1.0), "a/1") + Latency((9.0,), (8.0,), "b/1")
    assert (latency.median, latency.mean, latency.p99, latency.raw_median) == (2.5, 3.75, 9.0, 1.0)
    assert latency.beyond_raw == 1.0
    assert latency.served_by == "b/1"
    assert [share(range(1, 101), part) for part in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]


# --- what the control plane decided -----------------------------------------------------------------------------------
def configuration(peer: str, pod: str, external: str, own: str = PODS) -> Object:
    return kinds.CONFIGURATION.new(
        peer, f"liqo-tenant-{peer}", metadata={"labels": {"liqo.io/remote-cluster-id": peer}},
        spec={"local": {"cidr": {"pod": [own], "external": [EXTERNAL]}}},
    ) | {"status": {"remote": {"cidr": {"pod": [pod], "external": [external]}}}}  # fmt: skip


def lent(ip: str, address: str | None) -> Object:
    return kinds.IP.new("ip", "default", spec={"ip": ip}) | ({"status": {"ip": address}} if address else {})


def test_the_plan_is_what_configurations_and_lent_addresses_say() -> None:
    broker = Seen(
        "hub", "b-1", [configuration("m-1", "10.1.0.0/16", "10.2.0.0/16"), configuration("elsewhere", PODS, EXTERNAL)],
        [lent("10.1.0.7", "10.70.0.2"), lent("10.1.0.8", None), lent("10.96.0.9", "10.70.0.1")],
    )  # fmt: skip
    milan = Seen("milan", "m-1", [configuration("b-1", "10.3.0.0/16", "10.4.0.0/16")])
    assert plan_of([broker, milan, Seen("alone", "a-1", [])]) == Plan(
        (Member("hub", PODS, EXTERNAL, {"10.1.0.7": "10.70.0.2"}), Member("milan", PODS, EXTERNAL)),
        (Link(End("hub", "10.1.0.0/16", "10.2.0.0/16"), End("milan", "10.3.0.0/16", "10.4.0.0/16")),),
    )


def test_a_link_has_two_ends_and_one_that_goes_is_none() -> None:
    there = configuration("m-1", "10.1.0.0/16", "10.2.0.0/16")
    back = configuration("b-1", "10.3.0.0/16", "10.4.0.0/16")
    assert plan_of([Seen("hub", "b-1", [there]), Seen("milan", "m-1", [])]).links == ()
    back["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan_of([Seen("hub", "b-1", [there]), Seen("milan", "m-1", [back])]).links == ()


def test_a_cluster_that_contradicts_itself() -> None:
    found = [configuration("m-1", "10.1.0.0/16", "10.2.0.0/16"), configuration("t-1", PODS, EXTERNAL, "10.9.0.0/16")]
    with pytest.raises(BadPlan, match="cluster hub tells its peers different networks of its own"):
        plan_of([Seen("hub", "b-1", found)])
