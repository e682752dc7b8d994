"""A reading as bytes, with its time and its number, so that order and doubles can be told at the other end. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from continuo.edge.mapper.model import Source


def as_json(source: Source, values: Mapping[str, float], at: float, sequence: int) -> bytes:
    """One JSON object."""
    units = {quantity.type: quantity.unit for quantity in source.sensor.quantities if quantity.unit}
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    said = {
        "time": time, "sequence": sequence, "device": source.device, "sensor": source.sensor.uid,
        "model": source.sensor.model, "values": dict(values), "units": units,
    }  # fmt: skip
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def as_influx(source: Source, values: Mapping[str, float], at: float, sequence: int) -> bytes:
    """One line of Influx' line protocol."""
    tags = {"device": source.device, "model": source.sensor.model, "sensor": source.sensor.uid}
    shown = "".join(f",{name}={_escaped(value)}" for name, value in tags.items() if value)
    fields = ",".join([*(f"{_escaped(name)}={value}" for name, value in values.items()), f"sequence={sequence}i"])
    return f"sensor{shown} {fields} {int(at * 1e6) * 1000}".encode()


def _escaped(text: str) -> str:
    for sign in ("\\", ",", "=", " "):
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")


FORMATS = {"json": as_json, "influx": as_influx}
