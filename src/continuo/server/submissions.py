"""From the body of a request to a submission: a bare blueprint, or a JSON wrapper with inputs around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from continuo.server.applications import Submission
from continuo.server.models import Id, OrchestrationName, SubmissionBody
from continuo.server.problems import Problem

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
JSON_TYPE = "application/json"
_id: TypeAdapter[str] = TypeAdapter(Id)
_orchestration: TypeAdapter[str] = TypeAdapter(OrchestrationName)
_flag: TypeAdapter[bool] = TypeAdapter(bool)

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string", "description": "The TOSCA blueprint itself."}},
            JSON_TYPE: {"schema": SubmissionBody.model_json_schema()},
        },
    },
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": {"type": kind}, "description": text}
        for name, kind, text in (
            ("id", "string", "The caller's own identifier, for a bare blueprint."),
            ("orchestration", "string", "The LowLevelOrchestration that the application goes to."),
            ("dryRun", "boolean", "Check everything, change nothing."),
        )
    ],
}


@dataclass(frozen=True, slots=True)
class Received:
    """A submission, and whether it is only a rehearsal."""

    submission: Submission
    dry_run: bool


async def receive(request: Request) -> Received:
    """Read the body; raises the problem when it is neither a blueprint nor the wrapper."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (*YAML_TYPES, JSON_TYPE):
        wanted = f"send application/yaml (a blueprint) or {JSON_TYPE} (the wrapper)"
        raise Problem(415, "media-type", f"{wanted}, not {media_type or 'a body without Content-Type'}")
    body = await request.body()
    if not body.strip():
        raise Problem(422, "blueprint-required", "the body is empty: send a TOSCA blueprint")
    wrapper = _wrapper(body) if media_type == JSON_TYPE else None
    query = request.query_params
    identifier = _query(_id, "id", query.get("id"))
    orchestration = _query(_orchestration, "orchestration", query.get("orchestration"))
    dry_run = _query(_flag, "dryRun", query.get("dryRun")) or False
    if wrapper is None:
        return Received(Submission(body, identifier, {}, orchestration), dry_run)
    submission = Submission(
        wrapper.blueprint, wrapper.id or identifier, wrapper.inputs, wrapper.orchestration or orchestration
    )
    return Received(submission, wrapper.dry_run or dry_run)


def _wrapper(body: bytes) -> SubmissionBody:
    try:
        return SubmissionBody.model_validate_json(body)
    except ValidationError as error:
        raise Problem(422, "body-invalid", _sentence(error)) from None


def _query(adapter: TypeAdapter[Any], name: str, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise Problem(422, "parameter-invalid", f"{name}: {error.errors(include_url=False)[0]['msg']}") from None


def _sentence(error: ValidationError) -> str:
    """The first finding, field first. Values are left out: they may be secrets."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    first = found[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{where}: {first['msg']}{more}"
