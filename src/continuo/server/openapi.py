"""Schemas of pydantic's as they may stand within an OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema without references: pydantic's lead to its own root, and so nowhere from within a document."""
    schema = model.model_json_schema()
    found: dict[str, Any] = without_references(schema, schema.get("$defs") or {})
    return found


def without_references(schema: Any, definitions: dict[str, Any]) -> Any:
    """Any part of a document with what its references mean in their place; `definitions` by their last word."""
    if isinstance(schema, list):
        return [without_references(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return without_references(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: without_references(value, definitions) for key, value in schema.items() if key != "$defs"}
