"""What there is beside the boards themselves: at the hub, in agents' folders, in boards' kernels, at public ports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from continuo.cli.boards_demo import scene
from continuo.cli.boards_demo.facts import Board, family
from continuo.cli.boards_demo.hub import page
from continuo.cli.boards_demo.stage import Stage

LISTS = ("fleets", "plugins", "services", "networks", "ports")
OF_BOARD = ("plugins", "services", "ports", "workloads")


@dataclass(frozen=True, slots=True)
class Left:
    """What was found, as names."""

    hub: frozenset[str]
    files: frozenset[str]
    interfaces: frozenset[str]
    processes: frozenset[str]

    def beyond(self, before: Left) -> dict[str, list[str]]:
        """What was not there before, by the place where it is."""
        return {
            "hub's lists": sorted(self.hub - before.hub),
            "agents' folders": sorted(self.files - before.files),
            "boards' interfaces": sorted(self.interfaces - before.interfaces),
            "agents' programs": sorted(self.processes - before.processes),
        }


async def left(stage: Stage, boards: list[Board]) -> Left:
    """Look everywhere."""
    paths = [*LISTS, *(f"boards/{board.uuid}/{what}" for board in boards for what in OF_BOARD)]
    answers = await asyncio.gather(*(stage.hub.get(path) for path in paths))
    hub = {
        f"{path}/{row.get('uuid') or row.get('id') or row.get('name') or row}"
        for path, answer in zip(paths, answers, strict=True) for rows in answer.values() if isinstance(rows, list)
        for row in rows
    }  # fmt: skip
    files, interfaces, processes = await asyncio.to_thread(_on_boards, stage, boards)
    return Left(frozenset(hub), files, interfaces, processes)


def _on_boards(stage: Stage, boards: list[Board]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    files, interfaces, processes = set(), set(), set()
    for board in boards:
        home = stage.home(board.name)
        files |= {f"{board.name}/{path.relative_to(home)}" for path in home.rglob("*")}
        if stage.wires is not None:
            number = scene.number_of(board.name)
            interfaces |= {f"{board.name}: {name}" for name, _, _ in stage.wires.interfaces(number)}
        processes |= {f"{board.name}: process {pid}" for pid in family(stage.agents[board.name].pid)}
    return frozenset(files), frozenset(interfaces), frozenset(processes)


async def answers(host: str, port: int) -> bool:
    """Whether anybody still answers at a public port."""
    return await page(host, port) is not None
