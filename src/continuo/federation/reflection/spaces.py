"""The namespaces of a reflection: what they are called at the other end, and whose they are there. Pure."""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of

Naming: TypeAlias = Literal["same", "suffixed"]
CONSUMER = "continuo.dev/consumer"
"""Label of a namespace: the cluster from which its pods came here."""
ROOT_CONSUMER = "continuo.dev/root-consumer"
"""Label of a namespace: the cluster from which they set out, where that is another one."""
OFFLOAD = "continuo.dev/offload"
"""Label of a namespace at home: the virtual node to which its pods may go."""
LIQO_CONSUMER = "liqo.io/remote-cluster-id"
CONSUMER_LABELS = (CONSUMER, LIQO_CONSUMER)
_LONGEST = 63


def remote_name(name: str, consumer: str, naming: Naming) -> str:
    """What a namespace of the cluster `consumer` is called at the other end.

    Suffixed, as Liqo does it: `shop-milan`. An identifier that has hyphens itself is hashed, or `a-b` of `c` and `a` of
    `b-c` would meet; so is the rest of a name that would be too long.
    """
    if naming == "same":
        return name
    suffix = _hash(consumer) if "-" in consumer or len(consumer) > 30 else consumer
    whole = f"{name}-{suffix}"
    if len(whole) <= _LONGEST:
        return whole
    kept = _LONGEST - len(suffix) - 10
    return f"{name[:kept].rstrip('-')}-{_hash(name)}-{suffix}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def consumer_of(namespace: Object | None) -> str | None:
    """The cluster from which the pods of a namespace came: as we mark it, or as real Liqo does."""
    labels = labels_of(namespace) if namespace is not None else {}
    return next((labels[name] for name in CONSUMER_LABELS if labels.get(name)), None)


def root_consumer_of(namespace: Object | None) -> str | None:
    """The cluster from which they set out."""
    return (labels_of(namespace).get(ROOT_CONSUMER) if namespace is not None else None) or consumer_of(namespace)


def new_namespace(
    name: str, consumer: str, root: str | None, marks: dict[str, str], said: dict[str, str] | None = None
) -> Object:
    """The namespace at the other end; `said` are annotations."""
    labels = {**marks, CONSUMER: consumer} if consumer else dict(marks)
    if consumer and root and root != consumer:
        labels[ROOT_CONSUMER] = root
    return kinds.NAMESPACE.new(name, metadata={"labels": labels, **({"annotations": said} if said else {})})


def taken_by(namespace: Object, consumer: str) -> str | None:
    """The other consumer to whom a namespace belongs already; None when nobody stands in the way."""
    owner = consumer_of(namespace)
    return owner if owner is not None and owner != consumer else None
