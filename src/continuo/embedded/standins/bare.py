"""Clusters that nobody declared: made by name, with simulated nodes and Liqo's networking, to try federation on."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from continuo.embedded.port import Engine, Write
from continuo.embedded.standins.liqo import install
from continuo.embedded.standins.workload import NewNode, register
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.resources.crds import workload_crds

POD_NETWORK, SERVICE_NETWORK = "10.0.0.0/16", "10.96.0.0/16"
"""Every one of them has these, as clusters do that know nothing of each other."""
VERSION = "v1.34.0"
MOST_NODES = 250


@dataclass(frozen=True, slots=True)
class Bare:
    """What was asked for."""

    name: str
    nodes: int = 3


def make(engine: Engine, wanted: Bare, rng: Random) -> bool:
    """Make a cluster unless there is one of the name; whether it was made."""
    if any(api.name == wanted.name for api in engine.clusters()):
        return False
    api = engine.create_cluster(wanted.name)
    for definition in workload_crds():
        api.create(definition, Write(manager="helm", trusted=True))
    install(api, wanted.name, POD_NETWORK, SERVICE_NETWORK, rng=Random(rng.random()))
    for number in range(wanted.nodes):
        register(
            api,
            NewNode(f"{wanted.name}-{number + 1}", VERSION, f"192.0.2.{number + 1}", cluster_cidr=POD_NETWORK,
                    labels={BUILTIN_NETWORK: "builtin"}),
        )  # fmt: skip
    return True
