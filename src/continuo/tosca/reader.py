"""The blueprint reader: text to a checked `Blueprint`, or to the problems that prevent one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from continuo.tosca.blueprint import (
    Blueprint,
    Component,
    ConnectionPoint,
    Document,
    Host,
    Storage,
    VirtualLink,
)
from continuo.tosca.checks import Checks
from continuo.tosca.cursor import Cursor
from continuo.tosca.inputs import bind, declare
from continuo.tosca.names import slug
from continuo.tosca.outputs import check_outputs
from continuo.tosca.problems import Problem, Problems, TooMany, shown
from continuo.tosca.requirements import Index
from continuo.tosca.templates import Builder, Template, open_template
from continuo.tosca.typedefs import IMPORT_NAME
from continuo.tosca.yaml_nodes import MapNode, Node, Scalar, Spot, describe, parse

VERSIONS = tuple(f"tosca_simple_yaml_1_{minor}" for minor in range(4))
_UNUSED = frozenset(
    (
        "repositories", "artifact_types", "data_types", "capability_types", "interface_types", "relationship_types",
        "node_types", "group_types", "policy_types",
    )
)  # fmt: skip
_KEYS = _UNUSED | {
    "tosca_definitions_version", "namespace", "metadata", "description", "dsl_definitions", "imports",
    "topology_template", "template_name", "template_author", "template_version",
}  # fmt: skip
_UNUSED_TOPOLOGY = frozenset(("relationship_templates", "groups", "policies", "workflows", "substitution_mappings"))
_TOPOLOGY = _UNUSED_TOPOLOGY | {"description", "inputs", "node_templates", "outputs"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading gave: the blueprint unless there are errors, and every finding in document order."""

    blueprint: Blueprint | None
    problems: tuple[Problem, ...]


def read(
    text: str | bytes, *, file: str = "blueprint.yaml", inputs: Mapping[str, Any] | None = None, strict: bool = False
) -> Reading:
    """Read and check a blueprint. Without `inputs` none of them is missed: that is checking before deployment.

    `strict` refuses sections that are otherwise left out with a warning.
    """
    problems = Problems(file, strict=strict)
    blueprint = None
    with suppress(TooMany):
        document = open_document(text, problems)
        blueprint = build(document, inputs, problems) if document else None
    return Reading(None if problems.failed else blueprint, problems.sorted())


def open_document(text: str | bytes, problems: Problems) -> Document | None:
    """The text after YAML, or None when there is nothing to go on with."""
    root = parse(text, problems)
    return None if root is None else Document(problems.file, root)


def build(document: Document, supplied: Mapping[str, Any] | None, problems: Problems) -> Blueprint | None:
    """The blueprint with its inputs bound; None when there is too little to make one of."""
    root = Cursor(document.root, "", "", problems)
    if not isinstance(document.root, MapNode):
        root.report("bad-value", f"the blueprint must be a map, not {describe(document.root)}.")
        return None
    fields = root.known(_KEYS, "the blueprint", "unknown-key")
    _leave_out(fields, _UNUSED)
    _version(root, fields.get("tosca_definitions_version"))
    _imports(root, fields.get("imports"))
    metadata = _metadata(root, fields)
    if "topology_template" not in fields:
        root.report("missing-property", "the blueprint needs a topology_template.")
        return None
    topology = fields["topology_template"].known(_TOPOLOGY, "topology_template", "unknown-key")
    _leave_out(topology, _UNUSED_TOPOLOGY)
    section = _section(fields["topology_template"], topology, "inputs")
    declared = declare(section)
    functions = bind(declared, supplied, section, document.root)
    templates = _templates(_section(fields["topology_template"], topology, "node_templates"))
    index = _index(templates)
    outputs = check_outputs(topology.get("outputs"), index, functions)
    parts = [Builder(index, functions).build(template) for template in templates.values() if template]
    blueprint = Blueprint(
        document=document,
        name=metadata["template_name"],
        author=metadata["template_author"],
        version=metadata["template_version"],
        description=_text(fields.get("description")),
        tls_secret=metadata["tls_secret"],
        at=Spot(document.root.line, document.root.column),
        inputs=declared,
        components={part.key: part for part in parts if isinstance(part, Component)},
        hosts={part.key: part for part in parts if isinstance(part, Host)},
        storages={part.key: part for part in parts if isinstance(part, Storage)},
        links={part.key: part for part in parts if isinstance(part, VirtualLink)},
        points={part.key: part for part in parts if isinstance(part, ConnectionPoint)},
        outputs=outputs,
    )
    Checks(blueprint, problems).run()
    return blueprint


def _section(topology: Cursor, fields: Mapping[str, Cursor], name: str) -> Cursor:
    """A section of the topology; one that is left out is empty, and stands where the topology does."""
    return fields.get(name) or topology.step(Scalar("", True, topology.value.line, topology.value.column), name)


def _leave_out(fields: Mapping[str, Cursor], names: frozenset[str]) -> None:
    for name in sorted(names & fields.keys()):
        fields[name].warn("unsupported-section", f"the section {name} is not used and left out.")


def _version(root: Cursor, field: Cursor | None) -> None:
    hint = f"write tosca_definitions_version: {VERSIONS[-1]}"
    if field is None:
        root.report("version-unsupported", "the blueprint does not say which TOSCA version it is.", hint=hint)
    elif _text(field) not in VERSIONS:
        written = shown(_text(field)) or describe(field.value)
        message = f"the TOSCA version {written} is not supported; versions 1.0 to 1.3 are."
        field.report("version-unsupported", message, hint=hint)


def _imports(root: Cursor, field: Cursor | None) -> None:
    hint = "write imports: [charity_custom_types_v13.yaml]"
    if field is None:
        root.warn("import-missing", "the blueprint imports no types; the CHARITY types are used.", hint=hint)
        return
    for item in field.items("imports"):
        name = _import_name(item.value)
        if not IMPORT_NAME.match(name):
            message = f"{shown(name) or describe(item.value)} cannot be imported; only the bundled CHARITY types can."
            item.report("import-not-allowed", message, hint=hint)


def _import_name(node: Node) -> str:
    """The file of `- name`, `- file: name`, `- types: name` or `- types: {file: name}`."""
    if isinstance(node, MapNode):
        if "file" in node.fields:
            node = node.fields["file"]
        elif len(node.fields) == 1:
            return _import_name(next(iter(node.fields.values())))
    return node.text if isinstance(node, Scalar) else ""


def _metadata(root: Cursor, fields: Mapping[str, Cursor]) -> dict[str, str]:
    section = fields.get("metadata")
    entries = section.fields("metadata") if section else {}
    found = {
        name: _text(entries.get(name) or fields.get(name))
        for name in ("template_name", "template_author", "template_version", "tls_secret")
    }
    if not slug(found["template_name"]):
        message = f"the template_name {shown(found['template_name'])} must have a letter or digit."
        if not found["template_name"]:
            message = "the blueprint needs a template_name, which names the application."
        code = "name-invalid" if found["template_name"] else "missing-property"
        (section or root).report(code, message, hint="write metadata: {template_name: My application}")
    return found


def _text(cursor: Cursor | None) -> str:
    if cursor is None or not isinstance(cursor.value, Scalar) or cursor.value.is_null:
        return ""
    return cursor.value.text


def _templates(section: Cursor) -> dict[str, Template | None]:
    found: dict[str, Template | None] = {}
    for key, cursor in section.fields("node_templates").items():
        inner = Cursor(cursor.value, cursor.path, key, cursor.problems)
        found[key] = open_template(key, inner, section.key(key))
    return found


def _index(templates: Mapping[str, Template | None]) -> Index:
    by_name: dict[str, tuple[str, ...]] = {}
    for key, template in templates.items():
        properties = template.fields.get("properties") if template else None
        node = properties.value.fields.get("name") if properties and isinstance(properties.value, MapNode) else None
        if isinstance(node, Scalar) and node.text != key:
            by_name[node.text] = (*by_name.get(node.text, ()), key)
    return Index({key: template.type_name if template else "" for key, template in templates.items()}, by_name)
