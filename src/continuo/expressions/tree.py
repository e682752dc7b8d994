"""CEL text -> a small syntax tree. Google's parser and checker read the text; what they return is protobuf.

The runtime's own evaluation costs 10 us a value and more, too much for filters over ten thousand of them: whoever needs
to be faster compiles this tree to something else. Only the few messages of `cel.expr` that matter are decoded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from cel_expr_python import cel  # type: ignore[import-untyped]

LONGEST = 2048


class BadExpression(ValueError):
    """An expression that cannot be used; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class Const:
    """A literal: None, bool, int, float, str or bytes."""

    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`, or `has(operand.field)` with `test`."""

    operand: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or a function; `target` is what stands before the dot."""

    function: str
    target: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list literal."""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """What only the runtime evaluates: messages, maps, comprehensions."""

    what: str


Node: TypeAlias = Const | Ident | Select | Call | Items | Other

_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")


def parse(text: str, variables: Sequence[str], functions: Mapping[str, Callable[[str], Any]] | None = None) -> Node:
    """The tree of an expression over these variables, whose types the checker leaves open; raises BadExpression.

    `functions` take one text each.
    """
    if len(text) > LONGEST:
        raise BadExpression(f"the expression has {len(text)} characters; at most {LONGEST} are allowed")
    if not text.strip():
        raise BadExpression("the expression is empty; leave it out, or write one such as price < 2.5")
    try:
        blob = _environment(tuple(variables), tuple((functions or {}).items())).compile(text).serialize()
    except (RuntimeError, UnicodeError) as error:
        raise BadExpression(sentence_of(str(error), variables)) from error
    checked = dict(_fields(dict(_fields(blob))[2]))
    return _expr(checked[4])


@lru_cache(maxsize=16)
def _environment(variables: tuple[str, ...], functions: tuple[tuple[str, Callable[[str], Any]], ...]) -> Any:
    declared = [
        cel.FunctionDecl(name, [cel.Overload(f"{name}_string", cel.Type.DYN, [cel.Type.STRING], False, function)])
        for name, function in functions
    ]
    return cel.NewEnv(
        variables=dict.fromkeys(variables, cel.Type.DYN), extensions=[cel.CelExtension("continuo", declared)]
    )


def sentence_of(error: str, variables: Sequence[str]) -> str:
    """What the parser or the checker said, for people."""
    found = _PLACE.search(error)
    if not found:
        return f"the expression is no CEL: {error.partition(chr(10))[0].removesuffix(' [INVALID_ARGUMENT]')}"
    line, column, said = found.groups()
    said = said.removesuffix(" (in container '')").removesuffix(" [INVALID_ARGUMENT]")
    if said.startswith("undeclared reference"):
        said += f"; there are {', '.join(sorted(name for name in variables if name[0] != '_'))}"
    place = f"column {column}" if line == "1" else f"line {line}, column {column}"
    return f"the expression is no CEL at {place}: {said}"


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of one message: integers, doubles as 8 bytes, everything else as bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        else:
            size = 8 if wire == 1 else 4
        yield tag >> 3, data[at : at + size]
        at += size


def _expr(data: bytes) -> Node:
    for number, value in _fields(data):
        if number in _READERS:
            node: Node = _READERS[number](value)
            return node
    return Const(None)


def _const(data: bytes) -> Node:
    for number, value in _fields(data):
        if number == 2:
            return Const(bool(value))
        if number in (3, 4):  # int64 travels as its two's complement, uint64 as it is
            return Const(value - (1 << 64) if number == 3 and value >> 63 else value)
        if number == 5:
            return Const(struct.unpack("<d", value)[0])
        if number == 6:
            return Const(value.decode())
        if number == 7:
            return Const(value)
    return Const(None)


def _ident(data: bytes) -> Node:
    return Ident(dict(_fields(data))[1].decode())


def _select(data: bytes) -> Node:
    fields = dict(_fields(data))
    return Select(_expr(fields[1]), fields[2].decode(), bool(fields.get(3)))


def _call(data: bytes) -> Node:
    target: Node | None = None
    function, args = "", []
    for number, value in _fields(data):
        if number == 1:
            target = _expr(value)
        elif number == 2:
            function = value.decode()
        elif number == 3:
            args.append(_expr(value))
    return Call(function, target, tuple(args))


def _items(data: bytes) -> Node:
    return Items(tuple(_expr(value) for number, value in _fields(data) if number == 1))


_READERS: dict[int, Any] = {
    3: _const, 4: _ident, 5: _select, 6: _call, 7: _items,
    8: lambda _: Other("a map or message"), 9: lambda _: Other("a macro such as exists or all"),
}  # fmt: skip
