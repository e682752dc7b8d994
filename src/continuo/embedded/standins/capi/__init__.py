"""Cluster API in the management cluster: core, kubeadm, K3s, MicroK8s, OpenStack."""

from continuo.embedded.standins.capi.controller import ClusterApi

__all__ = ["ClusterApi"]
