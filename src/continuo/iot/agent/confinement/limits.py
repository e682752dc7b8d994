"""How much a program may have: what is asked for it, within what the hub's policy and this board's settings allow. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

MIB = 1 << 20
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1024.0, "Mi": 1024.0**2, "Gi": 1024.0**3}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|Ki|Mi|Gi)?")


class BadAmount(ValueError):
    """An amount that is none, in a sentence."""


def quantity(value: object, name: str) -> float:
    """A number, or one as Kubernetes writes it (500m, 64Mi); raises BadAmount."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    found = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or float(found[1]) <= 0:
        raise BadAmount(f"{name} is {value!r}; it is a positive number such as 0.5, 500m or 64Mi")
    return float(found[1]) * _UNITS[found[2] or ""]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use. `memory` and `files` in bytes, `cpu` in cores, `time` in seconds (None: for ever)."""

    memory: int = 128 * MIB
    cpu: float = 1.0
    time: float | None = None
    files: int = 64 * MIB
    processes: int = 32
    open_files: int = 256

    @classmethod
    def read(cls, said: Mapping[str, Any], default: Limits | None = None) -> Limits:
        """From settings, a policy or grants: what is not named is as `default`. Raises BadAmount."""
        known = {field.name for field in fields(cls)}
        changed: dict[str, Any] = {}
        for name, value in said.items():
            if name in known and value is not None:
                amount = quantity(value, name)
                changed[name] = amount if name in ("cpu", "time") else int(amount)
        return replace(default or cls(), **changed)

    def within(self, most: Mapping[str, Any]) -> Limits:
        """The lesser of each; what `most` does not name is not bounded by it. Raises BadAmount."""
        bounds = Limits.read(most, self)
        changed = {
            field.name: min(getattr(self, field.name), getattr(bounds, field.name))
            for field in fields(self)
            if field.name != "time"
        }
        times = [time for time in (self.time, bounds.time) if time is not None]
        return replace(self, **changed, time=min(times) if times else None)


@dataclass(frozen=True, slots=True)
class Confinement:
    """How one program runs."""

    limits: Limits = Limits()
    network: bool = False
    """Whether it has the board's network; else none at all."""
    folder: Path | None = None
    """Its work folder if that shall stay; else it is memory that ends with the program."""
    strict: bool = False
    """Refuse to run where anything cannot be enforced; else only where it could read the agent's files."""
    readable: tuple[str, ...] = ()
    """Further paths that it may read."""
    cpu_seconds: int | None = None
    """Kill it after so much computing."""
