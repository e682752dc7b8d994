"""The hub, put together: its records, what it asks of boards, and what it hears of them."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid as uuids
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from continuo.iot.hub.actions import Actions
from continuo.iot.hub.attaching import Attaching
from continuo.iot.hub.calls import Calls
from continuo.iot.hub.exposing import Exposing
from continuo.iot.hub.feed import Feed
from continuo.iot.hub.model import Board, Exposed, Network, Port
from continuo.iot.hub.ports import Boards, Networks, Tunnels
from continuo.iot.hub.presence import SessionPresence
from continuo.iot.hub.pushing import Pusher
from continuo.iot.hub.records import Change, Records
from continuo.iot.hub.registry import Registry
from continuo.iot.hub.requests import Requests
from continuo.iot.hub.schema import SCHEMA
from continuo.iot.hub.setting import Setting
from continuo.iot.hub.workloads import Workloads
from continuo.storage.database import Database, StorageFailed

log = logging.getLogger(__name__)
_SWEEP = 30.0
"""Seconds."""


class Core:
    """The hub's records over a storage, before anybody talks to it: enough for tokens, codes and keys."""

    def __init__(
        self,
        url: str,
        setting: Setting,
        clock: Callable[[], float] = time.time,
        make_uuid: Callable[[], str] = lambda: str(uuids.uuid4()),
        keep: int = 20_000,
    ) -> None:
        self.database = Database(url, SCHEMA)
        self.feed = Feed(keep)
        self.records = Records(self.database, self.feed)
        self.registry = Registry(self.records, setting, clock, make_uuid)
        self.presence = SessionPresence(self.registry)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Core]:
        """With its storage; raises StorageFailed."""
        await self.database.open()
        try:
            await self.registry.load()
            yield self
        finally:
            self.feed.close()
            await self.records.close()
            await self.database.close()


class Hub:
    """Everything that REST talks to. `boards`, `tunnels` and `networks` are the other parts, or their doubles."""

    def __init__(self, core: Core, boards: Boards, tunnels: Tunnels, networks: Networks) -> None:
        self.core, self.registry, self.feed, self.boards = core, core.registry, core.feed, boards
        self.requests = Requests(core.registry)
        self.calls = Calls(core.registry, self.requests, boards)
        self.pusher = Pusher(core.registry, self.requests, boards)
        self.actions = Actions(core.registry, self.requests, self.calls, self.pusher)
        self.exposing = Exposing(self.actions, tunnels)
        self.attaching = Attaching(self.actions, networks)
        self.workloads = Workloads(self.actions, boards)
        networks.on_change(self._port_changed)
        core.presence.came = lambda board: self.calls.spawn(self.actions.catch_up(board))
        core.presence.told = self._reported
        core.presence.notified_of = self.requests.notified

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hub]:
        """With its public ports and networks as they were; end it before its core."""
        await self.requests.after_restart()
        await self.exposing.start()
        await self.attaching.start()
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield self
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await self.pusher.close()
            await self.calls.close()

    async def drop_board(self, board: Board) -> None:
        """Everything of a board ends; one that is online is told first, as IoTronic does, to forget its life here."""
        await self.calls.part(board)
        exposed = self.registry.table(Exposed).by("board", board.uuid)
        ports = self.registry.table(Port).by("board", board.uuid)
        change = self.registry.dropping_board(board)
        self.requests.leave(change, board.uuid)
        await self.registry.records.commit(change)
        for row in exposed:
            await self.exposing.close(row)
        for network in {port.network for port in ports}:
            found = self.registry.table(Network).get(network)
            if found is not None:
                await self.attaching.configure(found)
        await self.boards.close(board.uuid)
        self.registry.sessions.pop(board.uuid, None)

    async def _reported(self, board: str) -> None:
        await self.requests.reported(board)

    def _port_changed(self, port: str, there: bool) -> None:
        found = self.registry.table(Port).get(port)
        if found is not None:
            self._say(found.project, "port.changed", found.board, port, "up" if there else "down")

    def tunnel_changed(self, public_port: int, there: bool) -> None:
        """The board's end of a public port came or went."""
        for row in self.registry.table(Exposed).by("public_port", public_port):
            board = self.registry.table(Board).get(row.board)
            if board is not None:
                self._say(board.project, "service.changed", row.board, row.service, "up" if there else "down")

    def _say(self, project: str, event: str, board: str, object: str, state: str) -> None:
        word = event.partition(".")[0]
        try:
            self.registry.records.begin(
                Change().event(project, event, board=board, object=object, state=state, **{word: object})
            )
        except StorageFailed as error:
            log.error("%s is not told: %s", event, error)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            try:
                await self.requests.sweep()
                await self.workloads.settle()
            except StorageFailed as error:
                log.error("old requests are not ended, and workloads not moved, now: %s", error)
