"""What a real API server refuses in the schema of a CustomResourceDefinition."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from continuo.embedded.machinery.defaulting import apply_defaults
from continuo.embedded.machinery.fields import OMITTED, FieldError
from continuo.embedded.machinery.pruning import prune
from continuo.embedded.machinery.validation import rules_of

ROOT = "spec.validation.openAPIV3Schema"
"""Where a server names the schema of a definition whose versions all have the same one."""

Schema: TypeAlias = Mapping[str, Any]
Errors: TypeAlias = list[FieldError]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = (
    "id",
    "$schema",
    "$ref",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
)
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_ONLY_STRUCTURE = {
    "type": "empty",
    "title": "empty",
    "description": "empty",
    "default": "undefined",
    "additionalProperties": "undefined",
    "nullable": "false",
    "x-kubernetes-preserve-unknown-fields": "false",
    "x-kubernetes-embedded-resource": "false",
    "x-kubernetes-int-or-string": "false",
    "x-kubernetes-list-type": "undefined",
    "x-kubernetes-map-type": "undefined",
    "x-kubernetes-list-map-keys": "empty",
    "x-kubernetes-validations": "empty",
}
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def check_structural(schema: Schema, path: str = ROOT) -> Errors:
    """Every place where the schema is not structural, in Kubernetes' words."""
    errors: Errors = []
    _check_root(schema, path, errors)
    _check(schema, path, "", errors)
    return errors


def _required(path: str, detail: str) -> FieldError:
    return FieldError(path, "Required", "", detail)


def _forbidden(path: str, detail: str) -> FieldError:
    return FieldError(path, "Forbidden", None, detail)


def _check_root(schema: Schema, path: str, errors: Errors) -> None:
    kind = schema.get("type")
    if not kind:
        errors.append(_required(f"{path}.type", "must not be empty at the root"))
    elif kind != "object":
        errors.append(FieldError(f"{path}.type", "Invalid", kind, "must be object at the root"))
    if schema.get("nullable"):
        errors.append(_forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    metadata = (schema.get("properties") or {}).get("metadata") or {}
    if "default" in metadata:
        errors.append(_forbidden(f"{path}.properties[metadata].default", "must not be set in top-level metadata"))
    if set(metadata.get("properties") or ()) - {"name", "generateName"}:
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        errors.append(_forbidden(f"{path}.properties[metadata]", detail))


def _check(schema: Schema, path: str, place: str, errors: Errors) -> None:
    """One level of structure: `place` says what it is of its parent (empty at the root)."""
    kind = schema.get("type")
    open_type = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if place and not kind and not open_type:
        errors.append(_required(f"{path}.type", f"must not be empty for specified {place}"))
    for check in _LEVEL_CHECKS:
        check(schema, path, errors)
    for name, inner in (schema.get("properties") or {}).items():
        _check(inner, f"{path}.properties[{name}]", "object fields", errors)
    if isinstance(schema.get("additionalProperties"), Mapping):
        _check(schema["additionalProperties"], f"{path}.additionalProperties", "object fields", errors)
    if isinstance(schema.get("items"), Mapping):
        _check(schema["items"], f"{path}.items", "array items", errors)


def _check_keywords(schema: Schema, path: str, errors: Errors) -> None:
    kind = schema.get("type")
    if kind and kind not in _TYPES:
        listed = ", ".join(f'"{name}"' for name in _TYPES)
        errors.append(FieldError(f"{path}.type", "NotSupported", kind, f"supported values: {listed}"))
    errors += [_forbidden(f"{path}.{name}", f"{name} is not supported") for name in _UNSUPPORTED if schema.get(name)]
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(_forbidden(f"{path}.uniqueItems", detail))
    if schema.get("properties") and schema.get("additionalProperties") not in (None, False):
        detail = "additionalProperties and properties are mutual exclusive"
        errors.append(_forbidden(f"{path}.additionalProperties", detail))
    if isinstance(schema.get("items"), list):
        errors.append(_forbidden(f"{path}.items", "items must be a schema object and not an array"))
    elif kind == "array" and schema.get("items") is None:
        errors.append(_required(f"{path}.items", "must be specified"))


def _check_pattern(schema: Schema, path: str, errors: Errors) -> None:
    if not schema.get("pattern"):
        return
    try:
        re.compile(schema["pattern"])
    except re.error as error:
        detail = f"must be a valid regular expression, but isn't: {error}"
        errors.append(FieldError(f"{path}.pattern", "Invalid", schema["pattern"], detail))


def _check_extensions(schema: Schema, path: str, errors: Errors) -> None:
    kind = schema.get("type")
    preserves = schema.get("x-kubernetes-preserve-unknown-fields")
    if preserves is False:
        name = f"{path}.x-kubernetes-preserve-unknown-fields"
        errors.append(FieldError(name, "Invalid", False, "must be true or undefined"))
    if schema.get("x-kubernetes-embedded-resource"):
        if kind != "object":
            detail = "must be object if x-kubernetes-embedded-resource is true"
            errors.append(FieldError(f"{path}.type", "Invalid", kind or "", detail))
        if not preserves and not schema.get("properties"):
            detail = (
                "must not be empty if x-kubernetes-embedded-resource is true "
                "without x-kubernetes-preserve-unknown-fields"
            )
            errors.append(_required(f"{path}.properties", detail))
    map_type = schema.get("x-kubernetes-map-type")
    if map_type is None:
        return
    if map_type not in ("atomic", "granular"):
        name = f"{path}.x-kubernetes-map-type"
        errors.append(FieldError(name, "NotSupported", map_type, 'supported values: "atomic", "granular"'))
    if kind != "object":
        detail = "must be object if x-kubernetes-map-type is specified"
        errors.append(FieldError(f"{path}.type", "Invalid", kind or "", detail))


def _check_list_type(schema: Schema, path: str, errors: Errors) -> None:
    list_type = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys")
    if list_type not in (None, "atomic", "set", "map"):
        name = f"{path}.x-kubernetes-list-type"
        errors.append(FieldError(name, "NotSupported", list_type, 'supported values: "atomic", "set", "map"'))
    if list_type is not None and schema.get("type") != "array":
        detail = "must be array if x-kubernetes-list-type is specified"
        errors.append(FieldError(f"{path}.type", "Invalid", schema.get("type") or "", detail))
    if keys and list_type != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        errors.append(_required(f"{path}.x-kubernetes-list-type", detail))
    items = schema.get("items")
    if not isinstance(items, Mapping):
        return
    if list_type == "set":
        _check_set_items(items, path, errors)
    elif list_type == "map":
        _check_map_items(items, keys or [], path, errors)


def _check_set_items(items: Schema, path: str, errors: Errors) -> None:
    merges = {"object": ("x-kubernetes-map-type", "atomic"), "array": ("x-kubernetes-list-type", "atomic")}
    keyword, wanted = merges.get(items.get("type", ""), ("", None))
    if keyword and items.get(keyword) not in ((wanted,) if keyword.endswith("map-type") else (wanted, None)):
        detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
        errors.append(FieldError(f"{path}.items.{keyword}", "Invalid", items.get(keyword), detail))


def _check_map_items(items: Schema, keys: list[str], path: str, errors: Errors) -> None:
    name = f"{path}.x-kubernetes-list-map-keys"
    if items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        errors.append(FieldError(f"{path}.items.type", "Invalid", items.get("type"), detail))
        return
    if not keys:
        errors.append(_required(name, "must not be empty if x-kubernetes-list-type is map"))
    properties: Schema = items.get("properties") or {}
    if any(key not in properties for key in keys):
        errors.append(FieldError(name, "Invalid", list(keys), "entries must all be names of item properties"))
    if len(set(keys)) != len(keys):
        errors.append(FieldError(name, "Invalid", list(keys), "must not contain duplicate entries"))
    for key in sorted(set(keys) & set(properties)):
        inner, where = properties[key], f"{path}.items.properties[{key}]"
        if inner.get("type") in ("object", "array"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errors.append(FieldError(f"{where}.type", "Invalid", inner["type"], detail))
        if "default" not in inner and key not in (items.get("required") or ()):
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
            errors.append(_required(f"{where}.default", detail))


def _check_default(schema: Schema, path: str, errors: Errors) -> None:
    if schema.get("default") is None:
        return
    found: Errors = []
    default, unknown = prune({"type": "object", "properties": {"_": schema}}, {"_": schema["default"]})
    if unknown:
        errors.append(FieldError(f"{path}.default", "Invalid", schema["default"], "must not have unknown fields"))
    rules_of(schema).check(apply_defaults(schema, default["_"]), "", found)
    for error in found:
        name = f"{path}.default" + (f".{error.field}" if error.field else "")
        errors.append(FieldError(name, error.type, error.value if error.value != "" else OMITTED, error.detail))


def _check_junctors(schema: Schema, path: str, errors: Errors) -> None:
    exempt = schema.get("x-kubernetes-int-or-string")
    for keyword in _JUNCTORS:
        for index, inner in enumerate(schema.get(keyword) or ()):
            if exempt and _is_int_or_string(keyword, inner, schema[keyword]):
                continue
            _check_value_only(inner, f"{path}.{keyword}[{index}]", errors)
    if isinstance(schema.get("not"), Mapping):
        _check_value_only(schema["not"], f"{path}.not", errors)


def _is_int_or_string(keyword: str, inner: Schema, branches: list[Schema]) -> bool:
    """The two spellings that say "integer or string" again."""
    if keyword == "anyOf":
        return branches == _INT_OR_STRING
    return keyword == "allOf" and inner == {"anyOf": _INT_OR_STRING}


def _check_value_only(schema: Schema, path: str, errors: Errors) -> None:
    """Inside junctors only values are described, never structure."""
    for name, wanted in _ONLY_STRUCTURE.items():
        if schema.get(name):
            errors.append(_forbidden(f"{path}.{name}", f"must be {wanted} to be structural"))
    for name, inner in (schema.get("properties") or {}).items():
        _check_value_only(inner, f"{path}.properties[{name}]", errors)
    if isinstance(schema.get("items"), Mapping):
        _check_value_only(schema["items"], f"{path}.items", errors)
    _check_junctors(schema, path, errors)


_LEVEL_CHECKS: tuple[Callable[[Schema, str, Errors], None], ...] = (
    _check_keywords,
    _check_pattern,
    _check_extensions,
    _check_list_type,
    _check_default,
    _check_junctors,
)
