"""What operators do to a hub: tokens, boards' codes, signing keys. Through the hub where it runs, else in its storage.

A storage has one writer. So a hub that runs is asked at a socket in its data folder, which only its user may open.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuo.cli.failures import BadInput, Failed

if TYPE_CHECKING:
    from continuo.iot.hub.hub import Core

log = logging.getLogger(__name__)

ROLES = ("admin", "admin_iot_project", "manager_iot_project", "user_iot")
_PATIENCE = 30.0
_MOST = 1 << 20

Answer = dict[str, Any] | list[Any]


class Administration:
    """The operations by name, over a hub's records. `policy_changed`: let boards know what they may run."""

    def __init__(self, core: Core, policy_changed: Callable[[], None] = lambda: None) -> None:
        self._registry, self._policy_changed = core.registry, policy_changed
        self._known: dict[str, Callable[..., Awaitable[Answer]]] = {
            "token add": self._token_add, "token ls": self._token_ls, "token rm": self._token_rm,
            "board add": self._board_add, "board ls": self._board_ls, "board code": self._board_code,
            "keys add": self._keys_add, "keys ls": self._keys_ls, "keys rm": self._keys_rm,
        }  # fmt: skip

    async def do(self, what: str, arguments: dict[str, Any]) -> Answer:
        """Raises Failed with a sentence."""
        from continuo.iot.hub.refusals import Refused
        from continuo.storage.database import StorageFailed

        try:
            return await self._known[what](**arguments)
        except (Refused, LookupError, StorageFailed) as error:
            raise Failed(str(error.args[0] if error.args else error)) from error

    async def _token_add(self, project: str, role: str, user: str | None) -> Answer:
        token, secret = await self._registry.add_token(project, role, user)
        return {"id": token.id, "token": secret}

    async def _token_ls(self) -> Answer:
        from continuo.iot.hub.model import Token

        return [
            {"id": each.id, "project": each.project, "role": each.role, "user": each.user, "since": each.created_at}
            for each in self._registry.table(Token).all()
        ]

    async def _token_rm(self, id: str) -> Answer:
        await self._registry.remove_token(id)
        return {}

    async def _board_add(self, name: str, project: str, code: str | None, location: list[float]) -> Answer:
        from continuo.iot.hub.records import Change
        from continuo.iot.hub.secrets import make_code

        code = code or make_code()
        longitude, latitude, altitude = (str(number) for number in location)
        where = {"longitude": longitude, "latitude": latitude, "altitude": altitude}
        board = self._registry.new_board({"name": name, "code": code, "location": [where]}, "operator", project)
        await self._registry.records.commit(Change().add(board).event(project, "board.updated", board=board.uuid))
        return {"board": board.uuid, "code": code}

    async def _board_ls(self) -> Answer:
        from continuo.iot.hub.model import Board

        return [
            {
                "uuid": each.uuid,
                "name": each.name,
                "project": each.project,
                "status": self._registry.status(each),
                "agent": each.agent_version or each.lr_version,
            }
            for each in self._registry.table(Board).all()
        ]

    async def _board_code(self, board: str, code: str | None) -> Answer:
        from continuo.iot.hub.model import Board

        found = self._registry.find(Board, board, None)
        return {"board": found.uuid, "code": await self._registry.new_code(found, code)}

    async def _keys_add(self, name: str, public: str) -> Answer:
        await self._registry.add_key(name, public)
        self._policy_changed()
        return {}

    async def _keys_ls(self) -> Answer:
        return [{"name": name, "public": public} for name, public in sorted(self._registry.keys().items())]

    async def _keys_rm(self, name: str) -> Answer:
        await self._registry.remove_key(name)
        self._policy_changed()
        return {}


def _socket(data: Path) -> Path:
    return data / "admin.sock"


@asynccontextmanager
async def administered(data: Path, administration: Administration) -> AsyncIterator[None]:
    """Let this user's commands reach the hub that runs here."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                asked = json.loads(await reader.readline())
                writer.write(json.dumps(await _answer(administration, asked)).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, OSError, ValueError) as error:
            log.warning("a command at %s was not answered: %s", _socket(data), error)
        finally:
            writer.close()

    with _at(data) as place:
        place.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(handle, str(place), limit=_MOST)
        finally:
            os.umask(mask)
    try:
        yield
    finally:
        server.close()
        _socket(data).unlink(missing_ok=True)


async def _answer(administration: Administration, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": await administration.do(asked["what"], asked["arguments"])}
    except Failed as error:
        return {"error": error.message}


async def ask(data: Path, database: str | None, what: str, **arguments: Any) -> Any:
    """Do it, whether the hub of that folder runs or not; raises Failed with a sentence."""
    said = await _asked(data, {"what": what, "arguments": arguments})
    if said is None:
        return await _without_hub(data, database, what, arguments)
    if "error" in said:
        raise Failed(said["error"])
    return said["answer"]


async def _asked(data: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """What the hub that runs says; None: none runs here."""
    try:
        async with asyncio.timeout(_PATIENCE):
            with _at(data) as place:
                reader, writer = await asyncio.open_unix_connection(str(place), limit=_MOST * 64)
            try:
                writer.write(json.dumps(asked).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except (TimeoutError, OSError) as error:
        raise Failed(f"the hub at {_socket(data)} does not answer: {error or 'it took too long'}") from error
    if not line:
        raise Failed(f"the hub at {_socket(data)} closed the connection; its log says why")
    said: dict[str, Any] = json.loads(line)
    return said


async def _without_hub(data: Path, database: str | None, what: str, arguments: dict[str, Any]) -> Answer:
    from continuo.iot.hub.hub import Core
    from continuo.iot.hub.setting import Setting
    from continuo.storage.database import StorageFailed

    url = database or storage_of(data)
    try:
        async with Core(url, Setting()).opened() as core:
            return await Administration(core).do(what, arguments)
    except StorageFailed as error:
        raise Failed(str(error)) from error


def storage_of(data: Path) -> str:
    """Where a hub's records are if nothing else is said."""
    return str(data / "hub.sqlite")


def public_of(text: str) -> str:
    """A public key, given as 64 hexadecimal digits or as a file with a private key or with those digits."""
    from continuo.iot.signing import BadKey, load_key, public_hex, public_key

    path = Path(text)
    try:
        if path.is_file():
            content = path.read_text(encoding="utf-8", errors="replace").strip()
            text = public_hex(load_key(path)) if content.startswith("-----BEGIN") else content
        public_key(text)
    except (BadKey, OSError) as error:
        raise BadInput(f"KEY is 64 hexadecimal digits, or a file with a key: {error}") from error
    return text.lower()


class _at:
    """The socket's path, by way of the folder's descriptor: a path to a socket has 107 bytes at most."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def __enter__(self) -> Path:
        self._descriptor = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return Path(f"/proc/self/fd/{self._descriptor}") / "admin.sock"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
