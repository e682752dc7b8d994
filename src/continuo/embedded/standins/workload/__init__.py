"""Nodes, scheduler, kubelets and workload controllers, in every cluster."""

from continuo.embedded.standins.workload.cluster import WorkloadCluster, workload_standin
from continuo.embedded.standins.workload.nodes import NewNode, register

__all__ = ["NewNode", "WorkloadCluster", "register", "workload_standin"]
