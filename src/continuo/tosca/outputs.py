"""Outputs of a blueprint: checked when it is read, computed from what the application has become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from continuo.resources.orchestration import AppStatus, ClusterSpec, Url
from continuo.tosca.blueprint import Blueprint, Component, ConnectionPoint
from continuo.tosca.cursor import Cursor
from continuo.tosca.functions import Functions, called
from continuo.tosca.names import port_name, slug
from continuo.tosca.problems import did_you_mean, shown
from continuo.tosca.requirements import Index
from continuo.tosca.typedefs import types
from continuo.tosca.yaml_nodes import ListNode, MapNode, Node, Scalar

_KEYS = frozenset(("type", "value", "description", "metadata", "required", "status", "mapping"))


def check_outputs(section: Cursor | None, index: Index, functions: Functions) -> dict[str, Node]:
    """The outputs' values; those that ask for templates or inputs that do not exist are reported."""
    found: dict[str, Node] = {}
    for name, cursor in section.fields("outputs").items() if section else ():
        inner = Cursor(cursor.value, cursor.path, f"output {name}", cursor.problems)
        fields = inner.known(_KEYS, "an output", "unknown-key")
        if "value" not in fields:
            inner.report("missing-property", "it has no value.", hint="write value: {get_attribute: [NODE, ATTRIBUTE]}")
            continue
        value = fields["value"]
        found[name] = value.value
        if called(value.value) == "get_attribute":
            _attribute(value, index)
        elif called(value.value) in ("get_input", "concat", "join", "token") and not _deep(value.value):
            functions(value)
    return found


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


def compute(blueprint: Blueprint, status: AppStatus, clusters: Sequence[ClusterSpec] = ()) -> dict[str, str]:
    """The outputs that are known by now, from the application's status; the others are left out."""
    attributes = _attributes(blueprint, status, {cluster.name: cluster.datacenter or "" for cluster in clusters})
    known = ((name, _value(node, attributes)) for name, node in blueprint.outputs.items())
    return {name: value for name, value in known if value}


def _attributes(blueprint: Blueprint, status: AppStatus, datacenters: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """What every template's attributes are, by template key and attribute."""
    seen = {component.name: component for component in status.components}
    found: dict[tuple[str, str], str] = {}
    for component in blueprint.components.values():
        current = seen.get(slug(component.name))
        if component.external or current is None:
            continue
        cluster = current.cluster or ""
        _put(found, component, "namespace", status.namespace or "")
        found[component.host, "deployment.cluster"] = cluster
        for attribute in ("datacenter", "datacenter.name", "deployment.datacenter"):
            found[component.host, attribute] = datacenters.get(cluster, "")
    for point in blueprint.points.values():
        owner = blueprint.components.get(point.binding)
        current = seen.get(slug(owner.name)) if owner is not None else None
        if current is not None:
            _put(found, point, "url", _url(point, current.urls))
    return found


def _put(found: dict[tuple[str, str], str], template: Component | ConnectionPoint, attribute: str, value: str) -> None:
    """Under the template's key, and under its name where that is no other template's key."""
    found[template.key, attribute] = value
    found.setdefault((template.name, attribute), value)


def _url(point: ConnectionPoint, urls: Sequence[Url]) -> str:
    """The address for everybody where the port has one, else the one inside of the clusters.

    Kubernetes has its own rules for the names of ports (lower case, short, unique), so the port's number tells which is
    meant, where an address has one; the name does where none has.
    """
    addresses = {url.name.lower(): url.url for url in urls}
    listening = (name for name, url in addresses.items() if point.port is not None and _listens(url, point))
    name = next(listening, (port_name(point.name) or port_name(point.key)).lower())
    return addresses.get(f"{name}-public") or addresses.get(name, "")


def _listens(url: str, point: ConnectionPoint) -> bool:
    """Whether it is the address inside of the clusters of the port: `tcp://web.shop.svc.cluster.local:8080`."""
    try:
        address = urlsplit(url)
        return (address.scheme, address.port) == ("udp" if point.protocol == "UDP" else "tcp", point.port)
    except ValueError:
        return False  # the status is anybody's text: a port that is none belongs to nobody


def _value(node: Node, attributes: Mapping[tuple[str, str], str]) -> str:
    """A value with the attributes in it filled in; empty while one of them is not known."""
    if isinstance(node, Scalar):
        return node.text
    name = called(node)
    argument = node.fields[name] if name and isinstance(node, MapNode) else None
    if name not in ("get_attribute", "concat") or not isinstance(argument, ListNode):
        return ""
    if name == "concat":
        parts = [_value(item, attributes) for item in argument.items]
        return "".join(parts) if all(parts) else ""
    words = [item.text for item in argument.items if isinstance(item, Scalar)]
    return attributes.get((words[0], ".".join(words[1:])), "") if words else ""
