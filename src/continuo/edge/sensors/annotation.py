"""The annotation `sensors` of a Device: base64 of JSON that describes the sensors of a board.

Whatever is in it, decoding never raises: what cannot be read is a `Problem` with its place, and hurts nothing beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from continuo.edge.sensors import units
from continuo.edge.sensors.model import BadSensor, Decoded, Problem, Sensor
from continuo.edge.sensors.shapes import sensor_from

KEY = "sensors"
"""The annotation, and the root of every place in it."""
_KNOWN = frozenset({"uid", "type", "model", "manufacturer", "characteristics", "accesstype", "properties", "access"})
_BLANKS = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an annotation is read."""

    size: int = 256 * 1024
    """Characters; an object's annotations may have no more together."""
    sensors: int = 512
    depth: int = 12


def decode(text: str, *, device: str = "", limits: Limits | None = None) -> Decoded:
    """The sensors that an annotation describes. `device` is for the uids of shapes that have none."""
    limits = limits or Limits()
    try:
        entries = _entries(_json(_bytes(text, limits), limits), limits)
    except BadSensor as problem:
        return Decoded((), (Problem(problem.where, problem.sentence),))
    found: dict[str, tuple[Sensor, str]] = {}
    problems: list[Problem] = []
    for data, where in entries:
        try:
            sensor = _unique(sensor_from(data, where, device), where, found)
            found[sensor.uid] = sensor, where
        except BadSensor as problem:
            problems.append(Problem(problem.where, problem.sentence))
    return Decoded(tuple(sensor for sensor, _ in found.values()), tuple(problems))


def _unique(sensor: Sensor, where: str, found: dict[str, tuple[Sensor, str]]) -> Sensor:
    if sensor.uid not in found:
        return sensor
    what = "is the uid of" if sensor.named else "would be the uid, as there is none, and is that of"
    raise BadSensor(
        f"{where}.uid", f"{units.brief(sensor.uid)} {what} {found[sensor.uid][1]} already; give each its own"
    )


def _bytes(text: str, limits: Limits) -> str:
    if len(text) > limits.size:
        raise BadSensor(KEY, f"has {len(text)} characters; at most {limits.size} are allowed")
    stripped = text.strip()
    if not stripped:
        raise BadSensor(KEY, "is empty; it must be base64 of JSON that describes sensors")
    if stripped[0] in "[{":
        return stripped  # somebody left the base64 out; what is meant is clear
    try:
        return base64.b64decode(stripped.translate(_BLANKS), validate=True).decode()
    except UnicodeDecodeError as problem:
        raise BadSensor(KEY, f"is base64 of something that is not UTF-8 (at byte {problem.start})") from problem
    except (binascii.Error, ValueError) as problem:
        raise BadSensor(KEY, f"is no base64: {str(problem)[:1].lower()}{str(problem)[1:]}") from problem


def _json(text: str, limits: Limits) -> Any:
    _shallow(text, limits.depth)
    try:
        return json.loads(
            text.removeprefix("\ufeff"), parse_float=_number, parse_int=_number, parse_constant=_constant,
            object_pairs_hook=_object,
        )  # fmt: skip
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno}, column {problem.colno}"
        raise BadSensor(KEY, f"is base64 of no JSON: {problem.msg} at {place}") from problem


def _shallow(text: str, deepest: int) -> None:
    """Refuse deep nesting before anything follows it down."""
    depth, quoted, escaped = 0, False, False
    for sign in text:
        if quoted:
            quoted, escaped = escaped or sign != '"', not escaped and sign == "\\"
        elif sign == '"':
            quoted = True
        elif sign in "[{":
            depth += 1
            if depth > deepest:
                raise BadSensor(KEY, f"is nested deeper than {deepest} levels, which no description of a sensor needs")
        elif sign in "]}":
            depth -= 1


def _number(text: str) -> int | Decimal:
    if len(text) > 60:
        raise BadSensor(KEY, f"has a number of {len(text)} characters; at most 60 are allowed")
    return int(text) if text.lstrip("-").isdigit() else Decimal(text)


def _constant(name: str) -> Any:
    raise BadSensor(KEY, f"has {name}, which is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise BadSensor(KEY, f"has the key {units.brief(double)} twice in one object; JSON would silently drop one")
    return made


def _entries(data: Any, limits: Limits) -> list[tuple[Any, str]]:
    """What each describes one sensor, with its place."""
    where = KEY
    if isinstance(data, dict) and list(data) == ["sensors"]:
        data, where = data["sensors"], f"{KEY}.sensors"
    if isinstance(data, dict):
        entries = _single(data, where)
    elif isinstance(data, list):
        entries = [(entry, f"{where}[{number}]") for number, entry in enumerate(data)]
    else:
        raise BadSensor(where, f"must be a list of sensors, and is {units.brief(data)}")
    if not entries:
        raise BadSensor(where, "describes no sensor; leave the annotation out where there is none")
    if len(entries) > limits.sensors:
        raise BadSensor(where, f"describes {len(entries)} sensors; at most {limits.sensors} are allowed")
    return entries


def _single(data: dict[str, Any], where: str) -> list[tuple[Any, str]]:
    """One object is one sensor, or several under the names of their models."""
    models = data and all(isinstance(value, dict) for value in data.values())
    if models and not _KNOWN.intersection(key.casefold() for key in data):
        return [({model: value}, where) for model, value in data.items()]
    return [(data, where)] if data else []
