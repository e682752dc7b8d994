"""One rule as it stands in a schema: what has to be right about it, and what a server says when it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from continuo.embedded.machinery.cel_runtime import Program, RuleFailure, compile_program
from continuo.embedded.machinery.cel_values import escape, scalar_kind
from continuo.embedded.machinery.fields import ErrorType, FieldError, Verbatim

Schema: TypeAlias = Mapping[str, Any]

REASONS: dict[str, ErrorType] = {
    "FieldValueDuplicate": "Duplicate",
    "FieldValueForbidden": "Forbidden",
    "FieldValueInvalid": "Invalid",
    "FieldValueRequired": "Required",
}
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_OLD = re.compile(r"\boldSelf\b")
_CHAIN = re.compile(r"(?<![\w.])(self|oldSelf)((?:\.[A-Za-z_]\w*)+)(\s*\()?")
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\['([^']+)'\]|\[\"([^\"]+)\"\]")


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule."""

    text: str
    program: Program
    message: str
    expression: Program | None
    type: ErrorType
    field_path: str
    transition: bool
    optional_old: bool


def compile_rule(rule: Schema, schema: Schema, path: str, uncorrelated: str, errors: list[FieldError]) -> Rule | None:
    """The compiled rule; None, with the errors, when it is not right. `uncorrelated`: the list whose items have no
    former value, if the rule stands below one.
    """
    text = str(rule.get("rule") or "").strip()
    code = _STRING.sub(lambda found: " " * len(found.group(0)), text)
    before = len(errors)
    transition = _OLD.search(code) is not None
    optional = bool(rule.get("optionalOldSelf"))
    if not text:
        errors.append(FieldError(f"{path}.rule", "Required", "", "rule is not specified"))
        return None
    _check_words(rule, path, transition, errors)
    if transition and uncorrelated:
        detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
        errors.append(FieldError(f"{path}.rule", "Invalid", text, detail))
    field_path = _field_path(rule, schema, path, errors)
    try:
        program = _compile(text, code, schema, optional, "bool", "cel expression must evaluate to a bool")
    except RuleFailure as failure:
        errors.append(FieldError(f"{path}.rule", "Invalid", _spelled(rule), str(failure)))
        return None
    expression = _message_expression(rule, schema, path, optional, errors)
    if len(errors) > before:
        return None
    message = str(rule.get("message") or "").strip()
    kind = REASONS[rule.get("reason") or "FieldValueInvalid"]
    return Rule(text, program, message, expression, kind, field_path, transition, optional)


def _spelled(rule: Schema) -> Verbatim:
    """The rule as servers show it in errors."""
    known = {
        "Rule": rule.get("rule") or "",
        "Message": rule.get("message") or "",
        "MessageExpression": rule.get("messageExpression") or "",
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath") or "",
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
    return Verbatim(json.dumps(known, separators=(",", ":"), ensure_ascii=False))


def _check_words(rule: Schema, path: str, transition: bool, errors: list[FieldError]) -> None:
    message, reason = str(rule.get("message") or ""), rule.get("reason")
    if "\n" in message.strip():
        errors.append(FieldError(f"{path}.message", "Invalid", message, "must not contain line breaks"))
    if not message and "\n" in str(rule.get("rule")).strip():
        detail = "message must be specified if rule contains line breaks"
        errors.append(FieldError(f"{path}.message", "Required", "", detail))
    if reason is not None and reason not in REASONS:
        listed = ", ".join(f'"{name}"' for name in REASONS)
        errors.append(FieldError(f"{path}.reason", "NotSupported", reason, f"supported values: {listed}"))
    if rule.get("optionalOldSelf") is not None and not transition:
        detail = "may not be set if oldSelf is not used in rule"
        errors.append(FieldError(f"{path}.optionalOldSelf", "Invalid", rule["optionalOldSelf"], detail))


def _message_expression(
    rule: Schema, schema: Schema, path: str, optional: bool, errors: list[FieldError]
) -> Program | None:
    text = str(rule.get("messageExpression") or "").strip()
    if not text:
        return None
    code = _STRING.sub(lambda found: " " * len(found.group(0)), text)
    try:
        return _compile(text, code, schema, optional, "string", "messageExpression must evaluate to a string")
    except RuleFailure as failure:
        errors.append(FieldError(f"{path}.messageExpression", "Invalid", _spelled(rule), str(failure)))
        return None


def _compile(text: str, code: str, schema: Schema, optional: bool, returns: str, otherwise: str) -> Program:
    unknown = undefined_field(code, schema, optional)
    if unknown is not None:
        name, column = unknown
        line = f" | {text}\n | {'.' * (column - 1)}^"
        raise RuleFailure(f"compilation failed: ERROR: <input>:1:{column}: undefined field '{name}'\n{line}")
    if optional and scalar_kind(schema):
        raise RuleFailure("optionalOldSelf is not supported on dates and durations here: put the rule one level up")
    program = compile_program(text, optional, scalar_kind(schema))
    if program.returns not in (returns, "dyn"):
        raise RuleFailure(otherwise)
    return program


def undefined_field(code: str, schema: Schema, optional_old: bool) -> tuple[str, int] | None:
    """The first field after `self` that the schema does not declare, with the column where it is asked for."""
    for found in _CHAIN.finditer(code):
        if found[1] == "oldSelf" and optional_old:
            continue
        names = found[2][1:].split(".")
        column, inner = found.end(1), schema
        for name in names[:-1] if found[3] else names:
            below = _declared(inner, name)
            if below is None:
                return name, column + 1
            if below is _UNKNOWN:
                break
            inner = below
            column += len(name) + 1
    return None


_UNKNOWN: Schema = {}


def _declared(schema: Schema, name: str) -> Schema | None:
    """The schema of a field by its escaped name; None when it is not declared, `_UNKNOWN` when nobody can tell."""
    if schema.get("type") != "object":
        return _UNKNOWN
    extra = schema.get("additionalProperties")
    if extra:
        return extra if isinstance(extra, Mapping) else _UNKNOWN
    for declared, inner in (schema.get("properties") or {}).items():
        if escape(declared) == name:
            found: Schema = inner
            return found
    return None


def _field_path(rule: Schema, schema: Schema, path: str, errors: list[FieldError]) -> str:
    """What the rule's fieldPath adds to the path of its errors."""
    text = str(rule.get("fieldPath") or "").strip()
    out, at = "", 0
    inner: Any = schema
    while at < len(text):
        found = _STEP.match(text, at)
        name = next((group for group in found.groups() if group is not None), "") if found else ""
        known = (inner.get("properties") or {}).get(name)
        extra = inner.get("additionalProperties")
        if found is None or (known is None and not isinstance(extra, Mapping)):
            errors.append(FieldError(f"{path}.fieldPath", "Invalid", text, "must be a valid path"))
            return ""
        out += f".{name}" if known is not None else f"[{name}]"
        inner, at = known if known is not None else extra, found.end()
    return out
