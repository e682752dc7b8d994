"""Label selectors as objects carry them (`matchLabels`, `matchExpressions`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether the selector picks these labels; an empty selector picks everything, none picks nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _holds(entry, labels) for entry in selector.get("matchExpressions") or ()
    )


def _holds(entry: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = entry["key"], entry["operator"], entry.get("values") or ()
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) == (operator == "Exists")


def selector_text(selector: Mapping[str, Any]) -> str:
    """The selector as a query string: `app=web,tier in (a,b)`."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for entry in selector.get("matchExpressions") or ():
        key, operator = entry["key"], entry["operator"]
        values = ",".join(entry.get("values") or ())
        parts.append(
            {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}.get(operator, f"!{key}")
        )
    return ",".join(parts)
