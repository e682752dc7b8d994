"""CustomResourceDefinitions: what makes one valid, what the API adds to it, and how it becomes served resources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, Final

import msgspec

from continuo.embedded.apicore.failures import (
    invalid_value,
    required,
    unsupported,
)
from continuo.embedded.apicore.metadata import SUBDOMAIN_RULE, name_problem
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.apicore.strategies import Strategy
from continuo.embedded.machinery import cel
from continuo.embedded.machinery import schema as schemas
from continuo.embedded.machinery.fields import FieldError
from continuo.embedded.port import Event, ResourceType
from continuo.resources.meta import Kind, Object, condition, is_true

CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
TABLE: Final = ("apiextensions.k8s.io", "customresourcedefinitions")
_CUSTOM: Final = Strategy(generation=True)
_SCHEMA: Final = "openAPIV3Schema"
_LABEL_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Examined:
    """One schema with what is known of it; the same schema in many clusters is examined and compiled once."""

    def __init__(self, body: bytes) -> None:
        self.schema: dict[str, Any] = _decode(body)

    @cached_property
    def problems(self) -> list[FieldError]:
        """Why an API server refuses the schema."""
        found: list[FieldError] = list(schemas.check_structural(self.schema))
        if not found:
            try:
                _ = self.rules
            except cel.InvalidRules as error:
                found = list(error.errors)
        return found

    @cached_property
    def rules(self) -> cel.CompiledRules:
        """The compiled CEL rules; raises InvalidRules."""
        return cel.CompiledRules.compile(self.schema)


@lru_cache(maxsize=1024)
def _examined(body: bytes) -> Examined:
    return Examined(body)


def examine(schema: dict[str, Any]) -> Examined:
    """What is known of a schema."""
    return _examined(_encode(schema))


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


# --- what it refuses --------------------------------------------------------------------------------------------------
def check(crd: Object, old: Object | None) -> Iterator[FieldError]:
    """Everything that is wrong with a definition."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    expected = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if crd["metadata"].get("name") != expected:
        yield invalid_value(
            "metadata.name", crd["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group'
        )
    yield from _check_names(spec, names)
    yield from _check_versions(spec.get("versions") or [], old)
    if (spec.get("conversion") or {}).get("strategy", "None") != "None":
        yield unsupported("spec.conversion.strategy", spec["conversion"]["strategy"], ["None"])
    if spec.get("preserveUnknownFields"):
        yield invalid_value("spec.preserveUnknownFields", True, "must be false")
    served = {version.get("name") for version in spec.get("versions") or ()}
    for index, version in enumerate((crd.get("status") or {}).get("storedVersions") or ()):
        if version not in served:
            yield invalid_value(f"status.storedVersions[{index}]", version, "must appear in spec.versions")
    if old is not None:
        yield from _check_immutable(spec, old)


def _check_names(spec: Object, names: Object) -> Iterator[FieldError]:
    group = spec.get("group")
    if not group:
        yield required("spec.group")
    elif name_problem(TABLE, group):
        yield invalid_value("spec.group", group, SUBDOMAIN_RULE)
    elif "." not in group:
        yield invalid_value("spec.group", group, "should be a domain with at least one dot")
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        if spec.get("scope"):
            yield unsupported("spec.scope", spec["scope"], ["Cluster", "Namespaced"])
        else:
            yield required("spec.scope")
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field)
        if not value:
            yield required(f"spec.names.{field}")
        elif not _LABEL_1035.match(value.lower() if field in ("kind", "listKind") else value):
            yield invalid_value(
                f"spec.names.{field}", value,
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                "character, and end with an alphanumeric character",
            )  # fmt: skip
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid_value("spec.names.listKind", names["listKind"], "kind and listKind may not be the same")


def _check_versions(versions: list[Object], old: Object | None) -> Iterator[FieldError]:
    if not versions:
        yield required("spec.versions", "must have exactly one version marked as storage version")
        return
    if sum(version.get("storage") is True for version in versions) != 1:
        yield invalid_value("spec.versions", versions, "must have exactly one version marked as storage version")
    seen: set[str] = set()
    before = {v["name"]: v for v in (old or {}).get("spec", {}).get("versions") or ()}
    alike = all(version.get("schema") == versions[0].get("schema") for version in versions)
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name") or ""
        if not _LABEL_1035.match(name):
            yield invalid_value(f"{path}.name", name, "a DNS-1035 label must consist of lower case alphanumeric "
                                "characters or '-'")  # fmt: skip
        if name in seen:
            yield invalid_value("spec.versions", versions, "must contain unique version names")
        seen.add(name)
        earlier = before.get(name)
        if (earlier is None or earlier.get("schema") != version.get("schema")) and not (alike and index):
            # One schema for all versions is reported where Kubernetes keeps it then.
            yield from _check_schema("spec.validation" if alike else f"{path}.schema", version)
        yield from _check_columns(path, version)


def _check_schema(path: str, version: Object) -> Iterator[FieldError]:
    schema = (version.get("schema") or {}).get(_SCHEMA)
    if not schema:
        yield required(f"{path}.{_SCHEMA}", "schemas are required")
        return
    if schema.get("type") != "object":
        yield invalid_value(f"{path}.{_SCHEMA}.type", schema.get("type") or "", "must be object at the root")
        return
    for problem in examine(schema).problems:
        inner = problem.field[problem.field.find(_SCHEMA) :]
        yield replace(problem, field=f"{path}.{inner}")


def _check_columns(path: str, version: Object) -> Iterator[FieldError]:
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        where = f"{path}.additionalPrinterColumns[{index}]"
        for field in ("name", "type", "jsonPath"):
            if not column.get(field):
                yield required(f"{where}.{field}")
        if column.get("type") and column["type"] not in ("boolean", "date", "integer", "number", "string"):
            yield unsupported(f"{where}.type", column["type"], ["boolean", "date", "integer", "number", "string"])
    scale = (version.get("subresources") or {}).get("scale")
    if scale is not None:
        for field in ("specReplicasPath", "statusReplicasPath"):
            if not scale.get(field):
                yield required(f"{path}.subresources.scale.{field}")


def _check_immutable(spec: Object, old: Object) -> Iterator[FieldError]:
    before = old.get("spec") or {}
    paths: list[tuple[str, ...]] = [("group",), ("scope",)]
    if is_true(old, "Established"):
        paths += [("names", "plural"), ("names", "kind")]
    for path in paths:
        new_value, old_value = _at(spec, path), _at(before, path)
        if new_value != old_value:
            yield invalid_value("spec." + ".".join(path), new_value, "field is immutable")


def _at(value: Any, path: Iterable[str]) -> Any:
    for name in path:
        value = (value or {}).get(name)
    return value


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
