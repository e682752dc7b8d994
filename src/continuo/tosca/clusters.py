"""The clusters around a blueprint: declared from what it pins, or read from a file beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from continuo.resources.meta import Object
from continuo.resources.orchestration_clusters import ClusterSpec
from continuo.tosca.blueprint import Blueprint
from continuo.tosca.checks import by_component
from continuo.tosca.cursor import Cursor
from continuo.tosca.names import slug
from continuo.tosca.placement import Target
from continuo.tosca.problems import Problem, Problems, TooMany, did_you_mean
from continuo.tosca.yaml_nodes import ListNode, MapNode, Node, Scalar, describe, parse

KUBERNETES_VERSION = "v1.34.2"
FLAVOR = "m1.medium"
CLUSTER_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?\Z")


def declare_clusters(blueprint: Blueprint) -> list[Object]:
    """A cluster definition for each place that the blueprint names, and for each tier that it hints at otherwise.

    The tier of a named cluster is what most of its components hint at.
    """
    hints: dict[str, Counter[str]] = {}
    datacenters: dict[str, str] = {}
    floating: list[str] = []
    for component, _ in by_component(blueprint):
        host = blueprint.host_of(component)
        name = (host.cluster or slug(host.datacenter)) if host else ""
        if not name:
            floating.append(component.hint)
            continue
        hints.setdefault(name, Counter()).update([component.hint.lower()] if component.hint else ())
        if host and host.datacenter:
            datacenters.setdefault(name, host.datacenter)
    found = [_cluster(name, _tier(counter), datacenters.get(name)) for name, counter in hints.items()]
    tiers = {cluster.get("tier") for cluster in found}
    for tier in dict.fromkeys(hint.lower() for hint in floating if hint):
        if tier not in tiers:
            found.append(_cluster(tier, tier, None))
    return found or [_cluster("cloud", "cloud", None)]


def _tier(counter: Counter[str]) -> str | None:
    return counter.most_common(1)[0][0] if counter else None


def _cluster(name: str, tier: str | None, datacenter: str | None) -> Object:
    cluster: Object = {
        "name": name,
        "provider": "openstack",
        "kubernetes-type": "kubeadm",
        "kubernetes-version": KUBERNETES_VERSION,
        "control-plane-count": 1,
        "control-plane-flavor": FLAVOR,
        "worker-machine-count": 1,
        "worker-machine-flavor": FLAVOR,
    }
    if tier:
        cluster["tier"] = tier
    if datacenter:
        cluster["datacenter"] = datacenter
    return cluster


def targets(clusters: Iterable[Object]) -> list[Target]:
    """The definitions (of `spec.clusters[]`) as places for components."""
    return [Target(cluster["name"], cluster.get("tier"), cluster.get("datacenter")) for cluster in clusters]


def read_clusters(text: str | bytes, *, file: str = "clusters.yaml") -> tuple[list[Object], tuple[Problem, ...]]:
    """Cluster definitions from a file: a list, a map with `clusters`, or a whole LowLevelOrchestration."""
    problems = Problems(file)
    found: list[Object] = []
    with suppress(TooMany):
        root = parse(text, problems)
        found = _definitions(Cursor(root, "", "", problems)) if root is not None else []
    return found, problems.sorted()


def _definitions(cursor: Cursor) -> list[Object]:
    for key in ("spec", "clusters"):
        if isinstance(cursor.value, MapNode) and key in cursor.value.fields:
            cursor = cursor.step(cursor.value.fields[key], key)
    if not isinstance(cursor.value, ListNode) or not cursor.value.items:
        cursor.report(
            "bad-value", f"the clusters must be a list, not {describe(cursor.value)}.",
            hint="write clusters: [{name: green, kubernetes-version: v1.34.2}]",
        )  # fmt: skip
        return []
    found = [cluster for item in cursor.items("clusters") if (cluster := _definition(item)) is not None]
    _unique(found, cursor)
    return found


def _definition(cursor: Cursor) -> Object | None:
    node = cursor.value
    if not isinstance(node, MapNode):
        cursor.report("bad-value", f"a cluster must be a map with a name, not {describe(cursor.value)}.")
        return None
    named = node.fields.get("name")
    title = f"cluster {named.text}" if isinstance(named, Scalar) else "a cluster"
    cursor = Cursor(node, cursor.path, title, cursor.problems)
    known = ClusterSpec.__struct_encode_fields__
    for name in node.fields.keys() - set(known):
        hint = did_you_mean(name, known)
        cursor.report("unknown-key", f"it has no field named {name}.", hint=hint, at=cursor.key(name))
    plain = _plain(node)
    try:
        msgspec.convert(plain, ClusterSpec)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        field = re.split(r"[.\[`]", where)[0]
        at = node.fields.get(field, node)
        message = f"{field}: {what}." if field else f"{what}."
        cursor.report("bad-value", message, at=at)
        return None
    assert isinstance(plain, dict)
    return plain


def _unique(found: Sequence[Object], cursor: Cursor) -> None:
    for name, count in Counter(cluster["name"] for cluster in found).items():
        if count > 1:
            cursor.report("name-conflict", f"the cluster {name} is declared {count} times.")


def _plain(node: Node) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    return {name: _plain(value) for name, value in node.fields.items()}
