"""Names and labels: how everything that Continuo makes is found again, also after a restart or a lost event.

A cluster `green` of the orchestration `shop` is the Cluster API object `shop-green` in the orchestration's namespace, and
`shop-green` is its Liqo cluster ID. Whatever is made for an orchestration carries its name and namespace as labels, so
that the inventory of what exists never depends on what a status remembers.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from continuo.resources.meta import Object, annotations_of, labels_of

MANAGER = "continuo"
"""The one field manager of server-side apply."""

CLI_MANAGER = "continuo-cli"
"""The field manager of what a person applies with `continuo apply`."""

FINALIZER = "continuo.dev/orchestration"
MANAGED_BY = "app.kubernetes.io/managed-by"
ORCHESTRATION = "continuo.dev/orchestration"
ORCHESTRATION_NAMESPACE = "continuo.dev/orchestration-namespace"
CLUSTER = "continuo.dev/cluster"
PACKAGE = "continuo.dev/package"
APPLICATION = "continuo.dev/application"
COMPONENT = "continuo.dev/component"
LINK = "continuo.dev/link"
APPLIED = "continuo.dev/applied"
"""Annotation: the hash of what was applied, so that a field we no longer declare is noticed and dropped."""

ENVIRONMENT = "continuo.dev/environment"
"""Annotation of pods: a salted, slow hash of what their environment takes from Secrets."""

ADOPTED = "continuo.dev/adopted"
"""Annotation of an orchestration: its adopted clusters and their kubeconfig Secrets, kept until nothing of ours is there."""

SELECT_MANAGED = f"{MANAGED_BY}=continuo"

_encoder = msgspec.json.Encoder(order="deterministic")


def cluster_name(orchestration: str, cluster: str) -> str:
    """The Cluster API name (and Liqo cluster ID) of a declared cluster."""
    return f"{orchestration}-{cluster}"


def owner_labels(namespace: str, orchestration: str) -> dict[str, str]:
    """The labels that say to which orchestration an object belongs."""
    return {MANAGED_BY: "continuo", ORCHESTRATION: orchestration, ORCHESTRATION_NAMESPACE: namespace}


def owner(obj: Object) -> tuple[str, str] | None:
    """The orchestration (namespace, name) that an object carries as labels."""
    labels = labels_of(obj)
    name = labels.get(ORCHESTRATION)
    return (labels.get(ORCHESTRATION_NAMESPACE, ""), name) if name else None


def made_for(obj: Object, orchestration: tuple[str, str]) -> bool:
    """Whether an object of a name that we want is ours: by its labels, or, where somebody removed them, by our mark."""
    found = owner(obj)
    return found == orchestration or (found is None and APPLIED in annotations_of(obj))


def digest(value: Any, length: int = 8) -> str:
    """A short, stable hash of any JSON value."""
    return hashlib.sha256(_encoder.encode(value)).hexdigest()[:length]


def sealed(obj: Object) -> Object:
    """The object with its own hash as the annotation `continuo.dev/applied`."""
    metadata = obj["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED: digest(obj, 16)}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def slug(text: str, limit: int = 53) -> str:
    """Lower case, runs of anything else turned into one dash, at most `limit` characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-")


def pair(a: str, b: str) -> tuple[str, str]:
    """A link's identity: its two clusters in alphabetical order."""
    return (a, b) if a <= b else (b, a)
