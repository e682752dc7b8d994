"""What the OpenAPI document says about the catalog: bodies are read and written as bytes, so it is told by hand."""

from __future__ import annotations

from typing import Any

from continuo.server.problems import MEDIA_TYPE, TITLES

_TEXT = {"type": "string"}
_RESOURCES = {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "boolean"}]}}
_PLAN = {
    "type": "object",
    "properties": {
        "planID": _TEXT, "planName": _TEXT, "id": _TEXT, "name": _TEXT, "cost": _TEXT, "resources": _RESOURCES,
    },
}  # fmt: skip
OFFER: dict[str, Any] = {
    "type": "object",
    "required": ["name", "type", "plans"],
    "properties": {
        "name": _TEXT, "type": _TEXT, "description": _TEXT, "region": _TEXT, "currency": _TEXT, "unit": _TEXT,
        "labels": {"type": "object", "additionalProperties": _TEXT},
        "claims": {"type": "object", "additionalProperties": {"type": "number"}},
        "plans": {"anyOf": [
            {"type": "object", "additionalProperties": _PLAN}, {"type": "array", "items": _PLAN},
        ]},
    },
    "example": {
        "name": "Disks", "type": "storage",
        "plans": {"basic": {"planName": "Basic", "planID": "basic", "cost": "1.0", "resources": {"cpu": "2"}}},
    },
}  # fmt: skip
LIST: dict[str, Any] = {
    "type": "object",
    "required": ["items", "revision"],
    "properties": {
        "items": {"type": "array", "items": OFFER},
        "revision": {"type": "integer"},
        "next_cursor": {"anyOf": [_TEXT, {"type": "null"}]},
    },
}
SEARCH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "where": _TEXT, "order": _TEXT, "cursor": _TEXT,
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    },
    "additionalProperties": False,
}  # fmt: skip
EXAMPLE_TOKEN: dict[str, Any] = {"type": "object", "required": ["token"], "properties": {"token": _TEXT}}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "code": _TEXT, "detail": _TEXT,
        "problems": {"type": "array", "items": _TEXT},
    },
}  # fmt: skip


def texts(*required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The schema of an object of texts."""
    properties = dict.fromkeys((*required, *optional), _TEXT)
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def answers(good: int, schema: dict[str, Any] | None, *codes: int) -> dict[str, Any]:
    """FastAPI's arguments for a route that answers by hand: its good status with a schema, and all others."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in (good, *codes):
        if code >= 400:
            responses[code] = {"description": TITLES.get(code, "Failed"), "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        elif code in (204, 304) or schema is None:
            responses[code] = {"description": "Nothing more to say."}
        else:
            responses[code] = {"description": "Done.", "content": {"application/json": {"schema": schema}}}
    return {"responses": responses, "response_model": None}


def json_answer(schema: dict[str, Any], *codes: int) -> dict[str, Any]:
    """The same for 200."""
    return answers(200, schema, *codes)


def body(schema: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's argument for a body that is read by hand."""
    return {"openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}}


def parameter(
    name: str, description: str, schema: dict[str, Any] | None = None, place: str = "query"
) -> dict[str, Any]:
    """One optional parameter that is read by hand."""
    return {"name": name, "in": place, "required": False, "description": description, "schema": schema or _TEXT}
