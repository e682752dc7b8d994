"""What `continuo top` shows: rows of clusters, components, links, sensors and boards, out of objects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from continuo.placement.reasons import rate
from continuo.resources.meta import Kind, Object, condition, is_true
from continuo.resources.quantities import quantity
from continuo.telemetry.latency import seconds

Value = str | float | int | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, the field of a row, and how a value is written."""

    title: str
    field: str
    spell: Callable[[Any], str] = str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One view."""

    kind: Kind
    columns: tuple[Column, ...]
    rows: Callable[[Iterable[Object]], Iterator[dict[str, Value]]]
    good: str = ""
    """The phase of what is as it should be."""


def share(value: float | None) -> str:
    """A part of a whole."""
    return "-" if value is None else f"{value:.0%}"


def cores(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def size(value: float | None) -> str:
    """Bytes, in the largest unit that leaves a number above one."""
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} TiB"


def milliseconds(value: float | None) -> str:
    """Of seconds, three digits, and never fewer than stand before the point: a tunnel that was cut takes thousands."""
    if value is None:
        return "-"
    return f"{value * 1000:.3g} ms" if value < 0.9995 else f"{value * 1000:.0f} ms"


def speed(value: float | None) -> str:
    """Bits in a second."""
    return "-" if value is None else rate(int(value))


def text(value: Value) -> str:
    return "-" if value in (None, "") else str(value)


def _where(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _amount(found: Mapping[str, str], resource: str) -> float | None:
    try:
        return float(quantity(found[resource])) if resource in found else None
    except ValueError:
        return None


def _part(requested: float | None, allocatable: float | None) -> float | None:
    return requested / allocatable if requested is not None and allocatable else None


def cluster_rows(orchestrations: Iterable[Object]) -> Iterator[dict[str, Value]]:
    """How full clusters are."""
    for obj in orchestrations:
        tiers = {entry["name"]: entry.get("tier") for entry in (obj.get("spec") or {}).get("clusters") or ()}
        for entry in (obj.get("status") or {}).get("clusters") or ():
            has, asked = entry.get("allocatable") or {}, entry.get("requested") or {}
            cpu, memory = _amount(has, "cpu"), _amount(has, "memory")
            yield {
                "orchestration": _where(obj), "cluster": entry["name"],
                "phase": "Lost" if entry.get("lostSince") else entry.get("phase"), "tier": tiers.get(entry["name"]),
                "nodes": (entry.get("controlPlaneReady") or 0) + (entry.get("workersReady") or 0),
                "cpu": cpu, "cpuRequested": _part(_amount(asked, "cpu"), cpu),
                "memory": memory, "memoryRequested": _part(_amount(asked, "memory"), memory),
                "message": entry.get("message") if entry.get("phase") != "Ready" else "",
            }  # fmt: skip


def component_rows(orchestrations: Iterable[Object]) -> Iterator[dict[str, Value]]:
    """Where components run, and how many of their pods do."""
    for obj in orchestrations:
        for app in (obj.get("status") or {}).get("apps") or ():
            for entry in app.get("components") or ():
                ready, _, wanted = (entry.get("ready") or "/").partition("/")
                yield {
                    "orchestration": _where(obj), "component": f"{app['name']}/{entry['name']}",
                    "cluster": entry.get("cluster"), "phase": entry.get("phase"),
                    "ready": int(ready) if ready.isdecimal() else None,
                    "wanted": int(wanted) if wanted.isdecimal() else None,
                    "owner": app.get("owner"),
                    "message": entry.get("message") if entry.get("phase") != "Running" else "",
                }  # fmt: skip


def link_rows(orchestrations: Iterable[Object]) -> Iterator[dict[str, Value]]:
    """How far away clusters are from each other."""
    for obj in orchestrations:
        for entry in (obj.get("status") or {}).get("links") or ():
            source, target = entry["clusters"]
            yield {
                "orchestration": _where(obj), "source": source, "target": target, "phase": entry.get("phase"),
                "latency": seconds(entry.get("latency")), "jitter": seconds(entry.get("jitter")),
                "bandwidth": entry.get("bandwidthBps"), "measured": entry.get("bandwidthMeasuredAt"),
                "since": entry.get("lastTransitionTime"),
                "message": entry.get("message") if entry.get("phase") != "Connected" else "",
            }  # fmt: skip


def sensor_rows(flavors: Iterable[Object]) -> Iterator[dict[str, Value]]:
    """Sensors on offer."""
    from continuo.edge.sensors.reading import sensor_of_flavor

    for obj in flavors:
        if ((obj.get("spec") or {}).get("flavorType") or {}).get("typeIdentifier") != "Sensor":
            continue
        sensor = sensor_of_flavor(obj)
        yield {
            "flavor": _where(obj), "measures": ",".join(sensor.types), "model": sensor.model, "node": sensor.node,
            "phase": "Available" if obj["spec"].get("availability", True) else "Taken",
            "latency": float(sensor.latency) / 1000 if sensor.latency is not None else None,
            "rate": float(sensor.sampling_rate) if sensor.sampling_rate is not None else None,
        }  # fmt: skip


def board_rows(boards: Iterable[Object]) -> Iterator[dict[str, Value]]:
    """Boards, and whether they are online."""
    for obj in boards:
        seen = (obj.get("status") or {}).get("atProvider") or {}
        said = condition(obj, "Ready") or {}
        yield {
            "board": _where(obj), "namespace": obj["metadata"].get("namespace"), "phase": seen.get("status"),
            "agent": seen.get("agent"), "ready": "yes" if is_true(obj, "Ready") else "no",
            "message": "" if is_true(obj, "Ready") else said.get("message"),
        }  # fmt: skip


def sort_rows(rows: Iterable[dict[str, Value]], field: str, *, downwards: bool) -> list[dict[str, Value]]:
    """By one field; what has no value comes last either way, and equal ones stay in the order of the others."""
    found = list(rows)
    known = [row for row in found if row.get(field) not in (None, "")]
    known.sort(key=lambda row: row[field], reverse=downwards)  # type: ignore[arg-type,return-value]
    return [*known, *(row for row in found if row.get(field) in (None, ""))]


def cells(columns: Sequence[Column], row: Mapping[str, Value]) -> list[str]:
    """A row as it is written."""
    return [text(value) if column.spell is str else column.spell(value)
            for column in columns for value in (row.get(column.field),)]  # fmt: skip
