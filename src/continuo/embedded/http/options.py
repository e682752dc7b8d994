"""Refusals of request options, in the form in which an API server refuses them."""

from __future__ import annotations

from collections.abc import Mapping

from continuo.resources.errors import Invalid

_KINDS: Mapping[str, str] = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
    "list": "ListOptions",
    "watch": "ListOptions",
}


def invalid(group: str, kind: str, field: str, reason: str, text: str) -> Invalid:
    """One field of a body that is not stored is wrong."""
    cause = {"reason": reason, "message": text, "field": field}
    details = {"group": group, "kind": kind, "causes": [cause]}
    return Invalid(f'{kind}.{group} "" is invalid: {field}: {text}', details=details)


def invalid_option(verb: str, field: str, reason: str, text: str) -> Invalid:
    """One query parameter (or field of DeleteOptions) of a request is wrong."""
    return invalid("meta.k8s.io", _KINDS.get(verb, "GetOptions"), field, reason, text)


def forbidden(verb: str, field: str, why: str) -> Invalid:
    """The option must not be given with the others."""
    return invalid_option(verb, field, "FieldValueForbidden", f"Forbidden: {why}")


def unsupported(verb: str, field: str, value: str, *supported: str) -> Invalid:
    """The option has none of the values that it may have."""
    known = ", ".join(f'"{entry}"' for entry in supported)
    return invalid_option(
        verb, field, "FieldValueNotSupported", f"Unsupported value: {value}: supported values: {known}"
    )
