"""What sessions tell: who registers, who comes and goes, what boards report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from continuo.iot.hub import reports, secrets
from continuo.iot.hub.model import Board, Former, Json, Report
from continuo.iot.hub.ports import Json as Said
from continuo.iot.hub.records import Change
from continuo.iot.hub.registry import Registry
from continuo.iot.hub.setting import AGENT
from continuo.iot.wire import Message

log = logging.getLogger(__name__)
_EVENTS = {
    "plugins": ("injection.changed", "plugin"), "services": ("service.changed", "service"),
    "ports": ("port.changed", "port"), "workloads": ("workload.changed", "workload"),
}  # fmt: skip


class SessionPresence:
    """`Presence` of ports.py, over the registry; `came`, `told` and `notified_of` are what actions do about it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._boards: dict[int, str] = {}
        self._registering = asyncio.Lock()
        self.came: Callable[[Board], None] = lambda _: None
        self.told: Callable[[str], Awaitable[None]] = _nothing
        self.notified_of: Callable[[str, Message], Awaitable[None]] = _nothing

    async def register(self, code: str, session: int, key: str | None) -> Said:
        """Spend a registration code; raises LookupError in a sentence. Again with the same key: the same answer."""
        registry = self._registry
        if key is None and not registry.setting.lightning_rod:
            raise LookupError("this hub admits no board without a key of its own: start it with --allow-lightning-rod")
        async with self._registering:
            found = registry.table(Board).by("code_hash", registry.code_hash(code))
            if not found:
                raise LookupError("there is no board with this registration code")
            board = found[0]
            if board.code_spent and (key is None or board.key != key):
                raise LookupError(f"the registration code of board {board.uuid} was used already: ask for a new one")
            if not board.code_spent and registry.clock() > board.code_expires:
                raise LookupError(f"the registration code of board {board.uuid} has expired: ask for a new one")
            realm = registry.setting.realm if key is not None else f"s4t-{secrets.make_token()}"
            change = Change()
            if board.key != key:
                registry.dropping_key(change, board)
            board = registry.stamped(
                board, registered=True, code_spent=True, key=key,
                realm_hash=None if key is not None else secrets.digest(realm),
            )  # fmt: skip
            log.info("board %s has registered in session %d", board.uuid, session)
            spent = {"state": "spent", "expires_at": int(board.code_expires)}
            now = {"status": registry.status(board), "registration": spent}
            change.add(board).event(board.project, "board.updated", board=board.uuid, now=now)
            await registry.records.commit(change)
        return bootstrap(registry, board, code, realm)

    def key_of(self, board: str) -> str | None:
        """The public key by which a board's sessions are authenticated."""
        found = self._registry.table(Board).get(board)
        return None if found is None else found.key

    def was_key_of(self, board: str, key: str) -> bool:
        """Whether it was that until the board was deleted, or registered with another one."""
        return self._registry.table(Former).get(f"{board}/{key}") is not None

    def board_of_realm(self, realm: str) -> str | None:
        """The board whose secret realm this is."""
        found = self._registry.table(Board).by("realm_hash", secrets.digest(realm))
        return found[0].uuid if found and realm else None

    async def connected(self, board: str, session: int, info: Said) -> None:
        """The board is online in this session."""
        registry = self._registry
        found = registry.table(Board).get(board)
        if found is None:
            raise LookupError(f"there is no board {board}")
        changed = registry.stamped(
            found, lr_version=_text(info.get("lr_version")), agent_version=_text(info.get("agent")),
            connectivity=reports.bounded(_object(info.get("connectivity"))), capabilities=_texts(info.get("capabilities")),
        )  # fmt: skip
        self._boards[session] = board
        registry.sessions[board] = session
        now = {
            "status": "online", "lr_version": changed.lr_version, "agent_version": changed.agent_version,
            "connectivity": changed.connectivity, "capabilities": changed.capabilities, "session": str(session),
        }  # fmt: skip
        change = Change().add(changed).event(found.project, "board.online", board=board, now=now)
        await registry.records.commit(change)
        self.came(changed)

    async def left(self, session: int) -> None:
        """That session is over."""
        board = self._boards.pop(session, None)
        registry = self._registry
        if board is None or registry.sessions.get(board) != session:
            return
        del registry.sessions[board]
        found = registry.table(Board).get(board)
        gone = {"status": "offline", "session": None}
        if found is not None:
            await registry.records.commit(Change().event(found.project, "board.offline", board=board, now=gone))

    async def notified(self, board: str, message: Message) -> None:
        """What was RUNNING has ended."""
        await self.notified_of(board, message)

    async def reported(self, board: str, report: Said) -> None:
        """What the board has now."""
        registry = self._registry
        found = registry.table(Board).get(board)
        if found is None:
            raise LookupError(f"there is no board {board}")
        said = reports.checked(report, reports.knowing(registry, board))
        before = registry.report(board)
        change = Change().add(Report(uuid=board, said=said, updated_at=registry.now(), created_at=registry.now()))
        for section, key, short in reports.changes(before, said):
            event, word = _EVENTS[section]
            change.event(found.project, event, board=board, object=key, **{word: key}, **short)
        await registry.records.commit(change)
        await self.told(board)

    def desired(self, board: str) -> Said:
        """The whole of what the board should have."""
        return self._registry.desired(board)


async def _nothing(*_: Any) -> None:
    """Nobody listens yet."""


def bootstrap(registry: Registry, board: Board, code: str, realm: str) -> Json:
    """The configuration that a board gets for its code."""
    setting = registry.setting
    where = board.location[0] if board.location else {}
    told = {
        "uuid": board.uuid, "code": code, "status": "registered", "name": board.name, "type": board.type or "",
        "mobile": board.mobile, "agent": AGENT, "owner": board.owner, "project": board.project, "fleet": board.fleet,
        "lr_version": board.lr_version, "connectivity": board.connectivity, "created_at": board.created_at,
        "updated_at": board.updated_at or board.created_at, "location": where, "extra": board.extra,
    }  # fmt: skip
    wamp = {
        "registration-agent": {"url": setting.wamp_url, "realm": setting.realm},
        "main-agent": {"url": setting.wamp_url, "realm": realm},
    }
    return {"iotronic": {"board": told, "wamp": wamp, "extra": {}}}


def _text(value: object) -> str | None:
    return value[:255] if isinstance(value, str) else None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [each[:64] for each in value if isinstance(each, str)][:64] if isinstance(value, list | tuple) else []
