"""What there is to know of a Device, in whichever of KubeEdge's versions its fields are.

A real API server prunes what the stored version has no field for. So of a v1alpha2 object that was applied where v1beta1
is stored nothing is left of its node and its addresses, except in what kubectl noted as last applied.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from continuo.edge.sensors.annotation import KEY
from continuo.resources.meta import Key, Object, annotations_of, condition, key_of

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_AWAY = frozenset({"offline", "disconnected"})


@dataclass(frozen=True, slots=True)
class Board:
    """A Device, as far as its sensors are concerned."""

    key: Key
    uid: str
    created: str
    """RFC 3339, so that the oldest sorts first."""
    node: str
    """The edge node it is attached to; empty where it does not say."""
    mac: str
    """As it is written, without colons."""
    characteristics: Mapping[str, str]
    """UUIDs of Bluetooth characteristics by the property's name, folded."""
    annotation: str | None
    """Its sensors."""
    notes: Mapping[str, str]
    """Its annotations."""


def board_of(device: Object) -> Board:
    """Read a Device of either version."""
    specs = [spec for spec in _specs(device) if isinstance(spec, dict)]
    metadata, notes = device["metadata"], annotations_of(device)
    return Board(
        key=key_of(device),
        uid=str(metadata.get("uid") or ""),
        created=str(metadata.get("creationTimestamp") or ""),
        node=_first(_node(spec) for spec in specs),
        mac=_first(_mac(spec) for spec in specs).replace(":", ""),
        characteristics=next((found for spec in specs if (found := dict(_uuids(spec)))), {}),
        annotation=notes.get(KEY),
        notes=notes,
    )


def state_of(device: Object, status: Object | None) -> str:
    """What KubeEdge says about the connection; empty while nothing is known, which is no reason to call it gone."""
    for obj in (status, device):
        state = ((obj or {}).get("status") or {}).get("state")
        if isinstance(state, str) and state:
            return state.casefold()
    return ""


def is_away(state: str) -> bool:
    """Whether a board in that state sends no readings."""
    return state in _AWAY


def is_cut_off(node: Object | None) -> bool:
    """Whether an edge node has stopped saying that it lives, or says that it is ill; one that never said is given time."""
    ready = condition(node or {}, "Ready")
    return ready is not None and ready.get("status") != "True"


def _specs(device: Object) -> Iterator[Any]:
    """Where its fields may be, in the order in which they count."""
    yield device.get("spec")
    applied = annotations_of(device).get(_APPLIED)
    if applied:
        try:
            said = json.loads(applied)
        except (ValueError, RecursionError):
            return  # kubectl's note, not ours to judge
        yield said.get("spec") if isinstance(said, dict) else None


def _first(values: Iterator[str]) -> str:
    return next(filter(None, values), "")


def _node(spec: Object) -> str:
    name = spec.get("nodeName")
    if isinstance(name, str) and name:
        return name
    value = _at(spec, "nodeSelector", "nodeSelectorTerms", 0, "matchExpressions", 0, "values", 0)
    return value if isinstance(value, str) else ""


def _mac(spec: Object) -> str:
    for path in (("protocol", "configData", "macAddress"), ("protocol", "bluetooth", "macAddress"),
                 ("protocol", "customizedProtocol", "configData", "macAddress")):  # fmt: skip
        value = _at(spec, *path)
        if isinstance(value, str) and value:
            return value
    return ""


def _uuids(spec: Object) -> Iterator[tuple[str, str]]:
    for list_name, name_key, *path in (
        ("properties", "name", "visitors", "configData", "characteristicUUID"),
        ("propertyVisitors", "propertyName", "bluetooth", "characteristicUUID"),
    ):
        entries = spec.get(list_name)
        for entry in entries if isinstance(entries, list) else ():
            name, uuid = _at(entry, name_key), _at(entry, *path)
            if isinstance(name, str) and isinstance(uuid, str) and uuid:
                yield name.casefold(), uuid


def _at(data: Any, *path: str | int) -> Any:
    """What is at a path; None where it ends before."""
    for step in path:
        if isinstance(step, int):
            data = data[step] if isinstance(data, list) and len(data) > step else None
        else:
            data = data.get(step) if isinstance(data, dict) else None
    return data
