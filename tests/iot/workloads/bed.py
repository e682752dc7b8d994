"""A board's workloads with real, confined processes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continuo.iot.agent.confinement import Cell
from continuo.iot.agent.workloads import Processes, Workloads
from iot.tunnels.bed import Changes

UUID = "4b7c8d1e-0000-4000-8000-000000000001"


def shell(script: str, **more: Any) -> dict[str, Any]:
    """A workload that is a shell script."""
    return {"name": "w", "generation": 1, "command": ["/bin/sh", "-c", script], **more}


def job(script: str, **more: Any) -> dict[str, Any]:
    return shell(script, job=True, restart="Never", **more)


@dataclass
class Board:
    workloads: Workloads
    changes: Changes

    async def set(self, wanted: Mapping[str, Any] | None, uuid: str = UUID) -> None:
        await self.workloads.set({} if wanted is None else {uuid: wanted})

    def said(self, uuid: str = UUID) -> dict[str, Any]:
        return self.workloads.status()[uuid]

    async def until(self, phase: str, uuid: str = UUID) -> dict[str, Any]:
        await self.changes.until(lambda: self.said(uuid)["phase"] == phase)
        return self.said(uuid)


@asynccontextmanager
async def board(home: Path, **options: Any) -> AsyncIterator[Board]:
    """The same home is the same board."""
    home.mkdir(exist_ok=True)  # noqa: ASYNC240 - a test may wait for its disk
    changes = Changes()
    cell = Cell(home, name=f"continuo-test-{random.randrange(10**9)}")
    cell.sweep()
    made = Workloads(changes, home / "workloads", {"process": Processes(cell)}, **options)
    try:
        yield Board(made, changes)
    finally:
        await made.close()
        await cell.close()
