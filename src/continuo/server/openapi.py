"""Schemas of pydantic's as they may stand within an OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema without references: pydantic's lead to its own root, and so nowhere from within a document."""
    schema = model.model_json_schema()
    found: dict[str, Any] = _inlined(schema, schema.get("$defs") or {})
    return found


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}
