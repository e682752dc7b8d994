"""Label and field selectors: their grammar, and whether an object matches.

environment in (production, qa), tier!=frontend, partition, !experimental
metadata.name=web, status.phase!=Running
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from continuo.embedded.port import ResourceType
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object

Matches = Callable[[Object], bool]

_TOKEN = re.compile(r"\s*(?:(!=|==|=|!|,|\(|\)|<|>)|([A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?))")
_FALSE_WHEN_MISSING = ("spec.unschedulable", "spec.hostNetwork")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector."""

    key: str
    operator: str
    """One of `in`, `notin`, `exists`, `!`, `>`, `<`."""
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels satisfies the term."""
        value = labels.get(self.key)
        if self.operator == "in":
            return value in self.values
        if self.operator == "notin":
            return value not in self.values
        if self.operator == "exists":
            return value is not None
        if self.operator == "!":
            return value is None
        (bound,) = self.values
        try:
            return value is not None and (int(value) > int(bound)) == (self.operator == ">") and value != bound
        except ValueError:
            return False


class _Parser:
    """Recursive descent over the tokens of a label selector."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if not match:
                raise self.wrong(f"unexpected character {stripped[position:].strip()[:1]!r}")
            self.tokens.append(match.group(1) or match.group(2))
            position = match.end()
        self.position = 0

    def wrong(self, what: str) -> BadRequest:
        return BadRequest(f'unable to parse requirement: the label selector "{self.text}" is wrong: {what}')

    def next(self, *expected: str) -> str:
        token = self.tokens[self.position] if self.position < len(self.tokens) else ""
        if expected and token not in expected:
            raise self.wrong(f"found '{token}', expected: {' or '.join(expected)}")
        self.position += 1
        return token

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def word(self) -> str:
        token = self.next()
        if not token or not token[0].isalnum():
            raise self.wrong(f"found '{token}', expected: a label key or value")
        return token

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.next()
            return Requirement(self.word(), "!")
        key = self.word()
        token = self.peek()
        if token in ("", ","):
            return Requirement(key, "exists")
        self.next("=", "==", "!=", "in", "notin", "<", ">")
        if token in ("in", "notin"):
            return Requirement(key, token, self.values())
        value = "" if self.peek() in ("", ",") else self.word()
        if token in ("<", ">"):
            if not value.isdecimal():
                raise self.wrong(f"'{value}' after '{token}' must be a whole number")
            return Requirement(key, token, frozenset((value,)))
        return Requirement(key, "notin" if token == "!=" else "in", frozenset((value,)))

    def values(self) -> frozenset[str]:
        self.next("(")
        found = set()
        while True:
            found.add("" if self.peek() in (",", ")") else self.word())
            if self.next(",", ")") == ")":
                return frozenset(found)

    def all(self) -> tuple[Requirement, ...]:
        found = []
        while self.position < len(self.tokens):
            found.append(self.requirement())
            if self.peek():
                self.next(",")
                if not self.peek():
                    raise self.wrong("found '', expected: a label key after the comma")
        return tuple(found)


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The terms of a label selector; raises BadRequest."""
    return _Parser(text).all() if text.strip() else ()


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One term of a field selector: `path=value` or `path!=value`."""

    path: str
    value: str
    equal: bool

    def matches(self, obj: Object) -> bool:
        """Whether the object's field has (or has not) the value."""
        return (field_text(obj, self.path) == self.value) == self.equal


def field_text(obj: Object, path: str) -> str:
    """The field as selectors compare it; a missing one is the empty string (false for `unschedulable`)."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return "false" if path in _FALSE_WHEN_MISSING else ""
    if isinstance(value, dict):
        return str(value.get("component", ""))
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_fields(text: str, resource: ResourceType) -> tuple[FieldTerm, ...]:
    """The terms of a field selector; raises BadRequest for fields that this resource cannot be selected by."""
    kind = resource.kind
    allowed = {"metadata.name", *(path.lstrip(".") for path in resource.selectable)}
    if kind.namespaced:
        allowed.add("metadata.namespace")
    terms = []
    for part in filter(None, (piece.strip() for piece in re.split(r"(?<!\\),", text))):
        match = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", part, re.DOTALL)
        if not match:
            raise BadRequest(f"invalid field selector {text!r}: {part!r} is not of the form field=value")
        path, operator, value = match.groups()
        if path not in allowed:
            raise BadRequest(f"field label not supported: {path}")
        terms.append(FieldTerm(path, re.sub(r"\\([\\,=])", r"\1", value), operator != "!="))
    return tuple(terms)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or watch asks for: label terms and field terms, all of which must hold."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[FieldTerm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, obj: Object) -> bool:
        """Whether the object satisfies every term."""
        if self.labels:
            labels = obj["metadata"].get("labels") or {}
            if not all(term.matches(labels) for term in self.labels):
                return False
        return all(term.matches(obj) for term in self.fields)

    @property
    def equal_labels(self) -> dict[str, str]:
        """The terms that ask for one value of one label: what the store can look up in an index."""
        return {
            term.key: next(iter(term.values)) for term in self.labels if term.operator == "in" and len(term.values) == 1
        }

    def exact(self, path: str) -> str | None:
        """The value that the field must have, if the selection says so."""
        for term in self.fields:
            if term.path == path and term.equal:
                return term.value
        return None


def parse_selection(query: Mapping[str, str], resource: ResourceType) -> Selection:
    """The selectors of a request."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if not labels and not fields:
        return EVERYTHING
    return Selection(parse_labels(labels), parse_fields(fields, resource))


EVERYTHING = Selection()
