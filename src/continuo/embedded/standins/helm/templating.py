"""`valuesTemplate`: the part of Go templates that is paths and a few functions. Everything else is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_PATH = re.compile(r"\.[A-Za-z][\w.\-]*$")
_INDEX = re.compile(r"index\s+(\S+)\s+(\d+|\"[^\"]*\")$")


class TemplateError(Exception):
    """The template says something that cannot be rendered here."""


def render(template: str, data: Mapping[str, Any]) -> str:
    """The template with every `{{ ... }}` replaced."""
    return _ACTION.sub(lambda match: _text(_evaluate(match.group(1), data)), template)


def values_of(template: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The rendered template as YAML; it must be a mapping."""
    try:
        loaded = yaml.load(render(template, data), yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise TemplateError(f"valuesTemplate does not render to YAML: {str(error).splitlines()[0]}") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise TemplateError(f"valuesTemplate renders to a {type(loaded).__name__}; it must be a mapping.")
    return loaded


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (dict, list, bool)) else str(value)


def _evaluate(action: str, data: Mapping[str, Any]) -> Any:
    first, *functions = (part.strip() for part in action.split("|"))
    value = _operand(first, data)
    for name in functions:
        value = _apply(name, value)
    return value


def _operand(text: str, data: Mapping[str, Any]) -> Any:
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    indexed = _INDEX.match(text)
    if indexed:
        inner, key = _operand(indexed.group(1), data), indexed.group(2)
        try:
            return inner[key[1:-1]] if key.startswith('"') else inner[int(key)]
        except (KeyError, IndexError, TypeError):
            raise TemplateError(f"valuesTemplate: {text} is not there.") from None
    if not _PATH.match(text):
        raise TemplateError(
            f"valuesTemplate: {{{{ {text} }}}} is not supported here; use a path such as .Cluster.metadata.name."
        )
    value: Any = data
    for part in text[1:].split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise TemplateError(f"valuesTemplate: {text} is not there: no {part}.")
        value = value[part]
    return value


def _apply(name: str, value: Any) -> Any:
    if name == "quote":
        return json.dumps(_text(value))
    if name == "first" and isinstance(value, list) and value:
        return value[0]
    if name in ("lower", "upper", "trim"):
        text = _text(value)
        return {"lower": text.lower(), "upper": text.upper(), "trim": text.strip()}[name]
    if name == "toYaml":
        return yaml.dump(value, Dumper=yaml.CSafeDumper).rstrip()
    raise TemplateError(
        f"valuesTemplate: the function {name} is not supported here; use first, quote, lower, upper, trim or toYaml."
    )
