"""Workloads of fleets on boards: from the hub's records to the question that `placement` answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from continuo.federation.quantities import quantity
from continuo.iot.hub.model import Board, Json, Workload
from continuo.iot.hub.placement import GRACE, Candidate, Decision, Wish, place
from continuo.iot.hub.registry import Registry

_KNOWN = {
    "matchLabels": "match_labels", "match_labels": "match_labels", "near": "near", "within": "within",
    "spreadBy": "spread_by", "spread_by": "spread_by", "grace": "grace",
}  # fmt: skip
_EDGES = ("west", "south", "east", "north")


class Placing:
    """Decides, and knows since when boards are away: since it first saw that, so a restart of the hub moves nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._gone: dict[str, float] = {}

    def decide(self, workload: Workload, has: frozenset[str]) -> Decision:
        """Where a fleet's workload should be; `has`: the boards that have it now."""
        members = self._registry.table(Board).by("fleet", workload.fleet)
        candidates = [self._candidate(board, board.uuid in has) for board in members]
        return place(wish(workload.spec), candidates)

    def _candidate(self, board: Board, has: bool) -> Candidate:
        health = _object(self._registry.report(board.uuid).get("health"))
        processors, load = _number(health.get("cpus")), _number(health.get("load"))
        labels = _object(board.extra.get("labels"))
        return Candidate(
            board=board.uuid,
            labels={str(key): str(value) for key, value in labels.items()},
            at=_at(board.location[0]) if board.location else None,
            offline_for=self._away(board),
            capabilities=frozenset(board.capabilities),
            cpu=None if processors is None else max(0.0, processors - (load or 0.0)),
            memory=_number(_object(health.get("memory")).get("free")),
            has=has,
        )

    def _away(self, board: Board) -> float | None:
        if self._registry.online(board.uuid):
            self._gone.pop(board.uuid, None)
            return None
        if not board.registered:
            return math.inf
        now = self._registry.clock()
        return max(0.0, now - self._gone.setdefault(board.uuid, now))


def wish(spec: Json) -> Wish:
    """What a workload's description asks of its boards; it was found right by `wrong`."""
    said = {_KNOWN[key]: value for key, value in _object(spec.get("placement")).items() if key in _KNOWN}
    resources = _object(spec.get("resources"))
    box = said.get("within")
    return Wish(
        replicas=spec.get("replicas"),
        runtime=str(spec.get("runtime") or "process"),
        labels=said.get("match_labels") or {},
        near=_at(said["near"]) if said.get("near") else None,
        within=None if not box else (float(box["west"]), float(box["south"]), float(box["east"]), float(box["north"])),
        spread_by=said.get("spread_by"),
        grace=GRACE if said.get("grace") is None else float(said["grace"]),
        cpu=_amount(resources.get("cpu")),
        memory=_amount(resources.get("memory")),
    )


def wrong(placement: Mapping[str, Any]) -> str | None:
    """What is wrong with a `placement`."""
    if unknown := sorted(placement.keys() - _KNOWN.keys()):
        return f"has {unknown[0]}, which is none of match_labels, near, within, spread_by, grace"
    said = {_KNOWN[key]: value for key, value in placement.items() if value is not None}
    labels = said.get("match_labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        return "must have texts as the values of match_labels"
    if "near" in said and _at(said["near"]) is None:
        return "must have longitude and latitude in near, as numbers of degrees"
    box = said.get("within", dict.fromkeys(_EDGES, 0))
    if not isinstance(box, dict) or any(_number(box.get(edge)) is None for edge in _EDGES):
        return "must have west, south, east and north in within, as numbers of degrees"
    if not isinstance(said.get("spread_by", ""), str):
        return "must have a label's name as spread_by"
    grace = _number(said.get("grace", 0))
    return "must have seconds as grace, from 0" if grace is None or grace < 0 else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good and isinstance(value, int | float) else None


def _at(place: object) -> tuple[float, float] | None:
    """IoTronic has texts here."""
    try:
        east, north = float(_object(place)["longitude"]), float(_object(place)["latitude"])
    except (KeyError, TypeError, ValueError):
        return None
    return (east, north) if abs(east) <= 180 and abs(north) <= 90 else None


def _amount(value: object) -> float | None:
    """Boards refuse what is no amount, in a sentence."""
    try:
        return float(quantity(value)) if isinstance(value, str | int | float) else None
    except ValueError:
        return None
