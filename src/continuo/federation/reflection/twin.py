"""What one reflection is: the node that stands for the other cluster, and how its copies are told from other objects.

A copy carries the identity of the cluster that it came from and the name of the node that it came through. What does not
carry exactly these belongs to somebody else and is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from continuo.federation.addresses import remap
from continuo.resources.meta import Object, labels_of

MANAGER = "continuo-reflection"
ORIGIN = "continuo.dev/reflected-from"
"""Label: the UID of the namespace kube-system of the home cluster, which no two clusters share."""
THROUGH = "continuo.dev/reflected-through"
"""Label: the virtual node at home."""
TWIN_UID = "continuo.dev/reflected-uid"
"""Annotation of a pod's copy: the UID of the pod that it is of; a pod made anew under the same name is another one."""
VIRTUAL_NODE = "continuo.dev/virtual-node"
"""Label and key of the taint of virtual nodes."""


@dataclass(frozen=True, slots=True)
class Twin:
    """One reflection, as all its decisions need it."""

    node: str
    origin: str
    """Identity of the home cluster."""
    remote: str
    """Identity of the remote one."""
    namespaces: frozenset[str]
    """What is reflected; the namespaces have the same names at both ends."""
    remote_pods: str | None = None
    """The network that the remote cluster's pods are reached by from home; None: by their own addresses."""
    home_pods: str | None = None
    """The network that the home cluster's pods are reached by from there."""

    @property
    def marks(self) -> dict[str, str]:
        """The labels of every copy."""
        return {ORIGIN: self.origin, THROUGH: self.node}

    @property
    def selector(self) -> str:
        """The label selector of every copy."""
        return ",".join(f"{name}={value}" for name, value in self.marks.items())

    def owns(self, obj: Object) -> bool:
        """Whether it is a copy of this reflection."""
        return self.marks.items() <= labels_of(obj).items()

    def labels(self, obj: Object) -> dict[str, str]:
        """The labels of the copy of an object."""
        return {**labels_of(obj), **self.marks}

    @property
    def seen_from_home(self) -> Callable[[str], str]:
        """How a remote pod's address is written at home."""
        return _as_it_is if self.remote_pods is None else partial(remap, cidr=self.remote_pods)

    @property
    def seen_from_there(self) -> Callable[[str], str]:
        """How a home pod's address is written in the remote cluster."""
        return _as_it_is if self.home_pods is None else partial(remap, cidr=self.home_pods)


def _as_it_is(ip: str) -> str:
    return ip
