"""Tells our agents their whole desired state: one call at a time for each board, and the newest state in it."""

from __future__ import annotations

import asyncio
import logging

from continuo.iot.hub.ports import BoardNotConnected, Boards, CallFailed
from continuo.iot.hub.registry import Registry
from continuo.iot.hub.requests import Requests
from continuo.iot.wire import Outcome

log = logging.getLogger(__name__)
_ATTEMPTS = 4
_SOONEST = 0.5
"""Seconds before a second attempt; each further one waits twice as long."""
_AT_ONCE = 64
"""Boards that are told at the same time: what they are told may be large."""


class Pusher:
    """Boards whose desired state has changed, and a task for each that is being told."""

    def __init__(self, registry: Registry, requests: Requests, boards: Boards) -> None:
        self._registry, self._requests, self._boards = registry, requests, boards
        self._due: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def push(self, board: str) -> None:
        """Let the board know soon; nothing where it is offline: it is told when it comes."""
        self._due.add(board)
        if board not in self._tasks:
            task = asyncio.create_task(self._tell(board))
            self._tasks[board] = task
            task.add_done_callback(lambda _: self._over(board))

    def _over(self, board: str) -> None:
        self._tasks.pop(board, None)
        if board in self._due:
            self.push(board)

    async def close(self) -> None:
        """Tell nobody any more."""
        self._due.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, board: str) -> None:
        attempt = 0
        while board in self._due and attempt < _ATTEMPTS:
            self._due.discard(board)
            session = self._boards.session(board)
            if session is None:
                return
            try:
                async with self._turn:
                    await self._once(board)
                attempt = 0
            except BoardNotConnected:
                return
            except CallFailed as error:
                attempt += 1
                log.warning("board %s could not be told what it should have: %s", board, error)
                if self._boards.session(board) != session:
                    return
                self._due.add(board)
                await asyncio.sleep(_SOONEST * 2 ** (attempt - 1))
        self._due.discard(board)

    async def _once(self, board: str) -> None:
        registry = self._registry
        await registry.records.flushed()
        asked = [opened.request.uuid for opened in self._requests.expecting(board)]
        request = {
            "uuid": registry.make_uuid(), "destination_uuid": board, "main_request_uuid": None, "pending_requests": 0,
            "status": "PENDING", "project": "", "type": 0, "action": "Desire", "created_at": registry.now(),
            "updated_at": None,
        }  # fmt: skip
        message = await self._boards.call(board, "Desire", registry.desired(board), request=request)
        if message.result is Outcome.ERROR:
            raise CallFailed(f"it answers: {message.message}")
        self._requests.mark_asked(asked)
