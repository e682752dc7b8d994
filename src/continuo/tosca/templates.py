"""Node templates to the parts of a blueprint: one function per node type, all checked against the bundled types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from continuo.tosca import filters
from continuo.tosca.blueprint import (
    Attachment,
    Component,
    ConnectionPoint,
    Host,
    Storage,
    StorageKind,
    Variable,
    VirtualLink,
)
from continuo.tosca.cursor import Cursor
from continuo.tosca.functions import Functions, called, references
from continuo.tosca.problems import SECRET_NAME, Place, did_you_mean, shown
from continuo.tosca.requirements import Index, Requirement, read_requirements
from continuo.tosca.typedefs import (
    COMPONENT,
    CONNECTION_POINT,
    EXTERNAL,
    HOST,
    LOCAL_STORAGE,
    PERSISTENT_STORAGE,
    VIRTUAL_LINK,
    NodeType,
    PropertyType,
    types,
)
from continuo.tosca.values import check
from continuo.tosca.yaml_nodes import MapNode, Scalar, Spot, describe

_KEYS = frozenset(
    (
        "type", "description", "metadata", "directives", "properties", "attributes", "requirements", "capabilities",
        "interfaces", "artifacts", "node_filter", "copy",
    )
)  # fmt: skip
_IGNORED = ("interfaces", "artifacts", "copy", "capabilities")
_ACCESS = {
    "readwriteonce": "ReadWriteOnce", "readwritemany": "ReadWriteMany", "readonlymany": "ReadOnlyMany",
    "readwriteoncepod": "ReadWriteOncePod",
}  # fmt: skip
_NO_LATENCY, _NO_JITTER = Fraction(10_000), Fraction(100)
"""What the editor writes where nobody asked for anything."""


@dataclass(frozen=True, slots=True)
class Template:
    """One template, its parts not yet looked at."""

    key: str
    type_name: str
    type: NodeType
    cursor: Cursor
    fields: Mapping[str, Cursor]
    at: Spot
    """Where the template's name is written."""

    def report(self, code: str, message: str, hint: str = "") -> None:
        """Record a finding about the template as a whole."""
        self.cursor.report(code, message, hint=hint, at=self.at)


def open_template(key: str, cursor: Cursor, at: Place) -> Template | None:
    """The template with its known keys, or None when its type says nothing to us (which is reported)."""
    if not isinstance(cursor.value, MapNode):
        cursor.report("bad-value", f"a node template must be a map with a type, not {describe(cursor.value)}.")
        return None
    fields = cursor.known(_KEYS, "the template", "unknown-key")
    if "type" not in fields:
        hint = f"write type: {COMPONENT}, or another Charity type"
        cursor.report("missing-property", "it has no type.", hint=hint, at=at)
        return None
    node = fields["type"].value
    name = node.text if isinstance(node, Scalar) else "?"
    if name not in types().nodes:
        hint = did_you_mean(name, types().nodes) or f"known: {', '.join(types().nodes)}"
        fields["type"].report("unknown-type", f"the type {shown(name)} is not known.", hint=hint)
        return None
    for section in _IGNORED:
        if section in fields:
            fields[section].warn("unsupported-section", f"the section {section} is not used and left out.")
    return Template(key, name, types().nodes[name], cursor, fields, Spot(at.line, at.column))


class Builder:
    """Builds the parts of one blueprint; references between templates are resolved in `index`."""

    def __init__(self, index: Index, evaluate: Functions) -> None:
        self._index = index
        self._evaluate = evaluate

    def build(self, template: Template) -> Component | Host | Storage | VirtualLink | ConnectionPoint | None:
        """The part that the template describes; None where too much of it is missing."""
        makers: Mapping[str, Callable[[Template, dict[str, Any]], Any]] = {
            COMPONENT: self._component,
            EXTERNAL: self._external,
            HOST: self._host,
            LOCAL_STORAGE: self._storage,
            PERSISTENT_STORAGE: self._storage,
            VIRTUAL_LINK: self._link,
            CONNECTION_POINT: self._point,
        }
        made: Component | Host | Storage | VirtualLink | ConnectionPoint | None
        made = makers[template.type_name](template, self._properties(template))
        return made

    def _properties(self, template: Template) -> dict[str, Any]:
        definition = template.type.properties
        section = template.fields.get("properties")
        fields = section.known(definition, "properties", "unknown-property") if section else {}
        values = {}
        for name, cursor in fields.items():
            if isinstance(cursor.value, Scalar) and cursor.value.is_null and not definition[name].required:
                continue
            values[name] = check(cursor, definition[name], self._evaluate)
        for name, property_ in definition.items():
            if property_.required and name not in fields:
                template.report("missing-property", f"it needs the property {name}.", _example(name, property_))
        return {name: value for name, value in values.items() if value is not None}

    def _requirements(self, template: Template) -> list[Requirement]:
        return read_requirements(template.fields.get("requirements"), template.type, self._index)

    def _component(self, template: Template, values: dict[str, Any]) -> Component | None:
        unit = values.get("deployment_unit", "K8S_POD")
        external = unit == "EXTERNAL"
        if unit not in ("K8S_POD", "EXTERNAL"):
            self._property(template, "deployment_unit").report(
                "unsupported-unit",
                f"the deployment unit {shown(unit)} is not supported; it must be K8S_POD or EXTERNAL.",
            )
        image = values.get("image", "").strip()
        if unit == "K8S_POD" and not image and not self._unset(template, "image"):
            template.report(
                "image-missing",
                "a component with the unit K8S_POD needs an image.",
                "write image: registry.example.org/name:tag",
            )
        hosts = [r.target for r in self._requirements(template) if r.name == "host" and r.target]
        return Component(
            key=template.key,
            name=values.get("name", template.key),
            at=template.at,
            external=external,
            image=image,
            replicas=values.get("replicas", 1),
            hint=values.get("placement_hint", ""),
            host=hosts[0] if hosts else "",
            environment=self._environment(template, values.get("environment", {})),
            geolocation=values.get("geolocation", {}),
        )

    def _environment(self, template: Template, values: Mapping[str, str]) -> tuple[Variable, ...]:
        written = self._property(template, "environment")
        section = self._evaluate(written) if values else None
        found = []
        for name, cursor in section.fields("environment").items() if section else ():
            if name in values:
                node = cursor.value
                words = (name, *references(node))
                secret = any(SECRET_NAME.search(word) for word in words)
                clear = self._evaluate.in_clear(node) and (section is written or self._evaluate.in_clear(written.value))
                found.append(Variable(name, values[name], clear, secret, Spot(node.line, node.column)))
        return tuple(found)

    def _external(self, template: Template, values: dict[str, Any]) -> Component:
        name, place = values.get("name", template.key), values.get("geolocation", {})
        return Component(template.key, name, template.at, external=True, geolocation=place)

    def _host(self, template: Template, _values: dict[str, Any]) -> Host:
        wish = filters.read(template.fields.get("node_filter"), template.type, self._evaluate)
        datacenter = wish.text("deployment", "datacenter")
        attachments = (self._attachment(r) for r in self._requirements(template) if r.target)
        return Host(
            key=template.key,
            at=template.at,
            cpus=wish.bounds("host", "num_cpus"),
            memory=wish.bounds("host", "mem_size"),
            disk=wish.bounds("host", "disk_size"),
            gpu=wish.gpu(),
            cluster=wish.text("deployment", "cluster"),
            datacenter=datacenter or wish.text("datacenter", "name"),
            pin_at=wish.place("deployment", "cluster")
            or wish.place("deployment", "datacenter")
            or wish.place("datacenter", "name"),
            attachments=tuple(found for found in attachments if found),
        )

    def _attachment(self, requirement: Requirement) -> Attachment | None:
        location = requirement.location(self._evaluate)
        if location is None:
            return None
        at = requirement.cursor.value
        return Attachment(requirement.target, location, Spot(at.line, at.column))

    def _storage(self, template: Template, values: dict[str, Any]) -> Storage:
        kind: StorageKind = "persistent" if template.type_name == PERSISTENT_STORAGE else "local"
        access = values.get("access", "")
        spelt = _ACCESS.get(access.replace("_", "").lower(), "")
        if access and not spelt:
            self._property(template, "access").report(
                "bad-value", f"access must be {', '.join(_ACCESS.values())}, not {shown(access)}."
            )
        size = values.get("size", Fraction(0))
        if "size" in values and size <= 0:
            self._property(template, "size").report("out-of-range", "size must be more than nothing.")
        return Storage(template.key, values.get("name", template.key), kind, size, spelt, template.at)

    def _link(self, template: Template, values: dict[str, Any]) -> VirtualLink:
        wish = filters.read(template.fields.get("node_filter"), template.type, self._evaluate)
        latency, jitter = wish.bounds("network", "latency").high, wish.bounds("network", "jitter").high
        return VirtualLink(
            key=template.key,
            name=values.get("name", template.key),
            at=template.at,
            bandwidth_bps=wish.bounds("network", "bandwidth").low or None,
            latency_ms=None if latency == _NO_LATENCY else latency,
            jitter_ms=None if jitter == _NO_JITTER else jitter,
        )

    def _point(self, template: Template, values: dict[str, Any]) -> ConnectionPoint | None:
        requirements = self._requirements(template)
        bindings = [r for r in requirements if r.name == "binding"]
        if not bindings:
            template.report(
                "binding-missing",
                "a connection point needs the requirement binding.",
                "write requirements: [{binding: {node: COMPONENT}}]",
            )
        for extra in bindings[1:]:
            extra.cursor.report("binding-multiple", "a connection point is bound to one component only.")
        if values.get("public") and "port" not in values and not self._unset(template, "port"):
            self._property(template, "public").report(
                "public-without-port", "a public connection point needs a port.", hint="write port: 443"
            )
        if not bindings or not bindings[0].target:
            return None
        return ConnectionPoint(
            key=template.key,
            name=values.get("name", template.key),
            at=template.at,
            binding=bindings[0].target,
            links=tuple(dict.fromkeys(r.target for r in requirements if r.name == "link" and r.target)),
            port=values.get("port"),
            protocol=values.get("protocol", ""),
            public=values.get("public"),
        )

    def _property(self, template: Template, name: str) -> Cursor:
        """The cursor of a property, or of what would hold it."""
        section = template.fields.get("properties")
        if section is None:
            return template.cursor
        for spelling, cursor in section.fields("properties").items():
            if spelling.replace(" ", "_") == name:
                return cursor
        return section

    def _unset(self, template: Template, name: str) -> bool:
        """Whether the property waits for an input, or is wrong in a way that was reported."""
        section = template.fields.get("properties")
        node = section.value.fields.get(name) if section and isinstance(section.value, MapNode) else None
        return node is not None and (bool(called(node)) or not isinstance(node, Scalar))


def _example(name: str, type_: PropertyType) -> str:
    example = {"deployment_unit": "K8S_POD", "size": "10 GB"}.get(name, f"<{type_.type}>")
    return f"write {name}: {example}"
