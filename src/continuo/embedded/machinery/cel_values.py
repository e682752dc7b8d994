"""JSON values as rules see them: declared property names escaped, formats turned into times, durations, bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

Convert = Callable[[Any], Any]

RESERVED = frozenset(
    (
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    )
)  # fmt: skip
_ESCAPES = {".": "__dot__", "-": "__dash__", "/": "__slash__"}
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def escape(name: str) -> str | None:
    """The identifier of a property in rules; None for names that rules cannot reach."""
    if name in RESERVED:
        return f"__{name}__"
    out = name.replace("__", "__underscores__")
    for char, word in _ESCAPES.items():
        out = out.replace(char, word)
    return out if _NAME.match(out) else None


_SCALAR_KINDS = {"date-time": "timestamp", "date": "timestamp", "duration": "duration"}


def scalar_kind(schema: Mapping[str, Any]) -> str:
    """`timestamp` or `duration` for texts with such a format."""
    return _SCALAR_KINDS.get(schema.get("format", ""), "") if schema.get("type") == "string" else ""


def rule_converter(schema: Mapping[str, Any]) -> Convert | None:
    """How rules on this very value see it. Times inside objects and lists stay texts: the runtime takes no others."""
    return _TIMES.get(schema.get("format", "")) if scalar_kind(schema) else converter(schema)


def converter(schema: Mapping[str, Any]) -> Convert | None:
    """The function that turns a value of the schema into what rules see; None when they see it as it is."""
    kind = schema.get("type")
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        return _list_converter(converter(schema["items"]))
    if kind == "object":
        return _map_converter(schema)
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""))
    if kind == "number":
        return lambda value: float(value) if isinstance(value, int) else value
    return None


def _list_converter(item: Convert | None) -> Convert | None:
    if item is None:
        return None
    return lambda value: [item(entry) for entry in value] if isinstance(value, list) else value


def _map_converter(schema: Mapping[str, Any]) -> Convert | None:
    names: dict[str, str] = {}
    inner: dict[str, Convert] = {}
    for name, child in (schema.get("properties") or {}).items():
        names[name] = escape(name) or ""
        convert = converter(child)
        if convert is not None:
            inner[name] = convert
    extra = schema.get("additionalProperties")
    other = converter(extra) if isinstance(extra, Mapping) else None
    if not inner and other is None and all(name == known for name, known in names.items()):
        return None

    def convert_map(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        out = {}
        for name, child in value.items():
            shown = names.get(name, name)
            convert = inner.get(name, None if name in names else other)
            if shown:
                out[shown] = child if convert is None else convert(child)
        return out

    return convert_map


def parse_duration(text: str) -> timedelta:
    """A Go duration (`1h30m`)."""
    sign = -1 if text.startswith("-") else 1
    body = text.lstrip("+-")
    parts = _DURATION_PART.findall(body)
    if body != "0" and "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"{text!r} is no duration: write it like 1h30m")
    return timedelta(seconds=sign * sum(float(number) * _UNITS[unit] for number, unit in parts))


def _quietly(parse: Callable[[str], Any]) -> Convert:
    """Values that break their format stay as they are: validation of the format reports them."""

    def convert(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError:
            return value

    return convert


_TIMES: dict[str, Convert] = {
    "date-time": _quietly(datetime.fromisoformat),
    "date": _quietly(lambda text: datetime.fromisoformat(text + "T00:00:00+00:00")),
    "duration": _quietly(parse_duration),
}
_FORMATS: dict[str, Convert] = {
    "byte": _quietly(lambda text: base64.b64decode(text, validate=True)),
}
