"""The descriptions in the docstrings of lightkube's generated models."""

from __future__ import annotations

import inspect
import re

_FIELD = re.compile(r"^\* \*\*(\w+)\*\* ``[^`]*``(?: - )?(.*)$")


def describe(cls: type) -> tuple[str, dict[str, str]]:
    """(what the model is, field name -> what the field is)."""
    text = inspect.cleandoc(cls.__doc__ or "")
    about, _, parameters = text.partition("**parameters**")
    fields: dict[str, list[str]] = {}
    current: list[str] = []
    for line in parameters.splitlines():
        start = _FIELD.match(line.strip())
        if start is not None:
            current = fields[start[1]] = [start[2]]
        elif line.strip():
            current.append(line.strip())
    return _joined(about.splitlines()), {name: _joined(lines) for name, lines in fields.items()}


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())
