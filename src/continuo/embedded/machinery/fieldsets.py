"""Sets of field paths, in the shape in which `managedFields` carries them.

A set is a nested dictionary as in `fieldsV1`: keys are path elements (`f:name`, `k:{"name":"x"}`, `v:"x"`), an empty
dictionary is a path that is in the set, `"."` marks a path that is in the set together with paths below it. Working on
this shape means that nothing is encoded, decoded or spelled out as a string when an object is written. Sets are
immutable by convention: every operation returns an operand, or a new dictionary that shares what did not change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any, TypeAlias

FieldSet: TypeAlias = dict[str, Any]
"""A set below some path; as a *member node* an empty dictionary means "this very path"."""

LEAF: FieldSet = {}
"""The node of a path that is in the set with nothing below it. Never mutated."""

SELF = "."


def field(name: str) -> str:
    """The path element of a field or map key."""
    return "f:" + name


def element_key(keys: dict[str, Any]) -> str:
    """The path element of an item of an associative list."""
    parts = [f'"{name}":{_spelled(value)}' for name, value in sorted(keys.items())]
    return "k:{" + ",".join(parts) + "}"


def _spelled(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value.__class__ is int:
        return str(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def element_value(value: Any) -> str:
    """The path element of an item of a set."""
    return "v:" + _spelled(value)


def is_member(node: FieldSet) -> bool:
    """Whether the path of the node itself is in the set."""
    return not node or SELF in node


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    """All paths of both roots (an empty root is the empty set)."""
    if not a or a is b:
        return b
    return a if not b else _union_children(a, b)


def _union_nodes(a: FieldSet, b: FieldSet) -> FieldSet:
    if a is b:
        return a
    if not a:
        return b if is_member(b) else {SELF: LEAF, **b}
    if not b:
        return a if SELF in a else {SELF: LEAF, **a}
    return _union_children(a, b)


def _union_children(a: FieldSet, b: FieldSet) -> FieldSet:
    out: FieldSet | None = None
    for key, node in b.items():
        mine = a.get(key)
        joined = node if mine is None else mine if key == SELF else _union_nodes(mine, node)
        if joined is not mine:
            out = dict(a) if out is None else out
            out[key] = joined
    return a if out is None else out


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """The paths of root `a` that are not in root `b`."""
    if not a or not b:
        return a
    return _difference_children(a, b)


def _difference_nodes(a: FieldSet, b: FieldSet) -> FieldSet | None:
    """What is left of node `a`; None when nothing is."""
    if a is b:
        return None
    if not a:
        return None if is_member(b) else a
    if not b:
        if SELF not in a:
            return a
        rest = {key: node for key, node in a.items() if key != SELF}
        return rest or None
    return _as_node(_difference_children(a, b))


def _difference_children(a: FieldSet, b: FieldSet) -> FieldSet:
    out: FieldSet | None = None
    small, other = (a, b) if len(a) <= len(b) else (b, a)
    for key in [key for key in small if key in other]:
        rest = None if key == SELF else _difference_nodes(a[key], b[key])
        if rest is a[key]:
            continue
        out = dict(a) if out is None else out
        if rest is None:
            del out[key]
        else:
            out[key] = rest
    return a if out is None else out


def _as_node(children: FieldSet) -> FieldSet | None:
    """The shortest spelling of a node whose operands were both no leaves."""
    if len(children) == 1 and SELF in children:
        return LEAF
    return children or None


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    """The paths that are in both roots."""
    if not a or not b:
        return LEAF
    return _intersection_children(a, b)


def _intersection_nodes(a: FieldSet, b: FieldSet) -> FieldSet | None:
    if a is b:
        return a
    if not a:
        return a if is_member(b) else None
    if not b:
        return b if SELF in a else None
    return _as_node(_intersection_children(a, b))


def _intersection_children(a: FieldSet, b: FieldSet) -> FieldSet:
    out: FieldSet = {}
    small, other = (a, b) if len(a) <= len(b) else (b, a)
    for key in small:
        if key not in other:
            continue
        both = LEAF if key == SELF else _intersection_nodes(a[key], b[key])
        if both is not None:
            out[key] = both
    return out


def paths(root: FieldSet, prefix: str = "") -> Iterator[str]:
    """The paths in the set as people read them: `.spec.containers[name="x"].image`."""
    for key in sorted(root):
        if key == SELF:
            continue
        node: FieldSet = root[key]
        path = prefix + spell(key)
        if is_member(node):
            yield path
        yield from paths(node, path)


def spell(element: str) -> str:
    """One path element as people read it."""
    kind, text = element[0], element[2:]
    if kind == "f":
        return "." + text
    if kind == "v":
        return f"[={text}]"
    keys = json.loads(text)
    return "[" + ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in keys.items()) + "]"
