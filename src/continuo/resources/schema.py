"""From msgspec structs to the structural OpenAPI v3 schema of a CustomResourceDefinition.

What a struct says about itself (types, defaults, bounds, descriptions) becomes the schema; what it says in
`Meta.extra` becomes Kubernetes' extensions: `list_type` and `keys` (how lists merge), `format`, and `says` (a
sentence for a pattern that does not fit, which turns the pattern into a CEL rule).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import msgspec
from msgspec import Struct, inspect

from continuo.resources.meta import Object


class SchemaRule(Protocol):
    """What a rule must be able to do here."""

    def to_schema(self) -> Object: ...


Rules = Mapping[Any, tuple[SchemaRule, ...]]


def struct_schema(cls: type[Struct], rules: Rules) -> Object:
    """The schema of one struct, with the rules of it and of everything inside it."""
    return _Builder(rules).struct(_struct_info(cls))


@cache
def _struct_info(cls: type[Struct]) -> inspect.StructType:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info


class _Builder:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def struct(self, info: inspect.StructType) -> Object:
        properties: Object = {}
        for field in info.fields:
            schema = self.of(field.type)
            default = _default(field)
            if default is not None:
                schema["default"] = default
            self._attach(schema, (info.cls, field.encode_name))
            if "items" in schema:
                self._attach(schema["items"], (info.cls, field.encode_name + "[]"))
            properties[field.encode_name] = schema
        result: Object = {"type": "object", "properties": properties}
        required = [field.encode_name for field in info.fields if field.required]
        if required:
            result["required"] = required
        if info.cls.__doc__:
            result["description"] = info.cls.__doc__
        self._attach(result, info.cls)
        return result

    def _attach(self, schema: Object, key: Any) -> None:
        found = self._rules.get(key)
        if found:
            schema["x-kubernetes-validations"] = [rule.to_schema() for rule in found]

    def of(self, type_: inspect.Type) -> Object:
        """The schema of one type; the outermost description wins."""
        if isinstance(type_, inspect.Metadata):
            schema = self.of(type_.type)
            schema.update(type_.extra_json_schema or {})
            _extend(schema, type_.extra or {})
            return schema
        if isinstance(type_, inspect.StructType):
            return self.struct(type_)
        if isinstance(type_, inspect.UnionType):
            return self._union([member for member in type_.types if not isinstance(member, inspect.NoneType)])
        if isinstance(type_, (inspect.VarTupleType, inspect.TupleType, inspect.DictType)):
            return self._collection(type_)
        return _scalar(type_)

    def _union(self, members: list[inspect.Type]) -> Object:
        schemas = [self.of(member) for member in members]
        if len(schemas) == 1:
            return schemas[0]
        if sorted(schema["type"] for schema in schemas) != ["integer", "string"]:
            raise TypeError(f"a union must be an optional or an int-or-string, not {members}")
        merged: Object = {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
        }
        for schema in schemas:
            merged.update({key: value for key, value in schema.items() if key != "type"})
        return merged

    def _collection(self, type_: inspect.Type) -> Object:
        if isinstance(type_, inspect.DictType):
            schema: Object = {"type": "object", "additionalProperties": self.of(type_.value_type)}
            return schema | _given(minProperties=type_.min_length, maxProperties=type_.max_length)
        if isinstance(type_, inspect.TupleType):
            count = len(type_.item_types)
            return {
                "type": "array",
                "items": self.of(type_.item_types[0]),
                "minItems": count,
                "maxItems": count,
                "x-kubernetes-list-type": "atomic",
            }
        assert isinstance(type_, inspect.VarTupleType)
        schema = {"type": "array", "items": self.of(type_.item_type), "x-kubernetes-list-type": "atomic"}
        return schema | _given(minItems=type_.min_length, maxItems=type_.max_length)


def _scalar(type_: inspect.Type) -> Object:
    match type_:
        case inspect.StrType():
            return {"type": "string"} | _given(
                minLength=type_.min_length or None, maxLength=type_.max_length, pattern=type_.pattern
            )
        case inspect.EnumType():
            return {"type": "string", "enum": [member.value for member in type_.cls]}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer"} | _given(minimum=type_.ge, maximum=type_.le)
        case inspect.FloatType():
            return {"type": "number"} | _given(minimum=type_.ge, maximum=type_.le)
        case inspect.AnyType():
            return {"x-kubernetes-preserve-unknown-fields": True}
    raise TypeError(f"no OpenAPI schema for {type_}")


def _extend(schema: Object, extra: Mapping[str, Any]) -> None:
    if "list_type" in extra:
        schema["x-kubernetes-list-type"] = extra["list_type"]
    if "keys" in extra:
        schema["x-kubernetes-list-map-keys"] = list(extra["keys"])
    if "format" in extra:
        schema["format"] = extra["format"]
    if "says" in extra:
        rule = f"self.matches(r'{schema.pop('pattern')}')"
        schema["x-kubernetes-validations"] = [{"rule": rule, "message": extra["says"]}]


def _given(**bounds: Any) -> Object:
    return {key: value for key, value in bounds.items() if value is not None}


def _default(field: inspect.Field) -> Any:
    """The default as JSON, or None where there is none worth writing into every object."""
    if field.required or field.default is msgspec.NODEFAULT or isinstance(field.default, Struct):
        return None
    value = msgspec.to_builtins(field.default)
    if isinstance(value, tuple):
        value = list(value)
    return None if value in (None, "", [], {}) else value
