"""What there is: boards, fleets, plugins, services, networks; found by uuid, or by name within a project."""

from __future__ import annotations

import re
import time
import uuid as uuids
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from continuo.iot.hub import secrets
from continuo.iot.hub.desired import desired_of
from continuo.iot.hub.model import (
    Board,
    Exposed,
    Fleet,
    Former,
    Injection,
    Network,
    Owned,
    Plugin,
    Port,
    Record,
    Report,
    Secret,
    Service,
    SigningKey,
    Token,
    Workload,
)
from continuo.iot.hub.records import Change, Records, Table
from continuo.iot.hub.refusals import Refused, absent, bad, taken
from continuo.iot.hub.setting import Setting

R = TypeVar("R", bound=Record)
N = TypeVar("N", bound=Owned)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PEPPER = "codes"
_FORMER = 10_000
"""Keys of boards that are no more, which are remembered."""


def is_uuid(text: str) -> bool:
    """Whether it has the form of one."""
    return _UUID.fullmatch(text.lower()) is not None


class Registry:
    """The hub's records, and the rules between them."""

    def __init__(
        self,
        records: Records,
        setting: Setting,
        clock: Callable[[], float] = time.time,
        make_uuid: Callable[[], str] = lambda: str(uuids.uuid4()),
    ) -> None:
        self.records, self.setting, self.clock, self.make_uuid = records, setting, clock, make_uuid
        self.sessions: dict[str, int] = {}
        """Board -> its session now."""
        self.tokens: dict[str, str] = {}
        """What opens a service's or port's connection; the key of its record -> token. Of this run only."""
        self._pepper = ""

    async def load(self) -> None:
        """Take over what the storage holds."""
        await self.records.load()
        found = self.table(Secret).get(_PEPPER)
        if found is None:
            found = Secret(uuid=_PEPPER, value=secrets.make_token())
            await self.records.commit(Change().add(found))
        self._pepper = found.value

    def table(self, kind: type[R]) -> Table[R]:
        """The records of a kind."""
        return self.records.table(kind)

    def now(self) -> str:
        """The time as records have it."""
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="seconds")

    def age(self, instant: str) -> float:
        """Seconds since then."""
        return self.clock() - datetime.fromisoformat(instant).timestamp()

    def stamped(self, record: R, **changes: Any) -> R:
        """The record with changes, as of now."""
        return msgspec.structs.replace(record, **changes, updated_at=self.now())

    # finding

    def find(self, kind: type[N], ident: str, project: str | None, visible: Callable[[N], bool] = lambda _: False) -> N:
        """By uuid, or by name in the project (None: anywhere); `visible`: seen though of another project."""
        table, word = self.table(kind), kind.__name__
        found = table.get(ident.lower() if is_uuid(ident) else ident)
        if found is not None:
            if project is None or found.project == project or visible(found):
                return found
            raise absent(word, ident)
        named = [each for each in table.by("name", ident) if project is None or each.project == project]
        if not named:
            named = [each for each in table.by("name", ident) if visible(each)]
        if len(named) > 1:
            raise taken(f"{word}: {len(named)} have the name {ident!r}; say the uuid instead")
        if not named:
            raise absent(word, ident)
        return named[0]

    def injection(self, board: Board, plugin: Plugin) -> Injection:
        """A plugin of a board; raises Refused where it has it not."""
        found = self.table(Injection).get(f"{board.uuid}/{plugin.uuid}")
        if found is None:
            raise Refused(404, f"Plugin {plugin.uuid} is not injected into board {board.uuid}.")
        return found

    def report(self, board: str) -> dict[str, Any]:
        """What a board said last that it has."""
        found = self.table(Report).get(board)
        return {} if found is None else found.said

    def online(self, board: str) -> bool:
        """Whether it has a session."""
        return board in self.sessions

    def status(self, board: Board) -> str:
        """IoTronic's word for a board's state."""
        if board.uuid in self.sessions:
            return "online"
        return "offline" if board.registered else "registered"

    def speaks_desire(self, board: Board) -> bool:
        """Whether its agent is told its whole desired state, rather than one call after the other."""
        return "desire" in board.capabilities

    def desired(self, board: str) -> dict[str, Any]:
        """The whole of what a board should have."""
        return desired_of(self, board)

    # boards

    def code_hash(self, code: str) -> str:
        """What is kept of a registration code."""
        return secrets.keyed(self._pepper, code)

    def check_board_name(self, name: str, project: str, but: str = "") -> None:
        """Raise Refused where another board of the project has it."""
        if is_uuid(name):
            raise bad(f"name: {name!r} looks like a uuid, which a board's name must not")
        if any(each.project == project and each.uuid != but for each in self.table(Board).by("name", name)):
            raise taken(f"A board with name {name} already exists.")

    def new_board(self, said: dict[str, Any], owner: str, project: str) -> Board:
        """A board that may register with the code; not stored yet. Raises Refused."""
        self.check_board_name(said["name"], project)
        hashed = self.code_hash(said["code"])
        if self.table(Board).by("code_hash", hashed):
            raise taken("A board with this code already exists: choose another code.")
        fleet = self.find(Fleet, said["fleet"], project).uuid if said.get("fleet") else None
        return Board(
            uuid=self.make_uuid(), created_at=self.now(), name=said["name"], owner=owner, project=project,
            type=said.get("type"), fleet=fleet, mobile=said.get("mobile") or False, location=said["location"][:1],
            extra=said.get("extra") or {}, code_hash=hashed, code_expires=self.clock() + self.setting.code_life,
        )  # fmt: skip

    async def new_code(self, board: Board, code: str | None = None) -> str:
        """Let a board register again: a code that is good once. Its present identity ends when that is spent."""
        code = code or secrets.make_code()
        hashed, expires = self.code_hash(code), self.clock() + self.setting.code_life
        if any(each.uuid != board.uuid for each in self.table(Board).by("code_hash", hashed)):
            raise taken("A board with this code already exists: choose another code.")
        await self.records.commit(
            Change().add(self.stamped(board, code_hash=hashed, code_expires=expires, code_spent=False))
        )
        return code

    def dropping_board(self, board: Board) -> Change:
        """Everything that ends with a board."""
        change = Change().event(board.project, "board.deleted", board=board.uuid)
        for kind in (Injection, Exposed, Port, Workload):
            change.remove(*self.table(kind).by("board", board.uuid))
        if (report := self.table(Report).get(board.uuid)) is not None:
            change.remove(report)
        self.dropping_key(change, board)
        return change.remove(board)

    def dropping_key(self, change: Change, board: Board) -> None:
        """Who comes with this key is told that the board is no longer theirs; the oldest of very many are forgotten."""
        if board.key is not None:
            change.add(Former(uuid=f"{board.uuid}/{board.key}", created_at=self.now()))
            former = self.table(Former)
            change.remove(*former.all()[: max(0, len(former) - _FORMER)])

    # who may sign, who may ask

    def keys(self) -> dict[str, str]:
        """The public keys by which plugins may be signed."""
        return {key.uuid: key.public for key in self.table(SigningKey).all()}

    async def add_key(self, name: str, public: str) -> None:
        """Admit a key."""
        await self.records.commit(Change().add(SigningKey(uuid=name, public=public, created_at=self.now())))

    async def remove_key(self, name: str) -> None:
        """Admit a key no longer; raises LookupError."""
        found = self.table(SigningKey).get(name)
        if found is None:
            raise LookupError(f"there is no signing key {name}")
        await self.records.commit(Change().remove(found))

    async def add_token(self, project: str, role: str, user: str | None = None) -> tuple[Token, str]:
        """Somebody who may ask; the token itself is told here and never again."""
        secret = secrets.make_token()
        id = self.make_uuid()
        token = Token(
            uuid=secrets.digest(secret), id=id, user=user or id, project=project, role=role, created_at=self.now()
        )
        await self.records.commit(Change().add(token))
        return token, secret

    def token(self, secret: str) -> Token | None:
        """Whose token this is."""
        return self.table(Token).get(secrets.digest(secret))

    async def remove_token(self, id: str) -> None:
        """Admit them no longer; raises LookupError."""
        found = [token for token in self.table(Token).all() if token.id == id]
        if not found:
            raise LookupError(f"there is no token {id}")
        await self.records.commit(Change().remove(*found))


__all__ = ["Network", "Registry", "Service", "is_uuid"]
