"""OpenAPI v3 schemas of the built-in kinds, made from lightkube's generated models.

The models give fields, types, what is required and the descriptions. What they do not know (how lists and maps merge,
number formats, enumerations, the defaults that take part in merging) comes from the table in `builtin_table`.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec

from continuo.embedded.machinery.builtin_docs import describe
from continuo.embedded.machinery.builtin_table import FACTS
from continuo.embedded.machinery.typed import ALWAYS

Schema = dict[str, Any]

GROUPS = MappingProxyType(
    {
        "": "core",
        "admissionregistration.k8s.io": "admissionregistration",
        "apiextensions.k8s.io": "apiextensions",
        "apiregistration.k8s.io": "apiregistration",
        "apps": "apps",
        "authentication.k8s.io": "authentication",
        "authorization.k8s.io": "authorization",
        "autoscaling": "autoscaling",
        "batch": "batch",
        "certificates.k8s.io": "certificates",
        "coordination.k8s.io": "coordination",
        "discovery.k8s.io": "discovery",
        "events.k8s.io": "events",
        "flowcontrol.apiserver.k8s.io": "flowcontrol",
        "networking.k8s.io": "networking",
        "node.k8s.io": "node",
        "policy": "policy",
        "rbac.authorization.k8s.io": "rbac",
        "resource.k8s.io": "resource",
        "scheduling.k8s.io": "scheduling",
        "storage.k8s.io": "storage",
    }
)
"""API group -> the first part of the name of its models."""

_PACKAGES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta.",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration.",
}
_SCALARS: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "float": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "Time": {"type": "string", "format": "date-time"},
    "MicroTime": {"type": "string", "format": "date-time"},
    "Quantity": {
        "anyOf": [{"type": "string"}, {"type": "number"}],
        "x-kubernetes-int-or-string": True,
    },
    "IntOrString": {"x-kubernetes-int-or-string": True, "format": "int-or-string"},
    "RawExtension": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "FieldsV1": {"type": "object", "x-kubernetes-map-type": "atomic"},
    "JSON": {"x-kubernetes-preserve-unknown-fields": True},
    "JSONSchemaPropsOrArray": {"x-kubernetes-preserve-unknown-fields": True},
    "JSONSchemaPropsOrBool": {"x-kubernetes-preserve-unknown-fields": True},
    "JSONSchemaPropsOrStringArray": {"x-kubernetes-preserve-unknown-fields": True},
    "byte": {"type": "string", "format": "byte"},
    "dict": {"type": "object"},
}
_REFERENCE = "#/components/schemas/"
_ROOT_FIELDS = {"apiVersion", "kind", "metadata"}


@cache
def schema_for(group: str, version: str, kind: str) -> Schema | None:
    """The schema of a built-in kind with everything inlined (parts are shared: do not change it); None if unknown."""
    module = _module(group, version)
    if module is None or not isinstance(getattr(module, kind, None), type):
        return None
    return _inlined(f"{GROUPS[group]}_{version}.{kind}")


def object_meta() -> Schema:
    """The schema of every object's `metadata`."""
    return _inlined("meta_v1.ObjectMeta")


@cache
def definitions(group: str, version: str) -> dict[str, Schema]:
    """The components of the group version's OpenAPI document, and those that they refer to, by OpenAPI name."""
    module = _module(group, version)
    if module is None:
        return {}
    prefix = module.__name__.rpartition(".")[2]
    waiting = [f"{prefix}.{name}" for name in _own_models(module)]
    out: dict[str, Schema] = {}
    seen = set(waiting)
    while waiting:
        model = waiting.pop()
        out[openapi_name(model)] = component(model)
        new = _references(model) - seen
        seen |= new
        waiting += sorted(new)
    return dict(sorted(out.items()))


def openapi_name(model: str) -> str:
    """`apps_v1.Deployment` -> `io.k8s.api.apps.v1.Deployment`."""
    module, _, name = model.partition(".")
    group, _, version = module.partition("_")
    return f"{_PACKAGES.get(group, f'io.k8s.api.{group}.')}{version}.{name}"


@cache
def component(model: str) -> Schema:
    """One model as a component schema with `$ref`s."""
    cls = _class(model)
    if cls is None:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    about, docs = describe(cls)
    schema: Schema = {"description": about, "type": "object"}
    properties: dict[str, Schema] = {}
    required: list[str] = []
    version_kind = _group_version_kind(model, cls)
    for entry in msgspec.structs.fields(cls):
        spelled = cls.__annotations__[entry.name]
        properties[entry.encode_name] = _property(model, entry.encode_name, spelled, docs.get(entry.name, ""))
        if entry.required and not (version_kind and entry.encode_name in _ROOT_FIELDS):
            required.append(entry.encode_name)
    schema["properties"] = properties
    if required:
        schema["required"] = required
    schema.update(FACTS.get(model, {}).get("", {}))
    schema.update(version_kind)
    return schema


def _property(model: str, name: str, spelled: str, doc: str) -> Schema:
    module = model.partition(".")[0]
    facts = FACTS.get(model, {}).get(name, {})
    schema: Schema = {"description": doc} if doc else {}
    base = _type(module, spelled, facts)
    if "$ref" in base:
        schema["allOf"] = [base]
    else:
        schema.update(base)
    schema.update({key: value for key, value in facts.items() if key != "values"})
    return schema


def _type(module: str, spelled: str, facts: Schema) -> Schema:
    if spelled.startswith("Optional["):
        return _type(module, spelled[9:-1], facts)
    if spelled.startswith("List["):
        return {
            "type": "array",
            "items": _type(module, spelled[5:-1], {}),
            "x-kubernetes-list-type": "atomic",
        }
    if spelled == "dict":
        values = facts.get("values", {"type": "string"})
        if "model" in values:
            values = {"$ref": _REFERENCE + openapi_name(values["model"])}
        return {"type": "object", "additionalProperties": values}
    base = spelled.rpartition(".")[2]
    if base in _SCALARS:
        return dict(_SCALARS[base])
    return {"$ref": _REFERENCE + openapi_name(spelled if "." in spelled else f"{module}.{spelled}")}


@cache
def _references(model: str) -> frozenset[str]:
    """The models that a model mentions."""
    module = model.partition(".")[0]
    found = set()
    cls = _class(model)
    for spelled in () if cls is None else cls.__annotations__.values():
        for name in re.findall(r"[\w.]+", spelled):
            base = name.rpartition(".")[2]
            if base in _SCALARS or base in ("Optional", "List"):
                continue
            found.add(name if "." in name else f"{module}.{name}")
    for facts in FACTS.get(model, {}).values():
        if "model" in facts.get("values", ()):
            found.add(facts["values"]["model"])
    return frozenset(found)


@cache
def _inlined(model: str) -> Schema:
    """A component with its references replaced; every model is inlined once and shared."""
    if model.endswith(".JSONSchemaProps"):
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema: Schema = dict(component(model))
    if "properties" in schema:
        required = schema.get("required", ())
        schema["properties"] = {
            name: _marked(name, _resolve(inner), inner, name in required)
            for name, inner in schema["properties"].items()
        }
    return schema


def _marked(name: str, schema: Schema, component: Schema, required: bool) -> Schema:
    """Fields that an API server's own types always have are marked, for they are never taken as new."""
    always = name == "metadata" or component.get("default") == {} or (required and component.get("type") == "array")
    return {**schema, ALWAYS: True} if always else schema


def _resolve(schema: Schema) -> Schema:
    if "$ref" in schema:
        return _inlined(_model_of(schema["$ref"]))
    if "allOf" in schema and "$ref" in schema["allOf"][0]:
        target = _inlined(_model_of(schema["allOf"][0]["$ref"]))
        return {**target, **{key: value for key, value in schema.items() if key != "allOf"}}
    out = dict(schema)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            out[keyword] = _resolve(schema[keyword])
    return out


def _model_of(reference: str) -> str:
    parts = reference.rpartition("/")[2].split(".")
    return f"{parts[-3]}_{parts[-2]}.{parts[-1]}"


def _group_version_kind(model: str, cls: type) -> Schema:
    module, _, name = model.partition(".")
    family, _, version = module.partition("_")
    group = next((group for group, known in GROUPS.items() if known == family), None)
    if group is None or "kind" not in cls.__annotations__ or "metadata" not in cls.__annotations__:
        return {}
    return {"x-kubernetes-group-version-kind": [{"group": group, "kind": name, "version": version}]}


def _module(group: str, version: str) -> ModuleType | None:
    family = GROUPS.get(group)
    if family is None or not re.fullmatch(r"v\d+(alpha\d+|beta\d+)?", version):
        return None
    try:
        return importlib.import_module(f"lightkube.models.{family}_{version}")
    except ModuleNotFoundError:
        return None


def _own_models(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
    ]


def _class(model: str) -> type[msgspec.Struct] | None:
    """The generated class; None for parts that the models leave open."""
    module, _, name = model.partition(".")
    found = getattr(importlib.import_module(f"lightkube.models.{module}"), name)
    return found if isinstance(found, type) and issubclass(found, msgspec.Struct) else None
