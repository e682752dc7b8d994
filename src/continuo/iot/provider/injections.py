"""What boards have of plugins, as the endpoint knows it; kept while events tell of changes, asked again where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from continuo.iot.provider.rest import Rest

Row = dict[str, Any]
FEW = 8
"""So many boards are asked one by one rather than with their fleet."""


class Injections:
    """(board, plugin) -> what the endpoint says of it; None: the board has it not."""

    def __init__(
        self, rest: Rest, now: Callable[[], float], poll: Callable[[], float], told: Callable[[], bool],
        ours: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._rest, self._now, self._poll, self._told, self._ours = rest, now, poll, told, ours
        self._rows: dict[tuple[str, str], tuple[float, Row | None]] = {}
        self._steps: dict[tuple[str, str], int] = {}

    async def fill(self, fleet: str | None, plugin: str, boards: Iterable[str]) -> None:
        """Ask for those of a fleet together, where many of them would have to be asked for."""
        if not fleet or not plugin or not self._ours():
            return
        asked = {board: self._steps.get((board, plugin), 0) for board in boards if not self._known(board, plugin)}
        if len(asked) <= FEW:
            return
        found = await self._rest.find(f"fleets/{quote(fleet, safe='')}/plugins/{quote(plugin, safe='')}")
        if not isinstance(found, dict) or not isinstance(found.get("injections"), list):
            return  # the fleet or the plugin is gone, or the hub is older: each is asked for by itself
        rows = {row.get("board"): row for row in found["injections"]}
        for board, step in asked.items():
            if self._steps.get((board, plugin), 0) == step:
                self._rows[board, plugin] = (self._now(), rows.get(board))

    def _known(self, board: str, plugin: str) -> bool:
        known = self._rows.get((board, plugin))
        return known is not None and (self._told() or self._now() - known[0] < self._poll() * 0.9)

    async def get(self, board: str, plugin: str) -> Row | None:
        """The row; OpenStack's has no more than `plugin`, `status` and `onboot`."""
        if self._known(board, plugin):
            return self._rows[board, plugin][1]
        step = self._steps.get((board, plugin), 0)
        row = await self._ask(board, plugin)
        if self._steps.get((board, plugin), 0) == step:
            self._rows[board, plugin] = (self._now(), row)
        return row

    async def _ask(self, board: str, plugin: str) -> Row | None:
        where = f"boards/{quote(board, safe='')}/plugins"
        if self._ours():
            found = await self._rest.find(f"{where}/{quote(plugin, safe='')}")
            return found if isinstance(found, dict) else None
        body = await self._rest.find(where)
        rows = body.get("injections", []) if isinstance(body, dict) else []
        return next((row for row in rows if row.get("plugin") == plugin), None)

    def event(self, board: str, plugin: str, said: dict[str, Any]) -> None:
        """It changed. Where the event tells how, nobody has to ask."""
        key = (board, plugin)
        self._steps[key] = self._steps.get(key, 0) + 1
        known = self._rows.get(key)
        if known is None or known[1] is None or not said.get("state") or "hash" not in said:
            self._rows.pop(key, None)
            return
        told: Row = {name: said[name] for name in ("state", "hash", "message") if name in said}
        self._rows[key] = (self._now(), {**known[1], **told, "alive": said["state"] == "running"})

    def changed(self, board: str, plugin: str) -> None:
        """We changed it ourselves."""
        self.event(board, plugin, {})

    def forget(self) -> None:
        """Events may have been missed."""
        self._rows.clear()
