"""Whose a node is that several objects name: of those who differ only in age the oldest has it, whoever comes first. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from continuo.resources.meta import Object


def elder(obj: Object, others: Iterable[Object]) -> str | None:
    """The oldest of the others, if it is older than the object."""
    first = min(others, key=_age, default=None)
    if first is None or _age(first) >= _age(obj):
        return None
    name: str = first["metadata"]["name"]
    return name


def rival_of(aggregate: Object, node: str, consumer: str, own: str, others: Iterable[Object]) -> tuple[str, str] | None:
    """Who has the node that an aggregate names: its consumer, whose own node is `own`, or an older one of its aggregates."""
    if node == own:
        return "Consumer", consumer
    first = elder(aggregate, (other for other in others if _named(other) == (consumer, node)))
    return ("Aggregate", first) if first is not None else None


def _named(aggregate: Object) -> tuple[str, str]:
    spec = aggregate.get("spec") or {}
    return spec.get("consumer") or "", spec.get("node") or aggregate["metadata"]["name"]


def _age(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]


def taken(node: str, cluster: str, owner: str) -> str:
    """What is to be said where somebody else has the node."""
    return f"node {node} of {cluster} is that of {owner}: name another one in spec.node"
