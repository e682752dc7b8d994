"""Objects against their schema: unknown fields, defaults, validation, rules."""

from __future__ import annotations

from typing import Any

from continuo.embedded.apicore import metadata as meta
from continuo.embedded.apicore.failures import FieldProblem
from continuo.embedded.apicore.served import Served
from continuo.embedded.port import Write
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object

try:
    from continuo.embedded.machinery import schema as schemas
except ImportError:
    schemas = None  # type: ignore

_HEAD = ("apiVersion", "kind", "metadata")


def shape(served: Served, obj: Object, write: Write) -> Object:
    """Without unknown fields, with the schema's defaults. `field_validation` decides what unknown fields mean."""
    if write.trusted or (schema := served.schema) is None or schemas is None:
        return obj
    body = {name: value for name, value in obj.items() if name not in _HEAD}
    pruned, unknown = schemas.prune(schema, body)
    metadata = obj.get("metadata") or {}
    foreign = meta.unknown_fields(metadata)
    if foreign:
        metadata = {name: value for name, value in metadata.items() if f"metadata.{name}" not in foreign}
    _report([*unknown, *foreign], write)
    shaped = schemas.apply_defaults(schema, pruned) if not served.type.builtin else pruned
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, **shaped}


def _report(unknown: list[str], write: Write) -> None:
    if not unknown or write.field_validation == "Ignore":
        return
    messages = [f'unknown field "{path}"' for path in unknown]
    if write.field_validation == "Strict":
        raise BadRequest("strict decoding error: " + ", ".join(messages))
    write.warnings.extend(message for message in messages if message not in write.warnings)


def problems(served: Served, new: Object, old: Object | None, write: Write) -> list[FieldProblem]:
    """What the schema and the rules have against the object; the rules are asked only when the schema is content."""
    if write.trusted or (schema := served.schema) is None or schemas is None:
        return []
    found: list[Any] = list(schemas.validate(schema, new, old=old))
    if not found and served.rules is not None:
        found = served.rules.validate(new, old)
    return found
