"""One board: what its objects declare, and what it has, in the same words, so that both can be compared."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continuo.cli.boards_demo import scene
from continuo.cli.boards_demo.hub import page
from continuo.cli.boards_demo.stage import Stage
from continuo.cli.boards_demo.view import View, seen
from continuo.cli.boards_tree import external_name
from continuo.iot.signing import code_hash
from continuo.resources.boards import BOARD, EXPOSED_SERVICE, PLUGIN, PORT, WORKLOAD
from continuo.resources.meta import Object

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Board:
    """One of them, as its object names it."""

    name: str
    uuid: str


def board_of(view: View, name: str) -> Board:
    """By name."""
    return Board(name, external_name(view.get(BOARD, name)))


def declared(view: View, board: Board, *, ports: bool) -> Facts:
    """By the objects in the cluster. `ports`: whether this machine lets boards have interfaces."""
    plugin = view.get(PLUGIN, "meter")["spec"]["forProvider"]
    facts = {"Plugin meter": f"running, code {code_hash(plugin['code'])[:12]}"}
    for obj in view.all(EXPOSED_SERVICE):
        if _is_on(obj, board):
            facts[f"ExposedService {obj['metadata']['name']}"] = (
                f"port {seen(obj)['publicPort']} answers {scene.PAGE.strip()!r}"
            )
    for obj in view.all(PORT) if ports else ():
        if _is_on(obj, board):
            facts[f"Port {obj['metadata']['name']}"] = f"{seen(obj)['vifName']} {seen(obj)['mac']} {seen(obj)['ip']}"
    for obj in view.all(WORKLOAD):
        if _is_on(obj, board) or obj["spec"]["forProvider"].get("fleetId"):
            job = obj["spec"]["forProvider"].get("job") is not None
            facts[f"Workload {obj['metadata']['name']}"] = "Succeeded, exit code 0" if job else "Running"
    return facts


async def has(stage: Stage, view: View, board: Board) -> tuple[Facts, Mapping[str, Any]]:
    """What the board says that it has, its interfaces as its kernel has them, its service as it answers; and its report."""
    report = await stage.hub.get(f"boards/{board.uuid}/state")
    facts: Facts = {}
    for uuid, said in report["plugins"].items():
        facts[_named(view, PLUGIN.kind, uuid)] = f"{said['state']}, code {said['hash'][:12]}"
    for uuid in report["services"]:
        obj = next((each for each in view.all(EXPOSED_SERVICE) if seen(each).get("service") == uuid), None)
        if obj is not None:
            port = int(seen(obj)["publicPort"])
            answer = await page(stage.host, port)
            text = f"answers {answer.strip()!r}" if answer is not None else "does not answer"
            facts[f"ExposedService {obj['metadata']['name']}"] = f"port {port} {text}"
    interfaces = await asyncio.to_thread(_interfaces, stage, board)
    for uuid, said in report["ports"].items() if stage.wires is not None else ():
        mac, ip = interfaces.get(said["vif"], ("no interface", ""))
        facts[_named(view, PORT.kind, uuid)] = f"{said['vif']} {mac} {ip}".strip() if said["up"] else "not up"
    for said, name in _runs(report, await stage.hub.get(f"boards/{board.uuid}/workloads")):
        code = "" if said.get("exitCode") is None else f", exit code {said['exitCode']}"
        facts[f"Workload {name}"] = f"{said['phase']}{code}"
    return facts, report


def runs(report: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Of each job that is over: when it began and ended, and how often it was started. Another run would have others."""
    return {
        uuid: (said["generation"], said["started"], said["finished"], said["restarts"])
        for uuid, said in report["workloads"].items() if said["phase"] == "Succeeded"
    }  # fmt: skip


def _runs(report: Mapping[str, Any], listed: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    names = {each["uuid"]: each["name"] for each in listed["workloads"]}
    return [(said, names.get(uuid, uuid)) for uuid, said in report["workloads"].items()]


def _is_on(obj: Object, board: Board) -> bool:
    return bool(obj["spec"]["forProvider"].get("boardId") == board.uuid)


def _named(view: View, kind: str, uuid: str) -> str:
    names = [obj["metadata"]["name"] for obj in view.found()[kind] if external_name(obj) == uuid]
    return f"{kind} {names[0] if names else uuid}"


def _interfaces(stage: Stage, board: Board) -> dict[str, tuple[str, str]]:
    if stage.wires is None:
        return {}
    found = stage.wires.interfaces(scene.number_of(board.name))
    return {name: (mac, ip.partition("/")[0]) for name, mac, ip in found}


def family(pid: int) -> set[int]:
    """All processes that it began, and those that they began."""
    parents = {child: parent for child, (_, parent) in _processes().items()}
    family, more = set[int](), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - family
        family |= more
    return family


def alive(pids: set[int]) -> set[int]:
    """Those that run still; who has ended and was not waited for yet does not."""
    return {pid for pid, (state, _) in _processes().items() if pid in pids and state not in ("Z", "X")}


def _processes() -> dict[int, tuple[str, int]]:
    """All processes: their state and their parent."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = place.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            found[int(place.parent.name)] = (state, int(parent))
    return found
