"""The CustomResourceDefinitions that management and workload clusters need.

Ours is exact. Those of other projects are compatible: the embedded engine serves them so that kubectl and the
controllers meet the same groups, names, columns, scopes, subresources, required fields and enums as on real ones.
On real clusters those projects install their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps

import msgspec

from continuo.resources.broker import broker_crds
from continuo.resources.crd import low_level_orchestration_crd
from continuo.resources.crds.cluster_api import cluster_api_crds
from continuo.resources.crds.exposure import exposure_crds
from continuo.resources.crds.fluidos import fluidos_crds
from continuo.resources.crds.kubeedge import kubeedge_crds
from continuo.resources.crds.liqo import liqo_crds
from continuo.resources.crds.liqo_network import liqo_network_crds
from continuo.resources.crds.providers import provider_crds
from continuo.resources.loop import loop_crds
from continuo.resources.meta import Object

__all__ = ["edge_crds", "fluidos_crds", "management_crds", "own_crds", "workload_crds"]


def _made_once(make: Callable[[], list[Object]]) -> Callable[[], list[Object]]:
    """What it makes is always the same: it is made once, and each caller gets a copy that is its own."""

    @cache
    def text() -> bytes:
        return msgspec.json.encode(make())

    @wraps(make)
    def copied() -> list[Object]:
        return msgspec.json.decode(text(), type=list[Object])

    return copied


@_made_once
def own_crds() -> list[Object]:
    """The definitions that Continuo itself owns: what `install` prints."""
    return [low_level_orchestration_crd(), *loop_crds(), *broker_crds()]


@_made_once
def management_crds() -> list[Object]:
    """Everything that a management cluster serves: ours, Cluster API's and its providers'."""
    return [*own_crds(), *cluster_api_crds(), *provider_crds()]


@_made_once
def workload_crds() -> list[Object]:
    """Everything that a workload cluster serves: Liqo's, Gateway API's and MetalLB's."""
    return [*liqo_crds(), *liqo_network_crds(), *exposure_crds()]


@_made_once
def edge_crds() -> list[Object]:
    """What a cluster serves that sells or buys sensors: KubeEdge's devices and rules, and FLUIDOS' trade."""
    return [*kubeedge_crds(), *fluidos_crds()]
