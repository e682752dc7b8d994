"""How long an HTTP request takes, called under the addresses that the control plane gave, over real sockets.

The embedded engine's pods are simulated, so for the measurement each called pod is a real HTTP server in a network of its own
cluster, and the clusters are joined as their objects say: which links there are, and how each sees the others' addresses.
"""

from __future__ import annotations

from dataclasses import dataclass

from continuo.cli.brokers_demo import scene
from continuo.cli.brokers_demo.stage import Stage
from continuo.federation.reflection.places import ROOT_CID, ROOT_IP
from continuo.federation.reflection.spaces import remote_name
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, key_of
from continuo.testbed.datapath.decided import decided
from continuo.testbed.datapath.latency import Latency
from continuo.testbed.datapath.path import DataPath

ROUNDS, REQUESTS = 30, 30


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
    there = (scene.BROKER, scene.BUYER, *(party.name for party in scene.PROVIDERS))
    plan = await decided([stage[name] for name in there])
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
