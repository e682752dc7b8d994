"""The bundled CHARITY type definitions, as data that the reader checks against."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

IMPORT_NAME = re.compile(r"(?:\./)?charity_custom_types_v(08|09|10|11|12|13)\.ya?ml\Z")
"""What a blueprint may import; every version means the one bundled file."""

COMPONENT = "Charity.Component"
EXTERNAL = "Charity.External"
HOST = "Charity.Node"
LOCAL_STORAGE = "Charity.LocalStorage"
PERSISTENT_STORAGE = "Charity.PersistentStorage"
VIRTUAL_LINK = "Charity.VirtualLink"
CONNECTION_POINT = "Charity.ConnectionPoint"


@dataclass(frozen=True, slots=True)
class Constraint:
    """`in_range: [1, 65535]` and the like."""

    operator: str
    operand: Any


@dataclass(frozen=True, slots=True)
class PropertyType:
    """What one property may hold."""

    type: str
    required: bool = True
    entry: str = "string"
    """What the entries of a map or list are."""
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True)
class RequirementType:
    """What one requirement may point to."""

    node: str
    at_least: int
    at_most: int | None


@dataclass(frozen=True, slots=True)
class NodeType:
    """One node type with everything that its templates may say."""

    properties: Mapping[str, PropertyType]
    attributes: frozenset[str]
    capabilities: Mapping[str, Mapping[str, PropertyType]]
    requirements: Mapping[str, RequirementType]


@dataclass(frozen=True, slots=True)
class Types:
    """All bundled types."""

    nodes: Mapping[str, NodeType]
    data: Mapping[str, Mapping[str, PropertyType]]


def source() -> str:
    """The bundled type file's text, for tools that want to import it."""
    return (resources.files("continuo.tosca") / "types" / "charity_custom_types.yaml").read_text("utf-8")


@cache
def types() -> Types:
    """The bundled types; read once, never changed."""
    raw = yaml.load(source(), yaml.CSafeLoader)
    data = {name: _properties(body) for name, body in raw["data_types"].items()}
    capabilities = {name: _properties(body) for name, body in raw["capability_types"].items()}
    return Types({name: _node(body, capabilities) for name, body in raw["node_types"].items()}, data)


def _node(body: dict[str, Any], capabilities: Mapping[str, Mapping[str, PropertyType]]) -> NodeType:
    pairs = [pair for entry in body.get("requirements", ()) for pair in entry.items()]
    return NodeType(
        properties=_properties(body),
        attributes=frozenset(body.get("attributes", ())),
        capabilities={name: capabilities[cap["type"]] for name, cap in body.get("capabilities", {}).items()},
        requirements={name: _requirement(requirement) for name, requirement in pairs},
    )


def _requirement(body: dict[str, Any]) -> RequirementType:
    low, high = body["occurrences"]
    return RequirementType(body["node"], low, None if high == "UNBOUNDED" else high)


def _properties(body: dict[str, Any]) -> dict[str, PropertyType]:
    return {
        name: PropertyType(
            type=definition["type"],
            required=definition.get("required", True),
            entry=definition.get("entry_schema", {}).get("type", "string"),
            constraints=tuple(
                Constraint(operator, operand)
                for entry in definition.get("constraints", ())
                for operator, operand in entry.items()
            ),
        )
        for name, definition in body.get("properties", {}).items()
    }
