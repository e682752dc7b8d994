"""What boards may call at the hub, and what it does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from continuo.iot.hub.ports import Presence
from continuo.iot.hub.wamp.identity import Board
from continuo.iot.hub.wamp.limits import Purse
from continuo.iot.hub.wamp.rights import INVALID_ARGUMENT, NOT_AUTHORIZED, Forbidden, arguments_of
from continuo.iot.hub.wamp.session import Session
from continuo.iot.wire import REGISTER, Message, Outcome, hub_procedure

log = logging.getLogger(__name__)

UNAVAILABLE = "iotronic.error.unavailable"


class Arrivals(Protocol):
    """What becomes of a session that says it is there."""

    async def arrived(self, session: Session, board: str, info: dict[str, Any]) -> None: ...

    async def registered(self, board: str, proof: str | None) -> None: ...

    def current(self, session: Session) -> bool: ...


class Procedures:
    """The hub's procedures by URI. `wrong` is the purse of the peer's address."""

    def __init__(self, presence: Presence, arrivals: Arrivals, *, lightning_rod: bool) -> None:
        self._presence, self._arrivals, self._lightning_rod = presence, arrivals, lightning_rod
        self._by_uri: dict[str, Callable[..., Any]] = {
            hub_procedure("connection"): self._connection,
            hub_procedure("notify_result"): self._notify_result,
            hub_procedure("report"): self._report,
            hub_procedure("wamp_alive"): self._alive,
            hub_procedure("alive"): self._alive,
            hub_procedure("echo"): self._echo,
        }

    async def handle(self, session: Session, message: Any, wrong: Purse) -> Any:
        """Answer a call; raises Forbidden."""
        given = arguments_of(session.who, session.number, message.procedure, message.args, message.kwargs)
        try:
            if message.procedure == REGISTER:
                return await self._register(session, given, wrong)
            return await self._by_uri[message.procedure](session, given)
        except Forbidden:
            raise
        except LookupError as error:
            return Message(str(error.args[0] if error.args else error), Outcome.ERROR).encode()
        except ValueError as error:
            raise Forbidden(INVALID_ARGUMENT, str(error)) from None
        except Exception as error:  # one board's call: the session goes on, and the board tries again
            log.exception("%s of session %d failed", message.procedure, session.number)
            raise Forbidden(UNAVAILABLE, "the hub could not do that now; try again") from error

    async def _register(self, session: Session, given: dict[str, Any], wrong: Purse) -> str:
        if session.spent:
            raise Forbidden(NOT_AUTHORIZED, "this session has registered a board; join as that board")
        code, key = given["code"], given.get("key")
        if not isinstance(code, str) or not (key is None or _is_key(key)):
            raise Forbidden(INVALID_ARGUMENT, "code is a text, and key an Ed25519 public key in 64 hexadecimal digits")
        if wrong.empty:
            raise Forbidden(UNAVAILABLE, "too many wrong codes came from this address; try again in a minute")
        if key is None and not self._lightning_rod:
            return _refused("this hub takes boards with a key only; `continuo hub --allow-lightning-rod` takes others")
        try:
            config = await self._presence.register(code, session.number, key.lower() if key else None)
        except LookupError as error:
            wrong.spend()
            return _refused(str(error.args[0] if error.args else error))
        session.spent = True
        await self._arrivals.registered(config["iotronic"]["board"]["uuid"], key.lower() if key else None)
        return Message(config, Outcome.SUCCESS).encode()

    async def _connection(self, session: Session, given: dict[str, Any]) -> str:
        board = _board(session)
        if not isinstance(given["info"], dict):
            raise Forbidden(INVALID_ARGUMENT, "info is an object with lr_version and connectivity")
        await self._arrivals.arrived(session, board, given["info"])
        return Message("connection accepted", Outcome.SUCCESS).encode()

    async def _notify_result(self, session: Session, given: dict[str, Any]) -> str:
        board = self._current(session)
        try:
            message = Message.decode(given["wampmessage"])
        except (ValueError, TypeError) as error:
            raise Forbidden(INVALID_ARGUMENT, f"wampmessage: {error}") from None
        await self._presence.notified(board, message)
        return Message("notification_received", Outcome.SUCCESS).encode()

    async def _report(self, session: Session, given: dict[str, Any]) -> str:
        board = self._current(session)
        if not isinstance(given["report"], dict):
            raise Forbidden(INVALID_ARGUMENT, "report is an object with plugins, services, ports, workloads and health")
        await self._presence.reported(board, given["report"])
        return Message("report_received", Outcome.SUCCESS).encode()

    async def _alive(self, _session: Session, _given: dict[str, Any]) -> str:
        return f"alive @ {datetime.now(UTC).isoformat(timespec='seconds')}"

    async def _echo(self, _session: Session, given: dict[str, Any]) -> str:
        return f"echo: {given.get('data', '')}"

    def _current(self, session: Session) -> str:
        if not self._arrivals.current(session):
            raise Forbidden(NOT_AUTHORIZED, "this is not the board's current session; call connection first")
        return _board(session)


def _board(session: Session) -> str:
    if not isinstance(session.who, Board):
        raise Forbidden(NOT_AUTHORIZED, "only boards may call that")
    return session.who.uuid


def _refused(sentence: str) -> str:
    return Message(sentence, Outcome.ERROR).encode()


def _is_key(key: Any) -> bool:
    try:
        return isinstance(key, str) and len(key) == 64 and len(bytes.fromhex(key)) == 32
    except ValueError:
        return False
