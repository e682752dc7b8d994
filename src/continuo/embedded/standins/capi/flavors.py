"""What differs between the control plane and bootstrap providers: kubeadm, K3s, MicroK8s."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.embedded.standins.capi import finalizers
from continuo.embedded.standins.kinds import KTHREES_CONFIG, KUBEADM_CONFIG, MICROK8S_CONFIG
from continuo.resources.kinds import (
    KTHREES_CONFIG_TEMPLATE,
    KTHREES_CONTROL_PLANE,
    KUBEADM_CONFIG_TEMPLATE,
    KUBEADM_CONTROL_PLANE,
    MICROK8S_CONFIG_TEMPLATE,
    MICROK8S_CONTROL_PLANE,
)
from continuo.resources.meta import Kind


@dataclass(frozen=True, slots=True)
class Distribution:
    """One way to make nodes out of servers."""

    name: str
    control_plane: Kind
    template: Kind
    config: Kind
    finalizer: str
    config_field: str
    """Where the control plane keeps its bootstrap configuration."""
    current_contract: bool
    """Speaks the v1beta2 contract (kubeadm); the others speak v1beta1."""
    joins: bool = True
    """Whether a second node can join."""
    stacked_etcd: bool = True


KUBEADM = Distribution(
    "kubeadm", KUBEADM_CONTROL_PLANE, KUBEADM_CONFIG_TEMPLATE, KUBEADM_CONFIG,
    finalizers.KUBEADM, "kubeadmConfigSpec", True,
)  # fmt: skip
KTHREES = Distribution(
    "k3s", KTHREES_CONTROL_PLANE, KTHREES_CONFIG_TEMPLATE, KTHREES_CONFIG,
    finalizers.KTHREES, "kthreesConfigSpec", False,
)  # fmt: skip
MICROK8S = Distribution(
    "microk8s", MICROK8S_CONTROL_PLANE, MICROK8S_CONFIG_TEMPLATE, MICROK8S_CONFIG,
    finalizers.MICROK8S, "controlPlaneConfig", False, joins=False,
)  # fmt: skip
ALL = (KUBEADM, KTHREES, MICROK8S)
BY_CONTROL_PLANE = {entry.control_plane.kind: entry for entry in ALL}
BY_TEMPLATE = {entry.template.kind: entry for entry in ALL}
BY_CONFIG = {entry.config.kind: entry for entry in ALL}
