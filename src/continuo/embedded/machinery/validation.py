"""Validation of values against a compiled structural schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from continuo.embedded.machinery.fields import FieldError, Place, path_of, step
from continuo.embedded.machinery.formats import FORMATS, INTEGERS
from continuo.embedded.machinery.memo import IdentityMemo
from continuo.embedded.machinery.typed import item_key, merge_type

Errors: TypeAlias = list[FieldError]
Check: TypeAlias = Callable[[Any, Place, Errors], None]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int, float),
    "number": (int, float),
}
_SURE: dict[str, frozenset[type]] = {
    **{name: frozenset(types) for name, types in _TYPES.items()},
    "integer": frozenset((int,)),  # of the floats only whole ones
}
_NESTED = frozenset((dict, list))


class Rules:
    """The checks of one schema and of everything below it."""

    __slots__ = (
        "_accepts",
        "_checks",
        "_extra",
        "_fields",
        "_items",
        "_name",
        "_nullable",
        "_required",
        "_sure",
        "plain",
    )

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._name = "" if schema.get("x-kubernetes-int-or-string") else str(schema.get("type") or "")
        self._accepts = _TYPES.get(self._name)
        self._nullable = bool(schema.get("nullable"))
        self._required: Sequence[str] = tuple(schema.get("required") or ())
        properties: Mapping[str, Any] = schema.get("properties") or {}
        self._fields = {name: Rules(inner) for name, inner in properties.items()}
        self._extra = _below(schema.get("additionalProperties"))
        self._items = _below(schema.get("items"))
        self._checks: tuple[Check, ...] = tuple(_value_checks(schema))
        self._sure = _SURE.get(self._name, frozenset())
        """Classes that are of the type whatever the value."""
        self.plain = frozenset[type]() if self._checks else self._sure - _NESTED
        """Classes whose every value is right, so that most values need no call."""

    def check(self, value: Any, place: Place, errors: Errors) -> None:
        """Append what is wrong with the value."""
        if value is None and self._nullable:
            return
        if value.__class__ not in self._sure and not self._is_of_type(value):
            errors.append(_wrong_type(self._name or "integer,string", value, path_of(place)))
            return
        for check in self._checks:
            check(value, place, errors)
        if isinstance(value, dict):
            self._check_map(value, place, errors)
        elif self._items is not None and isinstance(value, list):
            for index, item in enumerate(value):
                self._items.check(item, (place, index), errors)

    def _is_of_type(self, value: Any) -> bool:
        accepts = self._accepts
        if accepts is None:
            return value is not None or not self._name
        if value.__class__ not in accepts:
            return False
        return self._name != "integer" or isinstance(value, int) or (isinstance(value, float) and value.is_integer())

    def _check_map(self, value: dict[str, Any], place: Place, errors: Errors) -> None:
        for name in self._required:
            if name not in value:
                errors.append(FieldError(path_of(step(place, name)), "Required", ""))
        fields, extra = self._fields, self._extra
        for name, child in value.items():
            rules = fields.get(name, extra)
            if rules is not None and child.__class__ not in rules.plain:
                rules.check(child, (place, name), errors)


def _below(schema: Any) -> Rules | None:
    return Rules(schema) if isinstance(schema, Mapping) else None


_RULES: IdentityMemo[Rules] = IdentityMemo(Rules)


def rules_of(schema: Mapping[str, Any]) -> Rules:
    """The compiled schema."""
    return _RULES.of(schema)


_JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def _wrong_type(wanted: str, value: Any, path: str) -> FieldError:
    given = _JSON_TYPES.get(value.__class__, "null")
    return FieldError(path, "TypeInvalid", given, f'{path} in body must be of type {wanted}: "{given}"')


def _value_checks(schema: Mapping[str, Any]) -> list[Check]:
    checks = [make(schema) for keyword, make in _MAKERS.items() if schema.get(keyword) is not None]
    return [check for check in checks if check is not None]


def _says(kind: Any, wrong: Callable[[Any], bool], words: str, shown: Callable[[Any], Any] | None = None) -> Check:
    """A check of values of one kind whose error is `PATH in body WORDS`."""

    def check(value: Any, place: Place, errors: Errors) -> None:
        if isinstance(value, kind) and not isinstance(value, bool) and wrong(value):
            path = path_of(place)
            errors.append(FieldError(path, "Invalid", shown(value) if shown else value, f"{path} in body {words}"))

    return check


def _enum(schema: Mapping[str, Any]) -> Check:
    allowed = list(schema["enum"])
    words = "supported values: " + ", ".join(f'"{value}"' for value in allowed)

    def check(value: Any, place: Place, errors: Errors) -> None:
        if value not in allowed:
            errors.append(FieldError(path_of(place), "NotSupported", value, words))

    return check


def _pattern(schema: Mapping[str, Any]) -> Check:
    text = schema["pattern"]
    found = re.compile(text).search
    return _says(str, lambda value: found(value) is None, f"should match '{text}'")


def _minimum(schema: Mapping[str, Any]) -> Check:
    low = schema["minimum"]
    if schema.get("exclusiveMinimum"):
        return _says((int, float), lambda value: value <= low, f"should be greater than {low}")
    return _says((int, float), lambda value: value < low, f"should be greater than or equal to {low}")


def _maximum(schema: Mapping[str, Any]) -> Check:
    high = schema["maximum"]
    if schema.get("exclusiveMaximum"):
        return _says((int, float), lambda value: value >= high, f"should be less than {high}")
    return _says((int, float), lambda value: value > high, f"should be less than or equal to {high}")


def _min_length(schema: Mapping[str, Any]) -> Check:
    low = schema["minLength"]
    return _says(str, lambda value: len(value) < low, f"should be at least {low} chars long")


def _max_length(schema: Mapping[str, Any]) -> Check:
    high = schema["maxLength"]

    def check(value: Any, place: Place, errors: Errors) -> None:
        if isinstance(value, str) and len(value) > high:
            errors.append(FieldError(path_of(place), "TooLong", value, f"may not be more than {high} bytes"))

    return check


def _min_size(kind: Any, low: int, what: str) -> Check:
    return _says(kind, lambda value: len(value) < low, f"should have at least {low} {what}", len)


def _max_size(kind: Any, high: int) -> Check:
    def check(value: Any, place: Place, errors: Errors) -> None:
        if isinstance(value, kind) and len(value) > high:
            errors.append(FieldError(path_of(place), "TooMany", len(value), f"must have at most {high} items"))

    return check


def _multiple_of(schema: Mapping[str, Any]) -> Check:
    unit = schema["multipleOf"]
    return _says((int, float), lambda value: value % unit != 0, f"should be a multiple of {unit}")


def _format(schema: Mapping[str, Any]) -> Check | None:
    name = schema["format"]
    if name in INTEGERS:
        return _width(name)
    known = FORMATS.get(name) if schema.get("type") == "string" else None
    if known is None:
        return None

    def check(value: Any, place: Place, errors: Errors) -> None:
        if not known(value):
            path = path_of(place)
            shown = value if isinstance(value, str) else _JSON_TYPES.get(value.__class__, "null")
            detail = f'{path} in body must be of type {name}: "{shown}"'
            errors.append(FieldError(path, "TypeInvalid", shown, detail))

    return check


_NUMBERS = (int, float)


def _width(name: str) -> Check:
    low, high = INTEGERS[name]

    def check(value: Any, place: Place, errors: Errors) -> None:
        if isinstance(value, _NUMBERS) and not low <= value <= high:
            detail = f"Checked value must be of type integer with format {name} in {path_of(place)}"
            errors.append(FieldError("<nil>", "Invalid", "", detail))

    return check


def _int_or_string(_schema: Mapping[str, Any]) -> Check:
    def check(value: Any, place: Place, errors: Errors) -> None:
        if isinstance(value, bool) or not isinstance(value, int | str):
            errors.append(_wrong_type("integer,string", value, path_of(place)))

    return check


def _unique(schema: Mapping[str, Any]) -> Check | None:
    """Duplicates in sets and associative lists."""
    if schema["x-kubernetes-list-type"] == "atomic":
        return None
    kind = merge_type(schema)

    def check(value: Any, place: Place, errors: Errors) -> None:
        if not isinstance(value, list) or len(value) < 2:
            return
        seen: set[str] = set()
        for index, item in enumerate(value):
            key = item_key(kind, item)
            if key in seen:
                shown = item
                if kind.shape == "list" and isinstance(item, dict):
                    shown = {name: item.get(name, kind.defaults.get(name)) for name in kind.keys}
                errors.append(FieldError(path_of((place, index)), "Duplicate", shown))
            seen.add(key)

    return check


def _branches(schemas: list[Mapping[str, Any]], value: Any, place: Place) -> list[Errors]:
    """What each branch of a junctor finds."""
    out: list[Errors] = []
    for schema in schemas:
        found: Errors = []
        rules_of(schema).check(value, place, found)
        out.append(found)
    return out


def _all_of(schema: Mapping[str, Any]) -> Check:
    schemas = schema["allOf"]

    def check(value: Any, place: Place, errors: Errors) -> None:
        results = _branches(schemas, value, place)
        wrong = [found for found in results if found]
        if wrong:
            errors.extend(error for found in wrong for error in found)
            none = ". None validated" if len(wrong) == len(results) else ""
            errors.append(_junction(place, f"must validate all the schemas (allOf){none}"))

    return check


def _any_of(schema: Mapping[str, Any]) -> Check:
    schemas = schema["anyOf"]

    def check(value: Any, place: Place, errors: Errors) -> None:
        results = _branches(schemas, value, place)
        if all(results):
            errors.append(_junction(place, "must validate at least one schema (anyOf)"))
            errors.extend(results[0] if results else ())

    return check


def _one_of(schema: Mapping[str, Any]) -> Check:
    schemas = schema["oneOf"]

    def check(value: Any, place: Place, errors: Errors) -> None:
        results = _branches(schemas, value, place)
        fitting = sum(not found for found in results)
        if fitting == 1:
            return
        found = f"Found {fitting} valid alternatives" if fitting else "Found none valid"
        errors.append(_junction(place, f"must validate one and only one schema (oneOf). {found}"))
        if not fitting and results:
            errors.extend(results[0])

    return check


def _not(schema: Mapping[str, Any]) -> Check:
    schemas = [schema["not"]]

    def check(value: Any, place: Place, errors: Errors) -> None:
        if not _branches(schemas, value, place)[0]:
            errors.append(_junction(place, "must not validate the schema (not)"))

    return check


def _junction(place: Place, words: str) -> FieldError:
    return FieldError("<nil>", "Invalid", "", f'"{path_of(place)}" {words}')


def _embedded(_schema: Mapping[str, Any]) -> Check:
    """An object inside an object says what it is."""

    def check(value: Any, place: Place, errors: Errors) -> None:
        if isinstance(value, dict):
            for name in ("apiVersion", "kind"):
                if not value.get(name):
                    errors.append(FieldError(path_of(step(place, name)), "Required", ""))

    return check


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Check | None]] = {
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "multipleOf": _multiple_of,
    "minLength": _min_length,
    "maxLength": _max_length,
    "minItems": lambda schema: _min_size(list, schema["minItems"], "items"),
    "maxItems": lambda schema: _max_size(list, schema["maxItems"]),
    "minProperties": lambda schema: _min_size(dict, schema["minProperties"], "properties"),
    "maxProperties": lambda schema: _max_size(dict, schema["maxProperties"]),
    "format": _format,
    "x-kubernetes-int-or-string": _int_or_string,
    "x-kubernetes-list-type": _unique,
    "x-kubernetes-embedded-resource": _embedded,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
}
"""Schema keyword -> what makes its check."""
