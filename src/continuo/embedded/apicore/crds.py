"""CustomResourceDefinitions: what the API adds to one, and how it becomes served resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from continuo.embedded.apicore.definition_rules import check, examine
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.apicore.strategies import Strategy
from continuo.embedded.port import Event, ResourceType
from continuo.resources.meta import Kind, Object, condition, is_true

CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
TABLE: Final = ("apiextensions.k8s.io", "customresourcedefinitions")
_CUSTOM: Final = Strategy(generation=True)


# --- what the API adds ------------------------------------------------------------------------------------------------
def defaults(crd: Object) -> Object:
    """Names that follow from others, and the conversion."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    kind = names.get("kind") or ""
    full = {"singular": kind.lower(), "listKind": f"{kind}List", **{k: v for k, v in names.items() if v}}
    changed = {"conversion": {"strategy": "None"}, **spec, "names": full}
    return crd if changed == spec else {**crd, "spec": changed}


def prepare(state: State, crd: Object, _old: Object | None) -> Object:
    """The status that follows from the spec: accepted names, established, stored versions."""
    spec = crd.get("spec") or {}
    status = crd.get("status") or {}
    stored = list(status.get("storedVersions") or ())
    stored += [v["name"] for v in spec.get("versions") or () if v.get("storage") and v["name"] not in stored]
    rival = _rival(state, crd)
    time = state.stamp()
    if rival is None:
        accepted = _condition(crd, "NamesAccepted", "True", "NoConflicts", "no conflicts found", time)
        established = _condition(
            crd, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", time
        )
    else:
        accepted = _condition(crd, "NamesAccepted", "False", *rival, time)
        established = condition(crd, "Established") or _condition(
            crd, "Established", "False", "NotAccepted", "not all names are accepted", time
        )
    others = [
        entry for entry in status.get("conditions") or () if entry["type"] not in ("NamesAccepted", "Established")
    ]
    names = {"kind": "", "plural": "", **((status.get("acceptedNames") if rival else spec.get("names")) or {})}
    changed = {
        **status, "conditions": [accepted, established, *others], "acceptedNames": names, "storedVersions": stored,
    }  # fmt: skip
    return crd if changed == status else {**crd, "status": changed}


def _condition(crd: Object, type_: str, status: str, reason: str, message: str, time: str) -> Object:
    new = {"type": type_, "status": status, "lastTransitionTime": time, "reason": reason, "message": message}
    earlier = condition(crd, type_)
    if earlier is not None and earlier["status"] == status:
        new["lastTransitionTime"] = earlier.get("lastTransitionTime", time)
    return new


def _rival(state: State, crd: Object) -> tuple[str, str] | None:
    """(reason, message) when another resource of the group already has one of the names."""
    spec, own = crd.get("spec") or {}, crd["metadata"].get("name")
    names = spec.get("names") or {}
    for served in state.served.values():
        kind = served.kind
        if kind.group != spec.get("group") or f"{kind.plural}.{kind.group}" == own:
            continue
        taken = {kind.plural, served.type.singular, *kind.short_names}
        if names.get("kind") in (kind.kind, served.type.list_kind):
            return "KindConflict", f'"{names["kind"]}" is already in use'
        for field, reason in (("plural", "PluralConflict"), ("singular", "SingularConflict")):
            if names.get(field) in taken:
                return reason, f'"{names[field]}" is already in use'
        for short in names.get("shortNames") or ():
            if short in taken:
                return "ShortNamesConflict", f'"{short}" is already in use'
    return None


# --- serving ----------------------------------------------------------------------------------------------------------
def changed(state: State, type_: Event, crd: Object, previous: Object | None) -> None:
    """Bring what is served in line with a definition that was just written."""
    spec = crd["spec"]
    group, plural = spec["group"], spec["names"]["plural"]
    offered: dict[str, Served] = {}
    if type_ != "DELETED" and is_true(crd, "Established"):
        if type_ == "MODIFIED" and previous is not None and _serves_alike(crd, previous):
            return
        offered = {served.kind.version: served for served in _offered(state, crd)}
    for served in [s for (g, _, p), s in state.served.items() if g == group and p == plural]:
        if served.kind.version not in offered:
            state.unserve(served)
    for served in offered.values():
        state.serve(served)
    if type_ == "DELETED":
        state.tables.pop((group, plural), None)


def _serves_alike(crd: Object, previous: Object) -> bool:
    return (
        crd["spec"] == previous.get("spec")
        and is_true(previous, "Established")
        and ("deletionTimestamp" in crd["metadata"]) == ("deletionTimestamp" in previous["metadata"])
    )


def _offered(state: State, crd: Object) -> Iterator[Served]:
    spec = crd["spec"]
    table = state.table(spec["group"], spec["names"]["plural"], spec["scope"] == "Namespaced")
    table.namespaced = spec["scope"] == "Namespaced"
    all_versions = [_served(crd, version, table) for version in spec["versions"]]
    storage = next(s for s, version in zip(all_versions, spec["versions"], strict=True) if version.get("storage"))
    for served, version in zip(all_versions, spec["versions"], strict=True):
        served.storage_served = storage
        served.closing = "deletionTimestamp" in crd["metadata"]
        if version.get("served"):
            yield served


def _served(crd: Object, version: Object, table: Any) -> Served:
    spec, names = crd["spec"], crd["spec"]["names"]
    subresources = version.get("subresources") or {}
    known = examine(version["schema"]["openAPIV3Schema"])
    kind = Kind(
        spec["group"], version["name"], names["kind"], names["plural"], spec["scope"] == "Namespaced",
        tuple(names.get("shortNames") or ()),
    )  # fmt: skip
    type_ = ResourceType(
        kind=kind,
        singular=names.get("singular") or kind.kind.lower(),
        list_kind=names.get("listKind") or kind.kind + "List",
        categories=tuple(names.get("categories") or ()),
        status="status" in subresources,
        scale=subresources.get("scale"),
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        schema=known.schema,
        builtin=False,
        selectable=tuple(f["jsonPath"].lstrip(".") for f in version.get("selectableFields") or ()),
        deprecated=_deprecated(kind, version),
    )
    return Served(type_, table, examined=known, strategy=_CUSTOM)


def _deprecated(kind: Kind, version: Object) -> str | None:
    if not version.get("deprecated"):
        return None
    return version.get("deprecationWarning") or f"{kind.api_version} {kind.kind} is deprecated"


def _marked(crd: Object) -> Object:
    """Deletion waits until the objects of the definition are gone."""
    finalizers = crd["metadata"].get("finalizers") or []
    if CLEANUP in finalizers:
        return crd
    return {**crd, "metadata": {**crd["metadata"], "finalizers": [*finalizers, CLEANUP]}}


STRATEGY: Final = Strategy(
    defaults=defaults, prepare=prepare, check=check, committed=changed, generation=True, status=lambda _: {},
    deleting=_marked,
)  # fmt: skip
