"""What a board may say about itself: read, and held within bounds, since a board may be anybody's.

Of what the hub never gave it a board says nothing: such entries are left out, so that nobody fills the hub's memory and
its events with names that mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from continuo.iot.hub.model import Exposed, Injection, Json, Port, Workload
from continuo.iot.hub.registry import Registry

SECTIONS = ("plugins", "services", "ports", "workloads")
LONGEST = 2000
"""Characters of each text in an entry."""
_SHORT = 200
"""Characters of a board's sentence that an event repeats."""
_NAMES = 32
"""Names in an entry, in the board's connectivity, and in its health."""


def checked(report: object, known: Callable[[str, str], bool]) -> Json:
    """A report in the form that it should have, of what is `known` (section, key); raises ValueError."""
    if not isinstance(report, dict):
        raise ValueError("a report is an object with plugins, services, ports, workloads and health")
    said: Json = {}
    for section in (*SECTIONS, "health"):
        part = report.get(section) or {}
        if not isinstance(part, dict):
            raise ValueError(f"report: {section} is an object")
        if section == "health":
            said[section] = bounded(part)
        elif all(isinstance(each, dict) for each in part.values()):
            said[section] = {key: bounded(each) for key, each in part.items() if known(section, key)}
        else:
            raise ValueError(f"report: each of {section} is an object")
    return said


def knowing(registry: Registry, board: str) -> Callable[[str, str], bool]:
    """Whether a board was given something; what it has reported before stays known until it is gone there, too."""
    before = registry.report(board)

    def known(section: str, key: str) -> bool:
        if key in before.get(section, {}):
            return True
        if section == "plugins":
            return registry.table(Injection).get(f"{board}/{key}") is not None
        if section == "services":
            return registry.table(Exposed).get(f"{board}/{key}") is not None
        of = registry.table(Port).get(key) if section == "ports" else registry.table(Workload).get(key)
        return of is not None and of.board == board

    return known


def bounded(entry: Json, deep: int = 2) -> Json:
    """So many names, each with a number, a text that ends somewhere, or such an object."""
    kept = {name[:64]: _value(value, deep) for name, value in list(entry.items())[:_NAMES] if isinstance(name, str)}
    return {name: value for name, value in kept.items() if value is not _nothing}


_nothing = object()


def _value(value: Any, deep: int) -> Any:
    if isinstance(value, str):
        return value[:LONGEST]
    if value is None or isinstance(value, bool | int | float):
        return value
    return bounded(value, deep - 1) if isinstance(value, dict) and deep else _nothing


def changes(before: Json, now: Json) -> list[tuple[str, str, Json]]:
    """What became another: section, key, and what an event says of it."""
    found = []
    for section in SECTIONS:
        old, new = before.get(section, {}), now[section]
        found += [
            (section, key, _short(new.get(key)))
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
    return found


def _short(entry: Json | None) -> Json:
    """Its state, the code that it is about, the beginning of what the board says of it."""
    if entry is None:
        return {"state": "gone"}
    state = entry.get("state", entry.get("phase", {True: "up", False: "down"}.get(bool(entry.get("up")))))
    texts = {name: entry[name][:_SHORT] for name in ("hash", "message") if isinstance(entry.get(name), str)}
    return {"state": state[:64] if isinstance(state, str) else None, **texts}
