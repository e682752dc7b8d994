"""Simulated machines (Cluster API's development provider with its in-memory backend).

Cluster API runs for real; the machines and the API behind each cluster's kubeconfig are made up by the provider. Good for
the life cycle, at no cost; nothing can be installed or run there.
"""

from __future__ import annotations

from continuo.orchestrator.render.infrastructure import Infrastructure
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import ClusterSpec


def _cluster_spec(_: ClusterSpec) -> Object:
    return {"backend": {"inMemory": {}}}


def _machine_spec(spec: ClusterSpec, _: str, __: str) -> Object:
    machine: Object = {}
    if spec.machine_startup:
        machine["vm"] = {"provisioning": {"startupDuration": _duration(spec.machine_startup), "startupJitter": "0.2"}}
    return {"backend": {"inMemory": machine}}


def _duration(seconds: int) -> str:
    """As the API server writes it back: `90s` would come back as `1m30s`, and look like drift."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"


DEV = Infrastructure(
    name="dev",
    cluster=kinds.DEV_CLUSTER,
    machine_template=kinds.DEV_MACHINE_TEMPLATE,
    cluster_spec=_cluster_spec,
    machine_spec=_machine_spec,
    node_registration={"criSocket": "unix:///var/run/containerd/containerd.sock"},
    # The provider writes an annotation into the object without looking whether there are any, and dies if there are none.
    annotations={"continuo.dev/provider": "dev"},
)
