"""Values as API servers spell them in a cell of type string: Go's words, and JSON for what has parts."""

from __future__ import annotations

import json
from typing import Any

_ESCAPED = str.maketrans({
    "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029",
})  # fmt: skip


def shown(value: Any) -> str:
    """The text of a cell."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_float(value)
    return _json(value) if isinstance(value, dict | list) else str(value)


def _go_float(value: float) -> str:
    """Shortest digits; an exponent from 1e+21 on and below 1e-04."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def _json(value: Any) -> str:
    """Compact JSON with sorted keys, as Go's encoder writes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json(name)}:{_json(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, float):
        return _go_float(value).replace("e-0", "e-")
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)
