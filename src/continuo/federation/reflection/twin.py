"""What one reflection is: the node that stands for the other cluster, and how its copies are told from other objects.

A copy carries the identity of the cluster that it came from and the name of the node that it came through. What does not
carry exactly these belongs to somebody else and is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from continuo.federation.reflection.places import Atlas, Place
from continuo.federation.reflection.spaces import Naming, remote_name
from continuo.resources.meta import Key, Object, annotations_of, key_of, labels_of

MANAGER = "continuo-reflection"
ORIGIN = "continuo.dev/reflected-from"
"""Label: the UID of the namespace kube-system of the home cluster, which no two clusters share."""
THROUGH = "continuo.dev/reflected-through"
"""Label: the virtual node at home."""
TWIN_UID = "continuo.dev/reflected-uid"
"""Annotation of a pod's copy: the UID of the pod that it is of; a pod made anew under the same name is another one."""
NAMESPACE = "continuo.dev/reflected-namespace"
"""Annotation of a copy whose namespace has another name at home: that name."""
OPAQUE = "continuo.dev/opaque"
"""Label of a copy: its consumer is told nothing of where it runs, and reaches it through the broker."""
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
    """Those at home whose pods may go."""
    remote_pods: str | None = None
    """The network that the remote cluster's pods are reached by from home; None: as `here` says."""
    home_pods: str | None = None
    """The network that the home cluster's pods are reached by from there; None: as `there` says."""
    home_id: str = ""
    """What the home cluster is called among clusters; empty: nothing is said of where pods run."""
    remote_id: str = ""
    naming: Naming = "same"
    scheduler: str | None = None
    """Who places the pods there; None: that cluster's own scheduler."""
    here: Atlas = field(default_factory=Atlas)
    there: Atlas = field(default_factory=Atlas)
    opaque: bool = False
    """Whether home is told nothing of what is behind the remote cluster."""
    opened: frozenset[str] | None = None
    """Those of the namespaces of which all else goes, too; None: all."""

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
        labels = labels_of(obj)
        return labels.get(ORIGIN) == self.origin and labels.get(THROUGH) == self.node

    def labels(self, obj: Object) -> dict[str, str]:
        """The labels of the copy of an object."""
        made = {**labels_of(obj), ORIGIN: self.origin, THROUGH: self.node}
        if self.opaque:
            made[OPAQUE] = "true"
        else:
            made.pop(OPAQUE, None)
        return made

    def opens(self, namespace: str) -> bool:
        """Whether more than the pods of the namespace goes there."""
        return namespace in (self.namespaces if self.opened is None else self.opened)

    # --- keys ---------------------------------------------------------------------------------------------------------
    def space_there(self, namespace: str) -> str:
        """What a namespace is called in the remote cluster."""
        return remote_name(namespace, self.home_id or self.origin, self.naming)

    def key_there(self, key: Key) -> Key:
        """Where the copy of an object is."""
        return (key[0], key[1]) if self.naming == "same" else (self.space_there(key[0]), key[1])

    def key_here(self, copy: Object) -> Key:
        """Of which object something is a copy."""
        namespace, name = key_of(copy)
        return annotations_of(copy).get(NAMESPACE, namespace), name

    def named(self, namespace: str, annotations: dict[str, str]) -> dict[str, str]:
        """The annotations of the copy of an object in that namespace."""
        if self.space_there(namespace) != namespace:
            return {**annotations, NAMESPACE: namespace}
        return {name: value for name, value in annotations.items() if name != NAMESPACE}

    # --- addresses ----------------------------------------------------------------------------------------------------
    def seen_from_home(self, root: Place | None, ip: str | None) -> str | None:
        """How a remote pod's address is written at home, which there is `ip`."""
        if ip is None and root is None:
            return None
        hop = Place(self.remote_id, ip or "")
        return _with(self.here, self.remote_id, self.remote_pods).seen(root or hop, hop, self.there)

    def seen_from_there(self, root: Place | None, ip: str) -> str | None:
        """How an address that home writes as `ip` is written in the remote cluster."""
        hop = Place(self.home_id, ip)
        return _with(self.there, self.home_id, self.home_pods).seen(root or hop, hop, self.here)


def _with(atlas: Atlas, cluster: str, network: str | None) -> Atlas:
    """The atlas with what the user said of one network."""
    if network is None:
        return atlas
    return replace(atlas, networks={**atlas.networks, cluster: network}, flat=False)
