"""YAML text to values that know their line and column.

Built on the event stream of PyYAML's C parser rather than on its constructed objects: positions survive, nesting is
bounded while reading (so no input can exhaust the stack), aliases are counted before they multiply, and plain scalars
follow YAML 1.2 as TOSCA asks (`yes` is text, `010` is ten).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

import yaml
from msgspec import Struct

from continuo.tosca.problems import Place, Problems

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_EXPANSION = 10_000
"""How many values aliases may add to those that are written down."""

_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?\Z")
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Scalar(Struct, frozen=True):
    """One word, number or text, as it was written."""

    text: str
    plain: bool
    """Written without quotes, so that it may mean a number, a boolean or nothing."""
    line: int
    column: int

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULLS

    @property
    def value(self) -> str | int | float | bool | None:
        """What the scalar means by YAML 1.2."""
        if not self.plain:
            return self.text
        if self.text in _NULLS:
            return None
        if self.text in _BOOLS:
            return _BOOLS[self.text]
        meant = number(self.text)
        return self.text if meant is None else meant


class ListNode(Struct, frozen=True):
    """A sequence."""

    items: tuple[Node, ...]
    line: int
    column: int


class MapNode(Struct, frozen=True):
    """A mapping; `keys` says where each key stands."""

    fields: dict[str, Node]
    keys: dict[str, Scalar]
    line: int
    column: int


Node: TypeAlias = Scalar | ListNode | MapNode


class Spot(Struct, frozen=True):
    """A bare place in the file."""

    line: int = 1
    column: int = 1


def number(text: str) -> int | float | None:
    """The number that a plain text means, or None."""
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else None


def describe(node: Node) -> str:
    """What kind of thing stands there, for messages."""
    if isinstance(node, Scalar):
        return "nothing" if node.is_null else "a single value"
    return "a list" if isinstance(node, ListNode) else "a map"


def parse(source: str | bytes, problems: Problems) -> Node | None:
    """The document's root, or None with the reason among `problems`."""
    text = _decode(source, problems)
    if text is None:
        return None
    try:
        return _Builder(text, problems).document()
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(mark.line + 1, mark.column + 1) if mark else Spot()
        reason = error.problem or error.context or "it cannot be read"
        problems.add("yaml-syntax", f"The file is not valid YAML: {reason}.", spot)
        return None
    except yaml.reader.ReaderError as error:
        spot = _spot_of_offset(text, error.position)
        problems.add("yaml-syntax", f"The file has a character that YAML does not allow: {error.reason}.", spot)
        return None


def _spot_of_offset(text: str, offset: int) -> Spot:
    head = text.encode()[:offset].decode(errors="replace") if offset >= 0 else ""
    return Spot(head.count("\n") + 1, len(head) - head.rfind("\n"))


def _decode(source: str | bytes, problems: Problems) -> str | None:
    try:
        data = source.encode() if isinstance(source, str) else source
        if len(data) > MAX_BYTES:
            size = f"{len(data) / MAX_BYTES:.1f}"
            problems.add("yaml-limit", f"The file has {size} MiB; a blueprint may have 1 MiB.", Spot())
            return None
        return data.decode("utf-8-sig")
    except UnicodeError as error:
        problems.add("yaml-syntax", f"The file is not UTF-8 text: {error}.", Spot())
        return None


class _Stop(Exception):
    """Reading on makes no sense; the reason is among the problems."""


class _Open:
    """A collection that is still being read."""

    __slots__ = ("anchor", "fields", "is_map", "items", "key", "keys", "merges", "size", "spot")

    def __init__(self, is_map: bool, spot: Spot, anchor: str | None) -> None:
        self.is_map, self.spot, self.anchor = is_map, spot, anchor
        self.items: list[Node] = []
        self.fields: dict[str, Node] = {}
        self.keys: dict[str, Scalar] = {}
        self.merges: list[Node] = []
        self.key: Scalar | None = None
        self.size = 1

    def close(self) -> Node:
        if not self.is_map:
            return ListNode(tuple(self.items), self.spot.line, self.spot.column)
        for merged in self.merges:
            self._merge(merged)
        return MapNode(self.fields, self.keys, self.spot.line, self.spot.column)

    def _merge(self, node: Node) -> None:
        for source in node.items if isinstance(node, ListNode) else (node,):
            if isinstance(source, MapNode):
                for name, value in source.fields.items():
                    if name not in self.fields:
                        self.fields[name], self.keys[name] = value, source.keys[name]


class _Builder:
    """Turns the event stream into one tree, without recursion."""

    def __init__(self, text: str, problems: Problems) -> None:
        self._loader = yaml.CSafeLoader(text)
        self._problems = problems
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._expanded = 0
        self._root: Node | None = None

    def document(self) -> Node:
        for event in self._events():
            mark = event.start_mark
            spot = Spot(mark.line + 1, mark.column + 1) if mark else Spot()
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, spot)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event, spot)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event, spot)
            elif isinstance(event, yaml.CollectionEndEvent):
                done = self._stack.pop()
                self._add(done.close(), done.anchor, done.size)
            elif isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
                self._stop("yaml-syntax", "The file has a second document; a blueprint is one document.", spot)
        if self._root is None:
            self._stop("yaml-syntax", "The file is empty; a blueprint begins with tosca_definitions_version.", Spot())
        assert self._root is not None
        return self._root

    def _events(self) -> Iterator[yaml.Event]:
        try:
            while (event := self._loader.get_event()) is not None and not isinstance(event, yaml.StreamEndEvent):
                yield event
        finally:
            self._loader.dispose()

    def _stop(self, code: str, message: str, at: Place) -> None:
        self._problems.add(code, message, at)
        raise _Stop

    def _scalar(self, event: yaml.ScalarEvent, spot: Spot) -> None:
        self._check_tag(event.tag, spot)
        plain = bool(event.implicit[0]) or event.tag not in (None, "!", _TAG + "str")
        self._add(Scalar(event.value, plain, spot.line, spot.column), event.anchor, 1)

    def _open(self, event: yaml.CollectionStartEvent, spot: Spot) -> None:
        self._check_tag(event.tag, spot)
        if len(self._stack) >= MAX_DEPTH:
            self._stop("yaml-limit", f"Values are nested more than {MAX_DEPTH} levels deep.", spot)
        self._stack.append(_Open(isinstance(event, yaml.MappingStartEvent), spot, event.anchor))

    def _alias(self, event: yaml.AliasEvent, spot: Spot) -> None:
        found = self._anchors.get(str(event.anchor))
        if found is None:
            self._stop("yaml-syntax", f"The alias *{event.anchor} has no anchor &{event.anchor} before it.", spot)
        assert found is not None
        node, size = found
        self._expanded += size
        if self._expanded > MAX_EXPANSION:
            self._stop("yaml-limit", f"Aliases repeat more than {MAX_EXPANSION} values; write less with them.", spot)
        self._add(node, None, size)

    def _check_tag(self, tag: str | None, spot: Spot) -> None:
        if tag not in (None, "!") and tag not in _TAGS:
            self._problems.add("yaml-syntax", f"The YAML tag {tag} is not allowed; leave it out.", spot)

    def _add(self, node: Node, anchor: str | None, size: int) -> None:
        if anchor:
            self._anchors[anchor] = (node, size)
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        top.size += size
        if not top.is_map:
            top.items.append(node)
        elif top.key is None:
            top.key = self._key(node)
        else:
            self._field(top, top.key, node)
            top.key = None

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            return node
        self._problems.add("yaml-syntax", f"A key is {describe(node)}; keys are plain words.", node)
        return Scalar("?", False, node.line, node.column)

    def _field(self, top: _Open, key: Scalar, node: Node) -> None:
        name = key.text
        if name == "<<" and key.plain:
            top.merges.append(node)
        elif name in top.fields:
            first = top.keys[name].line
            self._problems.add(
                "yaml-duplicate-key",
                f"The key {name} is written twice; it stands in line {first} already.",
                key,
            )
        else:
            top.fields[name], top.keys[name] = node, key
