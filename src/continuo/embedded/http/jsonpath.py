"""The JSONPath that printer columns use, with the limits and oddities that API servers have.

`.spec.a`, `['k8s.io/x']`, `[0]`, `[1:]`, `[*]`, `[0,1]`, `..name`, `[?(@.type=="Ready")]`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from continuo.resources.errors import BadRequest

Step = Callable[[list[Any]], list[Any]]
Path = tuple[Step, ...]

_PART = re.compile(
    r"""
      \[\?\((?P<filter>(?:[^"')]|"(?:\\.|[^"])*"|'(?:\\.|[^'])*')*)\)\]
    | \[(?P<array>[^\]\n]*)\]
    | \.\.(?P<below>\w[^\s.,\[\]$@{}]*)?
    | \.(?P<field>(?:\\.|[^\s.,\[\]$@{}\\])*)
    | (?P<skip>[ @$])
    | (?P<word>\w[^\s.,\[\]$@{}]*)
    """,
    re.VERBOSE,
)
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?\Z")
_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+)\Z")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Unanswerable(Exception):
    """The path asks for something that this value cannot have; nothing is shown then."""


def _field(name: str) -> Step:
    def step(values: list[Any]) -> list[Any]:
        return [value[name] for value in values if isinstance(value, dict) and name in value]

    return step


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _nothing(_values: list[Any]) -> list[Any]:
    raise Unanswerable


def _every(values: list[Any]) -> list[Any]:
    return [child for value in values for child in _children(value)]


def _below(values: list[Any]) -> list[Any]:
    """Everything with something in it, parents first."""
    found: list[Any] = []
    for value in values:
        if children := list(_children(value)):
            found += [value, *_below(children)]
    return found


def _slice(start: str, end: str | None, stride: str | None) -> Step:
    by = int(stride[1:]) if stride and stride != ":" else 1

    def bounds(length: int) -> tuple[int, int]:
        first = int(start or 0)
        first += length if first < 0 else 0
        if end is None:
            return first, first + 1
        last = int(end[1:]) if end != ":" else length
        return first, last + length if last < 0 else last

    def step(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if value is None:
                continue
            if not isinstance(value, list):
                raise Unanswerable
            first, last = bounds(len(value))
            if first != last and not (0 <= first < len(value) and first <= last <= len(value) and by > 0):
                raise Unanswerable
            found += value[first:last:by]
        return found

    return step


def _union(paths: list[Path]) -> Step:
    return lambda values: [each for path in paths for each in _walk(path, values)]


def _filter(text: str) -> Step:
    compared = _COMPARISON.match(text)
    left = _compile(compared[1] if compared else text)
    compare = _COMPARE.get(compared[2]) if compared else None
    if compared and compare is None:
        raise BadRequest(f'the filter "{text}" has an operator that is not understood: {compared[2]}')
    right = _operand(compared[3].strip()) if compared else None

    def keeps(item: Any) -> bool:
        found = _walk(left, [item])
        if compare is None or right is None or not found:
            return bool(found)
        wanted = right(item)
        if len(found) > 1 or len(wanted) > 1:
            raise Unanswerable
        return bool(wanted) and _compared(compare, found[0], wanted[0])

    def step(values: list[Any]) -> list[Any]:
        if not all(isinstance(value, list) for value in values):
            raise Unanswerable
        return [item for value in values for item in value if keeps(item)]

    return step


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """Numbers compare with numbers, strings with strings, booleans with booleans."""
    for kinds in (str, bool, (int, float)):
        if isinstance(left, kinds) and isinstance(right, kinds):
            return compare(left, right)
    raise Unanswerable


def _operand(text: str) -> Callable[[Any], list[Any]]:
    """What stands right of a comparison: a string, a number, a boolean or another path."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        literal: Any = re.sub(r"\\(.)", r"\1", text[1:-1])
    elif text in ("true", "false"):
        literal = text == "true"
    elif re.fullmatch(r"[-+]?\d+(\.\d+)?", text):
        literal = float(text) if "." in text else int(text)
    else:
        path = _compile(text)
        return lambda item: _walk(path, [item])
    return lambda _: [literal]


def _array(text: str) -> Step:
    if "," in text:
        return _union([(_array(part.strip()),) for part in text.split(",")])
    if len(text) > 1 and text[0] == text[-1] == "'":
        return _field(text[1:-1].replace("\\", ""))
    found = _SLICE.match(":" if text == "*" else text)
    if not found or not text:
        raise BadRequest(f"[{text}] is no index, slice or key in single quotes")
    return _slice(found[1], found[2], found[3])


def _steps(match: re.Match[str]) -> list[Step]:
    if match["skip"]:
        return []
    if match["word"]:
        return [_nothing]  # a path without its leading dot: accepted, and never an answer
    if match["filter"] is not None:
        return [_filter(match["filter"])]
    if match["array"] is not None:
        return [_array(match["array"])]
    name = match["field"]
    if name is None:
        return [_below, _field(match["below"])] if match["below"] else [_below]
    return [_every] if name == "*" else [_field(name.replace("\\", ""))]


def _compile(text: str) -> Path:
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if not match:
            raise BadRequest(f'the JSON path "{text}" is not understood from "{text[position:]}" on')
        steps += _steps(match)
        position = match.end()
    return tuple(steps)


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """The steps of a JSONPath; raises BadRequest when it is none of the supported forms."""
    return _compile(text.strip().removeprefix("{").removesuffix("}"))


def _walk(path: Path, values: list[Any]) -> list[Any]:
    for step in path:
        values = step(values)
    return values


def find(path: Path, value: Any) -> list[Any]:
    """Everything that the path leads to; nothing where it asks for what cannot be."""
    try:
        return _walk(path, [value])
    except Unanswerable:
        return []
