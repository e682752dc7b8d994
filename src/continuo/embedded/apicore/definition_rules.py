"""What makes a CustomResourceDefinition invalid, in Kubernetes' words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, Final

import msgspec

from continuo.embedded.apicore.failures import invalid_value, required, unsupported
from continuo.embedded.apicore.metadata import SUBDOMAIN_RULE, name_problem
from continuo.embedded.machinery import cel
from continuo.embedded.machinery import schema as schemas
from continuo.embedded.machinery.fields import FieldError
from continuo.resources.meta import Object, is_true

_TABLE: Final = ("apiextensions.k8s.io", "customresourcedefinitions")
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


def check(crd: Object, old: Object | None) -> Iterator[FieldError]:
    """Everything that is wrong with a definition."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    expected = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if crd["metadata"].get("name") != expected:
        yield invalid_value("metadata.name", crd["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
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
    elif name_problem(_TABLE, group):
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
