"""Trees and tables of boards: what is not ready says why."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from continuo.cli.boards_tree import trees
from continuo.resources.meta import Object


def thing(
    kind: str, name: str, external: str = "", ready: str = "True", message: str = "", synced: str = "True", **seen: Any
) -> Object:
    conditions = [
        {"type": "Ready", "status": ready, "message": message if synced == "True" else ""},
        {"type": "Synced", "status": synced, "message": message if synced == "False" else ""},
    ]
    annotations = {"crossplane.io/external-name": external} if external else {}
    said = seen.pop("said", {})
    return {
        "apiVersion": "iot.continuo.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "annotations": annotations},
        "spec": {"forProvider": said}, "status": {"atProvider": seen, "conditions": conditions},
    }  # fmt: skip


def shown(found: dict[str, list[Object]]) -> list[str]:
    console = Console(width=180, record=True, force_terminal=False)
    with console.capture() as capture:
        for tree in trees(found):
            console.print(tree)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_fleet_with_its_boards_and_what_runs_there() -> None:
    found = {
        "Fleet": [thing("Fleet", "north", "f", members=2, online=1)],
        "Board": [
            thing("Board", "pump", "b1", status="online", fleet="f"),
            thing("Board", "valve", "b2", ready="False", message="the board is offline", status="offline", fleet="f"),
            thing("Board", "lamp", synced="False", ready="False", message="ClusterProviderConfig default does not exist"),
        ],
        "PluginInjection": [
            thing("PluginInjection", "all", "f/p", said={"fleetId": "f"}, desired=2, ready_=1, offline=1),
            thing("PluginInjection", "new", said={"boardRef": {"name": "lamp"}}, ready="False", desired=0),
        ],
        "ExposedService": [
            thing("ExposedService", "ssh", "b1/s", said={"boardId": "b1"}, host="hub.example", publicPort=50001)
        ],
        "Plugin": [thing("Plugin", "meter", "p")],
    }  # fmt: skip
    found["PluginInjection"][0]["status"]["atProvider"]["ready"] = 1
    assert shown(found) == [
        "✔ Fleet north  1 of 2 boards online",
        "├── ✔ PluginInjection all  on 1 of 2 boards, 1 offline",
        "├── ● Board valve  offline  the board is offline",
        "└── ✔ Board pump  online",
        "    └── ✔ ExposedService ssh  hub.example:50001",
        "boards without a fleet",
        "└── ✘ Board lamp  ClusterProviderConfig default does not exist",
        "plugins, services and networks",
        "├── ✔ Plugin meter",
        "└── ● PluginInjection new  on 0 of 0 boards  not looked at yet",
    ]


def test_of_many_boards_those_with_trouble_are_shown() -> None:
    boards = [thing("Board", f"b{number:03}", f"u{number}", status="online", fleet="f") for number in range(200)]
    boards.append(thing("Board", "z", "z", ready="False", message="the board is offline", status="offline", fleet="f"))
    lines = shown({"Fleet": [thing("Fleet", "f", "f", members=201, online=200)], "Board": boards})
    assert lines[1] == "├── ● Board z  offline  the board is offline" and len(lines) == 52
    assert lines[-1] == "└── ... and 151 more boards"


def test_nothing_is_shown_of_nothing() -> None:
    assert shown({}) == []
