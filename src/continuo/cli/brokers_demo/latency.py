"""How long an HTTP request takes, called under the addresses that the control plane gave, over real sockets.

The embedded engine's pods are simulated, so for the measurement each called pod is a real HTTP server in a network of its own
cluster, and the clusters are joined as their objects say: which links there are, and how each sees the others' addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from continuo.cli.brokers_demo import scene
from continuo.cli.brokers_demo.stage import Stage
from continuo.federation import names
from continuo.federation.reflection.places import ROOT_CID, ROOT_IP
from continuo.federation.reflection.spaces import remote_name
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, key_of, labels_of
from continuo.testbed.datapath.latency import Latency
from continuo.testbed.datapath.path import DataPath
from continuo.testbed.datapath.plan import End, Link, Member, Plan

ROUNDS, REQUESTS = 30, 30
_EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Called:
    """One pod, and its address as three clusters write it."""

    provider: str
    at_provider: str
    at_broker: str
    at_consumer: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Both tables, by place, and how the network was made."""

    about: str
    aggregator: dict[str, Latency]
    orchestrator: dict[str, Latency]


async def measure(stage: Stage, shown: list[Object], hidden: list[Object]) -> Measured:
    """Call one transparent and one opaque pod of the same provider from everywhere, in turns."""
    direct, through = await _chosen(stage, shown, hidden)
    plan = await _plan(stage, through.provider)
    calls = {
        ("aggregator", "provider"): (through.provider, through.at_provider),
        ("aggregator", "aggregator"): (scene.BROKER, through.at_broker),
        ("aggregator", "consumer"): (scene.BUYER, through.at_consumer),
        ("orchestrator", "provider"): (direct.provider, direct.at_provider),
        ("orchestrator", "orchestrator"): (scene.BROKER, direct.at_broker),
        ("orchestrator", "consumer"): (scene.BUYER, direct.at_consumer),
    }
    found: dict[tuple[str, str], Latency] = {}
    async with DataPath.build(plan) as path:
        for called in (direct, through):
            await path.serve(called.provider, called.at_provider)
        for number in range(ROUNDS + 1):
            for place, call in calls.items():
                one = await path.measure(*call, requests=REQUESTS)
                if number:  # the first round starts processes
                    found[place] = found[place] + one if place in found else one
        about = path.about
    tables = [
        {place: found[table, place] for kind, place in calls if kind == table}
        for table in ("aggregator", "orchestrator")
    ]
    return Measured(about, tables[0], tables[1])


def rows(table: dict[str, Latency]) -> list[tuple[str, ...]]:
    """The table for people: milliseconds."""
    return [
        (place, *(f"{number:.3f}" for number in (one.median, one.mean, one.p99, one.raw_median)))
        for place, one in table.items()
    ]


async def _chosen(stage: Stage, shown: list[Object], hidden: list[Object]) -> tuple[Called, Called]:
    through = [await _opaque(stage, pod) for pod in hidden]
    for pod in shown:
        said = annotations_of(pod)
        for other in through:
            if other.provider == said[ROOT_CID]:
                there = await _at_broker(stage, pod)
                return Called(said[ROOT_CID], said[ROOT_IP], there["status"]["podIP"], pod["status"]["podIP"]), other
    raise RuntimeError("no provider has pods of both kinds")


async def _opaque(stage: Stage, pod: Object) -> Called:
    """Only the broker knows where it is."""
    there = await _at_broker(stage, pod)
    said = annotations_of(there)
    return Called(said[ROOT_CID], said[ROOT_IP], there["status"]["podIP"], pod["status"]["podIP"])


async def _at_broker(stage: Stage, pod: Object) -> Object:
    namespace, name = key_of(pod)
    return await stage[scene.BROKER].get(kinds.POD, name, remote_name(namespace, scene.BUYER, "suffixed"))


async def _plan(stage: Stage, provider: str) -> Plan:
    """The networks as Liqo's objects have them."""
    seen = {name: await _seen(stage, name) for name in (scene.BROKER, scene.BUYER, provider)}
    behind = ip_network(seen[scene.BROKER][provider][0])
    lent = {
        obj["spec"]["ip"]: obj["status"]["ip"]
        for obj in (await stage[scene.BROKER].list(kinds.IP)).items
        if (obj.get("status") or {}).get("ip") and ip_address(obj["spec"]["ip"]) in behind
    }
    own = await _own(stage, scene.BROKER)
    members = (Member(provider), Member(scene.BROKER, external=own, published=lent), Member(scene.BUYER))

    def end(cluster: str, other: str) -> End:
        pods, external = seen[cluster][other]
        return End(cluster, pods, external if other == scene.BROKER else "")

    pairs = ((scene.BROKER, provider), (scene.BUYER, scene.BROKER), (scene.BUYER, provider))
    return Plan(members, tuple(Link(end(one, other), end(other, one)) for one, other in pairs))


async def _seen(stage: Stage, cluster: str) -> dict[str, tuple[str, str]]:
    """By peer: under which networks a cluster sees its pods and what it publishes."""
    found = {}
    for obj in (await stage[cluster].list(kinds.CONFIGURATION)).items:
        cidr = obj["status"]["remote"]["cidr"]
        found[labels_of(obj)[names.REMOTE_CLUSTER_ID]] = cidr["pod"][0], cidr[_EXTERNAL][0]
    return found


async def _own(stage: Stage, cluster: str) -> str:
    """The external network of a cluster."""
    listed = await stage[cluster].list(
        kinds.NETWORK, namespace=names.LIQO_NAMESPACE, labels=f"{names.NETWORK_TYPE}=external-cidr"
    )
    found: str = listed.items[0]["status"]["cidr"]
    return found
