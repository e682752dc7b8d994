"""What a real API server refuses in the schema of a CustomResourceDefinition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.fields import FieldError

ROOT = "openAPIV3Schema"


def check_structural(schema: Mapping[str, Any], path: str = ROOT) -> list[FieldError]:
    """Every place where the schema is not structural."""
    errors: list[FieldError] = []
    _check(schema, path, errors, root=True)
    return errors


def _check(schema: Mapping[str, Any], path: str, errors: list[FieldError], root: bool = False) -> None:
    int_or_string = schema.get("x-kubernetes-int-or-string")
    preserves = schema.get("x-kubernetes-preserve-unknown-fields")
    if not schema.get("type") and not int_or_string and not preserves:
        errors.append(FieldError(f"{path}.type", "Required", "", "must not be empty for specified " + _what(path, root)))
    if schema.get("properties") and schema.get("additionalProperties") not in (None, False):
        errors.append(
            FieldError(f"{path}.additionalProperties", "Forbidden", None, "must not be used together with properties")
        )
    for name, inner in (schema.get("properties") or {}).items():
        _check(inner, f"{path}.properties[{name}]", errors)
    for keyword in ("additionalProperties", "items"):
        if isinstance(schema.get(keyword), Mapping):
            _check(schema[keyword], f"{path}.{keyword}", errors)


def _what(path: str, root: bool) -> str:
    if root:
        return "the root"
    return "array items" if path.endswith(".items") else "object fields"
