"""Outputs of a blueprint: checked when it is read, computed from what the application has become."""

from __future__ import annotations

from continuo.tosca.cursor import Cursor
from continuo.tosca.functions import Functions, called
from continuo.tosca.problems import did_you_mean, shown
from continuo.tosca.requirements import Index
from continuo.tosca.typedefs import types
from continuo.tosca.yaml_nodes import ListNode, MapNode, Node, Scalar

_KEYS = frozenset(("type", "value", "description", "metadata", "required", "status", "mapping"))


def check_outputs(section: Cursor | None, index: Index, functions: Functions) -> None:
    """Report outputs that ask for templates or inputs that do not exist."""
    for name, cursor in section.fields("outputs").items() if section else ():
        inner = Cursor(cursor.value, cursor.path, f"output {name}", cursor.problems)
        fields = inner.known(_KEYS, "an output", "unknown-key")
        if "value" not in fields:
            inner.report("missing-property", "it has no value.", hint="write value: {get_attribute: [NODE, ATTRIBUTE]}")
        elif called(fields["value"].value) == "get_attribute":
            _attribute(fields["value"], index)
        elif called(fields["value"].value) in ("get_input", "concat", "join", "token") and not _deep(
            fields["value"].value
        ):
            functions(fields["value"])


def _deep(node: Node) -> bool:
    """Whether something inside is known after deployment only."""
    if called(node) in ("get_attribute", "get_property"):
        return True
    if isinstance(node, ListNode):
        return any(_deep(item) for item in node.items)
    return isinstance(node, MapNode) and any(_deep(item) for item in node.fields.values())


def _attribute(cursor: Cursor, index: Index) -> None:
    assert isinstance(cursor.value, MapNode)
    argument = cursor.value.fields["get_attribute"]
    words = [item.text for item in argument.items if isinstance(item, Scalar)] if isinstance(argument, ListNode) else []
    if len(words) < 2:
        cursor.report(
            "bad-value",
            "get_attribute takes a node and an attribute.",
            hint="write get_attribute: [NODE, ip]",
        )
        return
    key, attribute = words[0], ".".join(words[1:])
    key = key if key in index.types else next(iter(index.by_name.get(key, ())), key)
    if key not in index.types:
        hint = did_you_mean(key, index.types)
        cursor.report("target-unknown", f"it points to {shown(key)}, which is not in the blueprint.", hint=hint)
        return
    type_ = types().nodes.get(index.types[key])
    if type_ is None:
        return
    paths = {f"{name}.{inner}" for name, inners in type_.capabilities.items() for inner in inners}
    known = type_.attributes | type_.properties.keys() | paths
    if attribute not in known:
        message = f"{key} has no attribute named {shown(attribute)}; the output stays empty."
        cursor.warn("unknown-property", message, hint=did_you_mean(attribute, known))
