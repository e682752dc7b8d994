"""The filters of a FLUIDOS selector, as they stand in Solvers and Discoveries.

latencyFilter: {name: Range, data: {max: 16ms}}        also min, and, strictly, lt and gt
typeFilter: {name: Match, data: {value: Humidity}}
modelFilter: {name: Range, data: {regex: "^hts"}}      or {values: [hts221, shtc3]}
where: type == "Humidity" && latency < 16ms            everything that `where` can say
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from continuo.edge.sensors import terms, units
from continuo.edge.sensors.criteria import Criteria
from continuo.edge.sensors.fields import Field, flavor_type, in_selectors
from continuo.edge.sensors.model import BadFilter
from continuo.edge.sensors.where import condition_of
from continuo.expressions.tree import Node

BOUNDS: Mapping[str, str] = {"min": terms.LEAST, "max": terms.MOST, "gt": terms.MORE, "lt": terms.LESS}
"""How the ends of a range compare: `min` and `max` belong to it, `gt` and `lt` do not."""
MOST_VALUES = 64


def from_selector(kind: str, filters: Any) -> Criteria:
    """What a selector asks for; raises BadFilter, whose sentence begins with the place."""
    kind = flavor_type(kind)
    if filters is None:
        return Criteria(kind)
    if not isinstance(filters, Mapping):
        raise BadFilter(f"filters: must be an object such as {{latencyFilter: ...}}, and is {units.brief(filters)}")
    return Criteria(kind, terms.every(_conditions(kind, filters)))


def _conditions(kind: str, filters: Mapping[str, Any]) -> Iterator[Node]:
    known = in_selectors(kind)
    for key, value in filters.items():
        where = f"filters.{key}"
        if value is None:
            continue
        if key == "where":
            yield _where(kind, value)
        elif key in known:
            yield from _filter(known[key], value, where)
        else:
            raise BadFilter(f"{where}: there is no such filter for {kind}; there are {', '.join(sorted(known))}, where")


def _where(kind: str, value: Any) -> Node:
    if not isinstance(value, str):
        raise BadFilter(f"filters.where: must be text such as latency < 16ms, and is {units.brief(value)}")
    try:
        return condition_of(value, kind)
    except BadFilter as problem:
        raise BadFilter(f"filters.where: {problem}") from problem


def _filter(field: Field, value: Any, where: str) -> Iterator[Node]:
    if not isinstance(value, Mapping):
        raise BadFilter(f"{where}: must be an object with name and data, and is {units.brief(value)}")
    name, data = value.get("name"), value.get("data")
    if name not in ("Match", "Range"):
        raise BadFilter(f"{where}.name: must be Match or Range, and is {units.brief(name)}")
    if not isinstance(data, Mapping):
        raise BadFilter(f"{where}.data: must be an object, and is {units.brief(data)}")
    try:
        yield from _match(field, data) if name == "Match" else _range(field, data)
    except BadFilter as problem:
        raise BadFilter(f"{where}.data: {problem}") from problem


def _match(field: Field, data: Mapping[str, Any]) -> Iterator[Node]:
    if set(data) != {"value"}:
        raise BadFilter(f"a Match of {field.name} has a value and nothing else")
    yield terms.compare(field, terms.IS, data["value"])


def _range(field: Field, data: Mapping[str, Any]) -> Iterator[Node]:
    allowed = set(BOUNDS) if field.is_number else {"regex", "values"}
    if not data or not set(data) <= allowed:
        raise BadFilter(f"a Range of {field.name} has {' or '.join(sorted(allowed))}, and nothing else")
    for key, written in data.items():
        if key == "regex":
            yield terms.matching(field, written)
        elif key == "values":
            yield _values(field, written)
        else:
            yield terms.compare(field, BOUNDS[key], written)


def _values(field: Field, written: Any) -> Node:
    if not isinstance(written, list) or not 0 < len(written) <= MOST_VALUES:
        raise BadFilter(f"values must be a list of 1 to {MOST_VALUES} entries, and is {units.brief(written)}")
    return terms.one_of(field, written)
