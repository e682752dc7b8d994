"""Workloads of boards, and of fleets: a fleet's has a child on each board that should run it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from continuo.iot.hub.actions import Actions
from continuo.iot.hub.desired import run_of
from continuo.iot.hub.model import Board, Fleet, Json, Workload
from continuo.iot.hub.placement import Decision
from continuo.iot.hub.placing import Placing
from continuo.iot.hub.ports import BoardNotConnected, Boards, CallFailed
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import Refused, absent, failed, not_connected, taken
from continuo.iot.sealed import seals
from continuo.iot.wire import Message, Outcome

FIELDS = (
    "runtime",
    "command",
    "image",
    "env",
    "secret_env",
    "files",
    "resources",
    "replicas",
    "restart",
    "job",
    "retry",
    "placement",
)
"""What of a workload boards are told, beside its name."""
_FOLLOWERS = 16
"""How many logs of one board may be followed: each is a call that waits."""


class Workloads:
    """Declares workloads; boards are told by their desired state, and say by their reports how it goes."""

    def __init__(self, actions: Actions, boards: Boards) -> None:
        self._actions, self._boards = actions, boards
        self._registry = actions.registry
        self._placing = Placing(actions.registry)
        self._followed: Counter[str] = Counter()

    # declaring

    async def create(self, where: Board | Fleet, said: Json, owner: str) -> Workload:
        """A workload of a board or a fleet; raises Refused."""
        registry = self._registry
        uuid = registry.make_uuid()
        sealed = await self._sealed(uuid, said)
        key = "board" if isinstance(where, Board) else "fleet"
        others = registry.table(Workload).by(key, where.uuid)
        if any(other.name == said["name"] and other.parent is None for other in others):
            raise taken(f"A workload with name {said['name']} already exists on {key} {where.uuid}.")
        if isinstance(where, Board):
            self._check(where)
        made = Workload(
            uuid=uuid, created_at=registry.now(), name=said["name"], owner=owner,
            project=where.project, extra=said.get("extra") or {}, spec={**spec_of(said), **sealed},
            board=where.uuid if key == "board" else None, fleet=where.uuid if key == "fleet" else None,
        )  # fmt: skip
        change = Change().add(made)
        told: set[str | None] = {made.board} if made.board else self._spread(change, made)
        self._event(change, made)
        await registry.records.commit(change)
        self._push(told)
        return made

    async def update(self, workload: Workload, said: Json) -> Workload:
        """Change it; boards replace what they run where that differs."""
        registry = self._registry
        sealed = await self._sealed(workload.uuid, said)
        now = registry.table(Workload).get(workload.uuid)
        if now is None:
            raise absent("Workload", workload.uuid)
        workload = now
        spec = {**workload.spec, **spec_of(said), **sealed}
        different = run_of(spec) != run_of(workload.spec)
        changed = registry.stamped(
            workload, name=said.get("name", workload.name), extra=said.get("extra", workload.extra), spec=spec,
            generation=workload.generation + different,
        )  # fmt: skip
        change = Change().add(changed)
        told: set[str | None] = {changed.board} if changed.board else self._spread(change, changed)
        self._event(change, changed)
        await registry.records.commit(change)
        self._push(told)
        return changed

    @staticmethod
    async def _sealed(uuid: str, said: Json) -> Json:
        """Secret values beside what is shown of them."""
        values = said.get("secret_env")
        if not values:
            return {}
        shown = await asyncio.to_thread(seals, uuid, values)
        return {"secret_env": {name: {"value": value, "seal": shown[name]} for name, value in values.items()}}

    async def delete(self, workload: Workload) -> None:
        """End it everywhere."""
        change = Change().remove(workload)
        children = self._registry.table(Workload).by("parent", workload.uuid)
        change.remove(*children)
        self._event(change, workload, state="gone")
        await self._registry.records.commit(change)
        self._push({each.board for each in (*children, workload)})

    async def members_changed(self, fleet: str | None) -> None:
        """The boards of a fleet are others now."""
        change, told = Change(), set()
        for parent in self._registry.table(Workload).by("fleet", fleet) if fleet else ():
            if moved := self._spread(change, parent):
                told |= moved
                self._event(change, parent)
        if change.put or change.drop:
            await self._registry.records.commit(change)
            self._push(told)

    async def settle(self) -> None:
        """Boards have come, gone or changed: what is on boards that are away for long moves to others."""
        for fleet in {parent.fleet for parent in self._registry.table(Workload).all() if parent.fleet}:
            await self.members_changed(fleet)

    def placed(self, workload: Workload) -> Decision:
        """Where a fleet's workload is or should be, with a sentence for each board."""
        return self._placing.decide(
            workload, frozenset(child.board for child in self.children(workload) if child.board)
        )

    def _spread(self, change: Change, parent: Workload) -> set[str | None]:
        """Let the children be where they should; the boards that are concerned."""
        table = self._registry.table(Workload)
        children = {child.board: child for child in table.by("parent", parent.uuid)}
        decision = self._placing.decide(parent, frozenset(board for board in children if board))
        wanted = [board for board in self._members(parent) if board.uuid in decision.boards]
        told: set[str | None] = set()
        for board in wanted:
            child = children.pop(board.uuid, None)
            if child is None:
                made = self._child(parent, board)
            elif (child.spec, child.name, child.generation) != (parent.spec, parent.name, parent.generation):
                made = self._registry.stamped(
                    child, spec=parent.spec, name=parent.name, generation=parent.generation, extra=parent.extra
                )
            else:
                continue
            change.add(made)
            told.add(board.uuid)
        change.remove(*children.values())
        return told | set(children)

    def _members(self, parent: Workload) -> list[Board]:
        return self._registry.table(Board).by("fleet", parent.fleet)

    def _child(self, parent: Workload, board: Board) -> Workload:
        return Workload(
            uuid=self._registry.make_uuid(), created_at=self._registry.now(), name=parent.name, owner=parent.owner,
            project=parent.project, extra=parent.extra, spec=parent.spec, generation=parent.generation,
            board=board.uuid, parent=parent.uuid,
        )  # fmt: skip

    def _check(self, board: Board) -> None:
        if self._registry.online(board.uuid) and not self._registry.speaks_desire(board):
            raise Refused(400, f"Board {board.uuid} cannot have workloads: its agent does not take a desired state.")

    def _event(self, change: Change, workload: Workload, **more: Any) -> None:
        change.event(
            workload.project, "workload.changed", board=workload.board, fleet=workload.fleet, object=workload.uuid,
            workload=workload.uuid, **more,
        )  # fmt: skip

    def _push(self, boards: set[str | None]) -> None:
        for board in boards:
            if board is not None:
                self._actions.pusher.push(board)

    # looking

    def status(self, workload: Workload) -> Json:
        """What its board says of it last."""
        said = self._registry.report(workload.board or "").get("workloads", {}).get(workload.uuid)
        if said is None:
            online = workload.board is not None and self._registry.online(workload.board)
            return {"phase": "Pending", "message": "" if online else "the board is not connected"}
        stale = said.get("generation") not in (None, workload.generation)
        return {**said, "phase": "Pending", "message": "an older generation runs"} if stale else dict(said)

    def children(self, workload: Workload) -> list[Workload]:
        """Those of a fleet's workload, one for each board."""
        return self._registry.table(Workload).by("parent", workload.uuid)

    async def logs(self, workload: Workload, tail: int) -> str:
        """The last lines that it wrote."""
        said = await self._ask(workload, "WorkloadLogs", workload.uuid, tail)
        return said if isinstance(said, str) else ""

    async def follow(self, workload: Workload, tail: int) -> AsyncGenerator[str]:
        """Its last lines and what it writes, until it ends, its board goes, or the reader does. Raises Refused at once.

        Where nothing is written for a while, an empty text says so.
        """
        board = workload.board or ""
        if self._followed[board] >= _FOLLOWERS:
            raise Refused(
                503, f"Board {board} has {_FOLLOWERS} logs followed already: close one of those, or ask without follow."
            )
        first = await self._ask(workload, "WorkloadFollow", workload.uuid, None, tail)
        return self._following(workload, board, first)

    async def _following(self, workload: Workload, board: str, said: Any) -> AsyncGenerator[str]:
        self._followed[board] += 1
        try:
            while isinstance(said, dict):
                text = said.get("text") or ""
                yield str(text)
                if said.get("over") and not text:
                    return
                said = await self._ask(workload, "WorkloadFollow", workload.uuid, said.get("next"))
        finally:
            self._followed[board] -= 1
            if not self._followed[board]:
                del self._followed[board]

    async def results(self, workload: Workload) -> Any:
        """What it left as its results."""
        return await self._ask(workload, "WorkloadResults", workload.uuid)

    async def _ask(self, workload: Workload, method: str, *arguments: Any) -> Any:
        board = workload.board
        if board is None:
            raise Refused(400, f"Workload {workload.uuid} is of a fleet: ask its parts, of which each is on one board.")
        request = {"uuid": self._registry.make_uuid(), "destination_uuid": board, "action": method}
        try:
            message: Message = await self._boards.call(board, method, *arguments, request=request)
        except BoardNotConnected:
            raise not_connected(board) from None
        except CallFailed as error:
            raise failed(method, board, str(error)) from None
        if message.result is Outcome.ERROR:
            raise failed(method, board, str(message.message))
        return message.message


def shown(spec: Json) -> Json:
    """What is told of a spec to whoever asks: of secret values their seals."""
    told = {field: spec.get(field) for field in FIELDS}
    return {**told, "secret_env": {name: each["seal"] for name, each in (told["secret_env"] or {}).items()}}


def spec_of(said: Json) -> Json:
    """What of a body boards are told."""
    return {key: said[key] for key in FIELDS if key in said}
