"""The part of JSONPath that printer columns use: `.spec.a`, `['k8s.io/x']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from continuo.resources.errors import BadRequest

Step = Callable[[Any], Iterator[Any]]
Path = tuple[Step, ...]

_PART = re.compile(
    r"""\.?(?:
      \[\?\(\s*@(?P<left>[^=!<>]*?)\s*(?P<op>==|!=)\s*(?P<quote>["']?)(?P<right>[^"']*?)(?P=quote)\s*\)\]
    | \[(?P<index>-?\d+)\]
    | \[(?P<star>\*)\] | \.?(?P<dotstar>\*)
    | \[(?P<q>["'])(?P<quoted>.*?)(?P=q)\]
    | (?P<field>(?:\\.|[^.\[\]\\])+)
    )""",
    re.VERBOSE,
)


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(position: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= position < len(value):
            yield value[position]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _filter(left: str, equal: bool, right: str) -> Step:
    path = compile_path(left)

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    def step(value: Any) -> Iterator[Any]:
        for item in _every(value):
            found = [text(each) for each in find(path, item)]
            if found and (right in found) == equal:
                yield item

    return step


def _step(match: re.Match[str]) -> Step:
    if match["op"]:
        return _filter(match["left"], match["op"] == "==", match["right"])
    if match["index"]:
        return _index(int(match["index"]))
    if match["star"] or match["dotstar"]:
        return _every
    if match["q"]:
        return _field(match["quoted"])
    return _field(re.sub(r"\\(.)", r"\1", match["field"]))


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """The steps of a JSONPath; raises BadRequest when it is none of the supported forms."""
    inner = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[Step] = []
    position = 0
    while position < len(inner):
        match = _PART.match(inner, position)
        if not match or match.end() == position:
            raise BadRequest(f'the JSON path "{text}" is not understood from "{inner[position:]}" on')
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def find(path: Path, value: Any) -> list[Any]:
    """Everything that the path leads to."""
    found = [value]
    for step in path:
        found = [each for item in found for each in step(item)]
    return found
