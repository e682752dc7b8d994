"""The third parties, played inside the process: kubelets and workload controllers, Cluster API, Helm, Liqo; faults."""

from __future__ import annotations

from random import Random

from continuo.embedded.port import Engine
from continuo.embedded.standins.base import StandIn
from continuo.embedded.standins.capi import ClusterApi
from continuo.embedded.standins.helm import HelmAddons
from continuo.embedded.standins.liqo import LiqoStandIn
from continuo.embedded.standins.management import prepare_management
from continuo.embedded.standins.resource_sets import ResourceSets
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload import workload_standin

__all__ = ["Settings", "StandIn", "all_standins", "prepare_management"]


def all_standins(engine: Engine, *, rng: Random, settings: Settings) -> list[StandIn]:
    """Every stand-in, to be started in this order after `prepare_management(engine.management)`."""
    capi = ClusterApi(engine, rng=Random(rng.random()), settings=settings)
    return [
        workload_standin(engine, rng=Random(rng.random()), settings=settings),
        capi,
        HelmAddons(engine, capi.world, rng=Random(rng.random()), settings=settings),
        ResourceSets(engine, capi.world),
        LiqoStandIn(engine, rng=Random(rng.random()), settings=settings),
    ]
