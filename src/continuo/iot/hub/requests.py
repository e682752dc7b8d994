"""Requests to boards and their results: stored before anything is asked, ended exactly once, also over a restart."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass

import msgspec

from continuo.iot.hub.expectations import same_thing, settle, why_not
from continuo.iot.hub.model import Answered, Board, Fleet, Json, Request, Result
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import Refused
from continuo.iot.hub.registry import Registry
from continuo.iot.wire import Message, Outcome

log = logging.getLogger(__name__)
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A request at a board, with its result's record."""

    request: Request
    result: Result


def request_wire(request: Request) -> Json:
    """A request as boards and REST clients are told of it."""
    return {
        "uuid": request.uuid, "destination_uuid": request.destination, "main_request_uuid": request.main,
        "pending_requests": request.pending, "status": "COMPLETED" if request.done else "PENDING",
        "project": request.project, "type": 1 if request.fleet else 0, "action": request.action,
        "created_at": request.created_at, "updated_at": request.updated_at,
    }  # fmt: skip


class Requests:
    """The open ones, and how they end."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._ended: dict[str, asyncio.Event] = {}
        self._asked: set[str] = set()
        """Requests whose board was told since: what it reports now is about them."""

    # beginning

    def open(
        self, change: Change, board: Board, action: str, expect: Json | None = None, main: str | None = None
    ) -> Opened:
        """A request to one board, in this change; an older one about the same thing is over."""
        registry = self._registry
        if expect is not None:
            for other in self.expecting(board.uuid):
                if other.request.expect is not None and same_thing(other.request.expect, expect):
                    self._end(change, other, Outcome.WARNING, "something else was asked of it since")
        request = Request(
            uuid=registry.make_uuid(), created_at=registry.now(), destination=board.uuid, project=board.project,
            action=action[:20], main=main, expect=expect,
        )  # fmt: skip
        result = Result(
            uuid=f"{request.uuid}/{board.uuid}", created_at=registry.now(), board=board.uuid, request=request.uuid
        )
        change.add(request, result)
        return Opened(request, result)

    def open_fleet(self, change: Change, fleet: Fleet, action: str, boards: int) -> Request:
        """The main request of one for each board; without boards it is done already."""
        registry = self._registry
        main = Request(
            uuid=registry.make_uuid(), created_at=registry.now(), destination=fleet.uuid, project=fleet.project,
            action=action[:20], pending=boards, done=boards == 0, fleet=True,
        )  # fmt: skip
        change.add(main)
        if main.done:
            change.event(main.project, "request.done", request=main.uuid, action=main.action)
        return main

    # looking

    def get(self, request: str) -> Request | None:
        """A request."""
        return self._registry.table(Request).get(request)

    def results(self, request: Request) -> list[Result]:
        """How it went at each board."""
        of = [child.uuid for child in self._registry.table(Request).by("main", request.uuid)] or [request.uuid]
        return [result for each in of for result in self._registry.table(Result).by("request", each)]

    def opened(self, request: str) -> Opened | None:
        """A request that goes on at one board."""
        found = self.get(request)
        results = self._registry.table(Result).by("request", request)
        return Opened(found, results[0]) if found is not None and not found.done and results else None

    def expecting(self, board: str) -> list[Opened]:
        """What a board's reports will end."""
        going = [self.opened(result.request) for result in self._running(board)]
        return [each for each in going if each is not None and each.request.expect is not None]

    def _running(self, board: str) -> list[Result]:
        return self._registry.table(Result).by("open_at", board)

    async def wait(self, request: str, seconds: float) -> bool:
        """Whether it ended within that time."""
        found = self.get(request)
        if found is None or found.done:
            return True
        event = self._ended.setdefault(request, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        await self._registry.records.flushed()
        return True

    # ending

    async def end(self, request: str, outcome: Outcome, message: str) -> None:
        """It is over at its board; nothing where it was already."""
        change = Change()
        opened = self.opened(request)
        if opened is not None:
            self._end(change, opened, outcome, message)
            await self._registry.records.commit(change)

    def ending(self, change: Change, request: str, outcome: Outcome, message: str) -> None:
        """The same within a change."""
        opened = self.opened(request)
        if opened is not None:
            self._end(change, opened, outcome, message)

    def _end(self, change: Change, opened: Opened, outcome: Outcome, message: str) -> None:
        registry, request = self._registry, opened.request
        result = registry.stamped(opened.result, result=outcome.value, message=message)
        change.add(result, registry.stamped(request, pending=0, done=True))
        change.event(
            request.project, "request.done", request=request.uuid, board=result.board, action=request.action,
            result=outcome.value,
        )  # fmt: skip
        self._asked.discard(request.uuid)
        self._wake(request.uuid)
        if request.main is not None:
            self._end_part(change, request.main)

    def _end_part(self, change: Change, main: str) -> None:
        found = change.put.get((Request, main)) or self.get(main)
        if not isinstance(found, Request) or found.done:
            return
        left = found.pending - 1
        change.add(self._registry.stamped(found, pending=left, done=left == 0))
        if left == 0:
            change.event(found.project, "request.done", request=main, action=found.action)
            self._wake(main)

    def _wake(self, request: str) -> None:
        event = self._ended.pop(request, None)
        if event is not None:
            event.set()

    async def notified(self, board: str, message: Message) -> None:
        """A board says how something ended that it had called RUNNING."""
        opened = self.opened(message.req_id or "")
        if opened is None or opened.result.board != board:
            log.info("board %s tells the end of request %s, which it has not", board, message.req_id)
            return
        if message.result is not Outcome.RUNNING:
            await self.end(opened.request.uuid, message.result, text_of(message))

    # reports

    def mark_asked(self, requests: list[str]) -> None:
        """Their board has been told."""
        self._asked.update(requests)

    async def reported(self, board: str) -> None:
        """End what the board's report says is done, or failed."""
        report, change = self._registry.report(board), Change()
        for opened in self.expecting(board):
            assert opened.request.expect is not None
            settled = settle(opened.request.expect, report, opened.request.uuid in self._asked)
            if settled is not None:
                self._end(change, opened, *settled)
        if change.put:
            await self._registry.records.commit(change)

    def leave(self, change: Change, board: str) -> None:
        """Nothing more is heard of a board that is deleted."""
        for result in self._running(board):
            opened = self.opened(result.request)
            if opened is not None:
                self._end(change, opened, Outcome.WARNING, f"board {board} was deleted")

    # what stays open

    async def after_restart(self) -> None:
        """Calls that were under way: whether the board did them nobody can say."""
        change = Change()
        said = "the hub was restarted while the board was asked; whether it was done is not known: ask again"
        for request in self._registry.table(Request).by("done", False):
            opened = self.opened(request.uuid)
            if opened is not None and request.expect is None and opened.result.message == "":
                self._end(change, opened, Outcome.ERROR, said)
        if change.put:
            await self._registry.records.commit(change)

    async def sweep(self) -> None:
        """End what boards have not spoken of for too long, and forget what ended long ago."""
        registry, change = self._registry, Change()
        for request in registry.table(Request).by("done", False):
            opened = self.opened(request.uuid)
            if opened is None or registry.age(request.created_at) < registry.setting.forget:
                continue
            if request.expect is None:
                self._end(change, opened, Outcome.ERROR, "the board has never said how it ended")
            else:
                why = why_not(request.expect, registry.report(opened.result.board)) or "it has not said that it is done"
                self._end(change, opened, Outcome.WARNING, f"the board was told, but {why}")
        self._forget(change)
        if change.put or change.drop:
            await registry.records.commit(change)

    def _forget(self, change: Change) -> None:
        registry = self._registry
        table = registry.table(Request)
        surplus = len(table) - registry.setting.keep_requests
        excess = sum(len(each.message) for each in registry.table(Result).all()) - registry.setting.keep_results
        for request in table.by("done", True):
            if surplus <= 0 and excess <= 0:
                break
            parent = None if request.main is None else table.get(request.main)
            if parent is not None:
                continue  # goes with its main request
            whole = [*table.by("main", request.uuid), request]
            surplus -= len(whole)
            for each in whole:
                results = registry.table(Result).by("request", each.uuid)
                excess -= sum(len(result.message) for result in results)
                change.remove(*results, each)
        for answered in registry.table(Answered).all():
            if registry.clock() - answered.at > _DAY:
                change.remove(answered)

    # the same again

    def repeated(self, project: str, key: str | None, asked: str) -> Answered | None:
        """The request that this Idempotency-Key made; raises Refused where it was for something else."""
        if key is None:
            return None
        found = self._registry.table(Answered).get(f"{project}/{key}")
        if found is None or self.get(found.request) is None:
            return None
        if found.asked != fingerprint(asked):
            raise Refused(
                409, f"Idempotency-Key {key!r} was used for another request: take a new key for a new request"
            )
        return found

    def remember(
        self, change: Change, project: str, key: str | None, asked: str, request: str, object: str | None = None
    ) -> None:
        """Keep what an Idempotency-Key made."""
        if key is not None:
            change.add(
                Answered(
                    uuid=f"{project}/{key}",
                    request=request,
                    asked=fingerprint(asked),
                    at=self._registry.clock(),
                    object=object,
                )
            )


def fingerprint(asked: str) -> str:
    """What is kept of a request's text."""
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


def text_of(message: Message) -> str:
    """What a board said, as text."""
    said = message.message
    return said if isinstance(said, str) else msgspec.json.encode(said).decode()
