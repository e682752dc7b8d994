"""What differs between the infrastructure providers: OpenStack, and the development provider's simulated machines."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.embedded.standins.capi import finalizers
from continuo.resources.kinds import (
    DEV_CLUSTER,
    DEV_MACHINE,
    DEV_MACHINE_TEMPLATE,
    OPENSTACK_CLUSTER,
    OPENSTACK_MACHINE,
    OPENSTACK_MACHINE_TEMPLATE,
)
from continuo.resources.meta import Kind, Object


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to get servers."""

    name: str
    cluster: Kind
    machine: Kind
    template: Kind
    cluster_finalizer: str
    machine_finalizer: str
    networked: bool = False
    """Whether nodes are ready without a network plugin."""


OPENSTACK = Provider(
    "openstack", OPENSTACK_CLUSTER, OPENSTACK_MACHINE, OPENSTACK_MACHINE_TEMPLATE,
    finalizers.OPENSTACK_CLUSTER, finalizers.OPENSTACK_MACHINE,
)  # fmt: skip
DEV = Provider(
    "dev", DEV_CLUSTER, DEV_MACHINE, DEV_MACHINE_TEMPLATE,
    finalizers.DEV_CLUSTER, finalizers.DEV_MACHINE, networked=True,
)  # fmt: skip
ALL = (OPENSTACK, DEV)
BY_CLUSTER = {entry.cluster.kind: entry for entry in ALL}
BY_MACHINE = {entry.machine.kind: entry for entry in ALL}
BY_TEMPLATE = {entry.template.kind: entry for entry in ALL}


def provisioned(obj: Object | None) -> bool:
    """Whether an infrastructure object is there: the v1beta2 contract's word for it, or v1beta1's."""
    status = (obj or {}).get("status") or {}
    return bool(status.get("ready") or (status.get("initialization") or {}).get("provisioned"))


def template_of(control_plane: Object) -> Object:
    """The reference of a control plane of any provider to its machine template."""
    spec = control_plane["spec"]
    machine = spec.get("machineTemplate") or {}
    reference: Object = (
        (machine.get("spec") or {}).get("infrastructureRef")
        or machine.get("infrastructureRef")
        or machine.get("infrastructureTemplate")
        or spec.get("infrastructureTemplate")
        or {}
    )
    return reference
