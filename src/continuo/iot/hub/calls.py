"""Calls to boards on behalf of a request: in a task of their own, so that whoever asked may leave."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from continuo.iot.hub.model import Board, Result
from continuo.iot.hub.ports import BoardNotConnected, Boards, CallFailed
from continuo.iot.hub.records import Change
from continuo.iot.hub.registry import Registry
from continuo.iot.hub.requests import Opened, Requests, request_wire, text_of
from continuo.iot.wire import Message, Outcome
from continuo.storage.database import StorageFailed

log = logging.getLogger(__name__)
_AT_ONCE = 128
_GOODBYE = 10.0

After = Callable[[Message], Awaitable[None]]


class Calls:
    """One at a time for each board and object; many boards at a time."""

    def __init__(self, registry: Registry, requests: Requests, boards: Boards) -> None:
        self._registry, self._requests, self._boards = registry, requests, boards
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def lock(self, board: str, object: str = "") -> asyncio.Lock:
        """Held while something is done to an object of a board."""
        key = f"{board}/{object}"
        found = self._locks.get(key)
        if found is None:
            found = self._locks[key] = asyncio.Lock()
        return found

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in the background; it is ended with the hub."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call to a board was not ended as it should", exc_info=error)

    async def close(self) -> None:
        """Wait for nothing more: what goes on is ended at the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def make(
        self, opened: Opened, method: str, *arguments: Any, object: str = "", after: After | None = None
    ) -> None:
        """Call the board's method and end the request by its answer; `after` does what follows from that, before."""
        board = opened.request.destination
        try:
            async with self._turn, self.lock(board, object):
                request = self._requests.get(opened.request.uuid) or opened.request
                message = await self._answer(board, method, arguments, request_wire(request))
                if after is not None:
                    await after(message)
            await self._ended(opened, message)
        except StorageFailed as error:
            log.error("request %s to board %s: %s", opened.request.uuid, board, error)

    async def _answer(self, board: str, method: str, arguments: tuple[Any, ...], request: Any) -> Message:
        try:
            return await self._boards.call(board, method, *arguments, request=request)
        except BoardNotConnected:
            return Message(f"Board {board} is not connected.", Outcome.ERROR)
        except CallFailed as error:
            return Message(str(error), Outcome.ERROR)

    async def _ended(self, opened: Opened, message: Message) -> None:
        if message.result is not Outcome.RUNNING:
            await self._requests.end(opened.request.uuid, message.result, text_of(message))
            return
        again = self._requests.opened(opened.request.uuid)
        if again is not None:
            said: Result = self._registry.stamped(again.result, message=text_of(message) or "running")
            await self._registry.records.commit(Change().add(said))

    async def part(self, board: Board) -> None:
        """Tell a board to forget the hub, where it can be told: it is deleted in any case."""
        request = {"uuid": self._registry.make_uuid(), "destination_uuid": board.uuid, "action": "DeviceFactoryReset"}
        try:
            await self._boards.call(board.uuid, "DeviceFactoryReset", request=request, timeout=_GOODBYE)
        except BoardNotConnected:
            return
        except CallFailed as error:
            log.warning("board %s is deleted, and did not hear of it: %s", board.uuid, error)

    def online(self, board: Board) -> bool:
        """Whether it can be called now."""
        return self._boards.session(board.uuid) is not None
