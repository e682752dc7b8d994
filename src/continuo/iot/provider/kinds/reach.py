"""Which boards an object is about, and how they are: one board, or those of a fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from continuo.iot.provider.external import NotYet
from continuo.iot.provider.kinds.common import text
from continuo.iot.provider.lists import Row
from continuo.iot.provider.world import Connection

R = TypeVar("R")
AT_ONCE = 16
"""So many requests to one endpoint at a time for one object."""


@dataclass(frozen=True, slots=True)
class Target:
    """One board."""

    uuid: str
    name: str
    online: bool
    reports: bool = False
    """Whether its agent is told its whole desired state and says what it has; Lightning-rod does neither."""


async def targets(connection: Connection, board: str | None, fleet: str | None) -> list[Target] | None:
    """The boards, by name; None where the board or the fleet itself is gone."""
    if board:
        row = await connection.lists.boards.find(board)
        return None if row is None else [_target(row)]
    if not fleet:
        raise NotYet("neither a board nor a fleet is named yet")
    if await connection.lists.fleets.find(fleet) is None:
        return None
    found = [_target(row) for row in await connection.lists.boards.all() if row.get("fleet") == fleet]
    return sorted(found, key=lambda target: (target.name, target.uuid))


def _target(row: Row) -> Target:
    reports = "desire" in (row.get("capabilities") or ())
    return Target(text(row, "uuid"), text(row, "name"), text(row, "status") == "online", reports)


async def each(items: Iterable[str], do: Callable[[str], Awaitable[R]]) -> dict[str, R | Exception]:
    """Do something for each, some at a time; what failed is its exception."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(item: str) -> tuple[str, R | Exception]:
        async with turns:
            try:
                return item, await do(item)
            except Exception as error:
                return item, error

    return dict(await asyncio.gather(*(one(item) for item in items)))
