"""Fleets, boards and what runs on them as trees. Pure: objects in, rich renderables out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

from continuo.resources.meta import Object, annotations_of, condition, deleting

_SHOWN = 50
"""So many boards of a fleet are shown, those with trouble first."""
_PLACED = ("PluginInjection", "PluginCall", "ExposedService", "Port", "Workload")
_LOOSE = ("Plugin", "Service", "VirtualNetwork")


def external_name(obj: Object) -> str:
    """Its identity at the endpoint."""
    return annotations_of(obj).get("crossplane.io/external-name", "")


def trees(found: Mapping[str, list[Object]]) -> list[Tree]:
    """A tree for each fleet, one for the boards that are in none, one for what is about no board."""
    placed = _by_place(found)
    boards, fleets = found.get("Board", []), found.get("Fleet", [])
    by_fleet: dict[str, list[Object]] = {}
    for board in boards:
        by_fleet.setdefault(str(_seen(board).get("fleet") or ""), []).append(board)
    shown = []
    for fleet in fleets:
        uuid = external_name(fleet)
        tree = Tree(_line(fleet, f"{_seen(fleet).get('online', 0)} of {_seen(fleet).get('members', 0)} boards online"))
        _hang(tree, placed.get(uuid, ()))
        _boards(tree, by_fleet.pop(uuid, []) if uuid else [], placed)
        shown.append(tree)
    rest = [board for each in by_fleet.values() for board in each]
    if rest:
        tree = Tree(Text("boards without a fleet" if fleets else "boards", style="bold"))
        _boards(tree, rest, placed)
        shown.append(tree)
    loose = [obj for kind in _LOOSE for obj in found.get(kind, [])] + list(placed.get("", ()))
    if loose:
        tree = Tree(Text("plugins, services and networks", style="bold"))
        _hang(tree, loose)
        shown.append(tree)
    return shown


def _by_place(found: Mapping[str, list[Object]]) -> dict[str, list[Object]]:
    """The uuid of a board or fleet -> what is there."""
    placed: dict[str, list[Object]] = {}
    for kind in _PLACED:
        for obj in found.get(kind, []):
            said = (obj.get("spec") or {}).get("forProvider") or {}
            placed.setdefault(str(said.get("boardId") or said.get("fleetId") or ""), []).append(obj)
    return placed


def _boards(tree: Tree, boards: list[Object], placed: Mapping[str, list[Object]]) -> None:
    ordered = sorted(boards, key=lambda board: (_good(board), board["metadata"]["name"]))
    for board in ordered[:_SHOWN]:
        _hang(tree.add(_line(board, str(_seen(board).get("status", "")))), placed.get(external_name(board) or "-", ()))
    if len(ordered) > _SHOWN:
        tree.add(Text(f"... and {len(ordered) - _SHOWN} more boards", style="bright_black"))


def _hang(tree: Tree, objects: Iterable[Object]) -> None:
    for obj in objects:
        tree.add(_line(obj, _detail(obj)))


def _detail(obj: Object) -> str:
    seen = _seen(obj)
    match obj["kind"]:
        case "PluginInjection" if seen.get("desired", 0) != 1:
            offline = f", {seen['offline']} offline" if seen.get("offline") else ""
            return f"on {seen.get('ready', 0)} of {seen.get('desired', 0)} boards{offline}"
        case "PluginCall":
            return f"{seen.get('result', '')} {seen.get('message', '')}".strip()
        case "ExposedService" if seen.get("publicPort"):
            return f"{seen.get('host', '')}:{seen['publicPort']}"
        case "Port":
            return f"{seen.get('vifName', '')} {seen.get('ip', '')}".strip()
        case "Workload":
            done = seen.get("succeeded", 0)
            ended = f", {done} succeeded" if done else ""
            return f"{seen.get('running', 0)} of {seen.get('desired', 0)} running{ended}"
        case "VirtualNetwork":
            return str(((obj.get("spec") or {}).get("forProvider") or {}).get("cidr", ""))
    return ""


def _line(obj: Object, detail: str) -> Text:
    good, synced, ready = _good(obj), condition(obj, "Synced") or {}, condition(obj, "Ready") or {}
    failing = synced.get("status") == "False"
    symbol, colour = ("✔", "green") if good else ("✘", "red") if failing else ("●", "yellow")
    text = Text.assemble((f"{symbol} ", colour), f"{obj['kind']} ", (obj["metadata"]["name"], "bold"))
    if detail:
        text.append(f"  {detail}")
    if deleting(obj):
        text.append("  deleting", style="yellow")
    if not good:
        why = str((synced if failing else ready).get("message") or ready.get("reason") or "not looked at yet")
        text.append(f"  {why}", style="red" if failing else "bright_black")
    return text


def _good(obj: Object) -> bool:
    states = [(condition(obj, type_) or {}).get("status") for type_ in ("Ready", "Synced")]
    return states == ["True", "True"] and not deleting(obj)


def _seen(obj: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (obj.get("status") or {}).get("atProvider") or {}
    return found
