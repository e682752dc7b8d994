"""Objects against their schema: unknown fields, defaults, validation, rules."""

from __future__ import annotations

from continuo.embedded.apicore import metadata as meta
from continuo.embedded.apicore.served import Served
from continuo.embedded.machinery import schema as schemas
from continuo.embedded.machinery.fields import FieldError
from continuo.embedded.machinery.pruning import tidy
from continuo.embedded.port import Write
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object

_DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
_HEAD = ("apiVersion", "kind", "metadata")


def shape(
    served: Served, obj: Object, write: Write, subresource: str = "", old: Object | None = None, *, applied: bool = False
) -> Object:  # fmt: skip
    """Without unknown fields, with the schema's defaults. `field_validation` decides what unknown fields mean."""
    if write.trusted or (schema := served.schema) is None:
        return obj
    metadata = obj.get("metadata") or {}
    if subresource == "status":
        # Only the status will be looked at: a large spec beside it costs nothing.
        body = {"status": obj["status"]} if "status" in obj else {}
    else:
        body = {name: value for name, value in obj.items() if name not in _HEAD}
    kept: Object = {}
    if old is not None and served.type.builtin:
        # What a patch left alone went through here before. (A CRD's schema may have changed since.)
        kept = {name: value for name, value in body.items() if value is old.get(name)}
        body = {name: value for name, value in body.items() if name not in kept}
    pruned, unknown = schemas.prune(schema, body)
    foreign = meta.unknown_fields(metadata)
    if foreign:
        metadata = {name: value for name, value in metadata.items() if f"metadata.{name}" not in foreign}
    if unknown or foreign:
        _report([*foreign, *unknown] if served.type.builtin else sorted([*foreign, *unknown]), write)
    if served.type.builtin:
        # (A definition's schema may say `default: null`.)
        pruned = pruned if served.key == _DEFINITIONS else tidy(schema, pruned)
    else:
        filled = schemas.apply_defaults(schema, pruned, keep_nulls=applied)
        pruned = filled if subresource != "status" else {k: v for k, v in filled.items() if k in pruned}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, **kept, **pruned}


def _report(unknown: list[str], write: Write) -> None:
    if write.field_validation == "Ignore":
        return
    messages = [f'unknown field "{path}"' for path in unknown]
    if write.field_validation == "Strict":
        raise BadRequest("strict decoding error: " + ", ".join(messages))
    write.warnings.extend(message for message in messages if message not in write.warnings)


def problems(served: Served, new: Object, old: Object | None, write: Write, subresource: str = "") -> list[FieldError]:
    """What the schema and the rules have against the object; the rules are not asked about a value of another shape."""
    if write.trusted or (schema := served.schema) is None or _untouched(new, old):
        return []
    if subresource == "status":
        part = schema.get("properties", {}).get("status")
        found = schemas.validate(part, new["status"], path="status") if part and "status" in new else []
    elif served.type.builtin:  # their metadata has been looked at, in better words
        found = schemas.validate(schema, {**new, "metadata": {}})
        _refuse_undecodable(served, found)
    else:
        found = schemas.validate(schema, new, old=old)
    if served.examined is not None and served.examined.rules:
        blocked = any(problem.type in schemas.BLOCKING for problem in found)
        found += [schemas.NOT_CHECKED] if blocked else served.examined.rules.validate(new, old)
    return found


def _refuse_undecodable(served: Served, found: list[FieldError]) -> None:
    """A built-in kind whose fields have other types cannot even be read."""
    words = ", ".join(problem.message() for problem in found if problem.type == "TypeInvalid")
    if words:
        kind = served.kind
        raise BadRequest(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {words}')


def _untouched(new: Object, old: Object | None) -> bool:
    """Whether only metadata differs: the rest was accepted before, under whatever rules."""
    return old is not None and all(
        name == "metadata" or value is old.get(name) for name, value in new.items()
    ) and new.keys() == old.keys()  # fmt: skip
