"""What a printer column is, and the columns of custom resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from continuo.embedded.http.ages import age
from continuo.embedded.http.jsonpath import Path, compile_path, find
from continuo.embedded.http.spelled import shown
from continuo.embedded.port import ResourceType
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object

Cell = Callable[[Object, float], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a Table: its header and how a cell is made from an object and the current time."""

    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""

    def definition(self) -> dict[str, Any]:
        """The TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def text(name: str, cell: Callable[[Object], Any], priority: int = 0, type: str = "string") -> Column:
    """A column whose cell depends on the object alone."""
    return Column(name, lambda obj, _now: cell(obj), type, priority)


def at(obj: Any, *path: str) -> Any:
    """The value under a path of fields, or None."""
    for part in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj


NAME = Column("Name", lambda obj, _now: obj["metadata"]["name"], format="name", description="Name of the object.")
AGE = Column(
    "Age", lambda obj, now: age(obj["metadata"].get("creationTimestamp"), now), description="Time since creation."
)


def _number(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def cell(value: Any) -> Any:
        return convert(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    return cell


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else None


_CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "integer": _number(lambda value: max(-(1 << 63), min(int(value), (1 << 63) - 1))),
    "number": _number(lambda value: value),
    "boolean": _boolean,
    "string": shown,
}


def _cell(path: Path, type: str) -> Cell:
    convert = _CONVERT.get(type)

    def cell(obj: Object, now: float) -> Any:
        found = find(path, obj)
        if not found or found[0] is None:
            return None
        if convert is not None:
            return convert(found[0])
        return age(found[0], now) if type == "date" and isinstance(found[0], str) else None

    return cell


def custom_columns(resource: ResourceType) -> tuple[Column, ...]:
    """The columns of a custom resource: what its definition lists, else its age.

    A path that is not understood ends the list, as on any API server.
    """
    columns: list[Column] = []
    for entry in resource.columns:
        try:
            path = compile_path(entry["jsonPath"])
        except BadRequest:
            break
        kind = entry.get("type", "string")
        described = (
            entry.get("description") or f"Custom resource definition column (in JSONPath format): {entry['jsonPath']}"
        )
        columns.append(
            Column(
                entry["name"],
                _cell(path, kind),
                kind,
                int(entry.get("priority", 0)),
                entry.get("format", ""),
                described,
            )
        )
    return (NAME, *(columns if resource.columns else (AGE,)))
