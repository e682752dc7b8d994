"""Filling ids from references and selectors: pure, over the objects that are cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from continuo.iot.provider.external import Neighbours, NotYet, Reference
from continuo.resources.boards import EXTERNAL_NAME
from continuo.resources.meta import Object, annotations_of, labels_of


def for_provider(obj: Object) -> Mapping[str, Any]:
    """What the object declares."""
    return (obj.get("spec") or {}).get("forProvider") or {}


def external_name(obj: Object) -> str:
    """Its identity outside; empty where it has none yet."""
    return annotations_of(obj).get(EXTERNAL_NAME, "")


def resolve(obj: Object, references: Sequence[Reference], neighbours: Neighbours) -> dict[str, Any]:
    """The fields of `forProvider` that are to be written; raises NotYet where a target that is required is not there."""
    found: dict[str, Any] = {}
    for reference in references:
        said = for_provider(obj)
        chosen = _chosen(obj, said, reference, neighbours)
        if chosen is not None and said.get(reference.id_field) != chosen[1]:
            found[reference.id_field] = chosen[1]
            if f"{reference.name}Ref" not in said:
                found[f"{reference.name}Ref"] = {"name": chosen[0]}
    return found


def _chosen(
    obj: Object, said: Mapping[str, Any], reference: Reference, neighbours: Neighbours
) -> tuple[str, str] | None:
    """(name, external name) of the target."""
    ref, selector = said.get(f"{reference.name}Ref"), said.get(f"{reference.name}Selector")
    way = ref or selector
    if way is None and selector is None:
        return None
    policy = (way or {}).get("policy") or {}
    if said.get(reference.id_field) and policy.get("resolve") != "Always":
        return None
    namespace = obj["metadata"].get("namespace") or ""
    try:
        if ref is not None:
            return _named(reference, namespace, ref["name"], neighbours)
        return _selected(obj, reference, namespace, selector or {}, neighbours)
    except NotYet:
        if policy.get("resolution") == "Optional":
            return None
        raise


def _named(reference: Reference, namespace: str, name: str, neighbours: Neighbours) -> tuple[str, str]:
    target = neighbours.get(reference.to, namespace, name)
    where = f"{reference.name}Ref"
    if target is None:
        raise NotYet(f"{where} names {reference.to.kind} {name!r}, and there is none in namespace {namespace}")
    found = external_name(target)
    if not found:
        raise NotYet(f"{where} names {reference.to.kind} {name!r}, which the endpoint does not know yet")
    return name, found


def _selected(
    obj: Object, reference: Reference, namespace: str, selector: Mapping[str, Any], neighbours: Neighbours
) -> tuple[str, str]:
    wanted = selector.get("matchLabels") or {}
    fitting = [
        each
        for each in neighbours.all(reference.to, namespace)
        if wanted.items() <= labels_of(each).items()
        and (not selector.get("matchControllerRef") or _controller(each) == _controller(obj) is not None)
    ]
    found = sorted((each["metadata"]["name"], external_name(each)) for each in fitting if external_name(each))
    if not found:
        labels = ",".join(f"{key}={value}" for key, value in sorted(wanted.items())) or "any labels"
        told = "none that the endpoint knows yet" if fitting else "none"
        raise NotYet(
            f"{reference.name}Selector wants a {reference.to.kind} with {labels}, and there is {told} "
            f"in namespace {namespace}"
        )
    return found[0]


def _controller(obj: Object) -> str | None:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid"))
    return None


ANY = "*"


def sought(obj: Object, references: Sequence[Reference]) -> Iterable[tuple[str, str, str]]:
    """(plural, namespace, name or ANY) of the objects whose change may resolve a reference."""
    said, namespace = for_provider(obj), obj["metadata"].get("namespace") or ""
    for reference in references:
        ref = said.get(f"{reference.name}Ref")
        if ref:
            yield reference.to.plural, namespace, str(ref.get("name"))
        elif f"{reference.name}Selector" in said:
            yield reference.to.plural, namespace, ANY


def used(obj: Object, references: Sequence[Reference]) -> Iterable[tuple[str, str]]:
    """(plural, external name) of what it depends on."""
    said = for_provider(obj)
    for reference in references:
        if said.get(reference.id_field):
            yield reference.to.plural, str(said[reference.id_field])
