"""Requirements of node templates: who points to whom, checked for being there and of the right type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from continuo.tosca.cursor import Cursor
from continuo.tosca.functions import Functions
from continuo.tosca.problems import did_you_mean, listed, shown
from continuo.tosca.typedefs import COMPONENT, EXTERNAL, NodeType, PropertyType, RequirementType
from continuo.tosca.values import check
from continuo.tosca.yaml_nodes import MapNode, Scalar, describe

_KEYS = frozenset(("node", "capability", "relationship", "node_filter", "occurrences"))


@dataclass(frozen=True, slots=True)
class Index:
    """All templates by key, and the other name that each of them has."""

    types: Mapping[str, str]
    """Template key to type; an empty type for templates that could not be read."""
    by_name: Mapping[str, tuple[str, ...]]
    """`properties.name` to the keys of the templates that are called so."""

    def resolve(self, cursor: Cursor, name: str, allowed: tuple[str, ...]) -> str:
        """The key of the template that is meant, first by key and then by name; empty when it was reported."""
        text = cursor.value.text if isinstance(cursor.value, Scalar) else ""
        keys = ((text,) if text in self.types else ()) + self.by_name.get(text, ())
        for key in keys:
            if self.types[key] in allowed:
                return key
        if not keys:
            known = [key for key, type_ in self.types.items() if type_ in allowed]
            message = f"{name} points to {shown(text) or 'nothing'}, which is not in the blueprint."
            cursor.report("target-unknown", message, hint=did_you_mean(text, known))
        elif all(self.types[key] for key in keys):
            cursor.report(
                "target-wrong-type",
                f"{name} points to {shown(text)}, which is a {self.types[keys[0]]}; it must be a {listed(allowed)}.",
            )
        return ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement; `target` is a template's key, or empty when that was wrong."""

    name: str
    target: str
    cursor: Cursor

    def location(self, evaluate: Functions) -> str | None:
        """`relationship.properties.location` of a storage; None when it was reported."""
        found = self.cursor
        for key in ("relationship", "properties", "location"):
            if not isinstance(found.value, MapNode) or key not in found.value.fields:
                self.cursor.report(
                    "missing-property", f"{self.name} needs a location.",
                    hint="write relationship: {type: tosca.relationships.AttachesTo, properties: {location: /data}}",
                )  # fmt: skip
                return None
            found = found.step(found.value.fields[key], key)
        text = check(found, PropertyType("string"), evaluate)
        if isinstance(text, str) and (not text.startswith("/") or ":" in text or len(text) > 512):
            found.report("bad-value", f"location must be an absolute path without colons, not {shown(text)}.")
            return None
        return text if isinstance(text, str) else None


def read_requirements(section: Cursor | None, type_: NodeType, index: Index) -> list[Requirement]:
    """The template's requirements in document order; what is wrong with them is reported."""
    if section is None:
        return []
    found = [r for entry in section.items("requirements") for r in _entry(entry, type_, index)]
    counted = Counter(requirement.name for requirement in found)
    for requirement in found:
        most = type_.requirements[requirement.name].at_most
        if most is not None and counted[requirement.name] > most and requirement.name != "binding":
            requirement.cursor.report("bad-value", f"the requirement {requirement.name} may stand {most} time only.")
            break
    return found


def _entry(entry: Cursor, type_: NodeType, index: Index) -> list[Requirement]:
    if not isinstance(entry.value, MapNode):
        entry.report("bad-value", f"requirements must be a list of maps; this entry is {describe(entry.value)}.")
        return []
    found = []
    for name, cursor in entry.known(type_.requirements, "requirements", "unknown-key").items():
        target = _target(cursor, name)
        if target is not None:
            key = index.resolve(target, name, _allowed(type_.requirements[name]))
            found.append(Requirement(name, key, cursor))
    return found


def _target(cursor: Cursor, name: str) -> Cursor | None:
    if isinstance(cursor.value, Scalar) and not cursor.value.is_null:
        return cursor
    if isinstance(cursor.value, MapNode):
        fields = cursor.known(_KEYS, name, "unknown-key")
        if "node" in fields and isinstance(fields["node"].value, Scalar):
            return fields["node"]
    cursor.report("target-unknown", f"{name} names no node.", hint=f"write {name}: {{node: NAME}}")
    return None


def _allowed(requirement: RequirementType) -> tuple[str, ...]:
    """Connection points bind to whatever is bindable; the others name one type."""
    return (COMPONENT, EXTERNAL) if requirement.node == "tosca.nodes.Root" else (requirement.node,)
