"""The three patches that a Kubernetes API takes besides apply: JSON patch, merge patch, strategic merge patch.

All are pure and share with the object what they do not change.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import jsonpatch
import jsonpointer

from continuo.embedded.machinery.jsonpointers import Patch, unshared
from continuo.embedded.machinery.strategic import strategic_merge
from continuo.resources.errors import BadRequest, Invalid, TooLarge
from continuo.resources.meta import Object

MAX_OPERATIONS = 10_000
_DOES_NOT_FIT = "the server rejected our request due to an error in our request"


def json_patch(obj: Object, ops: Any) -> Object:
    """RFC 6902. A patch that cannot be read is a BadRequest, one that does not fit the object is Invalid."""
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        given = _json_type(ops if not isinstance(ops, list) else next(op for op in ops if not isinstance(op, dict)))
        raise BadRequest(f"error decoding patch: json: cannot unmarshal {given} into a list of JSON patch operations")
    if len(ops) > MAX_OPERATIONS:
        raise TooLarge(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}")
    steps = copy.deepcopy(ops)
    try:
        patched = Patch(steps).apply(unshared(obj, steps), in_place=True)
    except (
        jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, AttributeError,
    ) as error:  # fmt: skip
        raise Invalid(_DOES_NOT_FIT) from error
    if not isinstance(patched, dict):
        raise Invalid(_DOES_NOT_FIT)
    return patched


def merge_patch(obj: Object, patch: Any) -> Object:
    """RFC 7386."""
    if not isinstance(patch, dict):
        raise BadRequest(f"error decoding patch: json: cannot unmarshal {_json_type(patch)} into a JSON object")
    return cast(Object, _merge(obj, patch))


def strategic_patch(obj: Object, patch: Any, schema: Mapping[str, Any] | None) -> Object:
    """Kubernetes' own merge patch: lists merge by the keys that the schema names, `$` directives say the rest."""
    if not isinstance(patch, dict):
        raise BadRequest(f"error decoding patch: json: cannot unmarshal {_json_type(patch)} into a JSON object")
    return strategic_merge(obj, patch, schema or {})


def _json_type(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(value.__class__, "null")


def _merge(value: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    before = value if isinstance(value, dict) else {}
    out = before
    for name, change in patch.items():
        known = before.get(name)
        if change is None:
            if name not in before:
                continue
            out = dict(before) if out is before else out
            del out[name]
            continue
        merged = _merge(known, change)
        if name in before and merged is known:
            continue
        out = dict(before) if out is before else out
        out[name] = merged
    return out if out is not before or isinstance(value, dict) else {}
