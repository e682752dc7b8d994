"""Label selectors as objects carry them (`matchLabels`, `matchExpressions`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether the selector picks these labels; an empty selector picks everything, none picks nothing."""
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if not wanted.items() <= labels.items():
        return False
    return all(_holds(entry, labels) for entry in selector.get("matchExpressions") or ())


def _holds(entry: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key: str = entry["key"]
    operator: str = entry["operator"]
    values: list[str] = entry.get("values") or []
    if operator in ("In", "NotIn"):
        return (labels.get(key) in values) == (operator == "In")
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
