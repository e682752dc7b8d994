"""Labels, annotations and taints by which the broker knows what is whose."""

from __future__ import annotations

from continuo.resources.meta import Object, annotations_of, labels_of

MANAGER = "continuo-broker"
CONSUMER = "continuo.dev/consumer"
"""Label of a namespace: whose workloads are in it."""
LIQO_CONSUMER, LIQO_TENANT = "liqo.io/remote-cluster-id", "liqo.io/tenant-namespace"
PROVIDER = "continuo.dev/provider"
"""Label of a virtual node: the Provider that it stands for."""
BROKERED = "continuo.dev/brokered"
"""Key of the taint that keeps other schedulers off such nodes."""
DECISION = "continuo.dev/decision"
"""Annotation of a pod: who was chosen, who was not, and why."""
MOVED_FROM = "continuo.dev/moved-from"
"""Annotation of a pod: the provider that it belongs to and could not run on."""
MOVE = "continuo.dev/move"
"""Annotation of a pod: the UID of the pod that it replaces."""
REFLECTED_FROM = "continuo.dev/reflected-from"
"""Label of a pod that a reflection makes anew when it is gone."""


def consumer_of(namespace: Object) -> str | None:
    """The ID of the cluster whose workloads are in a namespace; None: it is no consumer's."""
    labels = labels_of(namespace)
    if CONSUMER in labels:
        return labels[CONSUMER] or None
    return None if LIQO_TENANT in labels else labels.get(LIQO_CONSUMER) or None


def home_of(pod: Object) -> str | None:
    """The provider that a bound pod belongs to and was moved away from."""
    return annotations_of(pod).get(MOVED_FROM) or None
