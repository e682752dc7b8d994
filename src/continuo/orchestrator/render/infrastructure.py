"""What a provider of machines adds to a cluster's objects: its two kinds, its specs, and what kubelets must be told.

Everything else of a cluster is the same wherever its machines come from (`clusters.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import ClusterSpec

Wish = tuple[str, str | None, str | None]
"""A field of the declaration, what it says, and what the cluster was made with."""


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """One infrastructure provider of Cluster API."""

    name: str
    """As users and the provider inventory know it."""
    cluster: Kind
    machine_template: Kind
    cluster_spec: Callable[[ClusterSpec], Object]
    machine_spec: Callable[[ClusterSpec, str, str], Object]
    """From the declaration, the role's flavor, and the version, to `spec.template.spec` of a machine template."""
    node_registration: Object
    """What kubeadm registers a node with."""
    kubelet_args: tuple[str, ...] = ()
    """The same for K3s."""
    cloud_provider: str | None = None
    """Whether controllers of the cloud do part of the controller manager's work."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the infrastructure cluster."""
    fixed: tuple[str, ...] = ()
    """Fields of the infrastructure cluster that its provider lets nobody change."""
    wishes: Callable[[ClusterSpec, Object], tuple[Wish, ...]] = lambda _spec, _made: ()
    """What the declaration says about the fixed fields, beside what the cluster was made with."""
